"""Real processes of tests: commands in a session of their own, a Dask scheduler and its workers."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psutil

Process = subprocess.Popen[bytes]

# Generous: machines of tests are busy.
PATIENCE_S = 240


@contextmanager
def running(command: list[str], folder: Path, **environment: str) -> Iterator[Process]:
    """A process of its own session in `folder`; its process group is killed at the end of the block."""
    folder.mkdir(parents=True, exist_ok=True)
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=folder, stdout=pipe, stderr=pipe, start_new_session=True, env=os.environ | environment
    ) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def scheduler(folder: Path, protocol: str = "tcp", **environment: str) -> Iterator[tuple[str, Process]]:
    """A Dask scheduler: address and process."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(port)]
    with running([*command, "--protocol", protocol, "--no-dashboard"], folder, **environment) as process:
        yield f"{protocol}://127.0.0.1:{port}", process


def worker_command(address: str) -> list[str]:
    """Command of a Dask worker with one thread."""
    command = [sys.executable, "-m", "distributed.cli.dask_worker", address]
    return [*command, "--nworkers", "1", "--nthreads", "1", "--no-dashboard"]


@contextmanager
def worker(address: str, folder: Path, **environment: str) -> Iterator[Process]:
    """A Dask worker with one thread, counted by its scheduler."""
    from distributed import Client

    with Client(address, timeout=PATIENCE_S, set_as_default=False) as client:
        before = set(client.nthreads())
    with running(worker_command(address), folder, **environment) as process:
        with Client(address, timeout=PATIENCE_S, set_as_default=False) as client:
            await_(lambda: set(client.nthreads()) - before, process)
        yield process


@contextmanager
def scheduled(folder: Path) -> Iterator[tuple[str, Process]]:
    """A scheduler with one worker, both in `folder` and ready: address and process of the scheduler."""
    with scheduler(folder) as (address, process), worker(address, folder):
        yield address, process


def await_(condition: Callable[[], object], process: Process | None = None) -> None:
    """Wait for a condition; `process` must not end before."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if process is not None and process.poll() is not None:
            raise AssertionError(process.communicate())
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def session_members(process: Process) -> list[psutil.Process]:
    """The living processes of a process's session."""
    members = []
    for member in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            if os.getsid(member.pid) == process.pid and member.status() != psutil.STATUS_ZOMBIE:
                members.append(member)
    return members


def error_lines(err: bytes) -> list[str]:
    """Lines of landmark's errors on stderr; no library may print a traceback or a log."""
    text = err.decode()
    assert "Traceback" not in text, text
    assert "distributed" not in text, text
    assert "resource_tracker" not in text, text
    return [line for line in text.splitlines() if line.startswith("error: ")]
