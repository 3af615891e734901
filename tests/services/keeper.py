"""Starts the test services, and stops them when the last process that uses them has ended.

Each user holds a shared lock on `users`, which the kernel releases when the process ends. The keeper waits for an
exclusive lock.
"""

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import IO

AZURITE = Path(__file__).parent / "node_modules" / ".bin" / "azurite-blob"
ACCOUNTS = ("sentinel2l2a01", "sentinel1euwestrtc", "ai4edataeuwest")
KEY = b64encode(bytes(range(64))).decode()
START_S = 60


def postgres() -> Path | None:
    """Return the folder of PostgreSQL's programs, None if PostgreSQL or PostGIS is not installed."""
    homes = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    extension = Path("/usr/share/postgresql")
    complete = [home for home in homes if (extension / home.parents[1].name / "extension/postgis.control").is_file()]
    return complete[-1].parent if complete else None


def keep(folder: Path) -> None:
    """Start the services, write their addresses to `folder`/services.json, and stop when they have no user."""
    addresses = folder / "services.json"
    home = Path(tempfile.mkdtemp(prefix="landmark-services-"))
    home.chmod(0o755)  # readable for the user that PostgreSQL runs as
    try:
        with ExitStack() as running, (folder / "users").open("w") as users:
            services = _start(running, home, folder / "services.log")
            _write_json(addresses, services)
            fcntl.flock(users, fcntl.LOCK_EX)
            addresses.unlink()
    except Exception as error:
        _write_json(addresses, {"error": f"{type(error).__name__}: {error}"})
        raise
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _write_json(path: Path, document: dict[str, str]) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(document))
    partial.replace(path)


def _start(running: ExitStack, home: Path, log: Path) -> dict[str, str]:
    output = running.enter_context(log.open("ab"))
    ports = dict(zip(("sql", "api", "blobs"), free_ports(3), strict=True))

    def start(command: list[str], env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        return running.enter_context(_process(command, {**os.environ, **(env or {})}, output))

    database = _database(start, home, ports["sql"])
    at = ["--host", "127.0.0.1", "--port", str(ports["api"]), "--no-access-log"]
    start([sys.executable, "-m", "uvicorn", "--factory", "stac_fastapi.pgstac.app:create_app", *at], database)
    at = ["--blobHost", "127.0.0.1", "--blobPort", str(ports["blobs"]), "-l", str(home / "blobs")]
    accounts = ";".join(f"{name}:{KEY}" for name in ACCOUNTS)
    blobs = start([str(AZURITE), *at, "--skipApiVersionCheck", "--disableTelemetry"], {"AZURITE_ACCOUNTS": accounts})
    api = f"http://127.0.0.1:{ports['api']}"
    _await(blobs, lambda: _answers(f"{api}/_mgmt/ping") and _answers(f"http://127.0.0.1:{ports['blobs']}/"))
    return {"api": api, "blobs": f"127.0.0.1:{ports['blobs']}", "log": str(log), **database}


def _database(start: Callable[..., subprocess.Popen[bytes]], home: Path, port: int) -> dict[str, str]:
    """Create a PostgreSQL database with the schema of pgstac; return the environment variables of its clients."""
    programs, data = postgres(), home / "data"
    assert programs is not None
    data.mkdir(mode=0o700)
    owner = []
    if os.geteuid() == 0:
        shutil.chown(data, "postgres", "postgres")
        owner = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig=INT"]
    initdb = [*owner, str(programs / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8"]
    subprocess.run([*initdb, "--locale=C", "--no-sync"], check=True, stdout=subprocess.DEVNULL, cwd="/")
    quick = [option for name in ("fsync=off", "unix_socket_directories=", "listen_addresses=127.0.0.1")
             for option in ("-c", name)]  # fmt: skip
    server = start([*owner, str(programs / "postgres"), "-D", str(data), "-p", str(port), *quick])
    variables = {"PGHOST": "127.0.0.1", "PGPORT": str(port), "PGUSER": "postgres", "PGDATABASE": "postgres"}
    variables["PGPASSWORD"] = "-"  # required by stac-fastapi, not by PostgreSQL
    ready = [str(programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres"]
    _await(server, lambda: subprocess.run(ready, check=False).returncode == 0)
    subprocess.run(
        [str(Path(sys.executable).parent / "pypgstac"), "migrate"], check=True, env={**os.environ, **variables}
    )
    return variables


@contextmanager
def _process(command: list[str], env: dict[str, str], log: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process while the context is open; it is interrupted at the end, and killed if it does not stop."""
    bound = ["setpriv", "--pdeathsig=INT", *command]  # ends with the keeper, even if that is killed
    with subprocess.Popen(bound, cwd="/", env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _await(process: subprocess.Popen[bytes], ready: Callable[[], bool]) -> None:
    end = time.monotonic() + START_S
    while not ready():
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"{process.args!r} does not respond; see services.log")
        time.sleep(0.05)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def free_ports(count: int) -> list[int]:
    """Return unused local ports."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(closing(socket.socket())) for _ in range(count)]
        for unbound in sockets:
            unbound.bind(("127.0.0.1", 0))
        return [bound.getsockname()[1] for bound in sockets]


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C stops the tests, and their end stops the keeper
    keep(Path(sys.argv[1]))
