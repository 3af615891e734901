"""`landmark init` writes recipes that plan and build as they are: for folders of COGs and for STAC documents."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import landmark as package
from landmark.config.profiles import load_sensor
from landmark.core.errors import InputError
from tests.conftest import Refuse, Run
from tests.raster.rasters import noise, write_raster

SIDE = 360
S2 = {band: group.factor for group in load_sensor("s2").groups for band in group.bands}
DOCS = Path(__file__).parents[2] / "docs"


def write_image(folder: Path, name: str, *, bands: dict[str, int] | None = None, **options: Any) -> Path:
    """Write a Sentinel-2 image, one file a band, as `<name with the band in place of *>`."""
    for number, (band, factor) in enumerate((bands or S2).items()):
        pixels = noise((SIDE // factor, SIDE // factor), "uint16", number) // 8 + 1
        write_raster(folder / name.replace("*", band), pixels, pixel_m=10 * factor, **options)
    return folder


@pytest.fixture
def cogs(tmp_path: Path) -> Path:
    """Sentinel-2, Sentinel-1 and a land-cover map, without STAC."""
    folder = write_image(tmp_path / "My COGs", "T32TQR_20210701T101559_N0214_*_10m.tif")
    for number, band in enumerate(("vv", "vh")):
        power = noise((SIDE, SIDE), "float32", number) / 10
        write_raster(folder / f"S1A_IW_20210702T052741_{band}.tif", power, origin=(600_003, 5_040_007), nodata=-32768)
    codes = np.where(np.arange(SIDE) < SIDE // 2, 10, 50).astype("uint8") * np.ones((SIDE, 1), "uint8")
    write_raster(folder / "maps" / "ESA_WorldCover_10m_2021_v200_Map.tif", codes, nodata=0)
    return folder


def test_a_folder_of_cogs_is_built_without_edits(cogs: Path, landmark: Run) -> None:
    assert landmark("init", cogs)[0] == 0
    recipe = yaml.safe_load(Path("my-cogs.yaml").read_text())
    assert (recipe["grid"], recipe["resolution_m"], recipe["sensors"]) == ("utm", 10, ["s1", "s2"])
    assert recipe["labels"] == [{"source": "worldcover"}]
    assert recipe["splits"]["balance"] == "classes"
    code, _, err = landmark("build", "my-cogs.yaml", "--workers", 0)
    assert code == 0, err
    corpus = package.open("corpora/my-cogs")
    assert {sample.sensor for sample in corpus} == {"s1", "s2"}
    assert {label for sample in corpus for label in sample.labels} == {"trees", "built"}
    for sample in corpus.select(sensor="s2"):
        _, col, row = sample.cell.split("_")
        left, top = 120 * (int(col) - 500), 120 * (4200 - int(row) - 1)
        blue = noise((SIDE, SIDE), "uint16", list(S2).index("B02")) // 8 + 1
        assert np.array_equal(sample.s2[1], blue[top : top + 120, left : left + 120])


def test_plain_copies_of_the_real_places_are_planned_without_edits(real: Path, landmark: Run, tmp_path: Path) -> None:
    for path in (real / "catalog").rglob("*.tif"):
        copy = tmp_path / "five" / path.relative_to(real / "catalog")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    code, _, err = landmark("init", tmp_path / "five")
    # The only image with ESA's offset is named: without a baseline, nothing else tells it.
    assert code == 0 and re.findall(r"433D_629L_3_1|637U_59R|609U_541L", err) == ["433D_629L_3_1"]
    code, out, _ = landmark("plan", "five.yaml", "--workers", 0, "--json")
    assert code == 0 and json.loads(out)["samples"] == 10


def test_a_stac_document_is_planned_without_edits(real: Path, landmark: Run) -> None:
    assert landmark("init", real / "catalog", "--name", "places")[0] == 0
    provider = yaml.safe_load(Path("places-provider.yaml").read_text())
    assert (provider["extends"], "sensors" in provider) == ("planetary-computer", False)
    assert yaml.safe_load(Path("places.yaml").read_text())["grid"] == "source"
    code, out, _ = landmark("plan", "places.yaml", "--workers", 0, "--json")
    assert code == 0 and json.loads(out)["samples"] == 10


def test_local_files_replace_the_urls_and_the_grid_of_an_item(real: Path, landmark: Run) -> None:
    (item,) = (real / "scene").rglob("*.json")
    for number, source in enumerate((item, item.parent)):
        assert landmark("init", source, "--name", f"n{number}")[0] == 0
        recipe = yaml.safe_load(Path(f"n{number}.yaml").read_text())
        assert (recipe["resolution_m"], recipe["grid"]) == (100, "source")
        code, out, _ = landmark("plan", f"n{number}.yaml", "--workers", 0, "--json")
        assert code == 0 and json.loads(out)["samples"] == 81


def test_the_folder_of_a_product_gives_the_baseline_and_the_finest_bands(landmark: Run, tmp_path: Path) -> None:
    product = tmp_path / "S2A_MSIL2A_20210701T101559_N0400_R022_T32TQR_20210701T140000.SAFE" / "GRANULE" / "IMG_DATA"
    write_image(product / "R10m", "T32TQR_20210701T101559_*_10m.tif")
    write_image(product / "R60m", "T32TQR_20210701T101559_*_60m.tif", bands={"B02": 6})
    assert landmark("init", tmp_path / product.parts[-3], "--name", "safe")[0] == 0
    code, _, err = landmark("plan", "safe.yaml", "--workers", 0)
    assert code == 0, err
    (acquisition,) = json.loads(Path("corpora/safe/lock.json").read_text())["acquisitions"]
    assert (acquisition["offset_dn"], acquisition["tile"], acquisition["relative_orbit"]) == (1000, "32tqr", 22)
    (item,) = json.loads(Path("safe-items.json").read_text())["features"]
    assert item["assets"]["B02"]["href"].endswith("_10m.tif")


def test_every_patch_of_a_product_is_planned(landmark: Run, tmp_path: Path) -> None:
    for number in range(3):
        patch = f"S2A_MSIL2A_20170613T101031_N9999_R022_T32TQR_26_5{number}"
        write_image(tmp_path / "patches" / patch, f"{patch}_*.tif", origin=(600_001 + 3_600 * number, 5_040_000))
    assert landmark("init", tmp_path / "patches", "--name", "patches")[0] == 0
    code, out, err = landmark("plan", "patches.yaml", "--json")
    assert code == 0, err
    considered = json.loads(out)["considered"]
    assert (considered["cells"], considered["outside_rasters"]) == (3 * 9, 0)


def without_a_band(folder: Path) -> None:
    write_image(folder, "20210701_*.tif", bands={band: S2[band] for band in S2 if band != "B8A"})


def of_floats(folder: Path) -> None:
    write_image(folder, "20210701_*.tif", dtype="float32")


def without_a_date(folder: Path) -> None:
    write_image(folder, "x_*.tif")


def in_degrees(folder: Path) -> None:
    write_image(folder, "20210701_*.tif", crs="EPSG:4326", origin=(12, 45))


@pytest.mark.parametrize("write", [without_a_band, of_floats, without_a_date, in_degrees, Path.mkdir])
def test_a_folder_that_cannot_be_built_from_is_refused(
    refusal: Refuse, tmp_path: Path, write: Callable[[Path], None]
) -> None:
    folder = tmp_path / "images"
    write(folder)
    error = refusal("init", folder)
    assert isinstance(error, InputError) and str(error.file).startswith(str(folder))


@pytest.mark.parametrize("name", ["my-cogs.yaml", "my-cogs-provider.yaml", "my-cogs-items.json"])
def test_no_file_is_overwritten(cogs: Path, refusal: Refuse, name: str) -> None:
    Path(name).write_text("mine")
    assert refusal("init", cogs).file == str(Path(name))
    assert Path(name).read_text() == "mine"


def test_the_provider_of_the_documentation_builds(landmark: Run, tmp_path: Path) -> None:
    folder = write_image(tmp_path, "20210701_*.tif")
    assert landmark("init", folder, "--name", "doc")[0] == 0
    example = re.findall(r"```yaml\n(.*?)```", (DOCS / "archives.md").read_text(), re.DOTALL)[0]
    assert len(example.splitlines()) <= 15
    Path("doc-provider.yaml").write_text(example)
    items = json.loads(Path("doc-items.json").read_text())
    for item in items["features"]:
        item["collection"] = "my-images"
        item["properties"] = {
            "datetime": item["properties"]["datetime"],
            "proj:epsg": 32632,
            "s2:processing_baseline": "02.14",
        }
    Path("doc-items.json").write_text(json.dumps(items))
    code, _, err = landmark("build", "doc.yaml", "--workers", 0)
    assert code == 0, err
    assert len(package.open("corpora/doc")) == 9
