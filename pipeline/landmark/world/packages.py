"""Copernicus EMS activations of the world's floods and earthquakes: packages as the service names and lays them out."""

import json
import tempfile
import zipfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import geopandas
import pyogrio
import shapely

from landmark.world.events import DAMAGED, DESTROYED, DOUBTFUL, EventSpec, event_specs, load, reached
from landmark.world.ground import COVER, KINDS
from landmark.world.rasterize import RasterizedEvent, Shape, degrees, outlines, rasterize, square
from landmark.world.scenes import Zone

GRADES = {DESTROYED: "Destroyed", DAMAGED: "Damaged", DOUBTFUL: "Possibly damaged", 0: "No visible damage"}
LAYERS = {  # until 2020, and since
    "aoi": ("area_of_interest_a", "areaOfInterestA"), "observed": ("observed_event_a", "observedEventA"),
    "built": ("built_up_a", "builtUpA"), "water": ("hydrography_a", "hydrographyA"), "source": ("source", "source"),
}  # fmt: skip
MAPS = {"DEL": "Delineation", "GRA": "Grading"}
UNSAID = "Not Applicable"
AROUND_M = 400  # how far mappers look beyond what they find


class Table(NamedTuple):
    """A layer of a package: rows of attributes, and as many shapes in degrees; none in a table of sources."""

    rows: list[dict[str, Any]]
    shapes: list[Shape]


class Area(NamedTuple):
    """One area of interest; without a strike and its chart nobody found anything there."""

    number: int
    locality: str
    strike: EventSpec | None
    chart: RasterizedEvent | None
    outline: Shape


class Product(NamedTuple):
    """One product of an activation: the image it was drawn from is number `source` of its table of sources."""

    source: int
    name: str
    image: str
    taken: datetime


