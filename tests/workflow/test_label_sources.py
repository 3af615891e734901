"""Builds with three label sources: WorldCover from the catalogue, CORINE polygons and Dynamic World from disk."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
import shapely
import yaml
from rasterio.features import shapes
from rasterio.transform import Affine
from rasterio.warp import reproject

import landmark
from landmark.cli.main import main
from landmark.config.recipe import load_recipe
from landmark.core.errors import InputsChanged
from landmark.core.executor import ExecutorConfig
from landmark.corpus.lock import Lock
from landmark.corpus.manifest import read_document
from landmark.workflow.build import BuildRequest, build, plan_corpus
from landmark.workflow.context import load_context
from landmark.workflow.lock import read_plan
from tests.labels.maps import write_export, write_map
from tests.parts import raises
from tests.workflow.test_build import files

Write = Callable[..., Path]
TO_DYNAMIC = {80: 0, 10: 1, 30: 2, 90: 3, 40: 4, 20: 5, 50: 6, 60: 7, 70: 8}
TO_CORINE = {80: "512", 10: "311", 30: "231", 90: "411", 40: "211", 20: "324", 50: "112", 60: "332", 70: "335"}
DAYS = ("20210612", "20210811", "20211010")


def exports(truth: Any, folder: Path) -> None:
    """Write the true labels on a tile of zone 32, one file a day; on the last day the north is masked."""
    transform, shape = Affine(10, 0, 732_000, 0, -10, 5_040_000), (420, 400)
    codes = np.zeros(shape, "uint8")
    reproject(rasterio.band(truth, 1), codes, dst_transform=transform, dst_crs="EPSG:32632")
    labels = np.zeros(shape)
    for code, dynamic in TO_DYNAMIC.items():
        labels[codes == code] = dynamic
    for day in DAYS:
        probabilities = np.stack([np.where(labels == code, 0.6, 0.05) for code in range(9)])
        probabilities[:, codes == 0] = 0
        if day == DAYS[-1]:
            probabilities[:, :300] = 0
        write_export(folder / f"{day}T101031_32TQR.tif", labels, probabilities, transform=transform)


def corine(truth: Any, path: Path) -> None:
    """Write the true labels as polygons of about 300 m in the CRS of CORINE."""
    coarse = truth.read(1)[15::30, 15::30].astype("int32")
    polygons = list(shapes(coarse, transform=truth.transform @ Affine.scale(30)))
    codes = [TO_CORINE[int(code)] for _, code in polygons]
    frame = geopandas.GeoDataFrame({"Code_18": codes}, geometry=[shapely.geometry.shape(area) for area, _ in polygons])
    frame.set_crs(4326).to_crs(3035).to_file(path)


@pytest.fixture(scope="session")
def labels(tmp_path_factory: pytest.TempPathFactory, world: Path) -> Path:
    """A folder with the maps of two sources, made from the world's true labels in Europe."""
    folder = tmp_path_factory.mktemp("labels")
    (path,) = world.glob("esa-worldcover/*N45E009/*.tif")
    with rasterio.open(path) as truth:
        exports(truth, folder / "dw")
        corine(truth, folder / "U2018_CLC2018_V2020_20u1.gpkg")
    return folder


def three(labels: Path, **corine: Any) -> list[dict[str, Any]]:
    return [
        {"source": "dynamic-world", "files": [f"{labels}/dw/*.tif"], "composite": "probability", "min_confidence": 0.4},
        {"source": "worldcover"},
        {"source": "corine", "files": [f"{labels}/*.gpkg"], **corine},
    ]


def request(path: Path, out: Path, workers: int = 0, **changes: Any) -> BuildRequest:
    return BuildRequest(load_recipe(str(path)), out, ExecutorConfig(workers), **changes)


