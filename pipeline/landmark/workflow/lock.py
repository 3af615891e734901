"""Write a plan and its lock, read them back, and compare the lock with the inputs of a build."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa
import shapely

from landmark.config.gazetteer import GazetteerEntry
from landmark.core.atomic import write_bytes, write_table
from landmark.core.corpus_paths import readable
from landmark.core.errors import InputError, InputsChanged
from landmark.core.hashing import file_sha256, path_sha256
from landmark.core.plural import plural
from landmark.core.process_share import available_cores
from landmark.corpus.lock import (
    EventRecord,
    InputFile,
    LabelEditionRecord,
    LabelInput,
    Lock,
    SourceFile,
)
from landmark.corpus.manifest import read_document
from landmark.corpus.tables import read_table
from landmark.domain.acquisition import LabelRaster
from landmark.domain.event import Event
from landmark.domain.schemas import CLOUD_STATS, EVENT_PARTS, LABEL_COUNTS, PLAN
from landmark.labels.files import LocalLabels, file_digest
from landmark.raster.side_cars import raster_sha256
from landmark.raster.vector import add_geo_metadata
from landmark.stac.catalog import Catalog
from landmark.workflow.context import BuildContext, gazetteer_path
from landmark.workflow.inputs import write_inputs
from landmark.workflow.plan_draft import PlanDraft

log = logging.getLogger(__name__)

_LIBRARIES = ("landmark", "numpy", "rasterio", "pyproj", "shapely", "pyarrow")
# Tables that the lock records a digest of.
_LOCKED_TABLES = ("plan", "label_counts", "cloud_stats")
_REMEDY = "delete the folder's contents and plan again"


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan on disk.

    Attributes:
        lock: Every input of the build.
        samples: PLAN rows.
        label_counts: Label counts of the planned cells.
    """

    lock: Lock
    samples: pa.Table
    label_counts: pa.Table


def write_plan(folder: Path, draft: PlanDraft) -> Plan:
    """Write the tables of a plan and the first rows of the ledger, then the lock that records their digests."""
    (folder / "lock.json").unlink(missing_ok=True)
    tables = {
        "plan": draft.samples,
        "label_counts": draft.label_counts,
        "cloud_stats": draft.cloud_stats.cast(CLOUD_STATS),
        "ledger": draft.drops,
    }
    if draft.events:
        tables["events"] = _event_parts(draft.events)
    for name, table in tables.items():
        write_table(folder / f"{name}.parquet", table)
    lock = _make_lock(folder, draft)
    write_inputs(folder, lock, draft.context.catalog, {href: (each,) for href, each in draft.versions.items()})
    write_bytes(folder / "lock.json", lock.model_dump_json(indent=1).encode())
    # As read back: numbers and times have the types, and thus the digest, that they have in every other process.
    return Plan(read_document(Lock, folder / "lock.json"), draft.samples, draft.label_counts)


def read_plan(folder: Path) -> Plan | None:
    """Read the plan of a corpus folder, None if there is none yet.

    Raises:
        InputsChanged: a table is missing or differs from the lock.
        InvalidCorpus: the lock is damaged.
    """
    if not (folder / "lock.json").is_file():
        return None
    lock = read_document(Lock, folder / "lock.json")
    if not (folder / "ledger.parquet").is_file():
        raise InputsChanged("is missing", file=folder / "ledger.parquet", remedy="delete lock.json and plan again")
    for name in _LOCKED_TABLES:
        path = readable(folder, f"{name}.parquet")
        if not path.is_file() or file_sha256(path) != getattr(lock, f"{name}_sha256"):
            raise InputsChanged("is missing, or not the file that lock.json records", file=path, remedy=_REMEDY)
    samples = read_table(folder / "plan.parquet", PLAN)
    label_counts = read_table(folder / "label_counts.parquet", LABEL_COUNTS, all_columns=True)
    lock.check_samples(samples, folder / "plan.parquet")
    return Plan(lock, samples, label_counts)


def check_inputs(lock: Lock, context: BuildContext) -> None:
    """Compare every input that needs no download with the lock; warn of other library versions.

    Raises:
        InputsChanged: naming the first input that differs.
    """
    if context.catalog.id != lock.catalog:
        raise InputsChanged(
            f"the lock was made from catalogue {lock.catalog!r}", key="catalog", value=context.catalog.id
        )
    if context.inputs_digest != lock.inputs_digest:
        raise InputsChanged(
            "a profile, taxonomy, crosswalk, threshold or caption template differs from the locked one",
            key="inputs_digest",
            value=context.inputs_digest,
            remedy="restore it, or plan into a new --out",
        )
    _check_label_files(lock, context.label_files)
    _check_event_files(lock, context.events.files)
    if gazetteer_file(context.recipe.gazetteer) != lock.gazetteer:
        raise InputsChanged("the gazetteer is not the locked file", key="gazetteer.file")
    _check_files(lock, context.catalog)
    for name, locked in lock.libraries.items():
        if (installed := version(name)) != locked:
            log.warning("%s is %s, the lock has %s: same content, but file bytes may differ", name, installed, locked)


