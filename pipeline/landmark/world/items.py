"""Write STAC items and collections with the properties and assets of the Planetary Computer."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import shapely
import yaml
from numpy.typing import NDArray
from shapely.geometry import mapping

from landmark.world.scenes import Cover, Footprint, LandUse, Pass, SimulatedPass, Zone, degrees, stamp, swath_polygon
from landmark.world.sensors import BANDS, sun_position

COG = "image/tiff; application=geotiff; profile=cloud-optimized"
STEPS = {**BANDS, "SCL": 2}
Json = dict[str, Any]


@cache
def load() -> Json:
    """Return the content of `stac.yaml`."""
    with (Path(__file__).parent / "stac.yaml").open(encoding="utf-8") as file:
        return dict(yaml.safe_load(file))


def _save(item: Json, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(item, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _item(collection: str, name: str, outline: shapely.Polygon, properties: Json, assets: Json) -> Json:
    """Return a STAC item with relative links; `outline` in EPSG:4326."""
    return {
        "type": "Feature", "stac_version": "1.0.0", "id": name, "collection": collection,
        "stac_extensions": load()["extensions"][collection],
        "bbox": [round(side, 8) for side in outline.bounds],
        "geometry": json.loads(json.dumps(mapping(outline))),
        "properties": properties, "assets": assets,
        "links": [
            {"rel": "root", "href": "../../catalog.json", "type": "application/json"},
            {"rel": "parent", "href": "../collection.json", "type": "application/json"},
            {"rel": "collection", "href": "../collection.json", "type": "application/json"},
        ],
    }  # fmt: skip


# -- Sentinel-2 ------------------------------------------------------------------------------------------------------


def write_sentinel_2(
    zone: Zone, tile: str, acquisition: SimulatedPass, *, counts: NDArray[np.int64], edge_m: float | None, out: Path
) -> None:
    """Write the item of one acquisition; `counts` are the pixels per scene class (12,)."""
    outline = degrees(swath_polygon(zone, tile, edge_m), zone.epsg)
    properties = _properties_2(zone, tile, acquisition, counts)
    assets = {name: _band_asset(zone, tile, name) for name in sorted(STEPS)}
    item = _item("sentinel-2-l2a", acquisition.id, outline, properties, assets)
    _save(item, out / "sentinel-2-l2a" / acquisition.id / f"{acquisition.id}.json")


def _properties_2(zone: Zone, tile: str, acquisition: SimulatedPass, counts: NDArray[np.int64]) -> Json:
    valid = max(int(counts[1:].sum()), 1)
    shares = {name: round(100 * float(counts[codes].sum()) / valid, 6) for name, codes in load()["scl"].items()}
    sun = sun_position(acquisition.when, zone.lon, zone.lat)
    number = f"A{acquisition.absolute_orbit:06d}"
    satellite, generated = f"S2{acquisition.platform[-1]}", stamp(acquisition.generated)
    sensed = stamp(acquisition.when)
    return {
        "datetime": acquisition.when.strftime("%Y-%m-%dT%H:%M:%S.024000Z"),
        "platform": acquisition.platform, "constellation": "Sentinel 2", "instruments": ["msi"],
        "proj:epsg": zone.epsg, "sat:orbit_state": "descending", "sat:relative_orbit": acquisition.orbit,
        "eo:cloud_cover": round(100 * float(counts[8:11].sum()) / valid, 6),
        "s2:mgrs_tile": tile, "s2:product_uri": acquisition.product, "s2:product_type": "S2MSI2A",
        "s2:datatake_id": acquisition.datatake, "s2:datatake_type": "INS-NOBS",
        "s2:processing_baseline": acquisition.baseline,
        "s2:granule_id": f"{satellite}_OPER_MSI_L2A_TL_MSFT_{generated}_{number}_T{tile}_N{acquisition.baseline}",
        "s2:datastrip_id": f"{satellite}_OPER_MSI_L2A_DS_MSFT_{generated}_S{sensed}_N{acquisition.baseline}",
        "s2:generation_time": acquisition.generated.strftime("%Y-%m-%dT%H:%M:%S.000000Z"),
        "s2:mean_solar_zenith": round(sun.zenith_deg, 6), "s2:mean_solar_azimuth": round(sun.azimuth_deg, 6),
        "s2:nodata_pixel_percentage": round(100 * float(counts[0]) / int(counts.sum()), 6),
        **{f"s2:{name}_percentage": share for name, share in shares.items()},
        "s2:degraded_msi_data_percentage": 0.0, "s2:reflectance_conversion_factor": 1.0,
    }  # fmt: skip


def _band_asset(zone: Zone, tile: str, name: str) -> Json:
    step, (west, north) = STEPS[name], zone.corners[tile]
    side, size = zone.tile_px // step, zone.tile_px * 10
    asset: Json = {
        "href": f"./{name}.tif", "type": COG, "roles": ["data"], "gsd": 10 * step,
        "proj:bbox": [float(edge) for edge in (west, north - size, west + size, north)], "proj:shape": [side, side],
        "proj:transform": [10.0 * step, 0.0, float(west), 0.0, -10.0 * step, float(north)],
        "title": "Scene classfication map (SCL)",
    }  # fmt: skip
    if name in load()["bands"]:
        common, description, centre, width = load()["bands"][name]
        band = {"name": name, "common_name": common, "description": description,
                "center_wavelength": centre, "full_width_half_max": width}  # fmt: skip
        asset["title"] = f"{description} - {10 * step}m"
        asset["eo:bands"] = [{key: value for key, value in band.items() if value is not None}]
    return asset


# -- Sentinel-1 ------------------------------------------------------------------------------------------------------


def write_sentinel_1(zone: Zone, radar_pass: Pass, footprint: Footprint, *, out: Path) -> None:
    """Write the item of one pass."""
    west, south, east, north = footprint.bounds
    rows, columns = footprint.shape
    middle = radar_pass.when + (radar_pass.end - radar_pass.when) / 2
    properties = {
        **load()["radar"], "datetime": middle.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "start_datetime": f"{radar_pass.when:%Y-%m-%d %H:%M:%S}.220006+00:00",
        "end_datetime": f"{radar_pass.end:%Y-%m-%d %H:%M:%S}.219114+00:00",
        "platform": radar_pass.platform, "proj:epsg": zone.epsg, "proj:shape": [rows, columns],
        "s1:shape": [columns, rows],
        "proj:bbox": [float(west), float(south), float(east), float(north)],
        "proj:transform": [10.0, 0.0, float(west), 0.0, -10.0, float(north), 0.0, 0.0, 1.0],
        "sat:orbit_state": "ascending" if radar_pass.ascending else "descending",
        "sat:absolute_orbit": radar_pass.absolute_orbit,
        "sat:relative_orbit": radar_pass.orbit, "s1:datatake_id": str(radar_pass.datatake),
        "sat:platform_international_designator": "2014-016A" if radar_pass.platform.endswith("A") else "2016-025A",
    }  # fmt: skip
    assets = {name: _radar_asset(name) for name in ("vh", "vv")}
    outline = degrees(shapely.Polygon(footprint.corners), zone.epsg)
    item = _item("sentinel-1-rtc", radar_pass.id, outline, properties, assets)
    _save(item, out / "sentinel-1-rtc" / radar_pass.id / f"{radar_pass.id}.json")


def _radar_asset(name: str) -> Json:
    received = {"vv": "vertical", "vh": "horizontal"}[name]
    return {
        "href": f"./{name}.tif", "type": COG, "roles": ["data"],
        "title": f"{name.upper()}: vertical transmit, {received} receive",
        "description": f"Terrain-corrected gamma naught values of signal transmitted with vertical polarization and "
                       f"received with {received} polarization with radiometric terrain correction applied.",
        "raster:bands": [{"nodata": -32768, "data_type": "float32", "spatial_resolution": 10.0}],
    }  # fmt: skip


# -- land cover and the catalogue ------------------------------------------------------------------------------------


def worldcover_colours() -> dict[int, tuple[int, int, int, int]]:
    """Return the product's colour map."""
    table = {code: tuple(bytes.fromhex(colour)) for code, (_, colour) in load()["worldcover"].items()}
    return {code: (red, green, blue, 255) for code, (red, green, blue) in table.items()}