def test_each_sample_records_the_sources_that_cover_the_cell(labels: Path, recipe: Write, tmp_path: Path) -> None:
    out = tmp_path / "corpus"
    build(request(recipe(labels=three(labels)), out))
    corpus = landmark.open(out)
    rows = corpus.table.to_pylist()
    source_sets = {tuple(source["name"] for source in row["sources"]) for row in rows}
    # The south has only WorldCover, Europe also CORINE, and one tile of it Dynamic World.
    assert {("worldcover",), ("worldcover", "corine"), ("dynamic-world", "worldcover", "corine")} == source_sets
    for row in rows:
        for source in row["sources"]:
            assert source["year"] == {"dynamic-world": 2021, "worldcover": 2021, "corine": 2018}[source["name"]]
            assert source["gap_days"] <= {"dynamic-world": 365, "worldcover": 1100, "corine": 2200}[source["name"]]
        assert (row["agreement"] == []) == (len(row["sources"]) == 1) and all(
            0 <= share <= 1 for _, share in row["agreement"]
        )
        assert set(dict(row["agreement"])) <= set(dict(row["fractions"]))
        assert sum(dict(row["fractions"]).values()) == pytest.approx(1, abs=1e-5)
    # Both are made from the true labels, and differ only at pixel edges.
    dynamic = [row for row in rows if row["sources"][0]["name"] == "dynamic-world"]
    assert min(row["sources"][0]["agreement"] for row in dynamic) > 0.9
    assert any(name.startswith("dynamic-world/") for row in dynamic for name, _ in row["subclasses"])
    gaps = [source["gap_days"] for row in rows for source in row["sources"] if source["name"] == "corine"]
    # CORINE of 2018 is two and a half years from the first image.
    assert min(gaps) > 880


def test_no_file_of_the_corpus_contains_the_path_of_a_label_file(labels: Path, recipe: Write, tmp_path: Path) -> None:
    out = tmp_path / "corpus"
    plan_corpus(request(recipe(labels=three(labels)), out))
    for path in out.iterdir():
        assert str(labels).encode() not in path.read_bytes(), path
    lock = read_document(Lock, out / "lock.json")
    local = {entry.href for entry in lock.labels if entry.local}
    assert local == {f"{day}T101031_32TQR.tif" for day in DAYS} | {"U2018_CLC2018_V2020_20u1.gpkg"}
    assert not local & {entry.href for entry in lock.files}
    spans = {(edition.source, f"{edition.start:%m%d}", f"{edition.end:%m%d}") for edition in lock.editions}
    # The north of the tile lacks October; in 2022 the nearest export serves, October's or August's.
    assert {("dynamic-world", "0612", "1010"), ("dynamic-world", "1010", "1010")} <= spans
    assert {("dynamic-world", "0612", "0811"), ("dynamic-world", "0811", "0811")} <= spans


@pytest.mark.long
def test_workers_change_neither_label_counts_nor_lock(labels: Path, recipe: Write, tmp_path: Path) -> None:
    path = recipe(labels=three(labels))
    for workers in (0, 2):
        plan_corpus(request(path, tmp_path / str(workers), workers))
    assert files(tmp_path / "0") == files(tmp_path / "2")
    label_counts = pq.read_table(tmp_path / "0" / "label_counts.parquet")
    sums = label_counts.group_by(["cell", "period"]).aggregate([("pixels", "sum")])["pixels_sum"].to_pylist()
    assert set(sums) == {14_400} and len(sums) > 10


def test_labels_that_are_too_old_are_dropped_with_their_age(labels: Path, recipe: Write, tmp_path: Path) -> None:
    europe = {"bbox": [11.5, 45.2, 12.5, 45.7]}
    source = {"source": "corine", "files": [f"{labels}/*.gpkg"], "max_gap_days": 1100}
    out = tmp_path / "corpus"
    plan_corpus(request(recipe(region=europe, labels=[source]), out))
    rows = pq.read_table(out / "ledger.parquet").to_pylist()
    dropped = [row for row in rows if row["reason"] == "label_gap"]
    # From the end of 2018 to the end of May 2022; images of 2021 are within the limit.
    assert dropped and {row["detail"] for row in dropped} == {"2022: 1247 days"}
    assert {row["stage"] for row in dropped} == {"plan"}
    assert set(pq.read_table(out / "plan.parquet")["period"].to_pylist()) == {"2021"}


def test_other_thresholds_read_no_raster(labels: Path, recipe: Write, tmp_path: Path) -> None:
    copy = shutil.copytree(labels, tmp_path / "labels")
    path = recipe(labels=three(copy))
    plan_corpus(request(path, tmp_path / "corpus"))
    context = load_context(load_recipe(str(path)), None)
    shutil.rmtree(copy)
    planned = read_plan(tmp_path / "corpus")
    assert planned is not None
    facts = context.label_rules.apply(planned.label_counts)
    strict = replace(context.label_rules, min_agreement_pct=95).apply(planned.label_counts)
    assert facts.keys() == strict.keys()
    fewer = [key for key in facts if len(strict[key].labels) < len(facts[key].labels)]
    assert fewer and all(set(strict[key].labels) <= set(facts[key].labels) for key in facts)


