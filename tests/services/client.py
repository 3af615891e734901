"""Client side of the test services: start them, publish items and upload blobs."""

import datetime as dt
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.services.keeper import AZURITE, KEY, START_S, postgres

KEEPER = Path(__file__).with_name("keeper.py")
Json = dict[str, Any]


@dataclass(frozen=True)
class Services:
    """A running STAC API over PostgreSQL, and a blob store that verifies tokens.

    Attributes:
        api: URL of the landing page.
        blobs: host:port of an HTTP proxy that serves http://<account>.blob.core.windows.net of every account.
        log: Output of all services, with the requests to the blob store.
        database: Environment variables of PostgreSQL clients.
    """

    api: str
    blobs: str
    log: Path
    database: Mapping[str, str]

    def publish(self, folder: Path, collections: Iterable[Json], items: Iterable[Json]) -> None:
        """Insert or replace collections and items."""
        for kind, documents in (("collections", collections), ("items", items)):
            path = folder / f"{kind}.ndjson"
            path.write_text("\n".join(json.dumps(document) for document in documents))
            program = [str(Path(sys.executable).with_name("pypgstac")), "load", kind, str(path), "--method", "upsert"]
            subprocess.run(program, env={**os.environ, **self.database}, check=True, capture_output=True)

    def upload(self, account: str, container: str, files: Mapping[str, bytes]) -> None:
        """Upload blobs to a private container, which is created if missing."""
        from azure.core.exceptions import ResourceExistsError
        from azure.storage.blob import ContainerClient

        with ContainerClient(f"http://{self.blobs}/{account}", container, credential=KEY) as target:
            with suppress(ResourceExistsError):
                target.create_container()
            for name, data in files.items():
                target.upload_blob(name, data, overwrite=True)

    def refusals(self) -> int:
        """Return how many requests the blob store has answered with 403."""
        return self.log.read_text().count('" 403 ')


def once(shared: Path, name: str, do: Callable[[Path], object]) -> None:
    """Call `do` with a new folder, once for all test processes."""
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / name / "done").exists():
            (shared / name).mkdir(exist_ok=True)
            do(shared / name)
            (shared / name / "done").touch()


def token(account: str, container: str, seconds: float) -> str:
    """Return a token to read a container, valid for `seconds` (Azure rounds to seconds)."""
    from azure.storage.blob import ContainerSasPermissions, generate_container_sas

    end = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)
    read = ContainerSasPermissions(read=True)
    return str(generate_container_sas(account, container, account_key=KEY, permission=read, expiry=end))


def missing() -> str:
    """Return the names of what is not installed, empty if nothing is missing."""
    parts = {"PostgreSQL with PostGIS": postgres(), "setpriv": shutil.which("setpriv"), "Azurite": AZURITE.exists(),
             "pypgstac": Path(sys.executable).with_name("pypgstac").exists()}  # fmt: skip
    return ", ".join(name for name, installed in parts.items() if not installed)


@contextmanager
def running(folder: Path) -> Iterator[Services]:
    """Use the services of a folder: the first process starts them, and they stop after the last."""
    with (folder / "services.lock").open("w") as lock, (folder / "users").open("a") as users:
        fcntl.flock(lock, fcntl.LOCK_EX)
        fcntl.flock(users, fcntl.LOCK_SH)
        addresses = folder / "services.json"
        if not addresses.exists():
            _start_keeper(folder, addresses)
        services = json.loads(addresses.read_text())
        fcntl.flock(lock, fcntl.LOCK_UN)
        if "error" in services:
            raise RuntimeError(f"the services do not start: {services['error']}")
        database = {name: value for name, value in services.items() if name.startswith("PG")}
        yield Services(services["api"], services["blobs"], Path(services["log"]), database)


def _start_keeper(folder: Path, addresses: Path) -> None:
    """Start the keeper in a new session, so that it outlives the process that starts it."""
    with (folder / "services.log").open("ab") as log:
        keeper = subprocess.Popen(
            [sys.executable, str(KEEPER), str(folder)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    end = time.monotonic() + 2 * START_S
    while not addresses.exists():
        if keeper.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"the services do not start; see {folder / 'services.log'}")
        time.sleep(0.05)
    keeper.returncode = 0  # otherwise Popen warns about a process that is still running