def gazetteer_file(entry: GazetteerEntry | None) -> SourceFile | None:
    """Record the file of a gazetteer, None without one.

    Raises:
        InputError: the file cannot be read.
    """
    if entry is None:
        return None
    path = gazetteer_path(entry)
    try:
        return _source_file(path)
    except OSError as error:
        remedy = "give the gazetteer's path, as in --set gazetteer.file=PATH"
        problem = f"cannot be read: {error.strerror}"
        raise InputError(problem, file=path, key="gazetteer.file", value=entry.file, remedy=remedy) from error


def _make_lock(folder: Path, draft: PlanDraft) -> Lock:
    """The lock of a draft whose tables are in a folder."""
    context = draft.context
    acquisitions = [draft.acquisitions[id] for id in sorted(set(draft.samples["acquisition"].to_pylist()))]
    labels = [_label_input(raster) for raster in draft.label_rasters]
    hrefs = {href for acquisition in acquisitions for item in acquisition.items for href in item.assets.values()}
    hrefs |= {label.href for label in labels if not label.local}
    return Lock(
        recipe=context.recipe,
        recipe_digest=context.recipe.digest,
        plan_sha256=file_sha256(folder / "plan.parquet"),
        label_counts_sha256=file_sha256(folder / "label_counts.parquet"),
        cloud_stats_sha256=file_sha256(folder / "cloud_stats.parquet"),
        catalog=context.catalog.id,
        acquisitions=acquisitions,
        labels=labels,
        editions=[
            LabelEditionRecord(source=edition.name, version=edition.version, start=edition.start, end=edition.end)
            for edition in draft.editions
        ],
        events=[EventRecord.from_event(event) for event in draft.events],
        event_files=_source_files(context.events.files),
        gazetteer=gazetteer_file(context.recipe.gazetteer),
        event_combinations=list(draft.event_combinations),
        files=_input_files(context.catalog, sorted(hrefs)),
        inputs_digest=context.inputs_digest,
        considered=draft.considered,
        split_proof=draft.split_proof,
        class_balancing=draft.class_balancing,
        findings=draft.findings,
        libraries={name: version(name) for name in _LIBRARIES},
    )


def _check_label_files(lock: Lock, label_files: Mapping[str, LocalLabels]) -> None:
    """Compare the label files with the lock, which identifies them by source and file name."""
    paths = {(source, file.path.name): file.path for source, labels in label_files.items() for file in labels.files}
    for source, name, locked in sorted(
        {(label.source, label.href, label.digest) for label in lock.labels if label.local}
    ):
        path = paths.get((source, name))
        if path is None:
            problem = f"no file of {source} has the name that the lock records"
            raise InputsChanged(
                problem, key="labels.files", value=name, remedy="give it in the recipe or with --labels"
            )
        if file_digest(path) != locked:
            raise InputsChanged("is not the locked label file", file=path)


def _check_event_files(lock: Lock, paths: Iterable[Path]) -> None:
    files = _source_files(paths)
    if files != lock.event_files:
        present, locked = ({(file.name, file.sha256) for file in each} for each in (files, lock.event_files))
        name = min(present ^ locked)[0]
        raise InputsChanged(
            "event file differs from the locked one, is new, or is missing", key="events.files", value=name
        )


def _check_files(lock: Lock, catalog: Catalog) -> None:
    n_unverified = 0
    for locked, present in zip(lock.files, _input_files(catalog, [file.href for file in lock.files]), strict=True):
        n_unverified += present.sha256 is None or locked.sha256 is None
        if locked.sha256 is not None and present != locked:
            raise InputsChanged("is not the locked file, or is missing", file=catalog.absolute_href(locked.href))
    if n_unverified:
        log.warning("without a checksum, and not verified: %s", plural(n_unverified, "remote file"))


def _event_parts(events: Sequence[Event]) -> pa.Table:
    """EVENT_PARTS rows with geometries in EPSG:4326, one per part of each event."""
    names = ("id", "group", "type", "source", "product", "start", "end", "observed", "magnitude")
    rows = [
        {**{name: getattr(event, name) for name in names}, "part": part.name, "geometry": shapely.to_wkb(part.geometry)}
        for event in events
        for part in event.parts
    ]
    return add_geo_metadata(pa.Table.from_pylist(rows, schema=EVENT_PARTS))


def _label_input(raster: LabelRaster) -> LabelInput:
    return LabelInput(
        source=raster.edition.name,
        version=raster.edition.version,
        item=raster.item_id,
        href=raster.recorded_href,
        start=raster.edition.start,
        end=raster.edition.end,
        digest=raster.digest,
        local=raster.local,
    )


def _source_files(paths: Iterable[Path]) -> list[SourceFile]:
    return [_source_file(path) for path in paths]


def _source_file(path: Path) -> SourceFile:
    return SourceFile(name=path.name, sha256=path_sha256(path))


def _input_files(catalog: Catalog, hrefs: Sequence[str]) -> list[InputFile]:
    """Size and digest of local files, hashed in a thread per core."""
    with ThreadPoolExecutor(available_cores()) as threads:
        return list(threads.map(partial(_input_file, catalog), hrefs))


def _input_file(catalog: Catalog, href: str) -> InputFile:
    location = catalog.absolute_href(href).removeprefix("file://")
    path = Path(location)
    if "://" in location or not path.is_file():
        return InputFile(href=href, size_bytes=None, sha256=None)
    return InputFile(href=href, size_bytes=path.stat().st_size, sha256=raster_sha256(path))