def write_worldcover(product: Cover, *, out: Path) -> None:
    """Write the item of one place's land cover."""
    left, bottom, right, top = product.bounds_px
    pixel = 1 / product.degree_px
    table = load()["worldcover"].items()
    classes = [{"value": code, "color-hint": colour, "description": name} for code, (name, colour) in table]
    asset = {
        "href": f"./{product.id}_Map.tif", "type": COG, "roles": ["data"], "title": "Land Cover Classes",
        "created": "2022-10-24T12:37:50.971960Z", "proj:shape": [top - bottom, right - left],
        "proj:transform": [pixel, 0.0, left / product.degree_px, 0.0, -pixel, top / product.degree_px],
        "description": "Discrete classification according to the Land Cover Classification System scheme",
        "raster:bands": [{"name": "Band1", "nodata": 0, "sampling": "area", "data_type": "uint8",
                          "description": "Classification values", "spatial_resolution": 10}],
        "classification:classes": classes,
    }  # fmt: skip
    properties = {
        "datetime": None, "start_datetime": "2021-01-01T00:00:00Z", "end_datetime": "2021-12-31T23:59:59Z",
        "created": "2023-04-06T16:03:26.737751Z", "mission": "sentinel-1, sentinel-2", "instruments": ["c-sar", "msi"],
        "platform": "sentinel-1a, sentinel-1b, sentinel-2a, sentinel-2b", "grid:code": f"ESAWORLDCOVER-{product.tile}",
        "proj:epsg": 4326, "description": "ESA WorldCover product at 10m resolution",
        "esa_worldcover:product_tile": product.tile, "esa_worldcover:product_version": "2.0.0",
    }  # fmt: skip
    west, south, east, north = (round(edge / product.degree_px, 8) for edge in product.bounds_px)
    box = shapely.box(west, south, east, north)
    item = _item("esa-worldcover", product.id, box, properties, {"map": asset})
    _save(item, out / "esa-worldcover" / product.id / f"{product.id}.json")


