"""A corpus in use: sent to other processes, of more shards than a process may open files, read in any order."""

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
from landmark.corpus.reader import Corpus, Sample
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
together = [(one.id, other.id) for one, other in zip(radar, optical)]
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


def same(one: Sample, other: Sample) -> bool:
    pairs = ((one.s1, other.s1), (one.s2, other.s2), (one.mask, other.mask))
    pixels = all((a is None and b is None) or np.array_equal(a, b, equal_nan=a.dtype == np.float32) for a, b in pairs)
    return pixels and one.fields == other.fields


def test_a_split_has_no_more_shards_than_cells(splinters: Path) -> None:
    corpus = landmark.open(splinters)
    cells = defaultdict(set)
    for split, cell in zip(corpus.table["split"].to_pylist(), corpus.table["cell"].to_pylist(), strict=True):
        cells[split].add(cell)
    for shard in corpus.manifest.shards:
        said = int(shard.path.removesuffix(".parquet").rsplit("-of-", 1)[1])
        assert shard.k < said <= len(cells[shard.split])
    most = {split: max(shard.k for shard in corpus.manifest.shards if shard.split == split) + 1 for split in cells}
    assert most == {split: len(found) for split, found in cells.items()}


def test_a_corpus_of_more_shards_than_files_may_be_open_is_read_whole(splinters: Path) -> None:
    corpus = landmark.open(splinters)
    assert len(corpus.manifest.shards) >= 2 * OPEN_FILES
    command = [sys.executable, "-c", FRUGAL, str(splinters), str(OPEN_FILES)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    fewer = min(len(corpus.select(sensor=sensor)) for sensor in ("s1", "s2"))
    assert done.stdout.split() == [str(count) for count in (len(corpus), len(corpus), fewer)]


@pytest.mark.parametrize(
    "read", [lambda corpus: corpus[corpus.ids[-1]], list, lambda corpus: corpus.xarray(corpus.ids[0])]
)
def test_a_corpus_travels_by_pickle_after_it_was_read(read: Callable[[Corpus], object], splinters: Path) -> None:
    corpus = landmark.open(splinters)
    read(corpus)
    part = corpus.select(sensor="s2", split="train")
    for one in (corpus, part):
        copy = pickle.loads(pickle.dumps(one))
        assert copy.ids == one.ids
        assert copy.manifest == one.manifest
        for id in (one.ids[0], one.ids[-1]):
            assert same(copy[id], one[id])


def test_a_pickled_corpus_carries_no_pixels(splinters: Path) -> None:
    corpus = landmark.open(splinters)
    before = len(pickle.dumps(corpus))
    list(corpus)
    assert len(pickle.dumps(corpus)) < before + 20_000


def test_a_corpus_of_many_shards_is_the_corpus_of_few(splinters: Path, recipe: Write, tmp_path: Path) -> None:
    build(BuildRequest(load_recipe(str(recipe(**EVERY))), tmp_path / "corpus", ExecutorConfig()))
    many, few = landmark.open(splinters), landmark.open(tmp_path / "corpus")
    assert len(few.manifest.shards) < len(many.manifest.shards)
    assert sorted(many.ids) == sorted(few.ids)
    for id in many.ids[::7]:
        assert same(many[id], few[id])
