"""Nobody but its client can use a local cluster: every port of its processes is tried, with and without TLS.

A terminal's SIGINT, which goes to all processes, does not reach its workers either.
"""

import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

from landmark.core.executor import ExecutorConfig, open_executor

# Tries to run a function, as a client does and as a scheduler asks a worker or a nanny; prints what succeeded.
INTRUDER = """
import asyncio, os, pickle, sys
from distributed import Client, Security
from distributed.core import rpc

async def as_client(address, security):
    client = await Client(address, asynchronous=True, timeout=5, security=security)
    return await client.run(os.getpid), await client.run_on_scheduler(os.getpid)

async def as_peer(address, security):
    async with rpc(address, timeout=5, connection_args=security.get_connection_args("client")) as peer:
        return await peer.run(function=pickle.dumps(os.getpid), args=pickle.dumps(()), kwargs=pickle.dumps({}))

async def main():
    attempts = [
        (address, attempt.__name__, asyncio.wait_for(attempt(address, security), 20))
        for port in sys.argv[1:]
        for scheme, security in (("tcp", Security()), ("tls", Security.temporary()))
        for address in [f"{scheme}://127.0.0.1:{port}"]
        for attempt in (as_client, as_peer)
    ]
    results = await asyncio.gather(*(attempt for *_, attempt in attempts), return_exceptions=True)
    for (address, name, _), result in zip(attempts, results):
        if not isinstance(result, BaseException):
            print(address, name, result)
    os._exit(0)

asyncio.run(main())
"""


def listeners() -> dict[int, str]:
    """TCP ports of this process and its children, with their addresses."""
    me = psutil.Process()
    connections = [item for process in (me, *me.children(recursive=True)) for item in process.net_connections("tcp")]
    return {item.laddr.port: item.laddr.ip for item in connections if item.status == psutil.CONN_LISTEN}


def intrusions(ports: list[int]) -> str:
    command = [sys.executable, "-W", "ignore", "-c", INTRUDER, *map(str, ports)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout


def blocked_signals(number: int) -> set[int]:
    return set(signal.pthread_sigmask(signal.SIG_BLOCK, ()))


def test_no_port_of_a_local_cluster_runs_code_for_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = listeners()
    with open_executor(ExecutorConfig(1)) as map_tasks:
        assert [signal.SIGINT in blocked for _, blocked in map_tasks(blocked_signals, [0])] == [True]
        ports = {port: host for port, host in listeners().items() if port not in before}
        assert len(ports) >= 3  # scheduler, nanny, worker
        assert set(ports.values()) == {"127.0.0.1"}
        assert intrusions(sorted(ports)) == ""
        assert {stat.S_IMODE(folder.stat().st_mode) for folder in tmp_path.iterdir() if folder.is_dir()} == {0o700}
    assert list(tmp_path.iterdir()) == []
