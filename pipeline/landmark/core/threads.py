"""Threads that run jobs in the order given."""

import atexit
import threading
import weakref
from collections.abc import Callable
from queue import Empty, SimpleQueue

Job = Callable[[], None]
_Jobs = SimpleQueue[Job | None]

# Seconds that the interpreter waits at its exit for jobs that run.
_EXIT_WAIT_S = 10.0
_running: weakref.WeakKeyDictionary[threading.Thread, _Jobs] = weakref.WeakKeyDictionary()


class WorkerThreads:
    """Daemon threads that take jobs from a queue until stopped or deleted.

    A job must handle its errors. It must not refer to the owner of these threads, which could then not be deleted while
    the job waits.
    """

    def __init__(self, count: int, *, name: str = "landmark") -> None:
        self._jobs: _Jobs = SimpleQueue()
        self._stop = weakref.finalize(self, _stop, self._jobs, count)
        self._stop.atexit = False
        for number in range(count):
            thread = threading.Thread(target=_run_jobs, args=(self._jobs,), name=f"{name}-{number}", daemon=True)
            _running[thread] = self._jobs
            thread.start()

    def submit(self, job: Job) -> None:
        """Add a job at the end of the queue."""
        self._jobs.put(job)

    def stop(self) -> None:
        """Drop waiting jobs; threads end with the jobs they run.

        Does not wait for them: the garbage collector may call this anywhere, also where locks are held that they need.
        """
        self._stop()


def _run_jobs(jobs: _Jobs) -> None:
    while (job := jobs.get()) is not None:
        job()
        # A waiting thread must not keep the buffers of its last job in use.
        del job


def _stop(jobs: _Jobs, count: int) -> None:
    try:
        while True:
            jobs.get_nowait()
    except Empty:
        pass
    for _ in range(count):
        jobs.put(None)


@atexit.register
def _stop_all() -> None:
    # Threads that were ended in a library's code would abort the process.
    threads = dict(_running)
    for jobs in threads.values():
        _stop(jobs, len(threads))
    for thread in threads:
        thread.join(_EXIT_WAIT_S)
