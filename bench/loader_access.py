"""Of landmark's loader: single samples, the first batch, resuming, how well it shuffles, and what it waits for."""

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

import landmark
from bench.loader_landmark import open_loader
from bench.loader_rivals import BATCH, SEED
from bench.measure import run_module
from bench.server import serving
from landmark.loader.order import Order, group_edges, make_part
from landmark.loader.permutation import Shuffle

LATENCY_MS = 30
_SINGLE = 2000  # samples at random
_STARTS = 3  # processes that time their first batch
_LARGE_ROWS, _SHARD_ROWS, _GROUP_ROWS = 10_000_000, 1900, 128
_EPOCH_STEPS = 500  # batches of a large corpus that same-group pairs are counted in


def measure_access(corpus: Path) -> dict[str, Any]:
    """Measure everything of this module, each in new processes."""
    with serving(corpus) as server:
        roots = {"local": str(corpus), "latency": server.root(LATENCY_MS)}
        first = {name: [_first_batch(root) for _ in range(_STARTS)] for name, root in roots.items()}
    return {
        "single_per_cpu_s": _run("single", corpus),
        "first_batch_s": first,
        "resume_s": [_resume_s(seed) for seed in range(_STARTS)],
        "same_group_pairs": _count_pairs(),
        "stats": _run("stats", corpus),
    }


def _run(step: str, corpus: Path | str) -> Any:
    return run_module("bench.loader_access", {"step": step, "corpus": str(corpus)})


def _first_batch(root: str) -> float:
    """Seconds to the first batch in a new process, with nothing in the cache of downloads."""
    with TemporaryDirectory(prefix="landmark-cache-") as cache:
        arguments = {"step": "first", "corpus": root}
        return round(float(run_module("bench.loader_access", arguments, {"LANDMARK_CACHE": cache})), 4)


def main() -> None:
    """Run the step of the command line, and print its result as JSON."""
    arguments = json.loads(sys.argv[1])
    steps = {"single": time_single, "first": time_first, "stats": loader_stats}
    print(json.dumps(steps[arguments["step"]](arguments["corpus"])))


def time_single(corpus: str) -> float:
    """Return how many samples at random `corpus[id]` reads per CPU second."""
    samples = landmark.open(corpus)
    ids = np.random.default_rng(SEED).choice(samples.ids, _SINGLE).tolist()
    samples[ids[0]]
    start = time.process_time()
    for id in ids:
        samples[id]
    return round(_SINGLE / (time.process_time() - start), 1)


def time_first(corpus: str) -> float:
    """Return the seconds from opening a corpus to its first batch; modules were imported before."""
    pa.array(np.zeros(1)).to_numpy()  # imports pandas, which pyarrow looks for with the first array
    start = time.perf_counter()
    next(iter(open_loader(corpus)))
    return time.perf_counter() - start


def loader_stats(corpus: str) -> dict[str, Any]:
    """Return what the loader waited for in an epoch, after one that is not counted."""
    loader = open_loader(corpus)
    sum(1 for _ in loader)
    before, start = asdict(loader.stats()), time.perf_counter()
    sum(1 for _ in loader)
    seconds, after = time.perf_counter() - start, asdict(loader.stats())
    return {"seconds": round(seconds, 4), **{name: round(after[name] - before[name], 4) for name in after}}


def _resume_s(seed: int) -> float:
    """Seconds to find the rows of the batch in the middle of an epoch of ten million rows; nothing is known before."""
    order = _large_order(_large_edges(_LARGE_ROWS), seed)
    start = time.perf_counter()
    order.epoch(1).rows(order.epoch(1).steps // 2)
    return round(time.perf_counter() - start, 4)


def _large_edges(rows: int) -> NDArray[np.int64]:
    shards = np.full(rows // _SHARD_ROWS, _SHARD_ROWS)
    return group_edges(shards, np.full_like(shards, _GROUP_ROWS), np.arange(shards.sum()))


def _large_order(edges: NDArray[np.int64], seed: int, window: int = 8) -> Order:
    shuffle = Shuffle(seed=seed, window=window)
    return Order(BATCH, (make_part("", edges, None, {}, shuffle),))


def _count_pairs() -> dict[str, float]:
    """Return the mean number of pairs of samples of one row group in a batch: landmark's order, and two others."""
    edges = _large_edges(100 * _SHARD_ROWS)
    random = np.random.default_rng(SEED).permutation(edges[-1])[: _EPOCH_STEPS * BATCH].reshape(-1, BATCH)
    orders = {
        "landmark": _large_order(edges, SEED).epoch(0),
        "window of one group": _large_order(edges, SEED, 1).epoch(0),
    }
    rows = {name: np.stack([epoch.rows(step)[0] for step in range(_EPOCH_STEPS)]) for name, epoch in orders.items()}
    return {name: same_group_pairs(batches, edges) for name, batches in {**rows, "full shuffle": random}.items()}


def same_group_pairs(batches: NDArray[np.int64], edges: NDArray[np.int64]) -> float:
    """Return the mean number of pairs of rows of one row group in batches (batch, row)."""
    groups = np.searchsorted(edges, batches, side="right")
    counts = [np.unique(batch, return_counts=True)[1] for batch in groups]
    return round(float(np.mean([(count * (count - 1) // 2).sum() for count in counts])), 1)


if __name__ == "__main__":
    main()
