"""Doors through which files of strangers come in. Run as a program, it opens one door to many damaged files.

Each mutation ends with a result or an error of landmark, within seconds and a gigabyte; anything else is printed.
"""

import json
import resource
import sys
import time
import traceback
import warnings
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import shapely
import yaml

from landmark.captions.gazetteer import read_gazetteer
from landmark.config.label_entries import LabelEntry
from landmark.config.profiles import Provider
from landmark.config.recipe import load_recipe
from landmark.core.errors import LandmarkError
from landmark.core.ranges.errors import Unreadable
from landmark.core.resources import resource_dir
from landmark.core.yaml_files import load_model
from landmark.corpus.lock import Lock
from landmark.corpus.manifest import read_document
from landmark.events.files import unpack_files
from landmark.labels.files import local_label_files, local_label_rasters
from landmark.lint.check import lint
from landmark.raster.reader import open_raster
from tests.faults.mutations import damaged_bytes, damaged_document
from tests.labels.maps import CORINE, WORLD, write_map
from tests.stac.items import PROVIDER, anywhere, run_search

LIMIT_S = 10
LIMIT_BYTES = 1 << 30
Open = Callable[[Path], object]


def _open_recipe(path: Path) -> None:
    recipe = load_recipe(str(path))
    _ = recipe.region.geometry, recipe.digest, recipe.canonical()


def _open_lint(path: Path) -> None:
    for result in lint([str(path)]):
        result.to_json()


def _open_catalog(path: Path) -> None:
    run_search(path, anywhere("s2"))


def _open_package(path: Path) -> None:
    with unpack_files([path]) as files:
        for file in files:
            for layer in file.layer_names():
                file.read(layer)


def _open_labels(path: Path) -> None:
    entry = LabelEntry.model_validate({"source": "corine", "files": [str(path)], "year": 2018})
    local_label_rasters(local_label_files(entry, _no_world), CORINE, WORLD)


def _open_vector(path: Path) -> None:
    for attempt in (_open_package, _open_labels, partial(read_gazetteer, within_km=30)):
        try:
            attempt(path)
        except LandmarkError as error:
            str(error)


def _open_raster(path: Path) -> None:
    try:
        with open_raster(str(path)) as raster:
            _ = raster.header, raster.crs_wkt, raster.grid_problem, raster.band_names, raster.band_scales
            raster.read_window(0, 0, 16, 16)
    except Unreadable:
        return


def _no_world(_: str) -> Path:
    raise LookupError


def _text(path: Path, document: Any) -> None:
    path.write_text(
        json.dumps(document) if path.suffix == ".json" else yaml.safe_dump(document), errors="surrogatepass"
    )


def _samples(door: str, folder: Path) -> Path:
    """A valid file of a door."""
    kind, _, suffix = door.partition("-")
    path = folder / f"valid.{suffix or 'yaml'}"
    return _MAKERS[kind](path)


def _copy(path: Path, source: Path) -> Path:
    path.write_bytes(source.read_bytes())
    return path


def _make_recipe(path: Path) -> Path:
    value = {
        "name": "tiny",
        "catalog": "items.json",
        "region": {"geojson": json.loads(shapely.to_geojson(shapely.box(11, 45, 12, 46)))},
        "time": {"start": "2021-06-01", "end": "2022-05-31", "period": "month"},
        "labels": [{"source": "worldcover"}, {"source": "corine", "files": ["a.tif"], "year": 2018}],
        "events": [{"source": "copernicus-ems", "files": ["a.zip"]}],
        "thresholds": {"default": 10},
        "clouds": {"max_item_pct": 50},
        "splits": {"train": 60, "val": 20, "test": 20, "block_m": 12000, "buffer_m": 0},
        "output": {"shard_mb": 2},
    }
    _text(path, value)
    return path


def _make_items(path: Path) -> Path:
    bands = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12", "SCL")
    item = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "S2A_MSIL2A_20210701T101031_R022_T32TQR_20210701T120000",
        "collection": PROVIDER.sensors["s2"].collection,
        "geometry": json.loads(shapely.to_geojson(shapely.box(11, 45, 12, 46))),
        "bbox": [11, 45, 12, 46],
        "properties": {
            "datetime": "2021-07-01T10:10:31Z",
            "proj:epsg": 32632,
            "proj:shape": [600, 600],
            "proj:transform": [10, 0, 600000, 0, -10, 5040000],
            "s2:processing_baseline": "04.00",
            "sat:relative_orbit": 22,
            "eo:cloud_cover": 10.0,
        },
        "assets": {band: {"href": f"{band}.tif", "roles": ["data"]} for band in bands},
        "links": [{"rel": "self", "href": "item.json"}],
    }
    _text(path, {"type": "FeatureCollection", "features": [item]})
    return path


def _make_catalog(path: Path) -> Path:
    item = json.loads(_make_items(path.with_name("items.json")).read_text())["features"][0]
    _text(path.with_name("item.json"), item)
    document = {
        "type": "Collection",
        "stac_version": "1.0.0",
        "id": item["collection"],
        "description": "d",
        "license": "proprietary",
        "extent": {"spatial": {"bbox": [[11, 45, 12, 46]]}, "temporal": {"interval": [["2021-01-01T00:00:00Z", None]]}},
        "links": [
            {"rel": rel, "href": href}
            for rel, href in (("self", path.name), ("item", str(path.with_name("item.json"))))
        ],
    }
    _text(path, document)
    return path


