"""The extract task: one acquisition and all samples cut from it, from pixels to a staging file. Runs in a worker."""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import shapely

from landmark.captions.annotate import Annotator, ImageInfo, annotate_sample, distant_event
from landmark.core.crs import LONLAT, reproject, split_antimeridian
from landmark.core.errors import LandmarkError
from landmark.core.garbage import rare_collections
from landmark.core.ranges.answers import Validators
from landmark.corpus.shard_schema import staging_schema
from landmark.domain.acquisition import Acquisition
from landmark.domain.drops import DropRecord, TaskCounts
from landmark.domain.schemas import group_edges
from landmark.extract.chips import extract_chips
from landmark.extract.request import Chip, ExtractRequest
from landmark.labels.cell_rows import CellRows
from landmark.labels.label_rules import CellLabels
from landmark.raster.versions import recording_versions
from landmark.workflow.context import BuildContext
from landmark.workflow.lock import Plan
from landmark.write.staging import Staging, write_staging

log = logging.getLogger(__name__)

# A task whose files change while they are read is read so often; then all its samples fail.
_MAX_READS = 3
# Columns of the plan that a sample keeps.
_PLAN_COLUMNS = ("id", "sensor", "cell", "majortom", "split", "role", "epsg", "lon", "lat", "pair", "pair_gap_s")


@dataclass(frozen=True, slots=True)
class ExtractTask:
    """One acquisition's rows of the plan, the label counts of their cells, and the staging file to write."""

    request: ExtractRequest
    rows: pa.Table
    label_counts: pa.Table
    annotator: Annotator
    target: Path


class _ChangedFile(Exception):
    """A file of the task was replaced while it was read."""


def extract_tasks(
    pending: pa.Table,
    plan: Plan,
    context: BuildContext,
    staging: Staging,
    expected: Mapping[str, tuple[Validators, ...]] = MappingProxyType({}),
) -> Iterator[ExtractTask]:
    """Yield one task per acquisition of the pending rows of a plan, sorted by acquisition, each made on demand.

    Args:
        pending: Rows of the plan.
        plan: The plan.
        context: The recipe and what it names.
        staging: Where the tasks write.
        expected: Href → the versions it may have; other files may have any.
    """
    acquisitions, annotator = plan.lock.acquisitions_by_id, context.annotator(plan.lock)
    attempts, counts = staging.tries(), CellRows(plan.label_counts)
    ordered = pending.sort_by([("acquisition", "ascending"), ("id", "ascending")])
    for start, end in pairwise(group_edges(ordered["acquisition"]).tolist()):
        # A slice would send the complete plan to the worker.
        rows = ordered.take(pa.array(range(start, end)))
        acquisition = acquisitions[rows["acquisition"][0].as_py()]
        yield ExtractTask(
            _request(acquisition, rows, context, expected),
            rows,
            counts.select(rows["cell"].to_pylist()),
            annotator,
            staging.path(acquisition.id, attempts[acquisition.id]),
        )


def _request(
    acquisition: Acquisition, rows: pa.Table, context: BuildContext, expected: Mapping[str, tuple[Validators, ...]]
) -> ExtractRequest:
    recipe = context.recipe
    hrefs = {href for item in acquisition.items for href in item.assets.values()}
    return ExtractRequest(
        acquisition=acquisition,
        ids=tuple(rows["id"].to_pylist()),
        corners=tuple(zip(rows["x"].to_pylist(), rows["y"].to_pylist(), strict=True)),
        root=context.catalog.root,
        access=context.access,
        sensor=context.sensors[acquisition.sensor],
        collection=context.imagery(acquisition.sensor),
        patch_px=recipe.patch_px,
        resolution_m=recipe.resolution_m,
        max_chip_pct=recipe.clouds.max_chip_pct,
        min_valid_pct=recipe.min_valid_pct,
        epsgs=tuple(rows["epsg"].to_pylist()),
        expected={href: expected[href] for href in sorted(hrefs & expected.keys())},
    )


