"""Runs one function over many units, here or on a Dask cluster. The only owner of a Dask client."""

import logging
import re
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from landmark.core.errors import SchedulerLost, SchedulerUnreachable
from landmark.raster.rate_limit import share_with

U = TypeVar("U")
R = TypeVar("R")

_CONNECT_S = 10
_AHEAD = 3
_GONE = "the Dask scheduler went away; run the same command again to resume"
# Dask gives up a worker whose replacement takes 15 s to start, as on a busy machine; with none left, all would wait.
_REPLACED_S = 600
# Dask has workers hand freed memory back at once, and each next raster faults its pages in again: keep it instead.
# Arrow's own allocator and an arena for every thread would each keep what the others could use.
WORKER_ENVIRONMENT = {
    "MALLOC_TRIM_THRESHOLD_": 2**29,
    "MALLOC_MMAP_THRESHOLD_": 2**28,
    "MALLOC_ARENA_MAX": 2,
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}


@dataclass(frozen=True, slots=True)
class Where:
    """Where units run.

    Attributes:
        workers: Processes of a local cluster; 0 runs in this process.
        scheduler: Address of a running Dask scheduler, which then decides.
    """

    workers: int = 0
    scheduler: str | None = None


@dataclass(frozen=True, slots=True)
class Lost:
    """A unit whose worker died each time it was tried."""

    detail: str


# Runs a function over units and yields (unit, result) in the order they end.
MapUnits = Callable[[Callable[[U], R], Iterable[U]], Iterator[tuple[U, R | Lost]]]


@contextmanager
def running(where: Where) -> Iterator[MapUnits[Any, Any]]:
    """The `map_units` of a place, for as long as the block lasts.

    A unit's own exception ends the run; a unit whose worker died comes back as `Lost`.

    Raises:
        SchedulerUnreachable: nothing answers at the scheduler's address.
    """
    if where.scheduler is None and where.workers == 0:
        yield _serial
        return
    with _client(where) as client:
        yield lambda fn, units: _spread(client, fn, units)


def _serial(fn: Callable[[U], R], units: Iterable[U]) -> Iterator[tuple[U, R | Lost]]:
    for unit in units:
        yield unit, fn(unit)


@contextmanager
def _client(where: Where) -> Iterator[Any]:
    from distributed import Client

    # What goes wrong between client and scheduler comes back as an exception; Dask would print its traceback as well.
    for name in [name for name in logging.root.manager.loggerDict if name.split(".")[0] == "distributed"]:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)

    if where.scheduler is None:
        with _local_cluster(where.workers) as cluster, Client(cluster, set_as_default=False) as client:
            yield client
        return
    if not re.fullmatch(r"\w+://.+:\d+", where.scheduler):
        raise SchedulerUnreachable(f"--scheduler {where.scheduler}: an address is written tcp://host:port")
    try:
        client = Client(where.scheduler, timeout=_CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise SchedulerUnreachable(f"no Dask scheduler answers at {where.scheduler}: {error}") from error
    with client:
        try:
            client.wait_for_workers(1, timeout=_CONNECT_S)
        except TimeoutError as error:
            raise SchedulerUnreachable(f"the Dask scheduler at {where.scheduler} has no workers") from error
        yield client


@contextmanager
def _local_cluster(workers: int) -> Iterator[Any]:
    """Processes of this machine. One that dies is replaced, and what it held is run again a few times."""
    import dask
    from distributed import LocalCluster

    settings = {f"distributed.nanny.pre-spawn-environ.{name}": size for name, size in WORKER_ENVIRONMENT.items()}
    with dask.config.set({**settings, "distributed.deploy.lost-worker-timeout": _REPLACED_S}):
        with _deaf_children():
            cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                # None would still take a fixed port, on all interfaces.
                dashboard_address="127.0.0.1:0",
                memory_limit=0,
                silence_logs=logging.CRITICAL,
            )
        with cluster:
            yield cluster


@contextmanager
def _deaf_children() -> Iterator[None]:
    """Processes started meanwhile ignore Ctrl-C, which a terminal sends to all: the client alone winds up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _spread(client: Any, fn: Callable[[U], R], units: Iterable[U]) -> Iterator[tuple[U, R | Lost]]:
    """A few units per worker thread in flight; the rest wait here, so that neither graph nor results pile up.

    Raises:
        SchedulerLost: it went away in mid-run.
    """
    from concurrent.futures import CancelledError

    from distributed.comm import CommClosedError

    try:
        yield from _in_flight(client, fn, units)
    except (CommClosedError, CancelledError) as error:
        raise SchedulerLost(_GONE) from error


def _threads(client: Any) -> dict[str, int]:
    """Threads per address of a worker.

    Raises:
        SchedulerLost: it went away in mid-run; a client that lost its line to it tries a new one first.
    """
    try:
        return dict(client.nthreads())
    except OSError as error:
        raise SchedulerLost(_GONE) from error


@dataclass(frozen=True, slots=True)
class _Sharing:
    """A function that leaves the other processes their part of cores and hosts."""

    fn: Callable[[Any], Any]
    processes: int
    machines: int

    @classmethod
    def among(cls, client: Any, fn: Callable[[Any], Any]) -> "_Sharing":
        """Shared with the workers there are now: more may come, and some may go."""
        addresses = list(_threads(client))
        return cls(fn, len(addresses), len({address.rsplit(":", 1)[0] for address in addresses}))

    def __call__(self, unit: Any) -> Any:
        share_with(self.processes, self.machines)
        return self.fn(unit)


def _in_flight(client: Any, fn: Callable[[U], R], units: Iterable[U]) -> Iterator[tuple[U, R | Lost]]:
    from distributed import KilledWorker, as_completed

    waiting, ended = iter(units), as_completed(loop=client.loop)
    unit_of: dict[str, U] = {}
    suspects: list[U] = []

    def submit() -> None:
        for unit in islice(waiting, 1):
            future = client.submit(_Sharing.among(client, fn), unit, pure=False)
            unit_of[future.key] = unit
            ended.add(future)

    for _ in range(_AHEAD * max(1, sum(_threads(client).values()))):
        submit()
    for future in ended:
        submit()
        unit = unit_of.pop(future.key)
        try:
            yield unit, future.result()
        except KilledWorker:
            suspects.append(unit)
        future.release()
    # A dying worker also takes the blame for what else it held: only a unit that kills it alone is lost.
    for unit in suspects:
        try:
            yield unit, client.submit(_Sharing.among(client, fn), unit, pure=False).result()
        except KilledWorker:
            yield unit, Lost("its worker died each time it was tried")
