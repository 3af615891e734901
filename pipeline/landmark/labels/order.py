"""Order a label map from its service: place the order, wait, download, unpack.

The order's id is written to disk before waiting, so that an interrupted run resumes the same order.
"""

import logging
import time
import zipfile
from collections.abc import Callable
from os import SEEK_END
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryFile
from typing import IO

from landmark.core.archives import ZIP_ERRORS, ZipBudget
from landmark.core.atomic import atomic_path, remove_partials, write_bytes
from landmark.core.errors import DownloadPending, InputError, OrderFailed
from landmark.core.hashing import file_sha256
from landmark.labels.download_profile import DownloadProfile, MapEdition, ServiceKey
from landmark.labels.order_service import OrderService

log = logging.getLogger(__name__)

Progress = Callable[[str], None]
_ORDER_AGAIN = "run the same command again to place a new order"


def fetch_map(
    profile: DownloadProfile,
    key: ServiceKey,
    out: Path,
    *,
    year: int,
    wait_s: float,
    progress: Progress = lambda _: None,
) -> Path:
    """Order and download a map into `out`, with a `sha256sum` file beside it; a complete download is not repeated.

    Raises:
        InputError: no such edition, or `out` cannot be created.
        AccessRefused: the service does not accept the key.
        OrderFailed: the order failed; the next run places a new one.
        DownloadPending: not ready after `wait_s`, or interrupted; the next run resumes the order.
    """
    edition = profile.edition(year)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot be created: {error.strerror}", file="--out", value=out) from error
    remove_partials(out)
    checksum_file, order_file = (out / f"{profile.name}-{year}.{suffix}" for suffix in ("sha256", "order"))
    if (complete := _verified_file(checksum_file)) is not None:
        progress(f"{complete} is already complete")
        return complete
    service = OrderService(profile, key)
    order = _resume_or_place(service, edition, order_file, progress)
    try:
        with TemporaryFile(dir=out) as package:
            service.download(_wait(service, order, wait_s, progress), package)
            path = _unpack(package, out, profile.suffix, ZipBudget(package.seek(0, SEEK_END)))
    except OrderFailed:
        order_file.unlink()
        raise
    write_bytes(checksum_file, f"{file_sha256(path)}  {path.name}\n".encode())
    order_file.unlink()
    return path


def _verified_file(checksum_file: Path) -> Path | None:
    """The file of a `sha256sum` line, if it has that checksum."""
    if not checksum_file.is_file():
        return None
    sha256, _, name = checksum_file.read_text().strip().partition("  ")
    path = checksum_file.parent / name
    return path if path.is_file() and file_sha256(path) == sha256 else None


def _resume_or_place(service: OrderService, edition: MapEdition, order_file: Path, progress: Progress) -> str:
    """Id of the order on disk, else of a new one."""
    if order_file.is_file():
        order = order_file.read_text().strip()
        progress(f"resuming order {order}")
    else:
        order = service.place_order(edition)
        write_bytes(order_file, f"{order}\n".encode())
        progress(f"placed order {order}")
    return order


def _wait(service: OrderService, order: str, wait_s: float, progress: Progress) -> str:
    """URL of the package, once the service has prepared it."""
    deadline, reported = time.monotonic() + wait_s, ""
    while True:
        state = service.order_state(order)
        if state.status != reported:
            reported = state.status
            progress(f"order {order}: {reported}")
        if state.ready:
            return state.url
        if not state.waiting:
            raise OrderFailed(f"order {order} ended as {state.status}: {state.message}", remedy=_ORDER_AGAIN)
        if time.monotonic() >= deadline:
            problem = f"order {order} is {state.status} after {wait_s / 60:g} min"
            remedy = "run the same command again to continue, with --wait for longer"
            raise DownloadPending(problem, remedy=remedy)
        time.sleep(service.poll_s)


def _unpack(package: IO[bytes], out: Path, suffix: str, budget: ZipBudget) -> Path:
    """Write the largest file with the suffix to `out`; the package may be nested in another zip file."""
    try:
        with zipfile.ZipFile(package) as archive:
            budget.admit(archive, archive.infolist(), "the package", out)
            if (largest := _largest(archive, suffix)) is not None:
                path = out / Path(largest.filename).name
                with atomic_path(path) as partial, archive.open(largest) as source, partial.open("wb") as target:
                    copyfileobj(source, target)
                return path
            if (inner := _largest(archive, ".zip")) is None:
                names = ", ".join(archive.namelist()[:5])
                raise OrderFailed(f"the package has no {suffix} file, but {names}")
            with archive.open(inner) as source, TemporaryFile(dir=out) as file:
                copyfileobj(source, file)
                return _unpack(file, out, suffix, budget)
    except ZIP_ERRORS as error:
        raise OrderFailed(f"the package is damaged ({error})", remedy=_ORDER_AGAIN) from error


def _largest(archive: zipfile.ZipFile, suffix: str) -> zipfile.ZipInfo | None:
    members = [member for member in archive.infolist() if member.filename.lower().endswith(suffix)]
    members.sort(key=lambda member: (member.file_size, member.filename))
    for member in members[:-1]:
        log.info("%s is not unpacked", member.filename)
    return members[-1] if members else None
