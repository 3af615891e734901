"""Chips round events: ground an event affected, the same ground before it, ground it spared, and ground far from it.

The last three are hard negatives: what differs is the event, not the place, the orbit or the day.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from landmark.config.cell_sampling import Around
from landmark.config.recipe import Recipe
from landmark.core.hashing import ranks
from landmark.core.salts import EVENT_SAMPLING
from landmark.domain.drops import left_out
from landmark.domain.event import Event, EventType, Phase, phase_of
from landmark.domain.impact import Ground, Happenings
from landmark.labels.label_rules import Fractions, Meaning
from landmark.plan.candidates import Choices
from landmark.plan.clearest import Seen, choose, clouded, kept_clear
from landmark.plan.sample import touching

AFFECTED, BEFORE, SPARED, FAR = ROLES = ("affected", "before", "spared", "far")
# Cells looked at for each one wanted, since clouds take some.
_SPARE = 3

Rows = NDArray[np.int64]
RowsOf = Callable[[Sequence[int] | Rows], Rows]


def around(of: Choices, facts: Mapping[tuple[str, str], Fractions], meaning: Meaning, recipe: Recipe) -> Choices:
    """The choices that can play a role in an event, in a slot for each event and role (`emsr1-01/before`).

    Affected are cells whose share of the event reaches its class's threshold; near an epicentre alone, those near it.
    """
    wish, happenings = recipe.around_events, meaning.happenings
    assert wish is not None
    assert happenings is not None
    stage, rows_of = _Stage.of(of, facts, happenings, recipe), _rows_of(of)
    rows, slot, slots = [np.empty(0, np.int64)], [np.empty(0, np.int64)], dict[str, int]()
    for event in _in_time(happenings, recipe):
        showing, before = _acquisitions(of, event, happenings.types[event.type].says, happenings.types, wish)
        first = partial(_first, of, rows_of, showing, recipe.sampling.seed)
        least = meaning.thresholds[happenings.types[event.type].to]
        affected = first(f"{event.id}/{AFFECTED}", stage.hit(event, least), wish.affected)
        spared = first(f"{event.id}/{SPARED}", stage.spared(event), wish.spared)
        far = first(f"{event.id}/{FAR}", stage.far(event, wish.far_km), wish.far)
        observed, start = (int(moment.timestamp()) for moment in (event.observed or event.start, event.start))
        parts = {
            AFFECTED: (affected, showing, observed),
            BEFORE: (affected if wish.before else affected[:0], before, start),
            SPARED: (spared, showing, observed),
            FAR: (far, showing, observed),
        }
        # Their order is that of ROLES: a slot's number tells event and role.
        for role, (some, acquisitions, anchor) in parts.items():
            mine = rows_of(some)
            mine = mine[np.isin(of.acquisition[mine], acquisitions)]
            rows.append(mine)
            slot.append(np.full(len(mine), len(slots)))
            slots[f"{event.id}/{role}"] = anchor
    return of.taken(np.concatenate(rows), np.concatenate(slot), slots)


def _in_time(happenings: Happenings, recipe: Recipe) -> list[Event]:
    """The events to go round: others only speak where they lie."""
    met = (one for one in happenings.events.values() if recipe.time.meets(one.start, one.end))
    return sorted(met, key=lambda one: one.id)


def _acquisitions(
    of: Choices, event: Event, says: Sequence[Phase], types: Mapping[str, EventType], wish: Around
) -> tuple[Rows, Rows]:
    """Those that may show the event, and those that show its ground before it."""
    day_s = 86_400
    start, end = event.start.timestamp(), event.end.timestamp()
    near = np.flatnonzero(
        (of.moments >= start - wish.before_days * day_s) & (of.moments <= end + wish.after_days * day_s)
    )
    phases = [(row, phase_of(event, of.acquisitions[row].moment, types)) for row in near.tolist()]
    showing = [row for row, phase in phases if phase in says]
    before = [row for row, phase in phases if phase == "before"]
    return np.array(showing, dtype=np.int64), np.array(before, dtype=np.int64)


def _first(
    of: Choices, rows_of: RowsOf, showing: Rows, seed: int, purpose: str, cells: Sequence[int], wanted: int
) -> Rows:
    """Enough of the cells that an image may show to lose some to clouds, in the order of their hash."""
    mine = rows_of(cells)
    seen = np.unique(of.cell[mine[np.isin(of.acquisition[mine], showing)]])
    return _ordered(of.cells, seen, purpose, seed)[: _SPARE * wanted]


def _rows_of(of: Choices) -> RowsOf:
    """A function from cells to all their choices."""
    by_cell = np.argsort(of.cell, kind="stable")
    starts = np.searchsorted(of.cell[by_cell], np.arange(of.cells.num_rows + 1))
    return lambda cells: np.concatenate([by_cell[:0], *(by_cell[starts[one] : starts[one + 1]] for one in cells)])


@dataclass(frozen=True, slots=True)
class _Stage:
    """The cells, and what each event did to them.

    Attributes:
        grounds: Per cell.
        met: Event → rows of the cells it meets.
        free: Rows of the cells that stand apart from all events, with `places`, their centres.
        splits: Per cell.
    """

    grounds: Sequence[Mapping[str, Ground]]
    met: Mapping[str, list[int]]
    free: Rows
    places: shapely.STRtree
    splits: list[str]

    @classmethod
    def of(
        cls, of: Choices, facts: Mapping[tuple[str, str], Fractions], happenings: Happenings, recipe: Recipe
    ) -> "_Stage":
        assert recipe.around_events is not None
        cells, names = of.cells, of.cells["cell"].to_pylist()
        # What events did to a cell is the same in every period.
        grounds = [next((facts[one, when].grounds for when in of.names if (one, when) in facts), {}) for one in names]
        met: dict[str, list[int]] = {}
        for row, ground in enumerate(grounds):
            for event in ground:
                met.setdefault(event, []).append(row)
        known, beyond_m = list(happenings.events.values()), 1000 * recipe.around_events.apart_km
        near = {row for _, row in touching(cells, known, recipe.cell_m, beyond_m=beyond_m)}
        free = np.array([row for row in range(len(names)) if row not in near and not grounds[row]], dtype=np.int64)
        centres = shapely.points(cells["lon"].to_numpy()[free], cells["lat"].to_numpy()[free])
        return cls(grounds, met, free, shapely.STRtree(centres), cells["split"].to_pylist())

    def hit(self, event: Event, least_pct: float) -> list[int]:
        """Cells that it affected enough to be said of them."""
        grounds = ((row, self.grounds[row][event.id]) for row in self.met.get(event.id, ()))
        return [row for row, one in grounds if (one.reaches(least_pct) if event.affected else one.near)]

    def spared(self, event: Event) -> list[int]:
        """Cells that were looked at whole, and that no event affected."""
        mine = self.met.get(event.id, ())
        return [
            row
            for row in mine
            if self.grounds[row][event.id].in_aoi and not any(one.fraction for one in self.grounds[row].values())
        ]

    def far(self, event: Event, far_km: float) -> list[int]:
        """Cells apart from all events, of the split of this one's: whoever shares an event shares a split."""
        if event.id not in self.met:
            return []
        split = self.splits[self.met[event.id][0]]
        near = self.free[np.sort(self.places.query(event.surroundings(far_km), predicate="intersects"))]
        return [row for row in near.tolist() if self.splits[row] == split]


