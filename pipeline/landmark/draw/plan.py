"""Cells and acquisitions → one row a sample: acquisition, pair and shard."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from landmark.base.errors import NoCoverage
from landmark.base.hashing import ranks
from landmark.base.meaning import Fractions, Meaning
from landmark.base.outcomes import Outcome, ledger_table
from landmark.base.profiles import Mask, Sensor
from landmark.base.recipe import SPLITS, Recipe
from landmark.base.schemas import CLEAR, PLAN
from landmark.draw.around import cast, parts_of, shown_events
from landmark.draw.choosing import Choices, Seen, choose, clouded, kept_clear, seen
from landmark.draw.distance import closest_m
from landmark.draw.sample import Sampled, first_cells

_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Drawn:
    """The plan, the cells it leaves out (LEDGER rows of stage `draw`), what was considered, and the splits' proof."""

    plan: pa.Table
    left_out: pa.Table
    considered: dict[str, int]
    proof: dict[str, Any]


def draw(
    sampled: Sampled,
    choices: Choices,
    recipe: Recipe,
    *,
    facts: Mapping[tuple[str, str], Fractions] | None,
    sensors: Mapping[str, Sensor],
    clear: pa.Table | None = None,
    label_gaps: Mapping[tuple[str, str], int] = MappingProxyType({}),
    meaning: Meaning | None = None,
) -> Drawn:
    """One sample per cell, slot and sensor, of the clearest Sentinel-2 and of the Sentinel-1 nearest to it in time.

    `facts` holds what labels and events say per (cell, period), None where the recipe has neither; `clear` what the
    masks of the shortlist show (CLEAR); `label_gaps` the days to the nearest labels where all are farther than the
    recipe takes. Where the recipe goes round events, `choices` are those of `around`.

    Raises:
        NoCoverage: no cell has both an image and a label.
    """
    left_out = [Outcome(cell, "", "draw", "buffer", "") for cell in sampled.buffered]
    looked = seen(choices, CLEAR.empty_table() if clear is None else clear, _mask(sensors))
    if recipe.around_events is not None:
        chosen = cast(choices, looked, recipe, left_out)
        kept = first_cells(choices.cells, np.unique(choices.cell[chosen]), recipe)
        chosen = chosen[np.isin(choices.cell[chosen], kept)]
    else:
        chosen = _one_a_slot(choices, looked, recipe, left_out)
        left_out += _missing(choices, recipe)
    if facts is not None:
        chosen = _labelled(chosen, choices, facts, label_gaps, left_out, meaning)
    if not len(chosen):
        raise NoCoverage(f"{recipe.name}: no cell of the region has both an image and a label: {_why(left_out)}")
    plan = _plan_table(chosen, choices, recipe, sensors)
    planned = len(set(plan["cell"].to_pylist()))
    considered = {**sampled.considered, "without_sample": sampled.cells.num_rows - planned, "planned": planned}
    proof = _proof(plan, recipe)
    if meaning is not None and meaning.happenings is not None:
        proof["events"] = shown_events(meaning.happenings, plan, recipe)
    return Drawn(plan, ledger_table(left_out), considered, proof)


_Rows = NDArray[np.int64]


def _one_a_slot(choices: Choices, looked: Seen, recipe: Recipe, left_out: list[Outcome]) -> _Rows:
    chosen = np.empty(0, dtype=np.int64)
    # Sentinel-2 first, for its clouds; Sentinel-1 sees through them and comes as near in time as it can.
    for sensor in sorted(recipe.sensors, reverse=True):
        chosen = np.concatenate([chosen, choose(choices, sensor, looked, chosen, recipe)])
    kept = kept_clear(looked, chosen, recipe)
    left_out += clouded(choices, looked, chosen[~kept])
    return chosen[kept]


def _mask(sensors: Mapping[str, Sensor]) -> Mask | None:
    return next((sensor.mask for sensor in sensors.values() if sensor.mask is not None), None)


