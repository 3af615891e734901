"""Starts the real services of the tests, and ends them when the last process that uses them has gone.

Users hold a shared lock on `users`; the kernel lets go of it however they die. The keeper waits to have it alone.
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

HERE = Path(__file__).parent
AZURITE = HERE / "node_modules" / ".bin" / "azurite-blob"
ACCOUNTS = ("sentinel2l2a01", "sentinel1euwestrtc", "ai4edataeuwest")
KEY = b64encode(bytes(range(64))).decode()
START_S = 60


def postgres() -> Path | None:
    """The folder of PostgreSQL's programs, None where it or PostGIS is not installed."""
    homes = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    extension = Path("/usr/share/postgresql")
    whole = [home for home in homes if (extension / home.parents[1].name / "extension/postgis.control").is_file()]
    return whole[-1].parent if whole else None


def keep(folder: Path) -> None:
    """Start, tell where in `folder`/services.json, and stay until nobody uses them."""
    told = folder / "services.json"
    home = Path(tempfile.mkdtemp(prefix="landmark-services-"))
    home.chmod(0o755)  # PostgreSQL runs as a user of its own
    try:
        with ExitStack() as running, (folder / "users").open("w") as users:
            where = _start(running, home, folder / "services.log")
            _tell(told, where)
            fcntl.flock(users, fcntl.LOCK_EX)
            told.unlink()
    except Exception as error:
        _tell(told, {"error": f"{type(error).__name__}: {error}"})
        raise
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _tell(path: Path, where: dict[str, str]) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(where))
    partial.replace(path)


def _start(running: ExitStack, home: Path, log: Path) -> dict[str, str]:
    said = running.enter_context(log.open("ab"))
    ports = dict(zip(("sql", "api", "blobs"), free_ports(3), strict=True))

    def start(command: list[str], env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        return running.enter_context(_process(command, {**os.environ, **(env or {})}, said))

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
    """A fresh PostgreSQL with the schema of pgstac: the variables its clients read."""
    programs, data = postgres(), home / "data"
    assert programs is not None
    data.mkdir(mode=0o700)
    owner = []
    if os.geteuid() == 0:
        shutil.chown(data, "postgres", "postgres")
        owner = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig=INT"]
    made = [*owner, str(programs / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8"]
    subprocess.run([*made, "--locale=C", "--no-sync"], check=True, stdout=subprocess.DEVNULL, cwd="/")
    quick = [option for name in ("fsync=off", "unix_socket_directories=", "listen_addresses=127.0.0.1")
             for option in ("-c", name)]  # fmt: skip
    server = start([*owner, str(programs / "postgres"), "-D", str(data), "-p", str(port), *quick])
    said = {"PGHOST": "127.0.0.1", "PGPORT": str(port), "PGUSER": "postgres", "PGDATABASE": "postgres"}
    said["PGPASSWORD"] = "-"  # stac-fastapi wants one, PostgreSQL asks for none
    ready = [str(programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres"]
    _await(server, lambda: subprocess.run(ready, check=False).returncode == 0)
    subprocess.run([str(Path(sys.executable).parent / "pypgstac"), "migrate"], check=True, env={**os.environ, **said})
    return said


@contextmanager
def _process(command: list[str], env: dict[str, str], log: object) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is asked to end with the block, and made to where it does not."""
    dying = ["setpriv", "--pdeathsig=INT", *command]  # with the keeper, even where that is killed
    with subprocess.Popen(dying, cwd="/", env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log) as process:
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
            raise RuntimeError(f"{process.args!r} does not answer; see services.log")
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
    """Ports of this machine nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(closing(socket.socket())) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the tests; their end is the keeper's
    keep(Path(sys.argv[1]))
