"""Plan, cover and lock on disk: written once, read by every build, and compared with what stands there now."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from landmark.core.atomic import write_bytes, write_table
from landmark.core.errors import InputError, InputsChanged
from landmark.core.hashing import file_sha256
from landmark.corpus.manifest import EventFile, InputFile, LabelEditionRecord, LabelInput, Lock, read_document
from landmark.domain.acquisition import Acquisition, LabelRaster
from landmark.domain.event import Event
from landmark.domain.impact import EventCombination
from landmark.domain.schemas import EVENT_PARTS
from landmark.domain.taxonomy import LabelEdition
from landmark.labels.files import file_digest
from landmark.raster.vector import add_geo_metadata
from landmark.workflow.context import BuildContext, gazetteer_path

log = logging.getLogger(__name__)

_LIBRARIES = ("landmark", "numpy", "rasterio", "pyproj", "shapely", "pyarrow")


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan with all it rests on."""

    lock: Lock
    plan: pa.Table
    cover: pa.Table


def write_plan(
    corpus: Path,
    setting: BuildContext,
    *,
    plan: pa.Table,
    cover: pa.Table,
    clear: pa.Table,
    left_out: pa.Table,
    acquisitions: Mapping[str, Acquisition],
    labels: Iterable[LabelRaster],
    editions: Iterable[LabelEdition],
    events: Sequence[Event],
    marks: Sequence[EventCombination],
    considered: dict[str, int],
    proof: dict[str, Any],
    meaning: dict[str, Any],
    findings: list[str],
) -> Planned:
    """Write plan, cover, clear and the first rows of the ledger, then the lock that names them, which makes it one."""
    (corpus / "lock.json").unlink(missing_ok=True)
    used = [acquisitions[name] for name in sorted(set(plan["acquisition"].to_pylist()))]
    locked = [_label(raster) for raster in labels]
    hrefs = {href for one in used for item in one.items for href in item.assets.values()}
    tables = {"plan": plan, "cover": cover, "clear": clear, "ledger": left_out}
    if events:
        tables["events"] = _grounds(events)
    for name, table in tables.items():
        write_table(corpus / f"{name}.parquet", table)
    lock = Lock(
        recipe=setting.recipe.canonical(),
        recipe_digest=setting.recipe.digest,
        plan_sha256=file_sha256(corpus / "plan.parquet"),
        cover_sha256=file_sha256(corpus / "cover.parquet"),
        clear_sha256=file_sha256(corpus / "clear.parquet"),
        catalog=setting.catalog.id,
        acquisitions=[one.to_json() for one in used],
        labels=locked,
        editions=[_edition(vintage) for vintage in editions],
        events=[event.to_json() for event in events],
        event_files=_event_files(setting),
        places=places_of(setting),
        marks=list(marks),
        files=[_file(setting, href) for href in sorted(hrefs | {entry.href for entry in locked if not entry.local})],
        rules=setting.inputs_digest,
        considered=considered,
        proof=proof,
        meaning=meaning,
        findings=findings,
        libraries=_versions(),
    )
    write_bytes(corpus / "lock.json", lock.model_dump_json(indent=1).encode())
    return Planned(lock, plan, cover)


def read_plan(corpus: Path) -> Planned | None:
    """The plan of a corpus folder, None where there is none yet.

    Raises:
        InputsChanged: plan, cover or clear is not the one the lock names.
    """
    if not (corpus / "lock.json").is_file():
        return None
    lock: Lock = read_document(Lock, corpus / "lock.json")
    if not (corpus / "ledger.parquet").is_file():
        raise InputsChanged(f"{corpus / 'ledger.parquet'} is gone; delete {corpus / 'lock.json'} and plan again")
    expected_of = {f"{name}.parquet": getattr(lock, f"{name}_sha256") for name in ("plan", "cover", "clear")}
    for name, expected in expected_of.items():
        if not (corpus / name).is_file() or file_sha256(corpus / name) != expected:
            raise InputsChanged(
                f"{corpus / name} is not the file lock.json names; delete the folder's contents and plan again"
            )
    return Planned(lock, pq.read_table(corpus / "plan.parquet"), pq.read_table(corpus / "cover.parquet"))


