"""Batches on their device; on CUDA they are made ahead of the steps, in a thread and on a stream of their own."""

import queue
import threading
from collections.abc import Generator
from contextlib import suppress
from typing import Any, NamedTuple

import torch
from torch import Tensor

from landmark.train.batches import Batch, Batches

# Batches that wait on CUDA while the next is made.
CUDA_AHEAD = 2


class Prefetched(NamedTuple):
    """A batch on its device, and the loader's state behind it."""

    batch: Batch
    state: dict[str, Any]


def prefetch(batches: Batches, *, ahead: int | None = None) -> Generator[Prefetched, None, None]:
    """Yield endless batches on their device. Meanwhile the loader itself is up to `ahead` + 1 batches further.

    Args:
        batches: Of a split.
        ahead: Batches that wait, made by a thread that ends when the generator is closed; 0 makes each when it is asked
            for. None for 2 on CUDA, and 0 on a CPU, whose cores the steps need.

    Raises:
        BaseException: what making a batch raised.
    """
    device = batches.device
    if ahead is None:
        ahead = CUDA_AHEAD if device.type == "cuda" else 0
    if not ahead:
        yield from (Prefetched(batch.to(device), batches.loader.state_dict()) for batch in batches)
        return
    made, stop = queue.Queue[tuple[Prefetched, torch.cuda.Event | None] | BaseException](ahead), threading.Event()
    # Made here, as a new thread has another current device. Copies and kernels of a batch run beside those of a step.
    stream = torch.cuda.Stream() if device.type == "cuda" else None  # type: ignore[no-untyped-call]
    thread = threading.Thread(target=_make, args=(batches, made, stop, stream), daemon=True, name="batches")
    thread.start()
    try:
        while not isinstance(result := made.get(), BaseException):
            yield _receive(*result)
        raise result
    finally:
        stop.set()
        while thread.is_alive():
            # The thread may wait for a free place.
            with suppress(queue.Empty):
                made.get_nowait()
            thread.join(0.01)


def _make(batches: Batches, made: "queue.Queue[Any]", stop: threading.Event, stream: torch.cuda.Stream | None) -> None:
    """Make batches on their device until `stop` is set."""
    try:
        with torch.cuda.stream(stream):
            for batch in batches:
                result = Prefetched(batch.to(batches.device), batches.loader.state_dict())
                made.put((result, None if stream is None else stream.record_event()))
                if stop.is_set():
                    return
    except BaseException as error:  # Without it the caller would wait for ever.
        made.put(error)


def _receive(result: Prefetched, complete: torch.cuda.Event | None) -> Prefetched:
    """Let the current stream wait for a batch's tensors, and keep their memory until it has used them."""
    if complete is not None:
        stream = torch.cuda.current_stream()
        stream.wait_event(complete)

        def keep(tensor: Tensor) -> Tensor:
            tensor.record_stream(stream)
            return tensor

        result.batch.map(keep)
    return result
