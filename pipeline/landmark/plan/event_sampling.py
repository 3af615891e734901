"""Sample cells around events: affected ones, the same cells before the event, unaffected and distant ones.

The last three are hard negatives: they differ from the affected cells in the event, not in place, orbit or day.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from landmark.config.recipe import Recipe
from landmark.core import salts
from landmark.core.hashing import ranks
from landmark.domain.drops import skipped_cells
from landmark.domain.event import Event, phase_of
from landmark.domain.impact import EventImpact, EventIndex
from landmark.labels.label_rules import CellLabels, LabelRules
from landmark.plan.candidates import Candidates, Rows
from landmark.plan.clearest import AcquisitionRanking
from landmark.plan.event_windows import events_touching, select_in_time

AFFECTED, BEFORE, UNAFFECTED, DISTANT = ROLES = ("affected", "before", "unaffected", "distant")
# Cells sampled for each one requested, as some are lost to clouds.
_OVERSAMPLING = 3
_DAY_S = 86_400

CellRows = Sequence[int] | Rows


def sample_events(
    candidates: Candidates, cell_labels: Mapping[tuple[str, str], CellLabels], rules: LabelRules, recipe: Recipe
) -> Candidates:
    """Select the candidates that can have a role in an event, in a slot per event and role (`emsr1-01/before`).

    Affected cells are those whose share of the event reaches the threshold of its class or, for an event that is an
    epicentre alone, those near it. Each role gets the first cells by hash that an acquisition of the event shows.
    """
    sampling, index = recipe.event_sampling, rules.event_index
    assert sampling is not None
    assert index is not None
    event_cells, rows_of = _EventCells.of(candidates, cell_labels, index, recipe), _group_by_cell(candidates)
    rows, slot, slots = [np.empty(0, np.int64)], [np.empty(0, np.int64)], dict[str, int]()
    for event in select_in_time(list(index.events.values()), recipe):
        showing, before = _find_acquisitions(candidates, event, index, recipe)
        threshold_pct = rules.thresholds[index.types[event.type].to]
        eligible = {
            AFFECTED: (event_cells.affected(event, threshold_pct), sampling.affected),
            UNAFFECTED: (event_cells.unaffected(event), sampling.unaffected),
            DISTANT: (event_cells.distant(event, sampling.max_distance_km), sampling.distant),
        }
        first: dict[str, Rows] = {}
        for role, (cells, count) in eligible.items():
            cell_rows = rows_of(cells)
            visible = np.unique(candidates.cell[cell_rows[np.isin(candidates.acquisition[cell_rows], showing)]])
            ordered = _order_by_hash(candidates.cells, visible.astype(np.int64), f"{event.id}/{role}", recipe)
            first[role] = ordered[: _OVERSAMPLING * count]
        observed, start = (int(time.timestamp()) for time in (event.observed or event.start, event.start))
        roles: dict[str, tuple[CellRows, Rows, int]] = {
            AFFECTED: (first[AFFECTED], showing, observed),
            BEFORE: (first[AFFECTED] if sampling.before else [], before, start),
            UNAFFECTED: (first[UNAFFECTED], showing, observed),
            DISTANT: (first[DISTANT], showing, observed),
        }
        # In the order of ROLES, so that event and role follow from a slot's number.
        for role, (role_cells, acquisitions, target_time) in roles.items():
            role_rows = rows_of(role_cells)
            role_rows = role_rows[np.isin(candidates.acquisition[role_rows], acquisitions)]
            rows.append(role_rows)
            slot.append(np.full(len(role_rows), len(slots)))
            slots[f"{event.id}/{role}"] = target_time
    return candidates.with_slots(np.concatenate(rows), np.concatenate(slot), slots)


def assign_roles(ranking: AcquisitionRanking) -> tuple[Rows, list[pa.Table]]:
    """Choose from the candidates of `sample_events`: for each event and role as many cells as requested.

    Returns:
        Chosen candidates, and ledger tables of cloudy cells and of affected cells without a pre-event acquisition.
    """
    candidates, sampling = ranking.candidates, ranking.recipe.event_sampling
    assert sampling is not None
    event, role = np.divmod(candidates.slot.astype(np.int64), len(ROLES))
    role = np.array(ROLES)[role]
    shown, shown_drops = ranking.choose_all(mask=np.isin(role, (AFFECTED, UNAFFECTED)), nearest=True)
    shown = _limit_cells(ranking, shown, {AFFECTED: sampling.affected, UNAFFECTED: sampling.unaffected})
    affected = shown[role[shown] == AFFECTED]
    before_mask = _matching_before(candidates, affected, np.flatnonzero(role == BEFORE))
    before, before_drops = ranking.choose_all(mask=before_mask, nearest=True)
    drops = [shown_drops, before_drops]
    if sampling.before:
        drops.append(_without_before(candidates, affected, before))
    # Distant cells are taken from the acquisitions that show the event.
    event_acquisition = event * len(candidates.acquisitions) + candidates.acquisition
    distant_mask = (role == DISTANT) & np.isin(event_acquisition, event_acquisition[shown])
    distant, distant_drops = ranking.choose_all(mask=distant_mask, nearest=True)
    distant = _limit_cells(ranking, distant, {DISTANT: sampling.distant})
    chosen = np.concatenate([affected, before, shown[role[shown] == UNAFFECTED], distant])
    # A sample is unique: one that serves two events keeps the first role.
    _, first = np.unique(candidates.pair_keys(chosen), return_index=True)
    return np.asarray(chosen[np.sort(first)]), [*drops, distant_drops]


def events_and_roles(candidates: Candidates, rows: Rows) -> tuple[list[str], list[str]]:
    """Event and role of each of some candidates."""
    parts = [candidates.slot_names[slot].rpartition("/") for slot in candidates.slot[rows].tolist()]
    return [event for event, _, _ in parts], [role for _, _, role in parts]


def count_roles(index: EventIndex, plan: pa.Table, recipe: Recipe) -> dict[str, dict[str, Any]]:
    """Count the cells of a plan per event and role, with the event's split; events without cells count 0."""
    cells: dict[tuple[str, str], set[str]] = {}
    splits: dict[str, str] = {}
    columns = (plan[name].to_pylist() for name in ("cell", "event", "role", "split"))
    for cell, event, role, split in zip(*columns, strict=True):
        cells.setdefault((event, role), set()).add(cell)
        splits[event] = split
    return {
        event.id: {"split": splits.get(event.id), **{role: len(cells.get((event.id, role), ())) for role in ROLES}}
        for event in select_in_time(list(index.events.values()), recipe)
    }


