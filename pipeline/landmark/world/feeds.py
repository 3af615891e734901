"""Burnt areas, earthquakes and names of places, as their services publish them: GeoJSON."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import shapely
from shapely.geometry import mapping

from landmark.world.events import EventSpec, event_specs, load
from landmark.world.plane import to_plane
from landmark.world.rasterize import Shape, degrees, outlines, rasterize
from landmark.world.scenes import Zone

ACRE_M2 = 4046.8564
Feature = dict[str, Any]


def publish(zones: list[Zone], out: Path) -> None:
    """Write `burnt-areas/`, `earthquakes/usgs.geojson` and the gazetteer `places.geojson`."""
    for name, feature in (("effis", _effis), ("cal_fire", _frap)):
        fires = [feature(event_specs()[fire], *said, zones=zones) for fire, said in load()[name].items()]
        _save(out / "burnt-areas" / f"{name.replace('_', '-')}.geojson", fires)
    quakes = [_earthquake(*said) for said in reversed(load()["earthquakes"])]
    _save(out / "earthquakes" / "usgs.geojson", quakes, metadata={
        "generated": _epoch_ms(datetime(2022, 8, 31)), "title": "USGS Earthquakes", "status": 200, "api": "1.13.6",
        "url": "https://earthquake.usgs.gov/fdsnws/event/1/query?format=geojson", "count": len(quakes)})  # fmt: skip
    _save(out / "places.geojson", [_place(zones, *said) for said in load()["places"]])


def _save(path: Path, features: list[Feature], **more: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = {"type": "FeatureCollection", **more, "features": features}
    path.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _feature(shape: Shape, properties: Feature, **more: Any) -> Feature:
    return {"type": "Feature", "properties": properties, "geometry": mapping(shape), **more}


def _perimeter(strike: EventSpec, zones: list[Zone]) -> tuple[Shape, float]:
    """Return a fire's last perimeter in degrees, and its area in square metres."""
    seen = rasterize(strike, zones)
    found = shapely.union_all(outlines(seen.level > 0, seen.transform))
    return degrees([found], seen.epsg)[0], found.area


def _effis(strike: EventSpec, number: int, province: str, commune: str, *, zones: list[Zone]) -> Feature:
    shape, area_m2 = _perimeter(strike, zones)
    return _feature(shape, {
        "id": str(number), "FIREDATE": str(strike.start), "LASTUPDATE": str(strike.end),
        "COUNTRY": "IT", "PROVINCE": province, "COMMUNE": commune, "AREA_HA": str(round(area_m2 / 1e4)),
        "CLASS": "FireSeason",
    })  # fmt: skip


def _frap(strike: EventSpec, name: str, incident: str, *, zones: list[Zone]) -> Feature:
    shape, area_m2 = _perimeter(strike, zones)
    return _feature(shape, {
        "YEAR_": strike.start.year, "STATE": "CA", "AGENCY": "CDF", "UNIT_ID": "LDM", "FIRE_NAME": name,
        "INC_NUM": incident, "ALARM_DATE": f"{strike.start:%Y-%m-%d}", "CONT_DATE": f"{strike.end:%Y-%m-%d}",
        "CAUSE": 14, "C_METHOD": 6, "OBJECTIVE": 1, "GIS_ACRES": round(area_m2 / ACRE_M2, 2),
    })  # fmt: skip


def _earthquake(
    name: str, when: datetime, magnitude: float, scale: str, depth_km: float, lon: float, lat: float, place: str
) -> Feature:
    said = {
        "mag": magnitude, "place": place, "time": _epoch_ms(when), "updated": _epoch_ms(when + timedelta(days=60)),
        "tz": None, "url": f"https://earthquake.usgs.gov/earthquakes/eventpage/{name}", "felt": None, "alert": None,
        "status": "reviewed", "tsunami": 0, "sig": round(magnitude**2 * 1000 / 65), "net": name[:2], "code": name[2:],
        "ids": f",{name},", "magType": scale, "type": "earthquake", "title": f"M {magnitude} - {place}",
    }  # fmt: skip
    return _feature(shapely.Point(lon, lat, depth_km), said, id=name)


def _epoch_ms(when: datetime) -> int:
    return round(when.replace(tzinfo=UTC).timestamp() * 1000)


def _place(zones: list[Zone], place: str, u: float, v: float, kind: str, name: str, *others: str) -> Feature:
    zone = next(zone for zone in zones if zone.place == place)
    lon, lat = to_plane(zone.lon, zone.lat, 4326).transform(u, v, direction="INVERSE")
    words = dict(zip(("name_fr", "name_es"), others, strict=False))
    return _feature(shapely.Point(round(lon, 5), round(lat, 5)), {"name": name, "kind": kind, **words})
