"""`datasets` and `webdataset`, with their defaults, read the same samples from a corpus as `landmark.open`."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

import landmark
from landmark.config.profiles import load_sensor
from landmark.config.recipe import load_recipe
from landmark.core.executor import ExecutorConfig
from landmark.workflow.build import BuildRequest, build

SENSORS = ("s1", "s2")


@pytest.fixture(scope="session")
def _built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("loaders") / "corpus"


@pytest.fixture
def built(_built: Path, recipe: Callable[..., Path]) -> Path:
    """All splits of both sensors, in both formats."""
    if not _built.exists():
        build(
            BuildRequest(load_recipe(str(recipe()), limit=30, formats="parquet,webdataset"), _built, ExecutorConfig())
        )
    return _built


def repeated(sensor: str, groups: dict[str, NDArray[Any]]) -> NDArray[Any]:
    """Stack a sample's band groups as (band, y, x) in the profile's order, coarse bands repeated."""
    profile, bands = load_sensor(sensor), {}
    for group in profile.groups:
        pixels = np.kron(groups[group.column], np.ones((1, group.factor, group.factor), groups[group.column].dtype))
        bands |= dict(zip(group.bands, pixels, strict=True))
    return np.stack([bands[name] for name in profile.order])


MAPS = {"fractions", "subclasses", "agreement"}


def same(sample: landmark.Sample, groups: dict[str, NDArray[Any]]) -> bool:
    """Whether pixels equal those of landmark's reader."""
    stored = repeated(sample.sensor, groups)
    if sample.s2 is not None:
        return sample.s2.dtype == stored.dtype and np.array_equal(sample.s2, stored)
    decibel = np.where(stored == -32768, np.float32(np.nan), stored.astype(np.float32) * np.float32(0.01))
    return np.array_equal(sample.s1, decibel, equal_nan=True)


# -- datasets ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """`datasets.load_dataset` with its cache in the test's folder."""
    datasets = pytest.importorskip("datasets")
    for name in ("HF_DATASETS_CACHE", "HF_MODULES_CACHE", "DOWNLOADED_DATASETS_PATH"):
        monkeypatch.setattr(datasets.config, name, tmp_path / name)
    datasets.disable_progress_bars()
    yield datasets.load_dataset
    datasets.enable_progress_bars()


def loaded(sensor: str, row: dict[str, Any]) -> dict[str, NDArray[Any]]:
    profile = load_sensor(sensor)
    shapes = {group.column: group.shape(120) for group in profile.groups}
    return {name: np.frombuffer(row[name], profile.dtype).reshape(shape) for name, shape in shapes.items()}


@pytest.mark.parametrize("sensor", SENSORS)
def test_datasets_reads_every_sample_of_a_sensor_in_the_right_split(
    sensor: str, built: Path, load: Callable[..., Any]
) -> None:
    corpus = landmark.open(built).select(sensor=sensor)
    read = load(str(built), sensor)
    assert {split: len(rows) for split, rows in read.items()} == {
        split: count for split, count in corpus.manifest.samples[sensor].items() if count
    }
    assert len(read) > 1, "needs more than one split"
    for split, rows in read.items():
        assert rows["id"][:] == corpus.select(split=split).ids
        for row in rows:
            sample = corpus[row["id"]]
            assert same(sample, loaded(sensor, row))
            assert row["captions"] == sample.captions
            # `datasets` stores the numbers of maps with ten decimals.
            for name in MAPS:
                assert dict(row[name]) == pytest.approx(sample.fields[name], abs=1e-9)
            plain = set(sample.fields) - {*MAPS, "captions"}
            assert all(row[name] == sample.fields[name] for name in plain)


def test_datasets_streams_the_same_rows(built: Path, load: Callable[..., Any]) -> None:
    ids = [row["id"] for row in load(str(built), "s2", split="train", streaming=True)]
    assert ids == landmark.open(built).select(sensor="s2", split="train").ids


def test_datasets_has_a_config_per_sensor_and_reads_no_other_table(built: Path, load: Callable[..., Any]) -> None:
    import datasets

    assert datasets.get_dataset_config_names(str(built)) == list(SENSORS)
    with pytest.raises(ValueError):
        load(str(built))
    for name in ("index.parquet", "plan.parquet", "ledger.parquet", "label_counts.parquet"):
        assert (built / name).is_file()


@pytest.mark.parametrize("sensor", SENSORS)
def test_the_card_declares_the_columns_of_the_shards(sensor: str, built: Path, load: Callable[..., Any]) -> None:
    import datasets

    schema = pq.read_schema(next(built.glob(f"shards/g0000/{sensor}-*.parquet")))
    plain = pa.schema([field for field in schema if not pa.types.is_map(field.type)])
    features = load(str(built), sensor, split="train", streaming=True).features
    known = datasets.Features.from_arrow_schema(plain)
    assert list(features) == schema.names
    assert {name: features[name] for name in known} == dict(known)
    assert {name for name, kind in features.items() if kind == datasets.Json()} == MAPS


def test_a_card_without_columns_cannot_be_loaded(built: Path, load: Callable[..., Any], tmp_path: Path) -> None:
    copy = Path(shutil.copytree(built, tmp_path / "copy"))
    card = (copy / "README.md").read_text()
    start, end = card.index("dataset_info:"), card.index("\n---\n", 3)
    (copy / "README.md").write_text(card[:start].rstrip() + card[end:])
    with pytest.raises(ValueError):
        load(str(copy), "s2")


# -- webdataset --------------------------------------------------------------------------------------------------------

# `webdataset` leaves the last .tar open until garbage collection.
unclosed = pytest.mark.filterwarnings(r"ignore:unclosed file <_io.BufferedReader name='.*\.tar':ResourceWarning")


@unclosed
@pytest.mark.parametrize("split", ["train", "val", "test"])
@pytest.mark.parametrize("sensor", SENSORS)
def test_webdataset_reads_the_same_samples_in_the_same_order(sensor: str, split: str, built: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    corpus = landmark.open(built).select(sensor=sensor, split=split)
    prefix = f"{sensor}-{split}-"
    paths = [built / export.path for export in corpus.manifest.exports]
    tars = [str(path) for path in paths if path.name.startswith(prefix)]
    read = list(webdataset.WebDataset(tars, shardshuffle=False).decode()) if tars else []
    assert [entry["__key__"] for entry in read] == corpus.ids
    for entry, sample in zip(read, corpus, strict=True):
        columns = [group.column for group in load_sensor(sensor).groups]
        assert same(sample, {name: entry[f"{name}.npy"] for name in columns})
        assert entry["txt"] == sample.caption()
        fields = entry["json"]
        assert fields["captions"] == sample.captions and fields["fractions"] == sample.fractions
        assert (fields["labels"], fields["sources"], fields["sha256"]) == (sample.labels, sample.sources, sample.sha256)