def publish(zones: list[Zone], out: Path) -> None:
    """Write every activation's answer of the service's API, and beside it a package for each area and product."""
    out.mkdir(parents=True)
    for code, facts in load()["activations"].items():
        areas = list(_areas(facts, zones))
        products = [Product(number, *said) for number, said in enumerate(facts["products"], 2)]
        for area in areas:
            for number, product in enumerate(products):
                package, layer = _named(code, facts, area, product)
                tables = _tables(code, facts, area, products[: number + 1])
                files = [
                    _written(layer.format(LAYERS[key][facts["new"]]), table, product.taken)
                    for key, table in tables.items()
                    if table.rows
                ]
                _zip(out / package, files, product.taken)
        answer = {"count": 1, "next": None, "previous": None, "results": [_activation(code, facts, areas, products)]}
        (out / f"{code}.json").write_text(json.dumps(answer, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _areas(facts: dict[str, Any], zones: list[Zone]) -> Iterator[Area]:
    for number, locality, what in facts["areas"]:
        strike = None if isinstance(what, list) else event_specs()[what]
        epsg, u, v, half_m = (strike.epsg, *strike.at, strike.reach_m + AROUND_M) if strike else what
        zone = next(zone for zone in zones if zone.epsg == epsg)
        (outline,) = degrees([square(zone, (u, v), half_m)], epsg)
        yield Area(number, locality, strike, rasterize(strike, zones) if strike else None, outline)


# -- one package -----------------------------------------------------------------------------------------------------


def _named(code: str, facts: dict[str, Any], area: Area, product: Product) -> tuple[str, str]:
    """Return the name of a package, and that of its layers with a place for the layer's own."""
    if facts["new"]:
        stem = f"{code}_AOI{area.number:02d}_{product.name if '_' in product.name else product.name + '_PRODUCT'}"
        return f"{stem}_r1_RTP01_v1_vector.zip", stem + "_{}_r1_v1"
    stem = f"{code}_{area.number:02d}{area.locality.upper()}_{product.name}_v1"
    return f"{stem}_vector.zip", stem + "_{}"


def _tables(code: str, facts: dict[str, Any], area: Area, products: list[Product]) -> dict[str, Table]:
    """Return the layers of the last product; it holds what the products before it drew, too."""
    tables = {"aoi": _aoi(code, area, products[-1]), "source": _sources(products)}
    if area.strike and area.chart:
        if area.strike.type == "earthquake":
            return tables | {"built": _built(area.chart, products[-1].source)}
        drawn = [_observed(facts, area.strike, area.chart, product) for product in products]
        rows, found = [row for one in drawn for row in one.rows], [shape for one in drawn for shape in one.shapes]
        return tables | {"observed": Table(rows, found), "water": _water(area.chart)}
    return tables


def _aoi(code: str, area: Area, product: Product) -> Table:
    kind, _, again = product.name.partition("_")
    row = {
        "emsr_id": code.lower() if area.number == 2 else code, "glide_no": UNSAID, "area_id": f"{area.number:02d}",
        "locality": area.locality, "map_type": MAPS[kind] + (f"-{again.title()}" if again else ""),
    }  # fmt: skip
    return Table([row], [area.outline])


def _sources(products: list[Product]) -> Table:
    before = Product(1, "", "Sentinel-2A", products[0].taken - timedelta(days=40))
    return Table([
        {"src_id": one.source, "source_nam": one.image, "src_date": f"{one.taken:%Y-%m-%d}",
         "source_tm": f"{one.taken:%H:%M:%S}"} for one in (before, *products)
    ], [])  # fmt: skip


def _observed(facts: dict[str, Any], strike: EventSpec, seen: RasterizedEvent, product: Product) -> Table:
    found = outlines(reached(strike, seen.level, product.taken), seen.transform)
    if not facts["new"]:
        found = [_crossed(one) if number % 2 else one for number, one in enumerate(found)]
    row = {
        "event_type": f"5-{facts['category']}", "obj_desc": facts["kind"], "det_method": "Semi-automatic extraction",
        "notation": "Flooded area", "dmg_src_id": product.source,
    }  # fmt: skip
    return Table([row] * len(found), degrees(found, seen.epsg))


def _crossed(one: shapely.Polygon) -> shapely.Polygon:
    """Return the polygon with two neighbouring corners swapped: a line drawn in haste crosses itself."""
    line = list(one.exterior.coords)
    for at in range(1, len(line) - 2):
        swapped = shapely.Polygon([*line[:at], line[at + 1], line[at], *line[at + 2 :]], list(one.interiors))
        if not swapped.is_valid and abs(shapely.make_valid(swapped).area - one.area) < 0.02 * one.area:
            return swapped
    return one


def _built(seen: RasterizedEvent, source: int) -> Table:
    """Return the patches of buildings by grade of damage, those that stand included."""
    most, rows, found = seen.seen.land.most, [], []
    built = (COVER[most] == 50) & (most != KINDS["street"])
    for grade, words in GRADES.items():
        patches = outlines(built & (seen.level == grade), seen.transform)
        found += patches
        rows += [{
            "obj_type": "11-Residential Buildings", "info": "997-Not Applicable", "damage_gra": words,
            "det_method": "Photo-interpretation", "notation": UNSAID, "or_src_id": 1, "dmg_src_id": source,
        }] * len(patches)  # fmt: skip
    return Table(rows, degrees(found, seen.epsg))


def _water(seen: RasterizedEvent) -> Table:
    """Return the water there was before: a layer that tells of no event."""
    found = outlines(COVER[seen.seen.land.most] == 80, seen.transform)
    row = {"obj_type": "Hydrography", "name": UNSAID, "or_src_id": 1}
    return Table([row] * len(found), degrees(found, seen.epsg))


def _written(name: str, table: Table, when: datetime) -> dict[str, bytes]:
    """Return a layer's files: a shapefile, or a dBase table where there are no shapes."""
    shaped = {"geometry": table.shapes, "crs": "EPSG:4326"} if table.shapes else {}
    frame, ending = geopandas.GeoDataFrame(table.rows, **shaped), "shp" if shaped else "dbf"
    with tempfile.TemporaryDirectory() as folder:
        # A dBase header holds the day it was written: the image's day keeps the bytes the same.
        pyogrio.write_dataframe(frame, Path(folder) / f"{name}.{ending}", driver="ESRI Shapefile", encoding="UTF-8",
                                DBF_DATE_LAST_UPDATE=f"{when:%Y-%m-%d}")  # fmt: skip
        return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


def _zip(path: Path, files: list[dict[str, bytes]], when: datetime) -> None:
    with zipfile.ZipFile(path, "w") as package:
        for name, content in (entry for each in files for entry in each.items()):
            package.writestr(zipfile.ZipInfo(name, when.timetuple()[:6]), content, zipfile.ZIP_DEFLATED)


# -- the service's answer --------------------------------------------------------------------------------------------


def _activation(code: str, facts: dict[str, Any], areas: list[Area], products: list[Product]) -> dict[str, Any]:
    whole = shapely.union_all([area.outline for area in areas])
    return {
        "code": code, "name": facts["name"], "category": facts["category"], "subCategory": facts["kind"],
        "countries": ["Landmark"], "closed": True,
        "eventTime": facts["start"].isoformat(), "activationTime": facts["opened"].isoformat(),
        "centroid": whole.centroid.wkt, "extent": shapely.box(*whole.bounds).wkt,
        "n_aois": len(areas), "n_products": len(areas) * len(products),
        "aois": [_answer(code, facts, area, products) for area in areas],
    }  # fmt: skip


def _answer(code: str, facts: dict[str, Any], area: Area, products: list[Product]) -> dict[str, Any]:
    return {
        "name": area.locality, "number": area.number, "activationCode": code, "extent": area.outline.wkt,
        "products": [{
            "type": one.name[:3], "monitoring": "MONIT" in one.name, "monitoringNumber": number,
            "version": {"number": 1, "statusCode": "F",
                        "deliveryTime": (one.taken + timedelta(hours=9)).isoformat()},
            "images": [{"sensorName": one.image, "acquisitionTime": one.taken.isoformat()}],
            "downloadPath": f"./{_named(code, facts, area, one)[0]}",
        } for number, one in enumerate(products)],
    }  # fmt: skip
