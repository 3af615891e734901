"""Write Copernicus EMS activations: packages and responses of the service's API."""

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

from landmark.world.event_records import activations
from landmark.world.event_specs import EventSpec, event_specs
from landmark.world.events import DAMAGED, DESTROYED, DOUBTFUL, affected_mask
from landmark.world.ground import COVER, KINDS
from landmark.world.rasterize import RasterizedEvent, Shape, degrees, outlines, rasterize, square
from landmark.world.window import Painter

GRADES = {DESTROYED: "Destroyed", DAMAGED: "Damaged", DOUBTFUL: "Possibly damaged", 0: "No visible damage"}
LAYERS = {  # names until 2020, and since
    "aoi": ("area_of_interest_a", "areaOfInterestA"), "observed": ("observed_event_a", "observedEventA"),
    "built": ("built_up_a", "builtUpA"), "water": ("hydrography_a", "hydrographyA"), "source": ("source", "source"),
}  # fmt: skip
MAPS = {"DEL": "Delineation", "GRA": "Grading"}
NOT_APPLICABLE = "Not Applicable"
MARGIN_M = 400  # of the area of interest around an event


class Table(NamedTuple):
    """A layer of a package: attribute rows, and one shape (EPSG:4326) per row or none at all."""

    rows: list[dict[str, Any]]
    shapes: list[Shape]


class Area(NamedTuple):
    """One area of interest; `event` and `rasterized` are None if nothing was mapped in it."""

    number: int
    locality: str
    event: EventSpec | None
    rasterized: RasterizedEvent | None
    outline: Shape


class Product(NamedTuple):
    """One product of an activation; `source` is the id of its image in the table of sources."""

    source: int
    name: str
    image: str
    acquired: datetime