def write_land_use(product: LandUse, *, out: Path) -> None:
    """Write the item of one zone's land use in one year."""
    west, south, east, north = product.footprint.bounds
    asset = {
        "href": f"./{product.file}", "type": COG, "roles": ["data"],
        "raster:bands": [{"nodata": 0, "spatial_resolution": 10}],
        "file:values": [{"values": [code], "summary": name} for code, name in load()["land_use"].items()],
    }  # fmt: skip
    properties = {
        "datetime": None, "start_datetime": f"{product.year}-01-01T00:00:00Z",
        "end_datetime": f"{product.year + 1}-01-01T00:00:00Z", "supercell": product.tile, "io:tile_id": product.tile,
        "proj:epsg": product.zone.epsg, "proj:shape": list(product.footprint.shape),
        "proj:bbox": [float(west), float(south), float(east), float(north)],
        "proj:transform": [10.0, 0.0, float(west), 0.0, -10.0, float(north)],
    }  # fmt: skip
    outline = degrees(shapely.box(west, south, east, north), product.zone.epsg)
    item = _item("io-lulc-annual-v02", product.id, outline, properties, {"data": asset})
    _save(item, out / "io-lulc-annual-v02" / product.id / f"{product.id}.json")


def write_catalog(out: Path) -> Path:
    """Write the catalogue and the collections of the items in `out`; return the path of the catalogue."""
    links: list[Json] = [{"rel": "root", "href": "./catalog.json", "type": "application/json"}]
    for name, metadata in load()["collections"].items():
        if not (out / name).is_dir():
            continue
        _write_collection(name, metadata, out / name)
        href = f"./{name}/collection.json"
        links.append({"rel": "child", "href": href, "type": "application/json", "title": metadata["title"]})
    _save({"type": "Catalog", "stac_version": "1.0.0", **load()["catalog"], "links": links}, out / "catalog.json")
    return out / "catalog.json"


def _write_collection(name: str, metadata: Json, folder: Path) -> None:
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    items = [json.loads((folder / each / f"{each}.json").read_text(encoding="utf-8")) for each in names]
    boxes = np.array([item["bbox"] for item in items])
    properties = [item["properties"] for item in items]
    first, last = (
        extreme(each.get(key) or each["datetime"] for each in properties)[:10]
        for extreme, key in ((min, "start_datetime"), (max, "end_datetime"))
    )
    _save({
        "type": "Collection", "stac_version": "1.0.0", "id": name, **metadata,
        "extent": {
            "spatial": {"bbox": [[*boxes.min(axis=0)[:2].tolist(), *boxes.max(axis=0)[2:].tolist()]]},
            "temporal": {"interval": [[f"{first}T00:00:00Z", f"{last}T23:59:59Z"]]},
        },
        "links": [
            {"rel": "root", "href": "../catalog.json", "type": "application/json"},
            {"rel": "parent", "href": "../catalog.json", "type": "application/json"},
            *({"rel": "item", "href": f"./{each}/{each}.json", "type": "application/geo+json"} for each in names),
        ],
    }, folder / "collection.json")  # fmt: skip
