"""All loaders of the benchmark deliver the same samples of a small corpus."""

from pathlib import Path

import numpy as np
import pytest
from bench.loader import bench
from bench.loader_corpus import make_corpus
from bench.loader_floor import open_floor
from bench.loader_measure import LITDATA_PYTHON
from bench.loader_table import TITLES, markdown
from bench.server import missing

import landmark
from tests.conftest import require


@pytest.fixture(scope="session")
def corpus(scene: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """36 samples of the small scene, with .tar files."""
    return make_corpus(tmp_path_factory.mktemp("loader") / "corpus", scene, cells=36, shard_mb=2)


@pytest.mark.parametrize("in_place", [False, True])
def test_the_floor_reads_what_the_corpus_has(corpus: Path, in_place: bool) -> None:
    opened, epochs = landmark.open(corpus), open_floor(corpus, in_place=in_place)
    seen = 0
    for _ in range(2):
        for ids, arrays in epochs(seen):
            for row, id in enumerate(ids):
                # B02, B03, B04 and B08 are the bands at 10 m.
                np.testing.assert_array_equal(arrays["s2_x1"][row], opened[id].s2[[1, 2, 3, 7]])
                seen += 1
    assert seen == 2 * 36


@pytest.mark.long
def test_all_loaders_deliver_the_same_samples(corpus: Path) -> None:
    require(not (requirement := missing()), f"needs {requirement}")
    result = bench(corpus, rounds=1, seconds=0)
    assert result["same_samples"] == 36
    installed = TITLES.keys() - ({"litdata"} if not LITDATA_PYTHON.exists() else set())
    assert result["peak_mb"].keys() == installed == result["rounds"][0].keys()
    assert all(measured["samples"] == 36 for measured in result["rounds"][0].values())
    assert markdown(result)
