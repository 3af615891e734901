"""What Earth Engine writes by the script is what a plan reads: classes where there are maps, nothing elsewhere."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import shapely
from rasterio.transform import Affine

from landmark.config.recipe import load_recipe
from landmark.core.executor import ExecutorConfig
from landmark.labels.earth_engine import export_script
from landmark.workflow.build import BuildRequest, plan_corpus
from tests.labels.test_earth_engine import constants, rectangles

CROPS, NODATA = 4, 255  # codes of Dynamic World, and what the script fills in


def written_by_earth_engine(script: Path, folder: Path) -> list[list[Any]]:
    """The script's exports, written as it asks for them: crops in the west of each file, no map in the east."""
    said = constants(script)
    exports, periods, bands = said["EXPORTS"], said["PERIODS"], said["BANDS"]
    for period, region, epsg, left, top, width, height in exports:
        pixels = np.zeros((10, height, width), np.uint8)
        pixels[0], pixels[1 + bands.index("crops")] = CROPS, 90
        pixels[:, :, width // 2 :] = NODATA
        with rasterio.open(
            folder / f"{periods[period][2]}_{region}.tif",
            "w",
            driver="GTiff",
            dtype="uint8",
            count=10,
            width=width,
            height=height,
            crs=f"EPSG:{epsg}",
            transform=Affine(10, 0, left, 0, -10, top),
            nodata=NODATA,
        ) as file:
            file.write(pixels)
            file.descriptions = ("label", *bands)
    return list(exports)


def test_exports_are_read_as_the_script_promises(recipe: Callable[..., Path], tmp_path: Path) -> None:
    plan_corpus(BuildRequest(load_recipe(str(recipe(labels=[])), limit=4), tmp_path / "first", ExecutorConfig()))
    export_script(tmp_path / "first", tmp_path / "export.py")
    (tmp_path / "maps").mkdir()
    exports = written_by_earth_engine(tmp_path / "export.py", tmp_path / "maps")
    entry = {"source": "dynamic-world", "files": [str(tmp_path / "maps" / "*.tif")]}
    planned, _ = plan_corpus(BuildRequest(load_recipe(str(recipe(labels=[entry])), limit=4), tmp_path / "second", ExecutorConfig()))
    west = rectangles([[*row[:5], row[5] // 2, row[6]] for row in exports])
    for row in planned.plan.to_pylist():
        cell = shapely.box(row["x"], row["y"] - 1200, row["x"] + 1200, row["y"])
        expected = round(west[row["period"], row["epsg"]].intersection(cell).area / 100)
        cover = [
            one for one in planned.cover.to_pylist() if (one["cell"], one["period"]) == (row["cell"], row["period"])
        ]
        counts = {one["codes"][0]: one["pixels"] for one in cover}
        assert counts.get(CROPS, 0) == expected
        assert counts.get(-1, 0) == 120 * 120 - expected
    assert {edition.start.year for edition in planned.lock.editions} == {2021, 2022}
