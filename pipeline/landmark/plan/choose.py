"""Choose acquisitions for the sampled cells: one plan row per sample, with its pair and shard."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from landmark.config.profiles import Sensor
from landmark.config.recipe import Recipe
from landmark.core.errors import NoCoverage
from landmark.core.hashing import ranks
from landmark.core.memory import release_memory
from landmark.core.salts import ROW
from landmark.domain.drops import merge_ledgers, skipped_cells
from landmark.domain.schemas import CLOUD_STATS, PLAN
from landmark.labels.label_rules import CellLabelTable, LabelRules
from landmark.plan.candidates import Candidates, Rows
from landmark.plan.clearest import AcquisitionRanking, match_cloud_stats
from landmark.plan.event_sampling import assign_roles, count_roles, events_and_roles
from landmark.plan.pairs import pair_samples
from landmark.plan.sample import CellSample, limit_rows
from landmark.plan.shards import assign_shards
from landmark.plan.splits import prove_splits


@dataclass(frozen=True, slots=True)
class LabelFacts:
    """Labels and events of the candidates' cells.

    Attributes:
        cell_labels: Per (cell, period); None for a recipe without labels.
        rules: Label rules with the recipe's events; None for a recipe without either.
        gap_days: (cell, period) -> days to the nearest label edition, where all are farther than the recipe allows.
    """

    cell_labels: CellLabelTable | None = None
    rules: LabelRules | None = None
    gap_days: Mapping[tuple[str, str], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PlanResult:
    """A plan.

    Attributes:
        plan: PLAN rows.
        drops: LEDGER rows of the cells left out, stage `plan`.
        cell_counts: Number of candidate cells, of those left out by reason, and of those planned.
        split_proof: Separation of the splits as `prove_splits` measures it, and cells per event and role.
    """

    plan: pa.Table
    drops: pa.Table
    cell_counts: dict[str, int]
    split_proof: dict[str, Any]


def choose_samples(
    sampled: CellSample,
    candidates: Candidates,
    recipe: Recipe,
    sensors: Mapping[str, Sensor],
    labels: LabelFacts,
    cloud_stats: pa.Table | None = None,
) -> PlanResult:
    """Choose a sample per cell, slot and sensor: the clearest Sentinel-2, and the Sentinel-1 nearest to it in time.

    Args:
        sampled: The sampled cells.
        candidates: Their candidates; with event sampling those of `sample_events`.
        recipe: The recipe.
        sensors: Profiles by name.
        labels: Labels and events; cells without either are left out of a recipe with labels.
        cloud_stats: CLOUD_STATS rows of the shortlisted acquisitions; names may be dictionaries.

    Raises:
        NoCoverage: no cell has both an acquisition and a label.
    """
    drops = [skipped_cells(sampled.buffered, "buffer")]
    mask = next((sensor.mask for sensor in sensors.values() if sensor.mask is not None), None)
    stats = CLOUD_STATS.empty_table() if cloud_stats is None else cloud_stats
    ranking = AcquisitionRanking(candidates, match_cloud_stats(candidates, stats, mask), recipe)
    release_memory()
    if recipe.event_sampling is not None:
        chosen, role_drops = assign_roles(ranking)
        drops += role_drops
        limited = limit_rows(candidates.cells, np.unique(candidates.cell[chosen]), recipe)
        chosen = chosen[np.isin(candidates.cell[chosen], limited)]
    else:
        chosen, cloud_drops = ranking.choose_all()
        drops += [cloud_drops, *_uncovered(candidates, recipe)]
    if labels.cell_labels is not None:
        chosen, label_drops = _keep_labelled(candidates, chosen, labels)
        drops += label_drops
    ledger = merge_ledgers(drops)
    if not len(chosen):
        raise NoCoverage(
            f"no cell has both an image and a label: {_count_reasons(ledger)}", file=recipe.name, key="region"
        )
    release_memory()
    plan = _plan_table(candidates, chosen, recipe, sensors)
    planned, sample_cell = np.unique(candidates.cell[chosen], return_inverse=True)
    cells = candidates.cells.take(pa.array(planned))
    proof = prove_splits(cells, sample_cell, candidates.acquisition[chosen], recipe.splits, recipe.cell_m)
    if labels.rules is not None and labels.rules.event_index is not None:
        proof["events"] = count_roles(labels.rules.event_index, plan, recipe)
    without_sample = sampled.cells.num_rows - len(planned)
    counts = {**sampled.counts, "without_sample": without_sample, "planned": len(planned)}
    return PlanResult(plan, ledger, counts, proof)


def _uncovered(candidates: Candidates, recipe: Recipe) -> list[pa.Table]:
    """Ledger tables of sampled cells for which a sensor has no acquisition in a period that other cells have."""
    tables = []
    for sensor in recipe.sensors:
        rows = candidates.of_sensor(sensor)
        covered = np.zeros((candidates.cells.num_rows, len(candidates.slot_names)), dtype=bool)
        covered[candidates.cell[rows], candidates.slot[rows]] = True
        cell, slot = np.nonzero(~covered)
        details = pa.array([f"{sensor} {name}" for name in candidates.slot_names], pa.string()).take(pa.array(slot))
        tables.append(skipped_cells(candidates.cells["cell"].take(pa.array(cell)), "no_acquisition", details))
    return tables


def _keep_labelled(candidates: Candidates, chosen: Rows, labels: LabelFacts) -> tuple[Rows, list[pa.Table]]:
    """Keep the chosen candidates with a label, of land cover or of an event; return ledger tables of the others."""
    cell_labels, periods = labels.cell_labels, candidates.period_names
    assert cell_labels is not None
    period = np.searchsorted(periods, candidates.acquisition_periods)[candidates.acquisition[chosen]]
    distinct, inverse = np.unique(candidates.cell[chosen].astype(np.int64) * len(periods) + period, return_inverse=True)
    cell, period = np.divmod(distinct, len(periods))
    names = candidates.cells["cell"].take(pa.array(cell)).to_pylist()
    keys = list(zip(names, (periods[number] for number in period.tolist()), strict=True))
    has_class, has_label = cell_labels.class_and_label_masks(keys)
    valid = has_label[inverse]
    if labels.rules is not None and labels.rules.event_index is not None:
        for row in np.flatnonzero(~valid).tolist():
            time = candidates.acquisitions[candidates.acquisition[chosen[row]]].datetime
            valid[row] = bool(labels.rules.event_labels(cell_labels.impacts(keys[inverse[row]]), time))
    dropped: dict[str, list[tuple[str, str]]] = {}
    for index in np.unique(inverse[~valid]).tolist():
        (name, in_period), gap_days = keys[index], labels.gap_days.get(keys[index])
        if has_class[index]:
            reason, detail = "unlabelled", in_period
        elif gap_days is None:
            reason, detail = "no_labels", in_period
        else:
            reason, detail = "label_gap", f"{in_period}: {gap_days} days"
        dropped.setdefault(reason, []).append((name, detail))
    columns = {reason: [pa.array(column) for column in zip(*rows, strict=True)] for reason, rows in dropped.items()}
    return chosen[valid], [skipped_cells(cells, reason, details) for reason, (cells, details) in columns.items()]


def _plan_table(candidates: Candidates, chosen: Rows, recipe: Recipe, sensors: Mapping[str, Sensor]) -> pa.Table:
    ids = _sample_ids(candidates, chosen)
    pair, gap_s = pair_samples(candidates, chosen, recipe.max_pair_gap_days)
    shard = assign_shards(candidates, chosen, recipe, sensors)
    order = pc.sort_indices(ids).to_numpy()
    pair, gap_s, chosen = pair[order], gap_s[order], chosen[order]
    cells, number = candidates.cells.take(pa.array(candidates.cell[chosen])), pa.array(candidates.acquisition[chosen])
    unpaired, no_roles = pair < 0, (pa.nulls(len(ids), pa.string()),) * 2
    events, roles = events_and_roles(candidates, chosen) if recipe.event_sampling is not None else no_roles
    distinct, inverse = np.unique(candidates.cell[chosen], return_inverse=True)
    names = candidates.cells["cell"].take(pa.array(distinct)).to_pylist()
    columns = {
        "id": ids.take(pa.array(order)),
        "sensor": pa.array([item.sensor for item in candidates.acquisitions]).take(number),
        "cell": cells["cell"],
        "acquisition": pa.array([item.id for item in candidates.acquisitions]).take(number),
        "period": pa.array(candidates.acquisition_periods).take(number),
        "split": cells["split"],
        "shard": shard[order],
        "rank": ranks(recipe.sampling.seed, ROW, names)[inverse],
        "pair": ids.take(pa.array(pair, mask=unpaired)),
        "pair_gap_s": pa.array(gap_s, mask=unpaired),
        "role": roles,
        "event": events,
        **{name: cells[name] for name in ("epsg", "x", "y", "lon", "lat", "majortom", "block")},
    }
    return pa.table(columns, schema=PLAN)


def _sample_ids(candidates: Candidates, chosen: Rows) -> pa.Array:
    """Sample id of each chosen candidate."""
    parts = zip(*(item.sample_id("/").split("/") for item in candidates.acquisitions), strict=True)
    start, end = (pa.array(part).take(pa.array(candidates.acquisition[chosen])) for part in parts)
    return pc.binary_join_element_wise(start, candidates.cell_names(chosen).combine_chunks(), end, "")


def _count_reasons(drops: pa.Table) -> str:
    counts = sorted(Counter(drops["reason"].to_pylist()).items())
    return ", ".join(f"{reason} {count}" for reason, count in counts) or "no cell is completely inside a raster"
