"""The real services as the tests see them: where they are, and how archives get into them."""

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
    """A STAC API over PostgreSQL, and a blob store that checks tokens.

    Attributes:
        api: URL of the landing page.
        blobs: host:port that answers for every account, as proxy of http://<account>.blob.core.windows.net.
        log: What they all say; the blob store's requests are in it.
        database: The variables PostgreSQL's clients read.
    """

    api: str
    blobs: str
    log: Path
    database: Mapping[str, str]

    def publish(self, folder: Path, collections: Iterable[Json], items: Iterable[Json]) -> None:
        """Put collections and items into the API, over those that are there."""
        for kind, documents in (("collections", collections), ("items", items)):
            path = folder / f"{kind}.ndjson"
            path.write_text("\n".join(json.dumps(document) for document in documents))
            program = [str(Path(sys.executable).with_name("pypgstac")), "load", kind, str(path), "--method", "upsert"]
            subprocess.run(program, env={**os.environ, **self.database}, check=True, capture_output=True)

    def upload(self, account: str, container: str, files: Mapping[str, bytes]) -> None:
        """Put blobs into a private container, made where it is missing."""
        from azure.core.exceptions import ResourceExistsError
        from azure.storage.blob import ContainerClient

        with ContainerClient(f"http://{self.blobs}/{account}", container, credential=KEY) as to:
            with suppress(ResourceExistsError):
                to.create_container()
            for name, data in files.items():
                to.upload_blob(name, data, overwrite=True)

    def refusals(self) -> int:
        """How many requests the blob store has answered with 403."""
        return self.log.read_text().count('" 403 ')


def once(shared: Path, name: str, do: Callable[[Path], object]) -> None:
    """Do something in a folder of its own, once for all test processes."""
    with (shared / f"{name}.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not (shared / name / "done").exists():
            (shared / name).mkdir(exist_ok=True)
            do(shared / name)
            (shared / name / "done").touch()


def token(account: str, container: str, seconds: float) -> str:
    """A real token to read a container, good for so long; Azure counts whole seconds."""
    from azure.storage.blob import ContainerSasPermissions, generate_container_sas

    end = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)
    read = ContainerSasPermissions(read=True)
    return str(generate_container_sas(account, container, account_key=KEY, permission=read, expiry=end))


def missing() -> str:
    """What is not installed, in words; empty where all is there."""
    parts = {"PostgreSQL with PostGIS": postgres(), "setpriv": shutil.which("setpriv"), "Azurite": AZURITE.exists(),
             "pypgstac": Path(sys.executable).with_name("pypgstac").exists()}  # fmt: skip
    return ", ".join(name for name, there in parts.items() if not there)


@contextmanager
def running(folder: Path) -> Iterator[Services]:
    """The services of all processes that name this folder: the first starts them, they end after the last."""
    with (folder / "services.lock").open("w") as turn, (folder / "users").open("a") as users:
        fcntl.flock(turn, fcntl.LOCK_EX)
        fcntl.flock(users, fcntl.LOCK_SH)
        told = folder / "services.json"
        if not told.exists():
            _keep(folder, told)
        said = json.loads(told.read_text())
        fcntl.flock(turn, fcntl.LOCK_UN)
        if "error" in said:
            raise RuntimeError(f"the services do not start: {said['error']}")
        database = {name: value for name, value in said.items() if name.startswith("PG")}
        yield Services(said["api"], said["blobs"], Path(said["log"]), database)


def _keep(folder: Path, told: Path) -> None:
    """Start the keeper in a session of its own: it outlives whoever happened to come first."""
    with (folder / "services.log").open("ab") as log:
        keeper = subprocess.Popen(
            [sys.executable, str(KEEPER), str(folder)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    end = time.monotonic() + 2 * START_S
    while not told.exists():
        if keeper.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"the services do not start; see {folder / 'services.log'}")
        time.sleep(0.05)
    keeper.returncode = 0  # nobody here waits for it, and Popen would complain