def _ordered(cells: pa.Table, rows: Rows, purpose: str, seed: int) -> Rows:
    names = cells["cell"].take(pa.array(rows)).to_pylist()
    return rows[np.argsort(ranks(seed, f"{EVENT_SAMPLING}/{purpose}", names), kind="stable")]


def cast(of: Choices, looked: Seen, recipe: Recipe, lost: list[pa.Table]) -> Rows:
    """The choices to take, from those `around` offers: of each event and role as many cells as are wanted.

    Told in `lost`: cells under clouds, and affected ones that no image shows before the event.
    """
    wish = recipe.around_events
    assert wish is not None
    best = partial(_best, of, looked, recipe, lost)
    role = np.array(ROLES)[of.slot % len(ROLES)]
    shown = best(np.isin(role, (AFFECTED, SPARED)))
    shown = _cut(of, shown, {AFFECTED: wish.affected, SPARED: wish.spared}, recipe)
    affected = shown[role[shown] == AFFECTED]
    before = best(_before(of, affected, np.flatnonzero(role == BEFORE)))
    if wish.before:
        lost.append(_unpaired(of, affected, before))
    # Every event has its slots side by side, one for each role.
    seen = of.slot // len(ROLES) * len(of.acquisitions) + of.acquisition
    far = _cut(of, best((role == FAR) & np.isin(seen, seen[shown])), {FAR: wish.far}, recipe)
    taken = np.concatenate([affected, before, shown[role[shown] == SPARED], far])
    # An image may serve two events: it stands in the first role that asks for it.
    _, first = np.unique(of.cell[taken] * len(of.acquisitions) + of.acquisition[taken], return_index=True)
    return np.asarray(taken[np.sort(first)])


