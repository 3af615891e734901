"""Cells and acquisitions → one row a sample: acquisition, pair and shard."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from landmark.config.profiles import Mask, Sensor
from landmark.config.recipe import SPLITS, Recipe
from landmark.core.errors import NoCoverage
from landmark.core.hashing import ranks
from landmark.core.salts import ROW, SHARD
from landmark.domain.drops import ledger, left_out
from landmark.domain.schemas import CLEAR, PLAN
from landmark.labels.label_rules import Folded, Meaning
from landmark.plan.candidates import Choices
from landmark.plan.clearest import Seen, choose, clouded, kept_clear, seen
from landmark.plan.distance import closest_m
from landmark.plan.event_sampling import cast, parts_of, shown_events
from landmark.plan.sample import Sampled, first_cells

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
    facts: Folded | None,
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
    lost = [left_out(sampled.buffered, "buffer")]
    looked = seen(choices, CLEAR.empty_table() if clear is None else clear, _mask(sensors))
    if recipe.around_events is not None:
        chosen = cast(choices, looked, recipe, lost)
        kept = first_cells(choices.cells, np.unique(choices.cell[chosen]), recipe)
        chosen = chosen[np.isin(choices.cell[chosen], kept)]
    else:
        chosen = _one_a_slot(choices, looked, recipe, lost)
        lost += _missing(choices, recipe)
    if facts is not None:
        chosen = _labelled(chosen, choices, facts, label_gaps, lost, meaning)
    told = ledger(lost)
    if not len(chosen):
        raise NoCoverage(f"{recipe.name}: no cell of the region has both an image and a label: {_why(told)}")
    plan = _plan_table(chosen, choices, recipe, sensors)
    planned = len(np.unique(choices.cell[chosen]))
    considered = {**sampled.considered, "without_sample": sampled.cells.num_rows - planned, "planned": planned}
    proof = _proof(chosen, choices, recipe)
    if meaning is not None and meaning.happenings is not None:
        proof["events"] = shown_events(meaning.happenings, plan, recipe)
    return Drawn(plan, told, considered, proof)


_Rows = NDArray[np.int64]


def _one_a_slot(choices: Choices, looked: Seen, recipe: Recipe, lost: list[pa.Table]) -> _Rows:
    chosen = np.empty(0, dtype=np.int64)
    # Sentinel-2 first, for its clouds; Sentinel-1 sees through them and comes as near in time as it can.
    for sensor in sorted(recipe.sensors, reverse=True):
        chosen = np.concatenate([chosen, choose(choices, sensor, looked, chosen, recipe)])
    kept = kept_clear(looked, chosen, recipe)
    lost.append(clouded(choices, looked, chosen[~kept]))
    return chosen[kept]


def _mask(sensors: Mapping[str, Sensor]) -> Mask | None:
    return next((sensor.mask for sensor in sensors.values() if sensor.mask is not None), None)


def _labelled(
    chosen: _Rows,
    choices: Choices,
    facts: Folded,
    label_gaps: Mapping[tuple[str, str], int],
    lost: list[pa.Table],
    meaning: Meaning | None,
) -> _Rows:
    """The chosen of which a label says something, or an event does."""
    period = np.searchsorted(choices.names, choices.periods)[choices.acquisition[chosen]]
    stretch, at = np.unique(choices.cell[chosen] * len(choices.names) + period, return_inverse=True)
    cell, period = np.divmod(stretch, len(choices.names))
    names = choices.cells["cell"].take(pa.array(cell))
    keys = list(zip(names.to_pylist(), (choices.names[number] for number in period.tolist()), strict=True))
    classed, labelled = facts.labelled(keys)
    kept = labelled[at]
    if meaning is not None and meaning.happenings is not None:
        for place in np.flatnonzero(~kept).tolist():
            moment = choices.acquisitions[choices.acquisition[chosen[place]]].moment
            kept[place] = meaning.event_labels(facts[keys[at[place]]], moment)
    refused = np.unique(at[~kept])
    days = [label_gaps.get(keys[place]) for place in refused.tolist()]
    lost += _unlabelled(
        names.take(pa.array(refused)), [keys[place][1] for place in refused.tolist()], classed[refused], days
    )
    return chosen[kept]


def _unlabelled(
    cells: pa.ChunkedArray, periods: Sequence[str], classed: NDArray[np.bool_], days: Sequence[int | None]
) -> list[pa.Table]:
    """What the ledger says of cells in periods of which no label says anything."""
    dated = np.array([gap is not None for gap in days], dtype=bool)
    gaps = [period if gap is None else f"{period}: {gap} days" for period, gap in zip(periods, days, strict=True)]
    kinds = (
        ("unlabelled", classed, periods),
        ("label_gap", dated & ~classed, gaps),
        ("no_labels", ~dated & ~classed, periods),
    )
    return [
        left_out(cells.filter(pa.array(some)), reason, pa.array(told, pa.string()).filter(pa.array(some)))
        for reason, some, told in kinds
    ]


def _missing(choices: Choices, recipe: Recipe) -> list[pa.Table]:
    """What the ledger says of sampled cells for which a sensor has no acquisition in a slot that others have."""
    missing = []
    for sensor in recipe.sensors:
        mine = choices.of(sensor)
        offered = np.zeros((choices.cells.num_rows, len(choices.slots)), dtype=bool)
        offered[choices.cell[mine], choices.slot[mine]] = True
        cell, slot = np.nonzero(~offered)
        details = pa.array([f"{sensor} {name}" for name in choices.slots], pa.string()).take(pa.array(slot))
        missing.append(left_out(choices.cells["cell"].take(pa.array(cell)), "no_acquisition", details))
    return missing


def _plan_table(chosen: _Rows, choices: Choices, recipe: Recipe, sensors: Mapping[str, Sensor]) -> pa.Table:
    of = choices.acquisition[chosen]
    taken, forms = (
        choices.cells.take(pa.array(choices.cell[chosen])),
        [one.sample_id("{}") for one in choices.acquisitions],
    )
    ids = [forms[number].format(cell) for cell, number in zip(taken["cell"].to_pylist(), of.tolist(), strict=True)]
    pair, gap_s = _pairs(chosen, choices, recipe)
    alone = pair < 0
    events, roles = parts_of(choices, chosen) if recipe.around_events is not None else ([None] * len(ids),) * 2
    columns = {
        "id": ids,
        "sensor": pa.array([one.sensor for one in choices.acquisitions]).take(pa.array(of)),
        "cell": taken["cell"],
        "acquisition": pa.array([one.id for one in choices.acquisitions]).take(pa.array(of)),
        "period": pa.array(choices.periods).take(pa.array(of)),
        "split": taken["split"],
        "shard": _shards(chosen, choices, recipe, sensors),
        "rank": ranks(recipe.sampling.seed, ROW, ids),
        "pair": pa.array(ids).take(pa.array(pair, mask=alone)),
        "pair_gap_s": pa.array(gap_s, mask=alone),
        "role": roles,
        "event": events,
        **{name: taken[name] for name in ("epsg", "x", "y", "lon", "lat", "majortom", "block")},
    }
    return pa.table(columns, schema=PLAN).sort_by("id")


def _pairs(chosen: _Rows, choices: Choices, recipe: Recipe) -> tuple[_Rows, _Rows]:
    """For each chosen the place of the other sensor's nearest in time in its cell, and own minus its time in seconds.

    -1 where there is none within the limit.
    """
    cell, acquisition = choices.cell[chosen], choices.acquisition[chosen]
    moment = choices.moments[acquisition]
    optical = np.array([one.sensor == "s2" for one in choices.acquisitions], dtype=bool)[acquisition]
    pair = np.full(len(chosen), -1)
    for side in (optical, ~optical):
        mine, others = np.flatnonzero(side), np.flatnonzero(~side)
        if len(mine) and len(others):
            pair[mine] = _nearest(mine, others, cell, moment)
    gap_s = moment - moment[pair]
    pair[np.abs(gap_s) > recipe.max_pair_gap_days * _DAY_S] = -1
    return pair, gap_s


def _nearest(mine: _Rows, others: _Rows, cell: _Rows, moment: _Rows) -> _Rows:
    """For each of mine the nearest in time of the others in its cell, of two as near the first; -1 if there is none."""
    since = moment - moment.min()
    # One number per cell and moment, so that those of a cell lie side by side.
    when = cell * (since.max() + 1) + since
    others = others[np.argsort(when[others], kind="stable")]
    after = np.minimum(np.searchsorted(when[others], when[mine]), len(others) - 1)
    # Of all that share the moment just before, the first.
    before = np.searchsorted(when[others], when[others[after - 1]])
    one, other = others[before], others[after]
    far = np.iinfo(np.int64).max
    gaps = [np.where(cell[each] == cell[mine], np.abs(moment[each] - moment[mine]), far) for each in (one, other)]
    nearest = np.where((gaps[1] < gaps[0]) | ((gaps[1] == gaps[0]) & (other < one)), other, one)
    return np.where(np.minimum(*gaps) < far, nearest, -1)


def _shards(chosen: _Rows, choices: Choices, recipe: Recipe, sensors: Mapping[str, Sensor]) -> NDArray[np.int32]:
    """Shard number of each chosen.

    Cells of a split ranked by hash, cut at equal bytes, so shard k of both sensors holds the same cells.
    """
    cell, acquisition = choices.cell[chosen], choices.acquisition[chosen]
    sensor = np.array([one.sensor for one in choices.acquisitions])[acquisition]
    sizes = [sensors[one.sensor].sample_bytes(recipe.patch_px) for one in choices.acquisitions]
    weight = np.array(sizes, dtype=np.float64)[acquisition]
    split = pc.index_in(choices.cells["split"], pa.array(SPLITS)).to_numpy()
    place = ranks(recipe.sampling.seed, SHARD, choices.cells["cell"].to_pylist())
    shard = np.zeros(len(cell), dtype=np.int32)
    for number in range(len(SPLITS)):
        rows = np.flatnonzero(split[cell] == number)
        if not len(rows):
            continue
        heaviest = max(weight[rows][sensor[rows] == one].sum() for one in recipe.sensors)
        cells, inverse = np.unique(cell[rows], return_inverse=True)
        count = min(len(cells), max(1, math.ceil(heaviest / (recipe.output.shard_mb * 1e6))))
        bytes_of = np.bincount(inverse, weights=weight[rows])
        order = np.argsort(place[cells], kind="stable")
        before = np.empty(len(cells))
        before[order] = np.cumsum(bytes_of[order]) - bytes_of[order]
        shard[rows] = np.floor(before / bytes_of.sum() * count).astype(np.int32)[inverse]
    return shard


def _proof(chosen: _Rows, choices: Choices, recipe: Recipe) -> dict[str, Any]:
    """What shows that no split leaks into another, measured on the planned cells."""
    rows, at = np.unique(choices.cell[chosen], return_inverse=True)
    cells = choices.cells.take(pa.array(rows))
    split = pc.index_in(cells["split"], pa.array(SPLITS)).to_numpy()
    block = cells["block"].combine_chunks().dictionary_encode().indices.to_numpy()
    gap = closest_m(cells, split, cell_m=recipe.cell_m)
    return {
        "buffer_m": recipe.splits.buffer_m,
        "closest_m": None if gap is None else round(gap, 1),
        "cells": dict(zip(SPLITS, np.bincount(split, minlength=len(SPLITS)).tolist(), strict=True)),
        "shared_blocks": _shared(block, split),
        "shared_acquisitions": _shared(choices.acquisition[chosen], split[at]),
    }


def _shared(things: _Rows, split: _Rows) -> int:
    """How many things are in several splits."""
    once = np.unique(things.astype(np.int64) * len(SPLITS) + split)
    return int((np.bincount(once // len(SPLITS)) > 1).sum())


def _why(told: pa.Table) -> str:
    counts = sorted(Counter(told["reason"].to_pylist()).items())
    return ", ".join(f"{reason} {count}" for reason, count in counts) or "no cell lies whole inside a raster"
