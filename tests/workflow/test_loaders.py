"""Stock loaders, with their defaults, on a corpus as it is built: the same samples as `landmark.open` gives."""

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
    """(band, y, x) in readers' order of a sample's native groups, by the profile alone."""
    profile, bands = load_sensor(sensor), {}
    for group in profile.groups:
        pixels = np.kron(groups[group.column], np.ones((1, group.factor, group.factor), groups[group.column].dtype))
        bands |= dict(zip(group.bands, pixels, strict=True))
    return np.stack([bands[name] for name in profile.order])


MAPS = {"fractions", "subclasses", "agreement"}


def same(sample: landmark.Sample, groups: dict[str, NDArray[Any]]) -> bool:
    """True where a loader's pixels are those of landmark's own reader."""
    stored = repeated(sample.sensor, groups)
    if sample.s2 is not None:
        return sample.s2.dtype == stored.dtype and np.array_equal(sample.s2, stored)
    decibel = np.where(stored == -32768, np.float32(np.nan), stored.astype(np.float32) * np.float32(0.01))
    return np.array_equal(sample.s1, decibel, equal_nan=True)


# -- datasets --------------------------------------------------------------------------------------------------------


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
def test_datasets_reads_every_sample_of_a_sensor_in_its_split(
    sensor: str, built: Path, load: Callable[..., Any]
) -> None:
    corpus = landmark.open(built).select(sensor=sensor)
    read = load(str(built), sensor)
    assert {split: len(rows) for split, rows in read.items()} == {
        split: count for split, count in corpus.manifest.samples[sensor].items() if count
    }
    assert len(read) > 1, "one split alone shows little"
    for split, rows in read.items():
        assert rows["id"][:] == corpus.select(split=split).ids
        for row in rows:
            sample = corpus[row["id"]]
            assert same(sample, loaded(sensor, row))
            assert row["captions"] == sample.captions
            # It writes a map's numbers with ten decimals.
            for name in MAPS:
                assert dict(row[name]) == pytest.approx(sample.fields[name], abs=1e-9)
            plain = set(sample.fields) - {*MAPS, "captions"}
            assert all(row[name] == sample.fields[name] for name in plain)


def test_datasets_streams_the_same_rows(built: Path, load: Callable[..., Any]) -> None:
    ids = [row["id"] for row in load(str(built), "s2", split="train", streaming=True)]
    assert ids == landmark.open(built).select(sensor="s2", split="train").ids


def test_datasets_knows_a_config_for_each_sensor_and_takes_nothing_else_for_samples(
    built: Path, load: Callable[..., Any]
) -> None:
    import datasets

    assert datasets.get_dataset_config_names(str(built)) == list(SENSORS)
    with pytest.raises(ValueError):
        load(str(built))
    for name in ("index.parquet", "plan.parquet", "ledger.parquet", "label_counts.parquet"):
        assert (built / name).is_file()


@pytest.mark.parametrize("sensor", SENSORS)
def test_the_card_says_of_each_column_what_its_file_says(sensor: str, built: Path, load: Callable[..., Any]) -> None:
    import datasets

    schema = pq.read_schema(next(built.glob(f"shards/g0000/{sensor}-*.parquet")))
    plain = pa.schema([field for field in schema if not pa.types.is_map(field.type)])
    said = load(str(built), sensor, split="train", streaming=True).features
    known = datasets.Features.from_arrow_schema(plain)
    assert list(said) == schema.names
    assert {name: said[name] for name in known} == dict(known)
    assert {name for name, kind in said.items() if kind == datasets.Json()} == MAPS


def test_the_card_alone_makes_the_columns_known(built: Path, load: Callable[..., Any], tmp_path: Path) -> None:
    copy = Path(shutil.copytree(built, tmp_path / "copy"))
    card = (copy / "README.md").read_text()
    start, end = card.index("dataset_info:"), card.index("\n---\n", 3)
    (copy / "README.md").write_text(card[:start].rstrip() + card[end:])
    with pytest.raises(ValueError):
        load(str(copy), "s2")


# -- webdataset ------------------------------------------------------------------------------------------------------

# It leaves the last .tar of a list open until it is collected.
unclosed = pytest.mark.filterwarnings(r"ignore:unclosed file <_io.BufferedReader name='.*\.tar':ResourceWarning")


@unclosed
@pytest.mark.parametrize("split", ["train", "val", "test"])
@pytest.mark.parametrize("sensor", SENSORS)
def test_webdataset_reads_the_same_samples_in_the_same_order(sensor: str, split: str, built: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    corpus = landmark.open(built).select(sensor=sensor, split=split)
    paths = [str(built / one.path) for one in corpus.manifest.exports]
    mine = [path for path in paths if Path(path).name.startswith(f"{sensor}-{split}-")]
    read = list(webdataset.WebDataset(mine, shardshuffle=False).decode()) if mine else []
    assert [one["__key__"] for one in read] == corpus.ids
    for one, sample in zip(read, corpus, strict=True):
        columns = [group.column for group in load_sensor(sensor).groups]
        assert same(sample, {name: one[f"{name}.npy"] for name in columns})
        assert one["txt"] == sample.caption()
        said = one["json"]
        assert said["captions"] == sample.captions and said["fractions"] == sample.fractions
        assert (said["labels"], said["sources"], said["sha256"]) == (sample.labels, sample.sources, sample.sha256)