def _find_acquisitions(candidates: Candidates, event: Event, index: EventIndex, recipe: Recipe) -> tuple[Rows, Rows]:
    """Find the acquisitions that may show an event, and those that show its area before it."""
    sampling, times = recipe.event_sampling, candidates.acquisition_times
    assert sampling is not None
    first_s = event.start.timestamp() - sampling.before_days * _DAY_S
    last_s = event.end.timestamp() + sampling.after_days * _DAY_S
    near = np.flatnonzero((times >= first_s) & (times <= last_s))
    phases = [(row, phase_of(event, candidates.acquisitions[row].datetime, index.types)) for row in near.tolist()]
    mentionable = index.types[event.type].mentionable_phases
    showing = [row for row, phase in phases if phase in mentionable]
    before = [row for row, phase in phases if phase == "before"]
    return np.array(showing, dtype=np.int64), np.array(before, dtype=np.int64)


def _group_by_cell(candidates: Candidates) -> Callable[[CellRows], Rows]:
    """A function from cells to all their candidates."""
    by_cell = np.argsort(candidates.cell, kind="stable")
    starts = np.searchsorted(candidates.cell[by_cell], np.arange(candidates.cells.num_rows + 1))
    return lambda cells: np.concatenate([by_cell[:0], *(by_cell[starts[cell] : starts[cell + 1]] for cell in cells)])


@dataclass(frozen=True, slots=True)
class _EventCells:
    """The cells, and the impact of each event on them.

    Attributes:
        impacts: Event -> impact, per cell.
        rows_of_event: Event -> rows of the cells it touches.
        free_rows: Rows of the cells that keep the least distance from all events.
        free_centres: Their centres in degrees.
        splits: Split of each cell.
    """

    impacts: Sequence[Mapping[str, EventImpact]]
    rows_of_event: Mapping[str, list[int]]
    free_rows: Rows
    free_centres: shapely.STRtree
    splits: list[str]

    @classmethod
    def of(
        cls,
        candidates: Candidates,
        cell_labels: Mapping[tuple[str, str], CellLabels],
        index: EventIndex,
        recipe: Recipe,
    ) -> "_EventCells":
        assert recipe.event_sampling is not None
        cells, names = candidates.cells, candidates.cells["cell"].to_pylist()
        keys = ([(name, period) for period in candidates.period_names] for name in names)
        # The impact on a cell is the same in every period.
        impacts = [next((cell_labels[key].impacts for key in options if key in cell_labels), {}) for options in keys]
        rows_of_event: dict[str, list[int]] = {}
        for row, impact_of in enumerate(impacts):
            for event in impact_of:
                rows_of_event.setdefault(event, []).append(row)
        beyond_m = 1000 * recipe.event_sampling.min_distance_km
        touched = events_touching(cells, list(index.events.values()), recipe.cell_m, beyond_m=beyond_m)
        near = {row for _, row in touched}
        free = np.array([row for row in range(len(names)) if row not in near and not impacts[row]], dtype=np.int64)
        centres = shapely.points(cells["lon"].to_numpy()[free], cells["lat"].to_numpy()[free])
        return cls(impacts, rows_of_event, free, shapely.STRtree(centres), cells["split"].to_pylist())

    def affected(self, event: Event, threshold_pct: float) -> list[int]:
        """Cells affected up to the threshold of the event's class; of an epicentre alone, those near it."""
        impacts = ((row, self.impacts[row][event.id]) for row in self.rows_of_event.get(event.id, ()))
        return [
            row for row, impact in impacts if (impact.reaches(threshold_pct) if event.affected_parts else impact.near)
        ]

    def unaffected(self, event: Event) -> list[int]:
        """Cells completely inside the area of interest that no event affected."""
        return [
            row
            for row in self.rows_of_event.get(event.id, ())
            if self.impacts[row][event.id].in_aoi and not any(impact.fraction for impact in self.impacts[row].values())
        ]

    def distant(self, event: Event, max_distance_km: float) -> list[int]:
        """Cells away from all events, in the split of this event's cells."""
        if event.id not in self.rows_of_event:
            return []
        split = self.splits[self.rows_of_event[event.id][0]]
        area = event.buffered_bounds(max_distance_km)
        near = self.free_rows[np.sort(self.free_centres.query(area, predicate="intersects"))]
        return [row for row in near.tolist() if self.splits[row] == split]


