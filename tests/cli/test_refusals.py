"""Bad input: exit 2, one clear message, no traceback, nothing left behind."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import rasterio

from tests.conftest import Run

Write = Callable[..., Path]


def refused(result: tuple[int, str, str], *words: str) -> None:
    code, out, err = result
    assert code == 2, err
    assert out == ""
    assert "Traceback" not in err
    for word in words:
        assert re.search(word, err), f"{word!r} is not in {err!r}"
    assert not list(Path.cwd().rglob("*")) or [path.name for path in Path.cwd().iterdir()] == ["corpora"]
    assert not list(Path.cwd().glob("corpora/*"))


def test_an_unknown_recipe_lists_the_known_ones(landmark: Run) -> None:
    refused(landmark("build", "dmeo"), "dmeo", "Did you mean 'demo'", "Known: .*demo")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sensor": ["s1"]}, ("tiny.yaml", "unknown key `sensor`", "did you mean `sensors`")),
        ({"sensors": ["s3"]}, ("tiny.yaml", "sensors.0", "s3")),
        ({"clouds": {"max_item": 5}}, ("clouds.max_item`", "did you mean `max_item_pct`")),
        ({"time": {"start": "2022-01-01", "end": "2021-01-01"}}, ("time", "before start")),
        ({"time": None}, ("key `time` is missing",)),
        ({"patch_px": 100}, ("patch_px", "multiple of 6", "100")),
        ({"provider": "planetary"}, ("planetary", "planetary-computer")),
        ({"labels": [{"source": "corine"}]}, ("corine", "worldcover")),
        ({"captions": ["poem"]}, ("poem", "structured")),
        ({"thresholds": {"classes": {"tree": 5}}}, ("tree", "trees")),
        ({"catalog": "/nowhere/catalog.json"}, ("/nowhere/catalog.json", "no such file")),
    ],
)
def test_a_wrong_recipe_is_refused(landmark: Run, recipe: Write, changes: dict[str, object], words: tuple[str]) -> None:
    refused(landmark("build", recipe(**changes), "--workers", 0), *words)


def test_malformed_yaml_names_the_line(landmark: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("name: bad\nregion: [1, 2\ntime: x\n")
    refused(landmark("build", tmp_path / "bad.yaml"), "bad.yaml", "line 3")


def test_a_region_without_images_is_refused(landmark: Run, recipe: Write) -> None:
    refused(landmark("build", recipe(), "--workers", 0, "--region", "100,10,101,11"), "no s1 item", "region")


def test_a_region_smaller_than_a_cell_is_refused(landmark: Run, recipe: Write) -> None:
    arguments = ("build", recipe(), "--workers", 0, "--region", "11.99,45.45,11.9901,45.4501")
    refused(landmark(*arguments), "no whole 1200 m cell|no s. item")


def test_a_time_without_images_is_refused(landmark: Run, recipe: Write) -> None:
    late = {"start": "1999-01-01", "end": "1999-12-31"}
    refused(landmark("build", recipe(time=late), "--workers", 0), "no s1 item", "1999-01-01")


def label_raster(world: Path, copy: Path) -> Path:
    """The label raster of a copied world."""
    shutil.copytree(world, copy)
    return sorted((copy / "esa-worldcover").rglob("*.tif"))[0]


def test_a_missing_label_raster_is_refused(landmark: Run, recipe: Write, world: Path, tmp_path: Path) -> None:
    raster = label_raster(world, tmp_path / "copy")
    raster.unlink()
    refused(landmark("build", recipe(catalog=str(tmp_path / "copy")), "--workers", 0), raster.name, "worldcover")


def test_a_label_raster_without_crs_is_refused(landmark: Run, recipe: Write, world: Path, tmp_path: Path) -> None:
    raster = label_raster(world, tmp_path / "copy")
    with rasterio.open(raster) as source:
        pixels, profile = source.read(), {**source.profile, "crs": None}
    with rasterio.open(raster, "w", **profile) as target:
        target.write(pixels)
    refused(landmark("build", recipe(catalog=str(tmp_path / "copy")), "--workers", 0), raster.name, "no CRS")


def test_an_output_of_another_recipe_is_refused(landmark: Run, recipe: Write, tmp_path: Path) -> None:
    out = tmp_path / "corpus"
    assert landmark("build", recipe(), "--workers", 0, "--out", out, "--limit", 3)[0] == 0
    refused(landmark("build", recipe(), "--workers", 0, "--out", out, "--limit", 4), "another recipe", "--out")


def test_a_sealed_corpus_answers_in_json(landmark: Run, recipe: Write, tmp_path: Path) -> None:
    out = tmp_path / "corpus"
    first = landmark("build", recipe(), "--workers", 0, "--out", out, "--limit", 3, "--json")
    again = landmark("build", recipe(), "--workers", 0, "--out", out, "--limit", 3, "--json")
    assert first[0] == again[0] == 0
    assert json.loads(first[1]) == json.loads(again[1])


def test_an_unreachable_scheduler_is_refused(landmark: Run, recipe: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("landmark.core.executor._CONNECT_S", 1)
    address = "tcp://127.0.0.1:1"
    refused(landmark("build", recipe(), "--scheduler", address), f"no Dask scheduler answers at {address}")


def test_a_large_build_wants_consent(landmark: Run, recipe: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("landmark.workflow.build.CONSENT_BYTES", 1000)
    code, _, err = landmark("build", recipe(), "--workers", 0, "--out", "out")
    assert code == 2
    assert "--yes" in err
    assert landmark("build", recipe(), "--workers", 0, "--out", "out", "--yes")[0] == 0


def test_plan_prints_cost_and_proof(landmark: Run, recipe: Write) -> None:
    code, out, _ = landmark("plan", recipe(), "--workers", 0)
    assert code == 0
    for word in ("samples", "acquisitions", "requests", "GB", "for each byte kept", "disk", "apart"):
        assert word in out
    code, out, _ = landmark("plan", recipe(), "--workers", 0, "--json")
    assert json.loads(out)["samples"] > 0
