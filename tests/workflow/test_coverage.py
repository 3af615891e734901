"""Sensors and splits that a plan or a build leaves empty: refused by the plan, reported by build and check alike."""

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
from rasterio.transform import Affine

from landmark.core.errors import NoCoverage
from tests.conftest import Refuse, Run
from tests.stac.items import Json, collected, items_of

Write = Callable[..., Path]
S2, S1, LABELS = COLLECTIONS = ("sentinel-2-l2a", "sentinel-1-rtc", "esa-worldcover")
QUICK = ("--workers", 0, "--limit", 2)


def rewritten(path: Path, *, values: int | None = None, **options: Any) -> None:
    """Write a raster again with other options, or with one value everywhere."""
    with rasterio.open(path) as source:
        pixels, profile = source.read(), source.profile | options
    path.unlink()
    with rasterio.open(path, "w", **profile) as target:
        target.write((pixels if values is None else np.full_like(pixels, values)).astype(profile["dtype"]))


def moved(item: Json, x_m: float, y_m: float) -> None:
    """Move the rasters of an item, and what it says of them."""
    for asset in item["assets"].values():
        if "proj:transform" in asset:
            pixel_x, _, left, _, pixel_y, top = asset["proj:transform"][:6]
            transform = Affine(pixel_x, 0, left + x_m, 0, pixel_y, top + y_m)
            asset["proj:transform"] = list(transform)[:6]
            rewritten(Path(asset["href"]), transform=transform)


@pytest.fixture
def planet(world: Path, tmp_path: Path) -> dict[str, list[Json]]:
    """Items of two days of both sensors over one place, with their own copies of the rasters of Sentinel-2."""
    items = {name: items_of(world, name) for name in COLLECTIONS}
    items[S2] = [item for item in items[S2] if "_T34HEH_2021" in item["id"]][:2]
    items[S1] = [item for item in items[S1] if item["properties"]["proj:epsg"] == 32734][:2]
    for item in items[S2]:
        folder = tmp_path / "rasters" / item["id"]
        folder.mkdir(parents=True)
        for asset in item["assets"].values():
            asset["href"] = shutil.copy(asset["href"], folder)
    return items


@pytest.fixture
def archive(planet: dict[str, list[Json]], tmp_path: Path, recipe: Write) -> Callable[..., tuple[Path, Path]]:
    """Write the items, and a recipe over them: (recipe, folder of the corpus)."""

    def write(**changes: Any) -> tuple[Path, Path]:
        file = collected(tmp_path / "archive", [item for items in planet.values() for item in items])
        clouds = {"max_item_pct": 100, "max_chip_pct": 99, "best_of": 1}
        return recipe(catalog=str(file), clouds=clouds, **changes), tmp_path / "corpus"

    return write


def ledger(corpus: Path) -> list[dict[str, Any]]:
    return pq.read_table(corpus / "ledger.parquet").to_pylist()


# -- Planning --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("command", "x_m", "y_m"), [("build", 0, -20), ("plan", 30, 0), ("plan", 60, -0.5)])
def test_a_sensor_off_the_lattice_of_any_band_is_refused_but_not_with_grid_source(
    command: str, x_m: float, y_m: float, planet: Any, archive: Any, refusal: Refuse, landmark: Run
) -> None:
    for item in planet[S2]:
        moved(item, x_m, y_m)
    error = refusal(command, archive()[0], *QUICK)
    assert (type(error), error.key, error.value, error.exit_code) == (NoCoverage, "grid", "utm", 2)
    assert "grid: source" in str(error.remedy)
    path, out = archive(grid="source", sensors=["s2"])
    code, _, err = landmark(command, path, *QUICK, "--out", out)
    assert code == 0, err
    assert not [row for row in ledger(out) if row["reason"] == "off_lattice"]


def test_a_single_item_off_the_lattice_costs_itself(planet: Any, archive: Any, landmark: Run) -> None:
    moved(planet[S2][0], 0, -20)
    path, out = archive()
    code, _, err = landmark("build", path, *QUICK, "--out", out)
    assert code == 0, err
    assert [(row["id"], row["stage"]) for row in ledger(out) if row["reason"] == "off_lattice"] == [
        (planet[S2][0]["id"], "stac")
    ]


def test_the_header_decides_whether_an_image_is_on_the_lattice(planet: Any, archive: Any, landmark: Run) -> None:
    for item in planet[S2]:
        for asset in item["assets"].values():
            if "proj:transform" in asset:
                asset["proj:transform"][5] += 5
    path, out = archive()
    code, _, err = landmark("build", path, *QUICK, "--out", out)
    assert code == 0, err


