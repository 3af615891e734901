"""A label map ordered from its service: ask, wait, download, unpack.

The order is written down before the wait, so that a run cut short takes up the same order.
"""

import logging
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryFile
from typing import IO

from landmark.core.atomic import appearing, sweep, write_bytes
from landmark.core.errors import DownloadPending, InputError, OrderFailed
from landmark.core.hashing import file_sha256
from landmark.labels.download_profile import Download, Edition, Key
from landmark.labels.order_service import Service

log = logging.getLogger(__name__)


def fetch(
    download: Download,
    key: Key,
    out: Path,
    *,
    year: int,
    wait_s: float,
    progress: Callable[[str], None] = lambda _: None,
) -> Path:
    """The map's file in `out`, with its SHA-256 beside it; one that is there already is not ordered again.

    Raises:
        InputError: no such edition, or `out` cannot be made.
        AccessRefused: the service does not accept the key.
        OrderFailed: the order came to nothing; the next run orders anew.
        DownloadPending: not ready after `wait_s`, or cut short; the next run takes up the order.
    """
    edition = download.edition(year)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {out}: cannot be made: {error.strerror}") from error
    sweep(out)
    receipt, order = (out / f"{download.name}-{year}.{end}" for end in ("sha256", "order"))
    if (there := _whole(receipt)) is not None:
        progress(f"{there} is there already")
        return there
    service = Service(download, key)
    task = _task(service, edition, order, progress)
    try:
        with TemporaryFile(dir=out) as package:
            service.download(_wait(service, task, wait_s, progress), package)
            path = _unpack(package, out, download.suffix)
    except OrderFailed:
        order.unlink()
        raise
    write_bytes(receipt, f"{file_sha256(path)}  {path.name}\n".encode())
    order.unlink()
    return path


def _whole(receipt: Path) -> Path | None:
    """The file a receipt names (a line of `sha256sum`), if it has the bytes the receipt says."""
    if not receipt.is_file():
        return None
    digest, _, name = receipt.read_text().strip().partition("  ")
    path = receipt.parent / name
    return path if path.is_file() and file_sha256(path) == digest else None


def _task(service: Service, edition: Edition, order: Path, progress: Callable[[str], None]) -> str:
    if order.is_file():
        task = order.read_text().strip()
        progress(f"takes up order {task}")
    else:
        task = service.order(edition)
        write_bytes(order, f"{task}\n".encode())
        progress(f"order {task} is placed")
    return task


def _wait(service: Service, task: str, wait_s: float, progress: Callable[[str], None]) -> str:
    """Where the package lies, once the service has packed it."""
    end, said = time.monotonic() + wait_s, ""
    while True:
        state = service.state(task)
        if state.status != said:
            said = state.status
            progress(f"order {task}: {said}")
        if state.ready:
            return state.url
        if not state.waiting:
            raise OrderFailed(f"order {task} ended as {said}: {state.message}; run the same command to order anew")
        if time.monotonic() >= end:
            raise DownloadPending(
                f"order {task} is {said} after {wait_s / 60:g} min; run the same command again to go on waiting,"
                " with --wait for longer"
            )
        time.sleep(service.poll_s)


def _unpack(package: IO[bytes], out: Path, suffix: str) -> Path:
    """Write the largest file of the kind wanted out of a package, which may hold it in a package of its own."""
    try:
        with zipfile.ZipFile(package) as archive:
            if (largest := _largest(archive, suffix)) is not None:
                path = out / Path(largest.filename).name
                with appearing(path) as partial, archive.open(largest) as source, partial.open("wb") as target:
                    copyfileobj(source, target)
                return path
            if (inner := _largest(archive, ".zip")) is None:
                raise OrderFailed(f"the package holds no {suffix} file, but {', '.join(archive.namelist()[:5])}")
            with archive.open(inner) as source, TemporaryFile(dir=out) as file:
                copyfileobj(source, file)
                return _unpack(file, out, suffix)
    except (zipfile.BadZipFile, EOFError) as error:
        raise OrderFailed(f"the package is damaged ({error}); run the same command to order anew") from error


def _largest(archive: zipfile.ZipFile, suffix: str) -> zipfile.ZipInfo | None:
    found = [one for one in archive.infolist() if one.filename.lower().endswith(suffix)]
    found.sort(key=lambda one: (one.file_size, one.filename))
    for other in found[:-1]:
        log.info("%s is left in the package", other.filename)
    return found[-1] if found else None