def _best(of: Choices, looked: Seen, recipe: Recipe, lost: list[pa.Table], among: NDArray[np.bool_]) -> Rows:
    """The clear choice nearest to the event of each sensor, per cell and slot; Sentinel-1 nearest to Sentinel-2."""
    chosen = np.empty(0, dtype=np.int64)
    for sensor in sorted(recipe.sensors, reverse=True):
        chosen = np.concatenate([chosen, choose(of, sensor, looked, chosen, recipe, among=among, nearest=True)])
    kept = kept_clear(looked, chosen, recipe)
    lost.append(clouded(of, looked, chosen[~kept]))
    return chosen[kept]


def _cut(of: Choices, rows: Rows, wanted: Mapping[str, int], recipe: Recipe) -> Rows:
    """The choices in the first cells of each slot, as many as its role wants."""
    kept = [rows[:0]]
    for number in np.unique(of.slot[rows]).tolist():
        mine = rows[of.slot[rows] == number]
        cells = _ordered(of.cells, np.unique(of.cell[mine]), of.slots[number], recipe.sampling.seed)
        kept.append(mine[np.isin(of.cell[mine], cells[: wanted[ROLES[number % len(ROLES)]]])])
    return np.concatenate(kept)


def _before(of: Choices, affected: Rows, offered: Rows) -> NDArray[np.bool_]:
    """Choices before the event that look as the one that shows it did: same sensor and direction, same track if any."""
    among, there = np.zeros(len(of.cell), dtype=bool), dict[tuple[int, int], list[int]]()
    for row in offered.tolist():
        there.setdefault((int(of.cell[row]), of.slot[row] // len(ROLES)), []).append(row)
    for row in affected.tolist():
        then = of.acquisitions[of.acquisition[row]]
        alike, same_track = list[int](), list[int]()
        for other in there.get((int(of.cell[row]), of.slot[row] // len(ROLES)), ()):
            one = of.acquisitions[of.acquisition[other]]
            if (one.sensor, one.orbit_direction) == (then.sensor, then.orbit_direction):
                (same_track if one.relative_orbit == then.relative_orbit else alike).append(other)
        among[same_track or alike] = True
    return among


def _unpaired(of: Choices, affected: Rows, before: Rows) -> pa.Table:
    """Affected cells without an image of the same sensor before the event."""
    cells, told = [affected[:0]], list[str]()
    for sensor in sorted({one.sensor for one in of.acquisitions}):
        mine = of.of(sensor)
        shown = affected[np.isin(affected, mine)]
        # A cell's slots of one event lie side by side.
        keys, paired = (of.keys(rows) // len(ROLES) for rows in (shown, before[np.isin(before, mine)]))
        alone = shown[~np.isin(keys, paired)]
        cells.append(of.cell[alone])
        told += [f"{sensor} before {of.slots[slot].rpartition('/')[0]}" for slot in of.slot[alone].tolist()]
    names = of.cells["cell"].take(pa.array(np.concatenate(cells)))
    return left_out(names, "no_acquisition", pa.array(told, pa.string()))


def parts_of(of: Choices, taken: Rows) -> tuple[list[str], list[str]]:
    """Event and role of each taken choice."""
    parts = [of.slots[slot].rpartition("/") for slot in of.slot[taken].tolist()]
    return [event for event, _, _ in parts], [role for _, _, role in parts]


def shown_events(happenings: Happenings, plan: pa.Table, recipe: Recipe) -> dict[str, dict[str, Any]]:
    """Per event its split and how many cells play each role in a plan; none is a fact, too."""
    cells: dict[tuple[str, str], set[str]] = {}
    splits: dict[str, str] = {}
    for cell, event, role, split in zip(
        *(plan[name].to_pylist() for name in ("cell", "event", "role", "split")), strict=True
    ):
        cells.setdefault((event, role), set()).add(cell)
        splits[event] = split
    return {
        event: {"split": splits.get(event), **{role: len(cells.get((event, role), ())) for role in ROLES}}
        for event in (one.id for one in _in_time(happenings, recipe))
    }