# -- the lock ----------------------------------------------------------------------------------------------------------


def test_a_changed_or_deleted_label_file_is_refused_with_a_remote_catalogue(
    labels: Path, recipe: Write, tmp_path: Path, url: str
) -> None:
    copy, out = shutil.copytree(labels, tmp_path / "labels"), tmp_path / "corpus"
    path = recipe(labels=three(copy), catalog=f"{url}/catalog.json")
    plan_corpus(request(path, out))
    plan_corpus(request(path, out, locked=True))
    victim = copy / "dw" / f"{DAYS[1]}T101031_32TQR.tif"
    content = victim.read_bytes()
    victim.write_bytes(content + b"\0")
    with raises(InputsChanged, name=victim.name):
        build(request(path, out))
    victim.unlink()
    with raises(InputsChanged, key="labels.files", value=victim.name):
        build(request(path, out))
    victim.write_bytes(content)
    plan_corpus(request(path, out, locked=True))


def test_moved_label_files_are_the_same_inputs(labels: Path, recipe: Write, tmp_path: Path) -> None:
    out = tmp_path / "corpus"
    plan_corpus(request(recipe(labels=three(labels)), out))
    moved = shutil.copytree(labels, tmp_path / "moved")
    plan_corpus(request(recipe(labels=three(moved)), out, locked=True))


def test_the_command_line_sets_the_files_of_a_source(
    labels: Path, recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = recipe(labels=[{"source": "worldcover"}, {"source": "corine", "optional": True}])
    for options in ([], ["--labels", f"corine={labels}/*.gpkg", "--labels", f"dynamic-world={labels}/dw/*.tif"]):
        out = tmp_path / f"corpus{len(options)}"
        monkeypatch.setattr("sys.argv", ["landmark", "plan", str(path), "--out", str(out), "--workers", "0", *options])
        with pytest.raises(SystemExit) as exit_:
            main()
        assert not exit_.value.code
        sources = {entry.source for entry in read_document(Lock, out / "lock.json").labels}
        assert sources == ({"worldcover", "corine", "dynamic-world"} if options else {"worldcover"})


def test_a_new_label_source_is_a_single_yaml_file(labels: Path, recipe: Write, tmp_path: Path) -> None:
    """A raster and a layer of polygons with custom names and codes."""
    value: dict[str, Any] = {
        "name": "custom",
        "title": "A custom map",
        "target": "landmark",
        "files": {"dates": [r"(?P<year>\d{4})_custom"], "fields": ["klasse"]},
        "licence": "CC0-1.0",
        "attribution": "a test",
        "classes": {
            7: {"key": "wood", "name": "Wood", "to": "trees"},
            9: {"key": "lake", "name": "Lake", "to": "water"},
        },
    }
    (tmp_path / "custom.yaml").write_text(yaml.safe_dump(value))
    halves = [shapely.box(11.5, 45.0, 11.98, 46.0), shapely.box(11.98, 45.0, 12.5, 46.0)]
    frame = geopandas.GeoDataFrame({"KLASSE": ["7", "9"]}, geometry=halves, crs=4326)
    frame.to_file(tmp_path / "2021_custom.gpkg")
    codes = np.repeat(np.array([[7, 9]], "uint8"), 50, axis=1)
    write_map(tmp_path / "2021_custom.tif", codes, crs="EPSG:4326", transform=Affine(0.01, 0, 11.48, 0, -1, 46))
    codes_read = []
    for ending in ("gpkg", "tif"):
        source = {"source": "custom.yaml", "files": [f"2021_custom.{ending}"]}
        out = tmp_path / ending
        plan_corpus(request(recipe(region={"bbox": [11.5, 45.2, 12.5, 45.7]}, labels=[source]), out))
        label_counts = pq.read_table(out / "label_counts.parquet")
        codes_read.append({code for codes in label_counts["codes"].to_pylist() for code in codes})
        assert {edition.source for edition in read_document(Lock, out / "lock.json").editions} == {"custom"}
    assert codes_read == [{7, 9}, {7, 9}]
