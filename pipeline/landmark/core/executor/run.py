"""Run tasks on a Dask cluster whose workers are held against this process."""

import inspect
import logging
import pickle
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from queue import Empty, SimpleQueue
from threading import Timer
from typing import Any

from landmark.core.errors import LateWorkerDiffers, WorkerDiffers
from landmark.core.executor import Result, Task, WorkerLost, worker_code
from landmark.core.executor.watch import POLL_EVERY_S, WorkerWatch, scheduler_lost
from landmark.core.process_share import set_share

log = logging.getLogger(__name__)

_BATCHES_PER_THREAD = 3
# Dask needs 8 ms of processor time for each future: short tasks share one.
_BATCH_S, _MAX_BATCH = 0.1, 16
# For the comparison before the first task; workers that do not answer in time are compared at their first task.
_COMPARE_TIMEOUT_S = 60.0
_COMPARE_WARN_S = 30.0
# A worker of another version has no module, or another one, that could do this: it receives the source text.
_COMPARE = "(exec(source, names), names['differences'](expected))[1]"
_CALL = "(exec(source, names), names['call'](expected, pickled))[1]"


@dataclass(frozen=True, slots=True)
class _BatchCall:
    """A function that runs over a batch of tasks, with the process's share of the cluster set."""

    fn: Callable[[Any], Any]
    processes: int
    machines: int

    def __call__(self, batch: Sequence[Any]) -> tuple[list[Any], float]:
        """Results, and seconds per task."""
        set_share(self.processes, self.machines)
        start = time.perf_counter()
        results = [self.fn(task) for task in batch]
        return results, (time.perf_counter() - start) / len(batch)


class ClusterRun:
    """Tasks of one command on a cluster.

    Args:
        client: Client of the cluster.
        worker_timeout_s: How long to wait for another worker once no worker answers.
    """

    def __init__(self, client: Any, worker_timeout_s: float) -> None:
        self._client = client
        self._watch = WorkerWatch(client, worker_timeout_s)
        self._batch_size = 1
        self._source = inspect.getsource(worker_code)
        self._expected = worker_code.fingerprint()

    def check_workers(self) -> None:
        """Compare the code and libraries of all workers with this process's.

        Raises:
            WorkerDiffers: naming the first worker that differs, and in what.
        """
        warning = Timer(_COMPARE_WARN_S, log.warning, ["some workers have not answered for %.0f s", _COMPARE_WARN_S])
        warning.daemon = True
        warning.start()
        try:
            answers = self._client.run(
                eval, _COMPARE, self._names(), on_error="return", callback_timeout=_COMPARE_TIMEOUT_S
            )
        except TimeoutError:
            return
        finally:
            warning.cancel()
        for address, answer in sorted(answers.items()):
            if isinstance(answer, OSError):  # the worker has died meanwhile
                continue
            if isinstance(answer, Exception):
                raise WorkerDiffers(f"cannot be compared: {answer!r}", file=f"worker {address}")
            _refuse_differing(WorkerDiffers, address, answer)

    def map(
        self, fn: Callable[[Task], Result], tasks: Iterable[Task], *, threads: int = 1
    ) -> Iterator[tuple[Task, Result | WorkerLost]]:
        """Yield (task, result) in order of completion; the cluster decides how many run at once, not `threads`.

        Raises:
            LateWorkerDiffers: a worker that joined later runs other code or libraries.
            SchedulerLost: the scheduler vanished.
            WorkersLost: no worker answered for `worker_timeout_s`.
        """
        from concurrent.futures import CancelledError

        from distributed import KilledWorker
        from distributed.comm import CommClosedError

        suspects: list[Task] = []
        self._watch.begin()
        self._batch_size = 1
        try:
            for batch, future in self._completed(fn, iter(tasks)):
                try:
                    yield from zip(batch, self._results(future), strict=True)
                except KilledWorker:
                    suspects += batch
            # Dask also blames the other tasks a dying worker held: each suspect is retried alone.
            for suspect in suspects:
                for batch, future in self._completed(fn, iter([suspect])):
                    try:
                        yield from zip(batch, self._results(future), strict=True)
                    except KilledWorker:
                        yield suspect, WorkerLost("its worker died each time it ran")
        except (CommClosedError, CancelledError) as error:
            raise scheduler_lost() from error

    def _completed(self, fn: Callable[[Task], Result], tasks: Iterator[Task]) -> Iterator[tuple[list[Task], Any]]:
        """Keep a few batches per worker thread in flight, so that neither graph nor results pile up."""
        import cloudpickle

        done: SimpleQueue[Any] = SimpleQueue()
        in_flight: dict[str, tuple[list[Task], Any]] = {}

        def submit() -> None:
            if batch := list(islice(tasks, self._batch_size)):
                pickled = cloudpickle.dumps((self._batch_call(fn), batch), protocol=pickle.HIGHEST_PROTOCOL)
                future = self._client.submit(eval, _CALL, self._names(pickled=pickled), pure=False)
                in_flight[future.key] = batch, future
                future.add_done_callback(done.put)

        for _ in range(_BATCHES_PER_THREAD * max(1, sum(self._watch.threads.values()))):
            submit()
        while in_flight:
            try:
                future = done.get(timeout=POLL_EVERY_S)
            except Empty:
                self._watch.poll()
                continue
            submit()
            yield in_flight.pop(future.key)
            future.release()

    def _results(self, future: Any) -> list[Any]:
        """Results of a completed batch, which runs again where its worker dies before the transfer."""
        while True:
            try:
                address, differing, returned = future.result(timeout=POLL_EVERY_S)
            except TimeoutError:
                if future.status == "error":
                    raise
                self._watch.poll()
                continue
            _refuse_differing(LateWorkerDiffers, address, differing)
            self._watch.alive()
            results, task_s = returned
            self._batch_size = max(1, min(_MAX_BATCH, int(_BATCH_S / max(task_s, _BATCH_S / _MAX_BATCH))))
            return list(results)

    def _names(self, **names: Any) -> dict[str, Any]:
        """Names in the expression that a worker evaluates."""
        return {"source": self._source, "names": {}, "expected": self._expected, **names}

    def _batch_call(self, fn: Callable[[Any], Any]) -> _BatchCall:
        """Share between the current workers; their number may change during a run."""
        self._watch.poll()
        addresses = list(self._watch.threads)
        return _BatchCall(fn, len(addresses), len({address.rsplit(":", 1)[0] for address in addresses}))


def _refuse_differing(kind: type[WorkerDiffers], address: str, differing: list[tuple[str, str, str]]) -> None:
    if differing:
        errors = [
            kind(
                f"differs from this process, which has {expected!r}",
                file=f"worker {address}",
                key=name,
                value=present,
                remedy="start workers of the same installation, then run the same command again",
            )
            for name, expected, present in differing
        ]
        raise kind.combined(errors)