def _order_by_hash(cells: pa.Table, rows: Rows, slot_name: str, recipe: Recipe) -> Rows:
    """Order cells by the hash of their name for a slot."""
    event, _, role = slot_name.rpartition("/")
    salt = f"{salts.EVENT_SAMPLING}/{event}/{salts.ROLES[role]}"
    names = cells["cell"].take(pa.array(rows)).to_pylist()
    return rows[np.argsort(ranks(recipe.sampling.seed, salt, names), kind="stable")]


def _limit_cells(ranking: AcquisitionRanking, rows: Rows, count_of_role: Mapping[str, int]) -> Rows:
    """Keep the candidates in each slot's first cells by hash, as many as requested for its role."""
    candidates, parts = ranking.candidates, [rows[:0]]
    for slot in np.unique(candidates.slot[rows]).tolist():
        in_slot = rows[candidates.slot[rows] == slot]
        cells = np.unique(candidates.cell[in_slot])
        ordered = _order_by_hash(candidates.cells, cells, candidates.slot_names[slot], ranking.recipe)
        count = count_of_role[ROLES[slot % len(ROLES)]]
        parts.append(in_slot[np.isin(candidates.cell[in_slot], ordered[:count])])
    return np.concatenate(parts)


def _matching_before(candidates: Candidates, affected: Rows, before: Rows) -> NDArray[np.bool_]:
    """Mask of the pre-event candidates that match an affected one: same cell, sensor and orbit direction.

    Where some are of the same relative orbit, only these.
    """
    mask, by_cell = np.zeros(len(candidates.cell), dtype=bool), dict[tuple[int, int], list[int]]()
    for row in before.tolist():
        by_cell.setdefault((int(candidates.cell[row]), candidates.slot[row] // len(ROLES)), []).append(row)
    for row in affected.tolist():
        shown = candidates.acquisitions[candidates.acquisition[row]]
        same_direction, same_orbit = list[int](), list[int]()
        for before_row in by_cell.get((int(candidates.cell[row]), candidates.slot[row] // len(ROLES)), ()):
            earlier = candidates.acquisitions[candidates.acquisition[before_row]]
            if (earlier.sensor, earlier.orbit_direction) == (shown.sensor, shown.orbit_direction):
                (same_orbit if earlier.relative_orbit == shown.relative_orbit else same_direction).append(before_row)
        mask[same_orbit or same_direction] = True
    return mask


def _without_before(candidates: Candidates, affected: Rows, before: Rows) -> pa.Table:
    """Ledger rows of affected cells without an acquisition of the same sensor before the event."""
    unpaired, details = [affected[:0]], list[str]()
    for sensor in sorted({item.sensor for item in candidates.acquisitions}):
        of_sensor = candidates.of_sensor(sensor)
        shown, earlier = affected[np.isin(affected, of_sensor)], before[np.isin(before, of_sensor)]
        # The slots of an event are consecutive, so that this is one number per cell and event.
        shown_keys, earlier_keys = (candidates.cell_slot_keys(rows) // len(ROLES) for rows in (shown, earlier))
        unpaired.append(shown[~np.isin(shown_keys, earlier_keys)])
        events, _ = events_and_roles(candidates, unpaired[-1])
        details += [f"{sensor} before {event}" for event in events]
    names = candidates.cell_names(np.concatenate(unpaired))
    return skipped_cells(names, "no_acquisition", pa.array(details, pa.string()))