def check_inputs(lock: Lock, setting: BuildContext) -> None:
    """Compare every input with the lock, as far as that needs no download.

    Raises:
        InputsChanged: naming the first input that differs.
    """
    if setting.catalog.id != lock.catalog:
        raise InputsChanged(f"the lock was made from catalogue {lock.catalog!r}, not {setting.catalog.id!r}")
    if setting.inputs_digest != lock.rules:
        raise InputsChanged(
            "a profile, taxonomy, crosswalk, threshold or caption template is not the locked one;"
            " put it back, or plan into a new --out"
        )
    _check_label_files(lock, setting)
    _check_event_files(lock, setting)
    if places_of(setting) != lock.places:
        raise InputsChanged("places: the gazetteer is not the locked file")
    unknown = 0
    for recorded in lock.files:
        found = _file(setting, recorded.href)
        unknown += found.sha256 is None or recorded.sha256 is None
        if recorded.sha256 is not None and found != recorded:
            raise InputsChanged(f"{setting.catalog.locate(recorded.href)} is not the locked file, or is gone")
    if unknown:
        log.warning("%d files of the archive give no digest without a download and were not compared", unknown)
    for name, locked in lock.libraries.items():
        if (now := _versions()[name]) != locked:
            log.warning("%s is %s, the lock says %s: the same content, perhaps other file bytes", name, now, locked)


def _check_label_files(lock: Lock, setting: BuildContext) -> None:
    """Compare the label maps on disk with the lock, found again by the recipe's word for where they lie."""
    given = {(name, path.name): path for name, one in setting.label_files.items() for path in one.files}
    for source, href, locked in sorted({(one.source, one.href, one.digest) for one in lock.labels if one.local}):
        path = given.get((source, href))
        if path is None:
            raise InputsChanged(
                f"labels: {source}: no file of the recipe or of --labels is called {href}, as in the lock"
            )
        if file_digest(path) != locked:
            raise InputsChanged(f"{path} is not the locked file")


def _check_event_files(lock: Lock, setting: BuildContext) -> None:
    now = _event_files(setting)
    if now != lock.event_files:
        one, other = ({(file.name, file.sha256) for file in files} for files in (now, lock.event_files))
        raise InputsChanged(f"events: {min(one ^ other)[0]} is not the locked file, or is new or gone")


def _event_files(setting: BuildContext) -> list[EventFile]:
    return [EventFile(name=path.name, sha256=file_sha256(path)) for path in setting.events.files]


def places_of(setting: BuildContext) -> EventFile | None:
    """The gazetteer's file as the lock names it.

    Raises:
        InputError: the file cannot be read.
    """
    if setting.recipe.gazetteer is None:
        return None
    path = gazetteer_path(setting.recipe.gazetteer)
    try:
        return EventFile(name=path.name, sha256=file_sha256(path))
    except OSError as error:
        raise InputError(
            f"places.file: {path} cannot be read: {error.strerror}; give the path of the gazetteer, as in"
            " --set places.file=PATH"
        ) from error


def _grounds(events: Sequence[Event]) -> pa.Table:
    """A row for each part of each event, for maps and for whoever asks what lay behind a share."""
    told = ("id", "group", "type", "source", "product", "start", "end", "observed", "magnitude")
    rows = [
        {**{name: getattr(event, name) for name in told}, "part": part.name, "geometry": shapely.to_wkb(part.geometry)}
        for event in events
        for part in event.parts
    ]
    return add_geo_metadata(pa.Table.from_pylist(rows, schema=EVENT_PARTS))


def _label(raster: LabelRaster) -> LabelInput:
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


def _edition(vintage: LabelEdition) -> LabelEditionRecord:
    return LabelEditionRecord(source=vintage.name, version=vintage.version, start=vintage.start, end=vintage.end)


def _file(setting: BuildContext, href: str) -> InputFile:
    place = setting.catalog.locate(href).removeprefix("file://")
    path = Path(place)
    if "://" in place or not path.is_file():
        return InputFile(href=href, size_bytes=None, sha256=None)
    return InputFile(href=href, size_bytes=path.stat().st_size, sha256=file_sha256(path))


def _versions() -> dict[str, str]:
    return {name: version(name) for name in _LIBRARIES}
