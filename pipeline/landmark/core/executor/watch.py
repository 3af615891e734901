"""Watch the workers of a run: how many there are, and whether any of them still answers."""

import logging
import time
from typing import Any

from landmark.core.errors import SchedulerLost, WorkersLost

log = logging.getLogger(__name__)

POLL_EVERY_S = 5.0
_ANSWER_TIMEOUT_S = 5.0
# A worker that holds the interpreter's lock in a long call, or that is replaced after its death, is silent so long.
_SILENT_S = 20.0
_WARN_EVERY_S = 60.0
# Some workers of several; Dask itself looks for those of a local cluster every 5 minutes.
_WORKER_SILENT_S = 60.0
_RESUME = "run the same command again to resume"


class WorkerWatch:
    """Signs of life of a cluster's workers: heartbeats that reach the scheduler, and finished tasks.

    Args:
        client: Client of the cluster.
        timeout_s: How long no worker may answer.
    """

    def __init__(self, client: Any, timeout_s: float) -> None:
        self._client, self._timeout_s = client, timeout_s
        self._threads: dict[str, int] = {}
        self._heartbeats: dict[str, float] = {}
        self._seen_at: dict[str, float] = {}
        self._silent: set[str] = set()
        self._scheduler_answers = True
        self._polled_at = float("-inf")
        self._warned_at: float | None = None
        self._alive_at = time.monotonic()

    @property
    def threads(self) -> dict[str, int]:
        """Number of threads of each worker by its address, as of the last poll."""
        return self._threads

    def begin(self) -> None:
        """Start to count: what happened between two runs is not known.

        Raises:
            SchedulerLost: the scheduler does not answer.
        """
        self._alive_at, self._polled_at = time.monotonic(), float("-inf")
        self.poll()
        if not self._scheduler_answers:
            raise scheduler_lost()

    def alive(self) -> None:
        """Record a sign of life."""
        self._alive_at = time.monotonic()
        if self._warned_at is not None:
            log.warning("workers answer again")
            self._warned_at = None

    def poll(self) -> None:
        """Ask the scheduler for its workers, every few seconds at most; warn while none answers.

        Raises:
            WorkersLost: no worker has answered for `timeout_s`.
            SchedulerLost: the same of the scheduler.
        """
        if time.monotonic() - self._polled_at < POLL_EVERY_S:
            return
        heartbeats = self._read_heartbeats()
        self._polled_at = time.monotonic()
        if any(self._heartbeats.get(address) != moment for address, moment in heartbeats.items()):
            self.alive()
            self._warn_of_silent(heartbeats)
        self._heartbeats = heartbeats
        silent_s = time.monotonic() - self._alive_at
        if silent_s >= self._timeout_s:
            raise self._lost(silent_s)
        warned = self._warned_at is not None and self._polled_at - self._warned_at < _WARN_EVERY_S
        if silent_s >= min(_SILENT_S, self._timeout_s / 2) and not warned:
            self._warned_at = self._polled_at
            log.warning("%s for %.0f s; giving up after %g s", self._silence(), silent_s, self._timeout_s)

    def _warn_of_silent(self, heartbeats: dict[str, float]) -> None:
        """Warn once of each worker that is silent while others answer."""
        now = time.monotonic()
        self._seen_at = {
            address: self._seen_at.get(address, now) if self._heartbeats.get(address) == moment else now
            for address, moment in heartbeats.items()
        }
        silent = {address for address, seen_at in self._seen_at.items() if now - seen_at >= _WORKER_SILENT_S}
        for address in sorted(silent - self._silent):
            log.warning("worker %s has not answered for %.0f s; its tasks wait", address, now - self._seen_at[address])
        self._silent = silent

    def _read_heartbeats(self) -> dict[str, float]:
        """Time of the last heartbeat of each worker; empty where the scheduler does not answer."""
        try:
            identity = self._client.sync(self._client.scheduler.identity, callback_timeout=_ANSWER_TIMEOUT_S)
        except (OSError, RuntimeError, AttributeError):  # not answering, or the client has closed
            self._scheduler_answers = False
            return {}
        self._scheduler_answers = True
        self._threads = {address: worker["nthreads"] for address, worker in identity["workers"].items()}
        return {address: worker["last_seen"] for address, worker in identity["workers"].items()}

    def _silence(self) -> str:
        if not self._scheduler_answers:
            return "the Dask scheduler has not answered"
        if not self._threads:
            return "all workers are lost, and no other has started"
        return f"none of {len(self._threads)} workers has answered"

    def _lost(self, silent_s: float) -> SchedulerLost | WorkersLost:
        kind = WorkersLost if self._scheduler_answers else SchedulerLost
        return kind(f"{self._silence()} for {silent_s:.0f} s", remedy=_RESUME)


def scheduler_lost() -> SchedulerLost:
    """The error of a closed connection."""
    return SchedulerLost("lost the connection to the Dask scheduler", remedy=_RESUME)
