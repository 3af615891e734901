"""A folder for the fault server: a few images of the small world with their documents, and a later version of each."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import yaml
from tifffile import TiffFile, TiffPage

from landmark.config.recipe import Recipe, load_recipe
from landmark.core.executor import ExecutorConfig
from landmark.workflow.build import BuildRequest, plan_corpus
from tests.faults.server import NEWER

RECIPE: dict[str, Any] = {
    "name": "faults",
    "region": {"bbox": [11.5, 45.2, 12.5, 45.7]},
    "time": {"start": "2021-06-01", "end": "2021-08-31"},
    "labels": [{"source": "worldcover"}],
    "splits": {"train": 60, "val": 20, "test": 20, "block_m": 1200, "buffer_m": 0},
    "output": {"shard_mb": 2},
}
CELLS = 3


def write_recipe(folder: Path) -> Path:
    path = folder / "faults.yaml"
    path.write_text(yaml.safe_dump(RECIPE))
    return path


def publish(world: Path, folder: Path) -> None:
    """Publish the images and label maps that a plan over the small world uses."""
    scratch = folder.with_name("scratch")
    scratch.mkdir()
    recipe: Recipe = load_recipe(str(write_recipe(scratch)), limit=CELLS)
    plan, _ = plan_corpus(BuildRequest(recipe, scratch / "plan", ExecutorConfig(), catalog=str(world)))
    hrefs = {href for each in plan.lock.acquisitions for item in each.items for href in item.assets.values()}
    items = {Path(href).parent for href in (*hrefs, *(label.href for label in plan.lock.labels))}
    for item in items:
        (folder / item).parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(world / item, folder / item, copy_function=os.link)
    for collection in {item.parts[0] for item in items}:
        document = json.loads((world / collection / "collection.json").read_text())
        links = [link for link in document["links"] if link["rel"] != "item" or Path(link["href"]).parent.name in
                 {item.name for item in items}]  # fmt: skip
        (folder / collection / "collection.json").write_text(json.dumps(document | {"links": links}))
    document = json.loads((world / "catalog.json").read_text())
    links = [link for link in document["links"] if (folder / link["href"]).exists() or link["rel"] == "root"]
    (folder / "catalog.json").write_text(json.dumps(document | {"links": links}))
    _rewrite_for_gdal(sorted(folder.glob("sentinel-2*/*/B03.tif"))[0])
    for path in [*folder.glob("sentinel-*/*/*.tif")]:
        _write_newer(path, folder / NEWER / path.relative_to(folder))


def _rewrite_for_gdal(path: Path) -> None:
    """Write a raster as one that only GDAL reads: big-endian."""
    with rasterio.open(path) as source:
        profile, pixels = source.profile, source.read()
    path.unlink()  # a link to the small world's file
    with rasterio.open(path, "w", **profile, ENDIANNESS="BIG") as dataset:
        dataset.write(pixels)


def _write_newer(path: Path, target: Path) -> None:
    """Write a raster's later version, of the same size in bytes where possible; quality masks keep their pixels."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(path) as source:
        profile, pixels = source.profile, source.read()
        tags = source.tags()
    predictor = 1 if path.stem == "SCL" else 3 if pixels.dtype.kind == "f" else 2
    profile |= {"compress": "deflate", "zlevel": 9, "predictor": predictor}
    changed = pixels if path.stem == "SCL" else np.where(pixels == (profile["nodata"] or 0), pixels, pixels + 1)
    with rasterio.open(target, "w", **profile) as dataset:
        dataset.write(changed.astype(pixels.dtype))
        dataset.update_tags(**tags)
    with target.open("ab") as file:
        file.write(bytes(max(0, path.stat().st_size - target.stat().st_size)))


def blocks(folder: Path) -> dict[str, list[tuple[int, int]]]:
    """(offset, size) of each compressed block of each raster, by path on the server."""
    located = {}
    for path in folder.rglob("*.tif"):
        with TiffFile(path) as file:
            page = file.pages[0]
            assert isinstance(page, TiffPage)
            places = zip(page.dataoffsets, page.databytecounts, strict=True)
            located[f"/{path.relative_to(folder)}"] = [(int(offset), int(size)) for offset, size in places if size]
    return located