def _labelled(
    chosen: _Rows,
    choices: Choices,
    facts: Mapping[tuple[str, str], Fractions],
    label_gaps: Mapping[tuple[str, str], int],
    left_out: list[Outcome],
    meaning: Meaning | None,
) -> _Rows:
    """The chosen of which a label says something, or an event does."""
    cells, kept = choices.cells["cell"].to_pylist(), []
    refused: dict[tuple[str, str], Outcome] = {}
    for row, cell, acquisition in _each(chosen, choices):
        period = choices.periods[acquisition]
        said = facts[cells[cell], period]
        if said.labels or (meaning and meaning.event_labels(said, choices.acquisitions[acquisition].moment)):
            kept.append(row)
        else:
            days = label_gaps.get((cells[cell], period))
            refused[cells[cell], period] = _unlabelled(cells[cell], period, said, days)
    left_out += [refused[key] for key in sorted(refused)]
    return np.array(kept, dtype=np.int64)


def _each(chosen: _Rows, choices: Choices) -> Iterator[tuple[int, int, int]]:
    """(row, cell, acquisition) of each chosen."""
    return zip(chosen.tolist(), choices.cell[chosen].tolist(), choices.acquisition[chosen].tolist(), strict=True)


def _unlabelled(cell: str, period: str, said: Fractions, gap_days: int | None) -> Outcome:
    if said.label_valid_pct:
        return Outcome(cell, "", "draw", "unlabelled", period)
    if gap_days is not None:
        return Outcome(cell, "", "draw", "label_gap", f"{period}: {gap_days} days")
    return Outcome(cell, "", "draw", "no_labels", period)


def _missing(choices: Choices, recipe: Recipe) -> list[Outcome]:
    """Sampled cells for which a sensor has no acquisition in a slot that others have."""
    missing = []
    for sensor in recipe.sensors:
        mine = choices.of(sensor)
        offered = np.zeros((choices.cells.num_rows, len(choices.slots)), dtype=bool)
        offered[choices.cell[mine], choices.slot[mine]] = True
        for cell, slot in np.argwhere(~offered).tolist():
            name = choices.cells["cell"][cell].as_py()
            missing.append(Outcome(name, "", "draw", "no_acquisition", f"{sensor} {choices.slots[slot]}"))
    return missing


def _plan_table(chosen: _Rows, choices: Choices, recipe: Recipe, sensors: Mapping[str, Sensor]) -> pa.Table:
    cell, acquisition = choices.cell[chosen], choices.acquisition[chosen]
    names = choices.cells["cell"].to_pylist()
    ids = [choices.acquisitions[a].sample_id(names[c]) for _, c, a in _each(chosen, choices)]
    pair, gap_s = _pairs(cell, acquisition, choices, recipe)
    events, roles = parts_of(choices, chosen) if recipe.around_events is not None else ([None] * len(ids),) * 2
    taken = choices.cells.take(cell)
    columns = {
        "id": ids,
        "sensor": [choices.acquisitions[a].sensor for a in acquisition],
        "cell": taken["cell"],
        "acquisition": [choices.acquisitions[a].id for a in acquisition],
        "period": [choices.periods[a] for a in acquisition],
        "split": taken["split"],
        "shard": _shards(cell, acquisition, choices, recipe, sensors),
        "rank": ranks(recipe.sampling.seed, "row", ids),
        "pair": [ids[other] if other >= 0 else None for other in pair],
        "pair_gap_s": [gap if other >= 0 else None for other, gap in zip(pair, gap_s, strict=True)],
        "role": roles,
        "event": events,
        **{name: taken[name] for name in ("epsg", "x", "y", "lon", "lat", "majortom", "block")},
    }
    return pa.table(columns, schema=PLAN).sort_by("id")


