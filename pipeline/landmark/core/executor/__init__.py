"""Run a function over tasks, in this process or on a Dask cluster. Only this package imports Dask."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")

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
        worker_timeout_s: How long to wait for another worker once no worker answers.
    """

    workers: int = 0
    scheduler: str | None = None
    connect_timeout_s: float = 10
    worker_timeout_s: float = 600


@dataclass(frozen=True, slots=True)
class WorkerLost:
    """Result of a task whose worker died each time it ran."""

    detail: str


class TaskMap(Protocol):
    """Runs a function over tasks and yields (task, result) in order of completion."""

    def __call__(
        self, fn: Callable[[Task], Result], tasks: Iterable[Task], *, threads: int = 1
    ) -> Iterator[tuple[Task, Result | WorkerLost]]:
        """Run the tasks.

        Args:
            fn: Runs in a worker.
            tasks: Made on demand.
            threads: Tasks that run at once where this process runs them itself; elsewhere the cluster decides.
        """


@contextmanager
def open_executor(config: ExecutorConfig) -> Iterator[TaskMap]:
    """Provide a `TaskMap`, with a cluster that is closed on exit.

    An exception of a task ends the run; a task whose worker dies repeatedly has the result `WorkerLost`.

    Raises:
        SchedulerUnreachable: no scheduler answers at the address, or it has no workers.
        ClusterFailed: the processes of the local cluster do not start.
        WorkerDiffers: a worker runs other code, or other libraries, than this process.
        LateWorkerDiffers: the same of a worker that joined after the first task.
        SchedulerLost: the scheduler vanished during the run.
        WorkersLost: no worker answered for `worker_timeout_s`.
    """
    if config.scheduler is None and config.workers == 0:
        yield _map_in_process
        return
    from landmark.core.executor.cluster import connected
    from landmark.core.executor.run import ClusterRun

    with connected(config) as client:
        run = ClusterRun(client, config.worker_timeout_s)
        run.check_workers()
        yield run.map


def _map_in_process(
    fn: Callable[[Task], Result], tasks: Iterable[Task], *, threads: int = 1
) -> Iterator[tuple[Task, Result | WorkerLost]]:
    if threads == 1:
        for task in tasks:
            yield task, fn(task)
        return
    waiting, running = iter(tasks), dict[Future[Result], Task]()
    error: BaseException | None = None
    with ThreadPoolExecutor(threads, thread_name_prefix="task") as pool:
        while True:
            # After an error the tasks that run are completed, and no other begins.
            while error is None and len(running) < threads:
                try:
                    task = next(waiting)
                except StopIteration:
                    break
                except Exception as raised:
                    error = raised
                else:
                    running[pool.submit(fn, task)] = task
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                task = running.pop(future)
                error = error or future.exception()
                if future.exception() is None:
                    yield task, future.result()
    if error is not None:
        raise error
