"""Run a function over tasks, in this process or on a Dask cluster. The only module that imports Dask."""

import logging
import re
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from landmark.core.errors import SchedulerLost, SchedulerUnreachable
from landmark.core.process_share import set_share

Task = TypeVar("Task")
Result = TypeVar("Result")

_TASKS_PER_THREAD = 3
# Dask's default of 15 s is too short for a replacement worker to start on a busy machine; until then no task runs.
_LOST_WORKER_TIMEOUT_S = 600
# By default Dask's workers return freed memory at once, so that each raster page-faults again: they keep it instead.
# One arena and the system's allocator for Arrow, since separate pools cannot use each other's free memory.
WORKER_ENVIRONMENT = {
    "MALLOC_TRIM_THRESHOLD_": 2**29,
    "MALLOC_MMAP_THRESHOLD_": 2**28,
    "MALLOC_ARENA_MAX": 2,
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}


@dataclass(frozen=True, slots=True)
class ExecutorConfig:
    """Configuration of the executor.

    Attributes:
        workers: Processes of a local cluster; 0 runs tasks in this process.
        scheduler: Address of a running Dask scheduler, used in place of `workers`.
        connect_timeout_s: How long to wait for the scheduler and its first worker.
    """

    workers: int = 0
    scheduler: str | None = None
    connect_timeout_s: float = 10


@dataclass(frozen=True, slots=True)
class WorkerLost:
    """Result of a task whose worker died each time it ran."""

    detail: str


# Runs a function over tasks and yields (task, result) in order of completion.
TaskMap = Callable[[Callable[[Task], Result], Iterable[Task]], Iterator[tuple[Task, Result | WorkerLost]]]


@contextmanager
def open_executor(config: ExecutorConfig) -> Iterator[TaskMap[Any, Any]]:
    """Provide a `TaskMap`, with a cluster that is closed on exit.

    An exception of a task ends the run; a task whose worker dies repeatedly has the result `WorkerLost`.

    Raises:
        SchedulerUnreachable: no scheduler answers at the address, or it has no workers.
    """
    if config.scheduler is None and config.workers == 0:
        yield _map_serially
        return
    with _client(config) as client:
        yield lambda fn, tasks: _map_on_cluster(client, fn, tasks)


def _map_serially(fn: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[tuple[Task, Result | WorkerLost]]:
    for task in tasks:
        yield task, fn(task)


@contextmanager
def _client(config: ExecutorConfig) -> Iterator[Any]:
    from distributed import Client

    # Errors between client and scheduler are raised; Dask would print their tracebacks as well.
    for name in [name for name in logging.root.manager.loggerDict if name.split(".")[0] == "distributed"]:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)

    if config.scheduler is None:
        with _local_cluster(config.workers) as cluster, Client(cluster, set_as_default=False) as client:
            yield client
        return
    address = {"file": "--scheduler", "value": config.scheduler}
    if not re.fullmatch(r"\w+://.+:\d+", config.scheduler):
        raise SchedulerUnreachable("not an address", remedy="give tcp://host:port", **address)
    try:
        client = Client(config.scheduler, timeout=config.connect_timeout_s, set_as_default=False)
    except (OSError, ValueError) as error:
        raise SchedulerUnreachable(f"no Dask scheduler answers: {error}", **address) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=config.connect_timeout_s)
        except TimeoutError as error:
            raise SchedulerUnreachable("the Dask scheduler has no workers", **address) from error
        yield client


@contextmanager
def _local_cluster(workers: int) -> Iterator[Any]:
    """A cluster of processes on this machine. Dask replaces a process that dies and retries its tasks a few times."""
    import dask
    from distributed import LocalCluster

    environment = {f"distributed.nanny.pre-spawn-environ.{name}": value for name, value in WORKER_ENVIRONMENT.items()}
    with dask.config.set({**environment, "distributed.deploy.lost-worker-timeout": _LOST_WORKER_TIMEOUT_S}):
        with _ignore_interrupts():
            cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                # None would open a fixed port on all interfaces.
                dashboard_address="127.0.0.1:0",
                memory_limit=0,
                silence_logs=logging.CRITICAL,
            )
        with cluster:
            yield cluster


@contextmanager
def _ignore_interrupts() -> Iterator[None]:
    """Start workers with SIGINT ignored; the client handles shutdown."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def _map_on_cluster(
    client: Any, fn: Callable[[Task], Result], tasks: Iterable[Task]
) -> Iterator[tuple[Task, Result | WorkerLost]]:
    from concurrent.futures import CancelledError

    from distributed.comm import CommClosedError

    try:
        yield from _map_in_flight(client, fn, tasks)
    except (CommClosedError, CancelledError) as error:
        raise _scheduler_lost() from error


def _scheduler_lost() -> SchedulerLost:
    return SchedulerLost("lost the connection to the Dask scheduler", remedy="run the same command again to resume")


def _threads_by_worker(client: Any) -> dict[str, int]:
    """Worker address to number of threads."""
    try:
        return dict(client.nthreads())
    except OSError as error:
        raise _scheduler_lost() from error


@dataclass(frozen=True, slots=True)
class _SharedCall:
    """A function that runs with the process's share of the cluster set."""

    fn: Callable[[Any], Any]
    processes: int
    machines: int

    @classmethod
    def on(cls, client: Any, fn: Callable[[Any], Any]) -> "_SharedCall":
        """Share between the current workers; their number may change during a run."""
        addresses = list(_threads_by_worker(client))
        return cls(fn, len(addresses), len({address.rsplit(":", 1)[0] for address in addresses}))

    def __call__(self, task: Any) -> Any:
        set_share(self.processes, self.machines)
        return self.fn(task)


def _map_in_flight(
    client: Any, fn: Callable[[Task], Result], tasks: Iterable[Task]
) -> Iterator[tuple[Task, Result | WorkerLost]]:
    """Keep a few tasks per worker thread in flight, so that neither graph nor results pile up on the scheduler."""
    from distributed import KilledWorker, as_completed

    pending, completed = iter(tasks), as_completed(loop=client.loop)
    task_of: dict[str, Task] = {}
    suspects: list[Task] = []

    def submit_next() -> None:
        for task in pending:
            future = client.submit(_SharedCall.on(client, fn), task, pure=False)
            task_of[future.key] = task
            completed.add(future)
            return

    for _ in range(_TASKS_PER_THREAD * max(1, sum(_threads_by_worker(client).values()))):
        submit_next()
    for future in completed:
        submit_next()
        task = task_of.pop(future.key)
        try:
            yield task, future.result()
        except KilledWorker:
            suspects.append(task)
        future.release()
    # Dask also blames the other tasks a dying worker held: each suspect is retried alone.
    for task in suspects:
        try:
            yield task, client.submit(_SharedCall.on(client, fn), task, pure=False).result()
        except KilledWorker:
            yield task, WorkerLost("its worker died each time it ran")
