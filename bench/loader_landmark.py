"""landmark's loader in its benchmark: batches as stored and at 10 m, and the order that the floor follows."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import landmark
from bench.loader_rivals import BATCH, SEED, WORKERS, Epochs
from landmark.loader.loader import Loader
from landmark.loader.selection import OrderOptions, open_order

_SENSOR = "s2"


def open_loader(corpus: Path | str, **options: Any) -> Loader:
    """Return the loader that is measured: as many threads as others have workers, no decoded samples in memory."""
    return landmark.open(corpus).loader(batch=BATCH, seed=SEED, threads=WORKERS, cache_bytes=0, **options)


def open_native(corpus: Path) -> Epochs:
    """Batches as stored: bands at native resolution."""
    loader = open_loader(corpus)
    return lambda _: ((batch.ids, batch.pixels[_SENSOR].groups) for batch in loader)


def open_finished(corpus: Path) -> Epochs:
    """Batches of 12 bands at 10 m, float32, normalised by the corpus's statistics."""
    loader = open_loader(corpus, normalise="corpus")
    return lambda _: ((batch.ids, batch.images) for batch in loader)


def epoch_rows(corpus: Path, epoch: int) -> list[NDArray[np.int64]]:
    """Rows of the corpus in each batch of an epoch of the loader."""
    order = open_order(landmark.open(corpus), OrderOptions(batch=BATCH, seed=SEED)).epoch(epoch, ranks=1)
    return [order.rows(step)[0] for step in range(order.steps)]
