"""Clients of Dask clusters: of processes on this machine, or of a running scheduler."""

import ipaddress
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from landmark.core.errors import ClusterFailed, SchedulerUnreachable
from landmark.core.executor import WORKER_ENVIRONMENT, ExecutorConfig
from landmark.core.signals import children_without_interrupts
from landmark.core.temporary import temporary_folder

log = logging.getLogger(__name__)

# Dask's default of 15 s is too short for a replacement worker to start on a busy machine; until then no task runs.
_LOST_WORKER_TIMEOUT_S = 600
# Seconds for a client to close whose scheduler may not answer.
_CLOSE_TIMEOUT_S = 5
_CERTIFICATES = "set DASK_DISTRIBUTED__COMM__TLS__CA_FILE, …__CLIENT__CERT and …__CLIENT__KEY to files of the cluster"
_TRACKER_WARNINGS = "ignore::UserWarning:multiprocessing.resource_tracker"


@contextmanager
def connected(config: ExecutorConfig) -> Iterator[Any]:
    """Provide a client of the configured cluster.

    Raises:
        SchedulerUnreachable: no scheduler answers at the address, or it has no workers.
        ClusterFailed: the processes of the local cluster do not start.
    """
    from distributed import Client

    # Errors between client and scheduler are raised; Dask would print their tracebacks as well.
    for name in [name for name in logging.root.manager.loggerDict if name.split(".")[0] == "distributed"]:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)

    if config.scheduler is None:
        with _local_cluster(config.workers) as cluster, Client(cluster, set_as_default=False) as client:
            yield client
        return
    client = _connect(config.scheduler, config.connect_timeout_s)
    try:
        _require_worker(client, config.scheduler, config.connect_timeout_s)
        yield client
    finally:
        with suppress(OSError):  # the scheduler is gone
            client.close(timeout=_CLOSE_TIMEOUT_S)


def _connect(address: str, timeout_s: float) -> Any:
    """Client of a running scheduler, with the certificates of Dask's configuration where the address is tls://."""
    from distributed import Client, Security

    url, fields = urlsplit(address), {"file": "--scheduler", "value": address}
    try:
        valid = url.scheme in ("tcp", "tls") and url.hostname and url.port
    except ValueError:
        valid = False
    if not valid:
        raise SchedulerUnreachable("not an address", remedy="give tls://host:port or tcp://host:port", **fields)
    if url.scheme == "tcp" and not _is_loopback(url.hostname or ""):
        log.warning(
            "%s is not encrypted: whoever reaches this port can run code as the owner of the workers and of this"
            " process; start the cluster with certificates and give tls://",
            address,
        )
    try:
        # A client that fails for this reason would print a traceback when it is collected.
        arguments = Security().get_connection_args("client")
    except (OSError, ValueError) as error:
        raise SchedulerUnreachable(f"invalid certificates: {error}", remedy=_CERTIFICATES, **fields) from error
    if url.scheme == "tls" and arguments.get("ssl_context") is None:
        raise SchedulerUnreachable("there are no certificates to connect with", remedy=_CERTIFICATES, **fields)
    if url.scheme == "tcp" and arguments["require_encryption"]:
        raise SchedulerUnreachable("Dask's configuration requires encryption", remedy="give tls://host:port", **fields)
    try:
        return Client(address, timeout=timeout_s, set_as_default=False)
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        remedy = "is it running, and with the certificates in DASK_DISTRIBUTED__COMM__TLS__*?"
        remedy = remedy if url.scheme == "tls" else "is it running, and without TLS?"
        reason = str(error) or type(error).__name__
        raise SchedulerUnreachable(f"no Dask scheduler answers: {reason}", remedy=remedy, **fields) from error


def _require_worker(client: Any, address: str, timeout_s: float) -> None:
    try:
        client.wait_for_workers(1, timeout=timeout_s)
    except (TimeoutError, OSError) as error:
        raise SchedulerUnreachable(
            "the Dask scheduler has no workers",
            file="--scheduler",
            value=address,
            remedy="start workers, then run again",
        ) from error


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextmanager
def _local_cluster(workers: int) -> Iterator[Any]:
    """A cluster of processes on this machine that nobody else can use: TLS with certificates in memory only.

    Dask replaces a process that dies and retries its tasks a few times.
    """
    import dask

    with temporary_folder() as scratch, dask.config.set(_local_config(str(scratch))):
        with _quiet_resource_tracker(), children_without_interrupts():
            cluster = _start(workers)
        with cluster:
            yield cluster


def _local_config(scratch: str) -> dict[str, Any]:
    """Dask's configuration of a local cluster; the HTTP servers, which cannot be turned off, serve nothing."""
    environment = {f"distributed.nanny.pre-spawn-environ.{name}": value for name, value in WORKER_ENVIRONMENT.items()}
    return {
        **environment,
        "distributed.deploy.lost-worker-timeout": _LOST_WORKER_TIMEOUT_S,
        "distributed.scheduler.http.routes": [],
        "distributed.worker.http.routes": [],
        "distributed.worker.preload": [],
        "distributed.nanny.preload": [],
        "distributed.scheduler.preload": [],
        "temporary-directory": scratch,
    }


def _start(workers: int) -> Any:
    from distributed import LocalCluster, Security

    try:
        return LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            security=Security.temporary(),
            # None would open a fixed port; the option below leaves this server empty.
            dashboard_address="127.0.0.1:0",
            scheduler_kwargs={"dashboard": False},
            memory_limit=0,
            silence_logs=logging.CRITICAL,
        )
    except (RuntimeError, OSError, TimeoutError) as error:
        raise ClusterFailed(
            f"the worker processes do not start: {error}",
            file="--workers",
            value=workers,
            remedy="run the same command again, with fewer workers if memory is short",
        ) from error


@contextmanager
def _quiet_resource_tracker() -> Iterator[None]:
    """Start the process that removes the semaphores of killed processes, without its warning that it does.

    Its start unblocks SIGINT.
    """
    from multiprocessing import resource_tracker

    sys.warnoptions.append(_TRACKER_WARNINGS)
    try:
        resource_tracker.ensure_running()
        yield
    finally:
        sys.warnoptions.remove(_TRACKER_WARNINGS)