def publish(painters: list[Painter], out: Path) -> None:
    """Write the API response of every activation in some zones, and a package per area and product."""
    for code, activation in activations({painter.zone.place.name for painter in painters}).items():
        out.mkdir(parents=True, exist_ok=True)
        areas = list(_areas(activation, painters))
        products = [Product(number, *fields) for number, fields in enumerate(activation["products"], 2)]
        for area in areas:
            for number, product in enumerate(products):
                package, layer = _names(code, activation, area, product)
                tables = _tables(code, activation, area, products[: number + 1])
                files = [
                    _layer_files(layer.format(LAYERS[key][activation["new"]]), table, product.acquired)
                    for key, table in tables.items()
                    if table.rows
                ]
                _zip(out / package, files, product.acquired)
        response = {
            "count": 1,
            "next": None,
            "previous": None,
            "results": [_activation(code, activation, areas, products)],
        }
        (out / f"{code}.json").write_text(json.dumps(response, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _areas(activation: dict[str, Any], painters: list[Painter]) -> Iterator[Area]:
    for number, locality, target in activation["areas"]:
        event = None if isinstance(target, list) else event_specs()[target]
        epsg, u, v, half_m = (event.epsg, *event.at, event.reach_m + MARGIN_M) if event else target
        key = activation["place"], epsg
        painter = next(painter for painter in painters if (painter.zone.place.name, painter.zone.epsg) == key)
        (outline,) = degrees([square(painter.zone, (u, v), half_m)], epsg)
        yield Area(number, locality, event, rasterize(event, painter) if event else None, outline)


# -- one package -----------------------------------------------------------------------------------------------------


def _names(code: str, activation: dict[str, Any], area: Area, product: Product) -> tuple[str, str]:
    """Return the file name of a package, and the format string of its layer names."""
    if activation["new"]:
        stem = f"{code}_AOI{area.number:02d}_{product.name if '_' in product.name else product.name + '_PRODUCT'}"
        return f"{stem}_r1_RTP01_v1_vector.zip", stem + "_{}_r1_v1"
    stem = f"{code}_{area.number:02d}{area.locality.upper()}_{product.name}_v1"
    return f"{stem}_vector.zip", stem + "_{}"


def _tables(code: str, activation: dict[str, Any], area: Area, products: list[Product]) -> dict[str, Table]:
    """Return the layers of the last product, which include the polygons of the earlier products."""
    tables = {"aoi": _aoi(code, area, products[-1]), "source": _sources(products)}
    if area.event and area.rasterized:
        if area.event.type == "earthquake":
            return tables | {"built": _built(area.rasterized, products[-1].source)}
        observed = [_observed(activation, area.event, area.rasterized, product) for product in products]
        rows, shapes = (
            [row for table in observed for row in table.rows],
            [shape for table in observed for shape in table.shapes],
        )
        return tables | {"observed": Table(rows, shapes), "water": _water(area.rasterized)}
    return tables


def _aoi(code: str, area: Area, product: Product) -> Table:
    kind, _, again = product.name.partition("_")
    row = {
        "emsr_id": code.lower() if area.number == 2 else code, "glide_no": NOT_APPLICABLE,
        "area_id": f"{area.number:02d}",
        "locality": area.locality, "map_type": MAPS[kind] + (f"-{again.title()}" if again else ""),
    }  # fmt: skip
    return Table([row], [area.outline])


def _sources(products: list[Product]) -> Table:
    before = Product(1, "", "Sentinel-2A", products[0].acquired - timedelta(days=40))
    return Table([
        {"src_id": product.source, "source_nam": product.image, "src_date": f"{product.acquired:%Y-%m-%d}",
         "source_tm": f"{product.acquired:%H:%M:%S}"} for product in (before, *products)
    ], [])  # fmt: skip


def _observed(activation: dict[str, Any], event: EventSpec, rasterized: RasterizedEvent, product: Product) -> Table:
    polygons = outlines(affected_mask(event, rasterized.level, product.acquired), rasterized.transform)
    if not activation["new"]:
        polygons = [_invalidate(polygon) if number % 2 else polygon for number, polygon in enumerate(polygons)]
    row = {
        "event_type": f"5-{activation['category']}", "obj_desc": activation["kind"],
        "det_method": "Semi-automatic extraction",
        "notation": "Burnt area" if event.type == "fire" else "Flooded area", "dmg_src_id": product.source,
    }  # fmt: skip
    return Table([row] * len(polygons), degrees(polygons, rasterized.epsg))


def _invalidate(polygon: shapely.Polygon) -> shapely.Polygon:
    """Swap two neighbouring corners so that the exterior crosses itself, a common defect of mapped polygons."""
    line = list(polygon.exterior.coords)
    for at in range(1, len(line) - 2):
        swapped = shapely.Polygon([*line[:at], line[at + 1], line[at], *line[at + 2 :]], list(polygon.interiors))
        if not swapped.is_valid and abs(shapely.make_valid(swapped).area - polygon.area) < 0.02 * polygon.area:
            return swapped
    return polygon


def _built(rasterized: RasterizedEvent, source: int) -> Table:
    """Return polygons of buildings per grade of damage, including undamaged ones."""
    dominant, rows, polygons = rasterized.view.land.dominant, [], []
    built = (COVER[dominant] == 50) & (dominant != KINDS["street"])
    for grade, label in GRADES.items():
        patches = outlines(built & (rasterized.level == grade), rasterized.transform)
        polygons += patches
        rows += [{
            "obj_type": "11-Residential Buildings", "info": "997-Not Applicable", "damage_gra": label,
            "det_method": "Photo-interpretation", "notation": NOT_APPLICABLE, "or_src_id": 1, "dmg_src_id": source,
        }] * len(patches)  # fmt: skip
    return Table(rows, degrees(polygons, rasterized.epsg))


def _water(rasterized: RasterizedEvent) -> Table:
    """Return the permanent water, a layer without event data."""
    polygons = outlines(COVER[rasterized.view.land.dominant] == 80, rasterized.transform)
    row = {"obj_type": "Hydrography", "name": NOT_APPLICABLE, "or_src_id": 1}
    return Table([row] * len(polygons), degrees(polygons, rasterized.epsg))


def _layer_files(name: str, table: Table, when: datetime) -> dict[str, bytes]:
    """Return the files of a layer: a shapefile, or a dBase table without shapes."""
    geometry = {"geometry": table.shapes, "crs": "EPSG:4326"} if table.shapes else {}
    frame, ending = geopandas.GeoDataFrame(table.rows, **geometry), "shp" if geometry else "dbf"
    with tempfile.TemporaryDirectory() as folder:
        # The dBase header contains a date: the image's day keeps the bytes reproducible.
        pyogrio.write_dataframe(frame, Path(folder) / f"{name}.{ending}", driver="ESRI Shapefile", encoding="UTF-8",
                                DBF_DATE_LAST_UPDATE=f"{when:%Y-%m-%d}")  # fmt: skip
        return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


def _zip(path: Path, files: list[dict[str, bytes]], when: datetime) -> None:
    with zipfile.ZipFile(path, "w") as package:
        for name, content in (entry for layer in files for entry in layer.items()):
            package.writestr(zipfile.ZipInfo(name, when.timetuple()[:6]), content, zipfile.ZIP_DEFLATED)


# -- response of the API ---------------------------------------------------------------------------------------------


def _activation(code: str, activation: dict[str, Any], areas: list[Area], products: list[Product]) -> dict[str, Any]:
    extent = shapely.union_all([area.outline for area in areas])
    return {
        "code": code, "name": activation["name"], "category": activation["category"], "subCategory": activation["kind"],
        "countries": ["Landmark"], "closed": True,
        "eventTime": activation["start"].isoformat(), "activationTime": activation["opened"].isoformat(),
        "centroid": extent.centroid.wkt, "extent": shapely.box(*extent.bounds).wkt,
        "n_aois": len(areas), "n_products": len(areas) * len(products),
        "aois": [_area_response(code, activation, area, products) for area in areas],
    }  # fmt: skip


def _area_response(code: str, activation: dict[str, Any], area: Area, products: list[Product]) -> dict[str, Any]:
    return {
        "name": area.locality, "number": area.number, "activationCode": code, "extent": area.outline.wkt,
        "products": [{
            "type": product.name[:3], "monitoring": "MONIT" in product.name, "monitoringNumber": number,
            "version": {"number": 1, "statusCode": "F",
                        "deliveryTime": (product.acquired + timedelta(hours=9)).isoformat()},
            "images": [{"sensorName": product.image, "acquisitionTime": product.acquired.isoformat()}],
            "downloadPath": f"./{_names(code, activation, area, product)[0]}",
        } for number, product in enumerate(products)],
    }  # fmt: skip
