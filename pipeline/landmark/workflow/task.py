"""One unit of work: one acquisition and all samples cut from it, from pixels to a staging file. Runs in a worker."""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from landmark.captions.annotate import Image, Wording, wording_of, words
from landmark.core.crs import LONLAT, projected, unwrapped
from landmark.core.errors import LandmarkError
from landmark.domain.acquisition import Acquisition
from landmark.domain.drops import DropRecord, Tally
from landmark.domain.schemas import runs, staging_schema
from landmark.extract.chips import cut
from landmark.extract.request import Chip, Cut
from landmark.labels.label_rules import Fractions
from landmark.workflow.context import Setting
from landmark.workflow.lock import Planned
from landmark.write.staging import Staging, write_staging

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Unit:
    """One acquisition's rows of the plan, their cover, and where the outcome goes."""

    cut: Cut
    rows: pa.Table
    cover: pa.Table
    wording: Wording
    target: Path


def units(pending: pa.Table, planned: Planned, setting: Setting, staging: Staging) -> Iterator[Unit]:
    """One unit per acquisition of the pending rows of a plan, in the order of their ids, made as they are asked for."""
    acquisitions, wording, tries = planned.lock.read_acquisitions(), wording_of(planned, setting), staging.tries()
    cover_rows = rows_by_cell(planned.cover)
    ordered = pending.sort_by([("acquisition", "ascending"), ("id", "ascending")])
    for start, end in pairwise(runs(ordered["acquisition"]).tolist()):
        # A slice would take the whole plan along to the worker.
        rows, one = ordered.take(pa.array(range(start, end))), acquisitions[ordered["acquisition"][start].as_py()]
        touched = [cover_rows[cell] for cell in sorted(set(rows["cell"].to_pylist())) if cell in cover_rows]
        cover = planned.cover.take(np.concatenate([np.empty(0, np.int64), *touched]))
        yield Unit(_cut(one, rows, setting), rows, cover, wording, staging.path(one.id, tries[one.id]))


def rows_by_cell(cover: pa.Table) -> dict[str, NDArray[np.int64]]:
    """Row numbers of each cell of a cover table, which is sorted by cell."""
    edges = runs(cover["cell"])
    cells = cover["cell"].take(pa.array(edges[:-1])).to_pylist()
    return {cell: np.arange(start, end) for cell, (start, end) in zip(cells, pairwise(edges.tolist()), strict=True)}


def _cut(one: Acquisition, rows: pa.Table, setting: Setting) -> Cut:
    recipe = setting.recipe
    return Cut(
        acquisition=one,
        ids=tuple(rows["id"].to_pylist()),
        corners=tuple(zip(rows["x"].to_pylist(), rows["y"].to_pylist(), strict=True)),
        root=setting.document.root,
        access=setting.access,
        sensor=setting.sensors[one.sensor],
        imagery=setting.imagery(one.sensor),
        patch_px=recipe.patch_px,
        resolution_m=recipe.resolution_m,
        max_chip_pct=recipe.clouds.max_chip_pct,
        min_valid_pct=recipe.min_valid_pct,
        epsgs=tuple(rows["epsg"].to_pylist()),
    )


def carry_out(unit: Unit) -> Tally:
    """Cut, describe and stage every sample of a unit; the staging file appears whole or not at all.

    An error nobody foresaw fails the samples of this unit, not the build; a disk that fails and a refusal end it.
    """
    schema = staging_schema(unit.cut.sensor, unit.cut.patch_px)
    try:
        routes = Counter[str]()
        return tally(write_staging(unit.target, _samples(unit, routes), schema), routes)
    except (OSError, LandmarkError):
        raise
    except Exception as error:
        log.exception("%s", unit.cut.acquisition.id)
        return give_up(unit, "unit_error", type(error).__name__)


def give_up(unit: Unit, reason: str, detail: str) -> Tally:
    """Stage a failure for every sample of a unit."""
    name, schema = unit.cut.acquisition.id, staging_schema(unit.cut.sensor, unit.cut.patch_px)
    rows = [DropRecord(id, name, "imagery", reason, detail) for id in unit.cut.ids]
    return tally(write_staging(unit.target, rows, schema))


def tally(outcomes: list[DropRecord | None], routes: Counter[str] | None = None) -> Tally:
    """Count outcomes; None is a written sample."""
    lost = [outcome for outcome in outcomes if outcome is not None]
    dropped = Counter(outcome.reason for outcome in lost if outcome.final)
    failed = Counter(outcome.reason for outcome in lost if not outcome.final)
    return Tally(len(outcomes) - len(lost), dropped, failed, routes or Counter())


def _samples(unit: Unit, routes: Counter[str]) -> Iterator[dict[str, Any] | DropRecord]:
    facts = unit.wording.facts(unit.cover)
    planned = {row["id"]: row for row in unit.rows.to_pylist()}
    for result in cut(unit.cut, routes):
        if isinstance(result, DropRecord):
            yield result
        else:
            row = planned[result.id]
            yield _row(unit, result, row, facts.of(row["cell"], row["period"]))


def _row(unit: Unit, chip: Chip, row: Mapping[str, Any], facts: Fractions) -> dict[str, Any]:
    one, cell_m = unit.cut.acquisition, unit.cut.patch_px * unit.cut.resolution_m
    far_from = row["event"] if row["role"] == "far" else None
    image = Image(chip.id, one.sensor, one.moment, row["lon"], row["lat"], far_from)
    planned = ("id", "sensor", "cell", "majortom", "split", "role", "epsg", "lon", "lat", "pair", "pair_gap_s")
    return {
        **{name: row[name] for name in planned},
        "datetime": one.moment,
        "transform": [unit.cut.resolution_m, 0.0, row["x"], 0.0, -unit.cut.resolution_m, row["y"]],
        "geometry": _outline(row["epsg"], row["x"], row["y"], cell_m),
        "platform": one.platform,
        "orbit_direction": one.orbit_direction,
        "relative_orbit": one.relative_orbit,
        "baseline": one.baseline,
        "product": unit.cut.imagery.product,
        "items": [item.id for item in one.items],
        "offset_rule": one.offset_rule,
        "dark_dn": chip.dark_dn,
        "valid_pct": chip.valid_pct,
        "cloud_pct": chip.cloud_pct,
        "shadow_pct": chip.shadow_pct,
        "snow_pct": chip.snow_pct,
        **words(image, facts, unit.wording),
        "sha256": chip.sha256,
        **{column: group.tobytes() for column, group in chip.groups.items()},
    }


def _outline(epsg: int, x: float, y: float, cell_m: float) -> bytes:
    """The cell's square as WKB in EPSG:4326, in two parts where it crosses the antimeridian."""
    square = shapely.box(x, y - cell_m, x + cell_m, y)
    return bytes(shapely.to_wkb(unwrapped(projected(square, epsg, LONLAT))))