def test_coarse_bands_stored_with_fine_pixels_are_on_the_lattice(planet: Any, archive: Any, landmark: Run) -> None:
    for item in planet[S2]:
        moved(item, 0, -20)
        for band in ("B01", "B09"):
            asset = item["assets"][band]
            with rasterio.open(asset["href"]) as source:
                pixels, profile = source.read(1), source.profile
            transform = profile["transform"] @ Affine.scale(1 / 6)
            Path(asset["href"]).unlink()
            with rasterio.open(
                asset["href"], "w", **profile | {"transform": transform, "width": 366, "height": 366}
            ) as target:
                target.write(np.kron(pixels, np.ones((6, 6), pixels.dtype)), 1)
    path, out = archive()
    code, _, err = landmark("build", path, *QUICK, "--out", out)
    assert code == 0, err


def test_an_empty_split_is_a_warning_of_the_plan_but_not_with_a_limit(archive: Any, landmark: Run) -> None:
    path, out = archive(splits={"train": 60, "val": 20, "test": 20, "block_m": 240_000, "buffer_m": 0})
    code, _, err = landmark("plan", path, "--workers", 0, "--out", out)
    assert code == 0 and err.count("is empty") == 2
    code, _, err = landmark("plan", path, *QUICK, "--out", out.with_name("few"))
    assert code == 0 and "is empty" not in err


def test_cells_that_only_a_tile_of_another_zone_covers_are_counted(
    world: Path, recipe: Write, landmark: Run, refusal: Refuse, tmp_path: Path
) -> None:
    # The tile of zone 32 reaches over the zone's edge at 12 degrees.
    items = [item for name in (S1, LABELS) for item in items_of(world, name)]
    file = collected(tmp_path / "archive", [*items, *(item for item in items_of(world, S2) if "T32TQR" in item["id"])])
    both_sides = {"bbox": [11.97, 45.43, 12.0169, 45.467]}
    code, _, err = landmark("plan", recipe(catalog=str(file), region=both_sides), *QUICK)
    assert code == 0 and "neighbouring UTM zone" in err
    error = refusal(
        "plan",
        recipe(catalog=str(file), region={"bbox": [12.001, 45.43, 12.0169, 45.467]}),
        *QUICK,
        "--out",
        tmp_path / "out",
    )
    assert (type(error), error.key) == (NoCoverage, "region") and "zone" in str(error.remedy)


# -- Building --------------------------------------------------------------------------------------------------------


def moved_file(path: Path) -> None:
    with rasterio.open(path) as source:
        transform = source.transform
    rewritten(path, transform=Affine.translation(7, 0) @ transform)


@pytest.mark.parametrize(
    ("band", "edit", "reason"),
    [
        ("B11", partial(rewritten, values=0), "nodata"),
        ("SCL", partial(rewritten, values=9), "cloud"),
        ("B11", partial(rewritten, dtype="float32"), "encoding"),
        ("B11", moved_file, "off_lattice"),
        ("B11", Path.unlink, "allowed_failure"),
    ],
)
def test_a_sensor_lost_while_building_is_reported_by_build_and_check(
    band: str, edit: Callable[[Path], object], reason: str, planet: Any, archive: Any, landmark: Run
) -> None:
    for item in planet[S2]:
        edit(Path(item["assets"][band]["href"]))
    path, out = archive()
    for _ in range(2):
        code, text, err = landmark("build", path, *QUICK, "--out", out, "--allow-failures")
        assert code == 1 and "is sealed" in text and "s2" in err
    manifest = json.loads((out / "corpus.json").read_text())
    assert manifest["dropped"] == {reason: manifest["counts"]["dropped"]}
    assert any(finding.startswith("sensor s2 ") for finding in manifest["findings"])
    code, text, _ = landmark("check", out, "--workers", 0, "--json")
    checks = json.loads(text)["checks"]
    assert code == 1
    assert [name for name, check in checks.items() if check["findings"] and check["severity"] == "error"] == [
        "coverage"
    ]
    assert [list(finding["subjects"]) for finding in checks["coverage"]["findings"]] == [["sensor s2"]]


def test_build_and_check_agree_on_items_whose_files_are_missing(planet: Any, archive: Any, landmark: Run) -> None:
    # Lost while probing (S1), planning (an item without a band) and extracting (a band that is not probed).
    planet[S1][0]["assets"]["vv"]["href"] = planet[S2][1]["assets"]["B05"]["href"] + ".gone"
    del planet[S2][0]["assets"]["B11"]
    path, out = archive()
    code, _, err = landmark("build", path, *QUICK, "--out", out)
    assert code == 0, err
    reasons = {row["id"]: row["reason"] for row in ledger(out)}
    assert (reasons[planet[S1][0]["id"]], reasons[planet[S2][0]["id"]]) == ("read_error", "band_missing")
    code, text, _ = landmark("check", out, "--workers", 0)
    assert "error" not in text
