"""Write burnt areas, earthquakes and place names as GeoJSON in the schemas of their services."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import shapely
from shapely.geometry import mapping

from landmark.world import event_records
from landmark.world.event_records import Earthquake
from landmark.world.event_specs import EventSpec, event_specs
from landmark.world.plane import to_plane
from landmark.world.rasterize import Shape, degrees, outlines, rasterize
from landmark.world.scenes import Zone
from landmark.world.window import Painter

ACRE_M2 = 4046.8564
Feature = dict[str, Any]


def publish(zones: list[Zone], out: Path) -> None:
    """Write `burnt-areas/`, `earthquakes/usgs.geojson` and the gazetteer `places.geojson`."""
    names = {zone.place.name for zone in zones}
    for name, feature in (("effis", _effis), ("cal_fire", _frap)):
        rows = event_records.burnt_areas(name, names)
        fires = [feature(event_specs()[fire], *fields, zones=zones) for fire, fields in rows.items()]
        _save(out / "burnt-areas" / f"{name.replace('_', '-')}.geojson", fires)
    quakes = [_earthquake(quake) for quake in reversed(event_records.earthquakes(names))]
    _save(out / "earthquakes" / "usgs.geojson", quakes, metadata={
        "generated": _epoch_ms(datetime(2022, 8, 31)), "title": "USGS Earthquakes", "status": 200, "api": "1.13.6",
        "url": "https://earthquake.usgs.gov/fdsnws/event/1/query?format=geojson", "count": len(quakes)})  # fmt: skip
    _save(out / "places.geojson", [_place(zones, *row) for row in event_records.gazetteer(names)])


def _save(path: Path, features: list[Feature], **members: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    collection = {"type": "FeatureCollection", **members, "features": features}
    path.write_text(json.dumps(collection, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _feature(shape: Shape, properties: Feature, **members: Any) -> Feature:
    return {"type": "Feature", "properties": properties, "geometry": mapping(shape), **members}


def _perimeter(event: EventSpec, zones: list[Zone]) -> tuple[Shape, float]:
    """Return the final perimeter of a fire (EPSG:4326) and its area in square metres."""
    zone = next(zone for zone in zones if (zone.place.name, zone.epsg) == (event.place, event.epsg))
    rasterized = rasterize(event, Painter(zone))
    perimeter = shapely.union_all(outlines(rasterized.level > 0, rasterized.transform))
    return degrees([perimeter], rasterized.epsg)[0], perimeter.area


def _effis(event: EventSpec, number: int, province: str, commune: str, *, zones: list[Zone]) -> Feature:
    shape, area_m2 = _perimeter(event, zones)
    return _feature(shape, {
        "id": str(number), "FIREDATE": str(event.start), "LASTUPDATE": str(event.end),
        "COUNTRY": "IT", "PROVINCE": province, "COMMUNE": commune, "AREA_HA": str(round(area_m2 / 1e4)),
        "CLASS": "FireSeason",
    })  # fmt: skip


def _frap(event: EventSpec, name: str, incident: str, *, zones: list[Zone]) -> Feature:
    shape, area_m2 = _perimeter(event, zones)
    return _feature(shape, {
        "YEAR_": event.start.year, "STATE": "CA", "AGENCY": "CDF", "UNIT_ID": "LDM", "FIRE_NAME": name,
        "INC_NUM": incident, "ALARM_DATE": f"{event.start:%Y-%m-%d}", "CONT_DATE": f"{event.end:%Y-%m-%d}",
        "CAUSE": 14, "C_METHOD": 6, "OBJECTIVE": 1, "GIS_ACRES": round(area_m2 / ACRE_M2, 2),
    })  # fmt: skip


def _earthquake(quake: Earthquake) -> Feature:
    properties = {
        "mag": quake.magnitude, "place": quake.place, "time": _epoch_ms(quake.when),
        "updated": _epoch_ms(quake.when + timedelta(days=60)), "tz": None,
        "url": f"https://earthquake.usgs.gov/earthquakes/eventpage/{quake.id}", "felt": None, "alert": None,
        "status": "reviewed", "tsunami": 0, "sig": round(quake.magnitude**2 * 1000 / 65), "net": quake.id[:2],
        "code": quake.id[2:], "ids": f",{quake.id},", "magType": quake.magnitude_type, "type": "earthquake",
        "title": f"M {quake.magnitude} - {quake.place}",
    }  # fmt: skip
    return _feature(shapely.Point(quake.lon, quake.lat, quake.depth_km), properties, id=quake.id)


def _epoch_ms(when: datetime) -> int:
    return round(when.replace(tzinfo=UTC).timestamp() * 1000)


def _place(zones: list[Zone], place: str, u: float, v: float, kind: str, name: str, *translations: str) -> Feature:
    zone = next(zone for zone in zones if zone.place.name == place)
    lon, lat = to_plane(zone.lon, zone.lat, 4326).transform(u, v, direction="INVERSE")
    translated = dict(zip(("name_fr", "name_es"), translations, strict=False))
    return _feature(shapely.Point(round(lon, 5), round(lat, 5)), {"name": name, "kind": kind, **translated})
