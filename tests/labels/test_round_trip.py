"""Files exported by the script are read by a plan: classes where there are maps, no data elsewhere."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import shapely
from rasterio.transform import Affine

from landmark.cli.labels import script
from landmark.config.recipe import load_recipe
from landmark.core.executor import ExecutorConfig
from landmark.workflow.build import BuildRequest, plan_corpus
from tests.labels.test_earth_engine import constants, rectangles

CROPS, NODATA = 4, 255  # Dynamic World's code, and the script's nodata value


def export_files(script: Path, folder: Path) -> list[list[Any]]:
    """Write the script's exports as Earth Engine would: crops in the west of each file, no map in the east."""
    values = constants(script)
    exports, periods, bands = values["EXPORTS"], values["PERIODS"], values["BANDS"]
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
    def plan(name: str, *labels: dict[str, Any]) -> Any:
        request = BuildRequest(
            load_recipe(str(recipe(labels=list(labels))), limit=4), tmp_path / name, ExecutorConfig()
        )
        return plan_corpus(request)[0]

    plan("first")
    script(tmp_path / "first", tmp_path / "export.py")
    (tmp_path / "maps").mkdir()
    exports = export_files(tmp_path / "export.py", tmp_path / "maps")
    planned = plan("second", {"source": "dynamic-world", "files": [str(tmp_path / "maps" / "*.tif")]})
    west = rectangles([[*row[:5], row[5] // 2, row[6]] for row in exports])
    label_counts = planned.label_counts.to_pylist()
    for row in planned.samples.to_pylist():
        cell = shapely.box(row["x"], row["y"] - 1200, row["x"] + 1200, row["y"])
        expected = round(west[row["period"], row["epsg"]].intersection(cell).area / 100)
        rows = [entry for entry in label_counts if (entry["cell"], entry["period"]) == (row["cell"], row["period"])]
        pixels = {entry["codes"][0]: entry["pixels"] for entry in rows}
        assert pixels.get(CROPS, 0) == expected
        assert pixels.get(-1, 0) == 120 * 120 - expected
    assert {edition.start.year for edition in planned.lock.editions} == {2021, 2022}
