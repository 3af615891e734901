"""`inputs.parquet`: size, validators and digest of every file of the lock as it was when read.

Outside the promise of equal bytes: it tells by file why a build from the same lock gave other samples.
"""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from landmark.core.atomic import write_table
from landmark.core.corpus_paths import readable
from landmark.core.ranges.answers import Validators
from landmark.corpus.lock import Lock
from landmark.corpus.tables import INPUTS_FILE, read_table
from landmark.domain.schemas import INPUTS
from landmark.stac.catalog import Catalog

log = logging.getLogger(__name__)

# Changed files that are named in warnings.
_MAX_NAMED = 20

# Href of the lock → versions; several where a file was replaced between two runs of a build.
Versions = Mapping[str, tuple[Validators, ...]]


def write_inputs(folder: Path, lock: Lock, catalog: Catalog, read: Versions) -> None:
    """Write the table of a lock's files; `read` has the versions of remote ones by their absolute href."""
    _write(folder, lock, _recorded(lock, catalog, read))


def update_inputs(corpus: Path, lock: Lock, catalog: Catalog, read: Versions) -> None:
    """Write the versions that a build has read, and warn of files that had another one when they were read before.

    Raises:
        InvalidCorpus: the table of the corpus is damaged.
    """
    before, now = read_versions(corpus), _recorded(lock, catalog, read)
    changes = list(_changes(before, now))
    for line in changes[:_MAX_NAMED]:
        log.warning("%s", line)
    if len(changes) > _MAX_NAMED:
        log.warning("%d more files have changed", len(changes) - _MAX_NAMED)
    _write(corpus, lock, {**before, **now})


def read_versions(corpus: Path) -> Versions:
    """Versions of the remote files in the table of a corpus; none without a table.

    Raises:
        InvalidCorpus: the table is damaged.
    """
    path, versions = readable(corpus, INPUTS_FILE), dict[str, tuple[Validators, ...]]()
    if not path.is_file():
        return versions
    for row in read_table(path, INPUTS).to_pylist():
        if row["sha256"] is None:
            version = Validators(row["size_bytes"], row["etag"], row["modified"])
            versions[row["href"]] = (*versions.get(row["href"], ()), version)
    return versions


def _recorded(lock: Lock, catalog: Catalog, read: Versions) -> Versions:
    """The versions by the hrefs that the lock records; of other files none."""
    hrefs = ((file.href, catalog.absolute_href(file.href)) for file in lock.files)
    return {href: read[absolute] for href, absolute in hrefs if absolute in read}


def _changes(before: Versions, now: Versions) -> Iterator[str]:
    for href in sorted(now):
        versions = before.get(href, now[href][:1])
        changed = [version for version in now[href] if not any(version.matches(known) for known in versions)]
        if changed:
            yield f"{href} has changed since it was read before: was {versions[-1]}; is {changed[-1]}"


def _write(corpus: Path, lock: Lock, versions: Versions) -> None:
    rows = sorted(_rows(lock, versions), key=lambda row: row["href"])
    write_table(corpus / INPUTS_FILE, pa.Table.from_pylist(rows, schema=INPUTS))


def _rows(lock: Lock, versions: Versions) -> Iterator[dict[str, Any]]:
    for file in lock.files:
        if file.sha256 is not None:
            yield {"href": file.href, "size_bytes": file.size_bytes, "sha256": file.sha256}
        for version in versions.get(file.href, ()):
            yield {"href": file.href, "size_bytes": version.size, "etag": version.etag, "modified": version.modified}
    for href, digest in sorted({(label.href, label.digest) for label in lock.labels if label.local}):
        yield {"href": href, "sha256": digest}
