"""Chips round events: ground an event affected, the same ground before it, ground it spared, and ground far from it.

The last three are hard negatives: what differs is the event, not the place, the orbit or the day.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from landmark.base.events import Event, EventType, phase_of
from landmark.base.ground import Ground, Happenings
from landmark.base.hashing import ranks
from landmark.base.meaning import Fractions, Meaning
from landmark.base.outcomes import Outcome
from landmark.base.recipe import Recipe
from landmark.base.wanted import Around
from landmark.draw.choosing import Choices, Seen, choose, clouded, kept_clear

AFFECTED, BEFORE, SPARED, FAR = ROLES = ("affected", "before", "spared", "far")
# Cells looked at for each one wanted, since clouds take some.
_SPARE = 3

Rows = NDArray[np.int64]
Grounds = Sequence[Mapping[str, Ground]]


def around(of: Choices, facts: Mapping[tuple[str, str], Fractions], meaning: Meaning, recipe: Recipe) -> Choices:
    """The choices that can play a role in an event, in a slot for each event and role (`emsr1-01/before`).

    Affected are cells whose share of the event reaches its class's threshold; near an epicentre alone, those near it.
    """
    wish, happenings = recipe.around_events, meaning.happenings
    assert wish is not None
    assert happenings is not None
    grounds, rows_of = _grounds(of, facts), _rows_of(of)
    rows, slot, slots = [np.empty(0, np.int64)], [np.empty(0, np.int64)], dict[str, int]()
    for event in sorted(happenings.events.values(), key=lambda one: one.id):
        showing, before = _acquisitions(of, event, happenings.types, wish)
        observed, start = (int(moment.timestamp()) for moment in (event.observed or event.start, event.start))
        cells = _candidates(of.cells, grounds, event, meaning, recipe)
        parts = {
            AFFECTED: (cells[AFFECTED], showing, observed),
            BEFORE: (cells[AFFECTED] if wish.before else cells[AFFECTED][:0], before, start),
            SPARED: (cells[SPARED], showing, observed),
            FAR: (cells[FAR], showing, observed),
        }
        # Their order is that of ROLES: a slot's number tells event and role.
        for role, (some, acquisitions, anchor) in parts.items():
            mine = rows_of(some)
            mine = mine[np.isin(of.acquisition[mine], acquisitions)]
            rows.append(mine)
            slot.append(np.full(len(mine), len(slots)))
            slots[f"{event.id}/{role}"] = anchor
    return of.taken(np.concatenate(rows), np.concatenate(slot), slots)


def _acquisitions(of: Choices, event: Event, types: Mapping[str, EventType], wish: Around) -> tuple[Rows, Rows]:
    """Those that may show the event, and those that show its ground before it."""
    latest, earliest = event.end + dt.timedelta(days=wish.after_days), event.start - dt.timedelta(days=wish.before_days)
    phases = [(phase_of(event, one.moment, types), one.moment) for one in of.acquisitions]
    says = types[event.type].says
    showing = [row for row, (phase, moment) in enumerate(phases) if phase in says and moment <= latest]
    before = [row for row, (phase, moment) in enumerate(phases) if phase == "before" and moment >= earliest]
    return np.array(showing, dtype=np.int64), np.array(before, dtype=np.int64)


def _grounds(of: Choices, facts: Mapping[tuple[str, str], Fractions]) -> Grounds:
    """Per cell what each event did to it, which is the same in every period."""
    names = of.cells["cell"].to_pylist()
    return [next((facts[name, when].grounds for when in of.names if (name, when) in facts), {}) for name in names]


def _rows_of(of: Choices) -> Any:
    """A function from cells to all their choices."""
    by_cell = np.argsort(of.cell, kind="stable")
    starts = np.searchsorted(of.cell[by_cell], np.arange(of.cells.num_rows + 1))
    return lambda cells: np.concatenate([by_cell[:0], *(by_cell[starts[one] : starts[one + 1]] for one in cells)])


def _candidates(cells: pa.Table, grounds: Grounds, event: Event, meaning: Meaning, recipe: Recipe) -> dict[str, Rows]:
    """Cells for each role, in the order they are to be taken."""
    wish, happenings = recipe.around_events, meaning.happenings
    assert wish is not None
    assert happenings is not None
    least = meaning.thresholds[happenings.types[event.type].to] / 100
    met = [row for row, ground in enumerate(grounds) if event.id in ground]
    hit = [row for row in met if _hit(event, grounds[row][event.id], least)]
    spared = [
        row for row in met if grounds[row][event.id].in_aoi and not any(one.fraction for one in grounds[row].values())
    ]
    return {
        AFFECTED: _first(cells, hit, f"{event.id}/{AFFECTED}", wish.affected, recipe),
        SPARED: _first(cells, spared, f"{event.id}/{SPARED}", wish.spared, recipe),
        FAR: _first(cells, _far(cells, grounds, met, event, wish), f"{event.id}/{FAR}", wish.far, recipe),
    }


def _hit(event: Event, ground: Ground, least: float) -> bool:
    return ground.fraction > 0 and ground.fraction >= least if event.affected else ground.near


def _far(cells: pa.Table, grounds: Grounds, met: Sequence[int], event: Event, wish: Around) -> list[int]:
    """Cells on no event's ground, of the split of this event's: whoever shares an event shares a split."""
    if not met:
        return []
    split, near = cells["split"][met[0]].as_py(), event.surroundings(wish.far_km)
    inside = shapely.intersects_xy(near, cells["lon"].to_numpy(), cells["lat"].to_numpy())
    mine = inside & (np.array(cells["split"].to_pylist()) == split)
    return [row for row in np.flatnonzero(mine).tolist() if not grounds[row]]


def _first(cells: pa.Table, rows: Sequence[int], purpose: str, wanted: int, recipe: Recipe) -> Rows:
    """Enough of the rows to lose some to clouds, in the order of their hash."""
    return _ordered(cells, np.array(rows, dtype=np.int64), purpose, recipe)[: _SPARE * wanted]


def _ordered(cells: pa.Table, rows: Rows, purpose: str, recipe: Recipe) -> Rows:
    names = cells["cell"].take(pa.array(rows)).to_pylist()
    return rows[np.argsort(ranks(recipe.sampling.seed, f"around/{purpose}", names), kind="stable")]


def cast(of: Choices, looked: Seen, recipe: Recipe, left_out: list[Outcome]) -> Rows:
    """The choices to take, from those `around` offers: of each event and role as many cells as are wanted.

    Told in `left_out`: cells under clouds, and affected ones that no image shows before the event.
    """
    wish = recipe.around_events
    assert wish is not None
    best = partial(_best, of, looked, recipe, left_out)
    role = np.array(ROLES)[of.slot % len(ROLES)]
    shown = best(np.isin(role, (AFFECTED, SPARED)))
    shown = _cut(of, shown, {AFFECTED: wish.affected, SPARED: wish.spared}, recipe)
    affected = shown[role[shown] == AFFECTED]
    before = best(_before(of, affected, np.flatnonzero(role == BEFORE)))
    if wish.before:
        left_out += _unpaired(of, affected, before)
    # Every event has its slots side by side, one for each role.
    seen = of.slot // len(ROLES) * len(of.acquisitions) + of.acquisition
    far = _cut(of, best((role == FAR) & np.isin(seen, seen[shown])), {FAR: wish.far}, recipe)
    taken = np.concatenate([affected, before, shown[role[shown] == SPARED], far])
    # An image may serve two events: it stands in the first role that asks for it.
    _, first = np.unique(of.cell[taken] * len(of.acquisitions) + of.acquisition[taken], return_index=True)
    return np.asarray(taken[np.sort(first)])


def _best(of: Choices, looked: Seen, recipe: Recipe, left_out: list[Outcome], among: NDArray[np.bool_]) -> Rows:
    """The best clear choice of each sensor per cell and slot; Sentinel-1 as near to Sentinel-2 as it comes."""
    chosen = np.empty(0, dtype=np.int64)
    for sensor in sorted(recipe.sensors, reverse=True):
        chosen = np.concatenate([chosen, choose(of, sensor, looked, chosen, recipe, among=among)])
    kept = kept_clear(looked, chosen, recipe)
    left_out += clouded(of, looked, chosen[~kept])
    return chosen[kept]


def _cut(of: Choices, rows: Rows, wanted: Mapping[str, int], recipe: Recipe) -> Rows:
    """The choices in the first cells of each slot, as many as its role wants."""
    kept = [rows[:0]]
    for number in np.unique(of.slot[rows]).tolist():
        mine = rows[of.slot[rows] == number]
        cells = _ordered(of.cells, np.unique(of.cell[mine]), of.slots[number], recipe)
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


def _unpaired(of: Choices, affected: Rows, before: Rows) -> list[Outcome]:
    """Affected cells without an image of the same sensor before the event."""
    told = []
    for sensor in sorted({one.sensor for one in of.acquisitions}):
        mine = of.of(sensor)
        # A cell's slots of one event lie side by side.
        paired = of.keys(before[np.isin(before, mine)]) // len(ROLES)
        for row in affected[np.isin(affected, mine)].tolist():
            if of.keys(np.array([row]))[0] // len(ROLES) not in paired:
                name, event = of.cells["cell"][of.cell[row]].as_py(), of.slots[of.slot[row]].rpartition("/")[0]
                told.append(Outcome(name, "", "draw", "no_acquisition", f"{sensor} before {event}"))
    return told


def parts_of(of: Choices, taken: Rows) -> tuple[list[str], list[str]]:
    """Event and role of each taken choice."""
    parts = [of.slots[slot].rpartition("/") for slot in of.slot[taken].tolist()]
    return [event for event, _, _ in parts], [role for _, _, role in parts]


def shown_events(happenings: Happenings, plan: pa.Table) -> dict[str, dict[str, Any]]:
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
        for event in sorted(happenings.events)
    }