def _make_geoparquet(path: Path) -> Path:
    from stac_geoparquet.arrow import parse_stac_items_to_arrow, to_parquet

    items = json.loads(_make_items(path.with_suffix(".json")).read_text())["features"]
    to_parquet(parse_stac_items_to_arrow(items), path)
    return path


def _make_vector(path: Path) -> Path:
    shapes = [shapely.box(11, 45, 11.5, 45.5), shapely.box(11.5, 45, 12, 45.5).buffer(0.01)]
    frame = geopandas.GeoDataFrame({"Code_18": ["112", "311"], "name": ["a", "b"]}, geometry=shapes, crs=4326)
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_file(path)
    return path


def _make_zip(path: Path) -> Path:
    vector = _make_vector(path.with_name("EMSR900_AOI01_DEL_PRODUCT_observedEventA_r1_v1.shp"))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for part in sorted(vector.parent.glob(f"{vector.stem}.*")):
            archive.write(part, part.name)
    return path


def _make_raster(path: Path) -> Path:
    options = {"tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "deflate"}
    return write_map(path, np.arange(64 * 64, dtype=np.uint16).reshape(64, 64), **options)


def _make_csv(path: Path) -> Path:
    path.write_text("lon,lat,name,name_fr\n11.5,45.2,Padova,Padoue\n12.3,45.4,Venezia,Venise\n")
    return path


_MAKERS: dict[str, Callable[[Path], Path]] = {
    "recipe": _make_recipe,
    "taxonomy": lambda path: _copy(path, resource_dir("taxonomies") / "worldcover.yaml"),
    "target": lambda path: _copy(path, resource_dir("taxonomies") / "landmark.yaml"),
    "events": lambda path: _copy(path, resource_dir("taxonomies/events") / "copernicus-ems.yaml"),
    "captions": lambda path: _copy(path, resource_dir("taxonomies/captions") / "en.yaml"),
    "profile": lambda path: _copy(path, resource_dir("profiles/providers") / "planetary-computer.yaml"),
    "region": lambda path: _copy(path, _make_vector(path.with_name("region.geojson"))),
    "items": _make_items,
    "catalog": _make_catalog,
    "stacparquet": _make_geoparquet,
    "zip": _make_zip,
    "vector": _make_vector,
    "raster": _make_raster,
    "gazetteer": _make_csv,
}
_OPENERS: dict[str, Open] = {
    "recipe": _open_recipe,
    "taxonomy": _open_lint,
    "target": _open_lint,
    "events": _open_lint,
    "captions": _open_lint,
    "profile": lambda path: load_model(Provider, "profiles/providers", str(path)),
    "items": _open_catalog,
    "catalog": _open_catalog,
    "stacparquet": _open_catalog,
    "zip": _open_package,
    "vector": _open_vector,
    "raster": _open_raster,
    "gazetteer": partial(read_gazetteer, within_km=30),
    "lock": partial(read_document, Lock),
}
DOORS = (
    "recipe",
    "taxonomy",
    "target",
    "events",
    "captions",
    "profile",
    "items-json",
    "catalog-json",
    "stacparquet-parquet",
    "zip-zip",
    "vector-gpkg",
    "vector-shp",
    "vector-geojson",
    "vector-fgb",
    "vector-parquet",
    "raster-tif",
    "gazetteer-csv",
)


def _mutate(source: Path, target: Path, seed: int) -> None:
    data = source.read_bytes()
    if source.suffix in (".yaml", ".json", ".geojson") and seed % 3:
        document = damaged_document(yaml.safe_load(data), seed)
        target.write_text(json.dumps(document, ensure_ascii=bool(seed % 2)), errors="surrogatepass")
    else:
        target.write_bytes(damaged_bytes(data, seed))


def open_door(door: str, first: int, count: int, folder: Path) -> list[str]:
    """Open a door to mutations `first` to `first + count`; what went wrong, one line each."""
    folder.mkdir(exist_ok=True)
    source = _samples(door, folder)
    opener = _OPENERS[door.partition("-")[0]]
    opener(source)
    target, faults = folder / "mutated" / source.name, list[str]()
    target.parent.mkdir(exist_ok=True)
    for part in source.parent.glob(f"{source.stem}.*"):
        (target.parent / part.name).write_bytes(part.read_bytes())
    for seed in range(first, first + count):
        print(f"seed {seed}", flush=True)
        _mutate(source, target, seed)
        start = time.process_time()
        try:
            opener(target)
        except LandmarkError as error:
            if not (error.file and error.problem) or "\n\n" in str(error):
                faults.append(f"{door} {seed}: unnamed: {error!r} {error}"[:500])
        except BaseException as error:
            place = traceback.extract_tb(error.__traceback__)
            own = [frame for frame in place if "/landmark/" in frame.filename][-1:]
            faults.append(f"{door} {seed}: {type(error).__name__}: {str(error)[:200]!r} at {own}")
        if (seconds := time.process_time() - start) > LIMIT_S:
            faults.append(f"{door} {seed}: {seconds:.0f} s")
    return faults


def main() -> None:
    """Open doors with a limit of memory above that of the imports; exit code 1 and the faults if there are any."""
    doors, first, count, folder = sys.argv[1].split(","), int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + 2 * LIMIT_BYTES  # threads reserve addresses that they do not use
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        faults = [fault for door in doors for fault in open_door(door, first, count, folder / door)]
    used = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    if used > LIMIT_BYTES:
        faults.append(f"{used} bytes")
    print("\n".join(faults))
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