def _pairs(
    cell: NDArray[np.int64], acquisition: NDArray[np.int64], choices: Choices, recipe: Recipe
) -> tuple[list[int], list[int]]:
    """For each row the row of the other sensor nearest in time in the same cell, and own minus its time in seconds.

    -1 where there is none within the limit.
    """
    pair, gap_s = [-1] * len(cell), [0] * len(cell)
    by_cell: dict[int, list[int]] = {}
    for row, number in enumerate(cell.tolist()):
        by_cell.setdefault(number, []).append(row)
    for together in by_cell.values():
        for row in together:
            mine = choices.acquisitions[acquisition[row]]
            others = [o for o in together if choices.acquisitions[acquisition[o]].sensor != mine.sensor]
            gaps = {o: int(choices.moments[acquisition[row]] - choices.moments[acquisition[o]]) for o in others}
            nearest = min(gaps, key=lambda o: (abs(gaps[o]), o), default=-1)
            if nearest >= 0 and abs(gaps[nearest]) <= recipe.max_pair_gap_days * _DAY_S:
                pair[row], gap_s[row] = nearest, gaps[nearest]
    return pair, gap_s


def _shards(
    cell: NDArray[np.int64],
    acquisition: NDArray[np.int64],
    choices: Choices,
    recipe: Recipe,
    sensors: Mapping[str, Sensor],
) -> NDArray[np.int32]:
    """Shard number of each row.

    Cells of a split ranked by hash, cut at equal bytes, so shard k of both sensors holds the same cells.
    """
    sensor = [choices.acquisitions[a].sensor for a in acquisition]
    weight = np.array([sensors[name].sample_bytes(recipe.patch_px) for name in sensor], dtype=np.float64)
    split = np.array(choices.cells["split"].to_pylist())
    place = ranks(recipe.sampling.seed, "shard", choices.cells["cell"].to_pylist())
    shard = np.zeros(len(cell), dtype=np.int32)
    for name in SPLITS:
        rows = np.flatnonzero(split[cell] == name)
        if not len(rows):
            continue
        heaviest = max(weight[rows][np.array(sensor)[rows] == one].sum() for one in recipe.sensors)
        cells, inverse = np.unique(cell[rows], return_inverse=True)
        count = min(len(cells), max(1, math.ceil(heaviest / (recipe.output.shard_mb * 1e6))))
        bytes_of = np.bincount(inverse, weights=weight[rows])
        order = np.argsort(place[cells], kind="stable")
        before = np.empty(len(cells))
        before[order] = np.cumsum(bytes_of[order]) - bytes_of[order]
        shard[rows] = np.floor(before / bytes_of.sum() * count).astype(np.int32)[inverse]
    return shard


def _proof(plan: pa.Table, recipe: Recipe) -> dict[str, Any]:
    """What shows that no split leaks into another, measured on the planned cells."""
    cells = plan.group_by(["cell", "epsg", "x", "y", "lon", "lat", "split", "block"], use_threads=False).aggregate([])
    names = cells["split"].to_pylist()
    split_of: dict[str, set[str]] = {}
    for acquisition, name in zip(plan["acquisition"].to_pylist(), plan["split"].to_pylist(), strict=True):
        split_of.setdefault(acquisition, set()).add(name)
    gap = closest_m(cells, np.array([SPLITS.index(name) for name in names]), cell_m=recipe.cell_m)
    return {
        "buffer_m": recipe.splits.buffer_m,
        "closest_m": None if gap is None else round(gap, 1),
        "cells": {name: names.count(name) for name in SPLITS},
        "shared_blocks": len(set(zip(cells["block"].to_pylist(), names, strict=True)))
        - len(set(cells["block"].to_pylist())),
        "shared_acquisitions": sum(len(found) > 1 for found in split_of.values()),
    }


def _why(left_out: list[Outcome]) -> str:
    counts: dict[str, int] = {}
    for outcome in left_out:
        counts[outcome.reason] = counts.get(outcome.reason, 0) + 1
    return (
        ", ".join(f"{reason} {count}" for reason, count in sorted(counts.items()))
        or "no cell lies whole inside a raster"
    )
