"""Reading a corpus: pickling, more shards than open files, random access."""

import pickle
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import landmark
from landmark.config.recipe import load_recipe
from landmark.core.executor import ExecutorConfig
from landmark.corpus.reader import Corpus
from landmark.corpus.sample import Sample
from landmark.workflow.build import BuildRequest, build

Write = Callable[..., Path]

# With this seed no cell of the small world is left out, between two splits.
EVERY = {"time": {"start": "2021-06-01", "end": "2022-05-31", "period": "month"}, "sampling": {"seed": 5}}
# Reads with as many open files as the interpreter and its libraries need, and a few more.
OPEN_FILES = 16
FRUGAL = """
import resource, sys
import landmark, numpy, pyarrow.parquet
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[2]), int(sys.argv[2])))
corpus = landmark.open(sys.argv[1])
forwards = [sample.id for sample in corpus]
backwards = [corpus[id].id for id in reversed(corpus.ids)]
radar, optical = (corpus.select(sensor=sensor) for sensor in ("s1", "s2"))
together = [(first.id, second.id) for first, second in zip(radar, optical)]
print(len(forwards), len(backwards), len(together))
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("use") / "corpus"


@pytest.fixture
def splinters(place: Path, recipe: Write) -> Path:
    """A corpus of every cell of the small world, in shards as small as they get."""
    if not place.exists():
        build(BuildRequest(load_recipe(str(recipe(output={"shard_mb": 0.00001}, **EVERY))), place, ExecutorConfig()))
    return place


def same(first: Sample, second: Sample) -> bool:
    pairs = ((first.s1, second.s1), (first.s2, second.s2), (first.mask, second.mask))
    pixels = all((a is None and b is None) or np.array_equal(a, b, equal_nan=a.dtype == np.float32) for a, b in pairs)
    return pixels and first.fields == second.fields


def test_a_split_has_no_more_shards_than_cells(splinters: Path) -> None:
    corpus = landmark.open(splinters)
    cells = defaultdict(set)
    for split, cell in zip(corpus.table["split"].to_pylist(), corpus.table["cell"].to_pylist(), strict=True):
        cells[split].add(cell)
    for shard in corpus.manifest.shards:
        n_shards = int(shard.path.removesuffix(".parquet").rsplit("-of-", 1)[1])
        assert shard.k < n_shards <= len(cells[shard.split])
    most = {split: max(shard.k for shard in corpus.manifest.shards if shard.split == split) + 1 for split in cells}
    assert most == {split: len(names) for split, names in cells.items()}


@pytest.mark.long
def test_corpus_with_more_shards_than_open_files_is_readable(splinters: Path) -> None:
    corpus = landmark.open(splinters)
    assert len(corpus.manifest.shards) >= 2 * OPEN_FILES
    command = [sys.executable, "-c", FRUGAL, str(splinters), str(OPEN_FILES)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    fewer = min(len(corpus.select(sensor=sensor)) for sensor in ("s1", "s2"))
    assert done.stdout.split() == [str(count) for count in (len(corpus), len(corpus), fewer)]


@pytest.mark.parametrize(
    "read", [lambda corpus: corpus[corpus.ids[-1]], list, lambda corpus: corpus.xarray(corpus.ids[0])]
)
def test_corpus_is_picklable_after_reading(read: Callable[[Corpus], object], splinters: Path) -> None:
    corpus = landmark.open(splinters)
    read(corpus)
    part = corpus.select(sensor="s2", split="train")
    for original in (corpus, part):
        copy = pickle.loads(pickle.dumps(original))
        assert copy.ids == original.ids
        assert copy.manifest == original.manifest
        for id in (original.ids[0], original.ids[-1]):
            assert same(copy[id], original[id])


def test_pickled_corpus_has_no_pixels(splinters: Path) -> None:
    corpus = landmark.open(splinters)
    before = len(pickle.dumps(corpus))
    list(corpus)
    assert len(pickle.dumps(corpus)) < before + 20_000


def test_samples_do_not_depend_on_shard_size(splinters: Path, recipe: Write, tmp_path: Path) -> None:
    build(BuildRequest(load_recipe(str(recipe(**EVERY))), tmp_path / "corpus", ExecutorConfig()))
    many, few = landmark.open(splinters), landmark.open(tmp_path / "corpus")
    assert len(few.manifest.shards) < len(many.manifest.shards)
    assert sorted(many.ids) == sorted(few.ids)
    for id in many.ids[::7]:
        assert same(many[id], few[id])
