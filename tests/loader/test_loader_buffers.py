"""Buffers return to their pool when nothing refers to them, and threads end with their owner."""

import gc
import threading
import time
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from landmark.core.threads import WorkerThreads
from landmark.loader.buffers import BufferPool
from landmark.loader.sample_cache import SampleCache

SHAPE = (8, 40, 1000)


def as_tensor(array: NDArray[Any]) -> Any:
    torch = pytest.importorskip("torch")
    return torch.from_numpy(array)


@pytest.mark.parametrize(
    "keep",
    [
        lambda array: array,
        lambda array: array[2:3, :, 7:],
        lambda array: array[:, 4:].view(np.uint16).reshape(8, 6, 6, 500),
        lambda array: memoryview(array),
        lambda array: {"nested": [np.broadcast_to(array[0], (3, 40, 1000))]},
        as_tensor,
    ],
    ids=["array", "slice", "view", "memoryview", "nested", "tensor"],
)
def test_block_returns_when_the_last_view_is_gone(keep: Callable[[NDArray[Any]], Any]) -> None:
    pool = BufferPool()
    array = pool.take(SHAPE, np.uint8)
    address = array.ctypes.data
    array[:] = 7
    view = keep(array)
    del array
    in_use = pool.bytes_in_use
    assert in_use >= 8 * 40 * 1000
    second = pool.take(SHAPE, np.uint8)
    assert second.ctypes.data != address
    second[:] = 8
    assert pool.bytes_in_use == 2 * in_use
    values = view["nested"][0] if isinstance(view, dict) else view
    assert set(np.unique(np.asarray(values).view(np.uint8))) == {7}
    del view, values, second
    assert pool.bytes_in_use == 0
    reused = [pool.take(SHAPE, np.uint8) for _ in range(2)]
    assert address in {array.ctypes.data for array in reused}


def test_arrays_outlive_their_pool_and_are_distinct() -> None:
    pool = BufferPool()
    arrays = [pool.take((3, 5), np.float32) for _ in range(20)]
    for number, array in enumerate(arrays):
        array[:] = number
    alive = weakref.ref(pool)
    del pool
    gc.collect()
    assert alive() is None
    assert [array.mean() for array in arrays] == list(range(20))


def test_cache_copies_samples_up_to_a_limit() -> None:
    cache = SampleCache(2_000)
    sample = [np.full(600, 1, np.uint8), np.full(300, 2, np.uint8)]
    for row in range(3):
        cache.add(row, sample)
        cache.add(row, sample)
    sample[0][:] = 9
    outs = [np.zeros(600, np.uint8), np.zeros(300, np.uint8)]
    assert [cache.read(row, outs) for row in (0, 1, 2)] == [True, True, False]
    assert (set(outs[0]), set(outs[1])) == ({1}, {2})
    assert not any(SampleCache(0).read(row, outs) for row in range(3))


def alive(prefix: str = "landmark-loader") -> list[threading.Thread]:
    """Threads of loaders; those that were told to stop are given time to."""
    deadline = time.monotonic() + 30
    while (threads := [t for t in threading.enumerate() if t.name.startswith(prefix)]) and time.monotonic() < deadline:
        time.sleep(0.005)
    return threads


@pytest.mark.parametrize("end", ["stopped", "deleted"])
def test_threads_run_jobs_in_order_and_end(end: str) -> None:
    threads, results = WorkerThreads(3, name="landmark-loader"), []
    gate, started = threading.Event(), threading.Semaphore(0)

    def run(number: int) -> None:
        results.append(number)
        started.release()
        gate.wait(30)

    for number in range(10):
        threads.submit(partial(run, number))
    for _ in range(3):
        assert started.acquire(timeout=30)
    if end == "stopped":
        threads.stop()
    del threads
    gc.collect()
    gate.set()
    assert alive() == []
    assert sorted(results) == [0, 1, 2]