@rare_collections()
def run(task: ExtractTask) -> TaskCounts:
    """Extract, annotate and stage every sample of a task; the staging file is written atomically.

    If a file is replaced meanwhile, all files are read again, so that no task mixes two versions of one. An unexpected
    error fails the samples of this task only. Disk errors and `LandmarkError`s end the build.
    """
    schema = staging_schema(task.request.sensor, task.request.patch_px)
    try:
        for _ in range(_MAX_READS):
            routes = Counter[str]()
            try:
                with recording_versions() as versions:
                    records = write_staging(task.target, _samples(task, routes), schema, versions)
                return _count(records, routes)
            except _ChangedFile as error:
                problem = str(error)
                log.warning("%s: %s", task.request.acquisition.id, problem)
        return fail(task, "changed", problem)
    except (OSError, LandmarkError):
        raise
    except Exception as error:
        log.exception("%s", task.request.acquisition.id)
        return fail(task, "task_error", type(error).__name__)


def fail(task: ExtractTask, reason: str, detail: str) -> TaskCounts:
    """Stage a failure for every sample of a task."""
    acquisition = task.request.acquisition.id
    schema = staging_schema(task.request.sensor, task.request.patch_px)
    records = [DropRecord(id, acquisition, "extract", reason, detail) for id in task.request.ids]
    return _count(write_staging(task.target, records, schema), Counter())


def _count(records: Sequence[DropRecord | None], routes: Counter[str]) -> TaskCounts:
    """Count drop records; None is a written sample."""
    dropped = Counter(record.reason for record in records if record is not None and record.final)
    failed = Counter(record.reason for record in records if record is not None and not record.final)
    return TaskCounts(records.count(None), dropped, failed, routes)


def _samples(task: ExtractTask, routes: Counter[str]) -> Iterator[dict[str, Any] | DropRecord]:
    cell_labels = task.annotator.fold_counts(task.label_counts)
    outlines = _outlines(task.rows, task.request.patch_px * task.request.resolution_m)
    plan_rows = {
        row["id"]: {**row, "geometry": outline} for row, outline in zip(task.rows.to_pylist(), outlines, strict=True)
    }
    with closing(extract_chips(task.request, routes)) as results:
        for result in results:
            if isinstance(result, Chip):
                row = plan_rows[result.id]
                yield _sample(task, result, row, cell_labels.get(row["cell"], row["period"]))
            elif result.reason == "changed":
                raise _ChangedFile(result.detail)
            else:
                yield result


def _sample(task: ExtractTask, chip: Chip, row: Mapping[str, Any], labels: CellLabels) -> dict[str, Any]:
    request, acquisition = task.request, task.request.acquisition
    image = ImageInfo(chip.id, acquisition.sensor, acquisition.datetime, row["lon"], row["lat"], distant_event(row))
    return {
        **{name: row[name] for name in _PLAN_COLUMNS},
        "datetime": acquisition.datetime,
        "transform": [request.resolution_m, 0.0, row["x"], 0.0, -request.resolution_m, row["y"]],
        "geometry": row["geometry"],
        "platform": acquisition.platform,
        "orbit_direction": acquisition.orbit_direction,
        "relative_orbit": acquisition.relative_orbit,
        "baseline": acquisition.baseline,
        "product": request.collection.product,
        "items": [item.id for item in acquisition.items],
        "offset_rule": acquisition.offset_rule,
        "dark_dn": chip.dark_dn,
        "valid_pct": chip.valid_pct,
        "cloud_pct": chip.cloud_pct,
        "shadow_pct": chip.shadow_pct,
        "snow_pct": chip.snow_pct,
        **annotate_sample(image, labels, task.annotator),
        "sha256": chip.sha256,
        **chip.groups,
    }


def _outlines(rows: pa.Table, cell_m: float) -> list[bytes]:
    """Each row's square as WKB in EPSG:4326, in two parts where it crosses the antimeridian."""
    epsg, left, top = (rows[name].to_numpy() for name in ("epsg", "x", "y"))
    squares = shapely.box(left, top - cell_m, left + cell_m, top)
    for zone in np.unique(epsg).tolist():
        squares[epsg == zone] = reproject(squares[epsg == zone], zone, LONLAT)
    return list(shapely.to_wkb([split_antimeridian(square) for square in squares]))
