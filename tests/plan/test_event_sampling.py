import datetime as dt
from collections import Counter, defaultdict

import pyarrow as pa
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from landmark.config.recipe import Splits
from landmark.core.errors import NoCoverage
from landmark.core.hashing import rank
from landmark.core.yaml_files import load_model
from landmark.domain.impact import EventImpact, EventIndex
from landmark.domain.schemas import CLOUD_STATS
from landmark.domain.taxonomy import Taxonomy
from landmark.labels.label_rules import CellLabels, LabelRules
from landmark.plan.candidates import find_candidates
from landmark.plan.choose import LabelFacts, choose_samples
from landmark.plan.event_sampling import sample_events
from landmark.plan.event_windows import events_touching
from landmark.plan.sample import sample_cells
from landmark.plan.splits import assign_splits, union_groups
from tests.domain.impacts import DAY, START, TYPES, event, event_parts
from tests.parts import NOON, acquisition, examples, recipe_of
from tests.plan.scenes import SENSORS, grid, optical, radar

TAXONOMY = load_model(Taxonomy, "taxonomies", "landmark")
# Days from noon of 1 July, which the acquisitions count from, to the start of the event.
START_DAY = (START - NOON) / DAY
CELLS = grid(8, 8)
NAMES = CELLS["cell"].to_pylist()


def square(lon, lat, half=0.006):
    return shapely.box(lon - half, lat - half, lon + half, lat + half)


def centre(row):
    return CELLS["lon"][row].as_py(), CELLS["lat"][row].as_py()


def make_plan(archive, events, impacts, *, cloud_stats=None, **changes):
    """The plan around events; `impacts` maps a row of the cells to the impact of each event there."""
    recipe = recipe_of(
        **{
            "events": [{"source": "effis", "files": ["x"]}],
            "event_sampling": {"affected": 3, "unaffected": 2, "distant": 2, "min_distance_km": 0},
            "splits": {"train": 100, "val": 0, "test": 0, "block_m": 2400, "buffer_m": 0},
        }
        | changes
    )
    index = EventIndex({item.id: item for item in events}, TYPES, ())
    rules = LabelRules(TAXONOMY, (), dict.fromkeys(TAXONOMY.classes, 5.0), event_index=index)
    sampled = sample_cells(CELLS, archive, recipe, events)
    candidates = find_candidates(sampled.cells, archive, recipe, SENSORS)
    labels = {
        (name, period): CellLabels(("trees",), {"trees": 1.0}, {}, 100.0, {}, impacts=impacts.get(row, {}))
        for row, name in enumerate(NAMES)
        for period in candidates.period_names
    }
    in_roles = sample_events(candidates, labels, rules, recipe)
    return choose_samples(sampled, in_roles, recipe, SENSORS, LabelFacts(rules=rules), cloud_stats)


def archive_of(*, before=(-20,), during=(2,), after=(60,)):
    """Both sensors some days from the event's start; radar on three tracks of both directions."""
    archive = []
    for number, day in enumerate([*before, *during, *after]):
        archive.append(optical(number, day=START_DAY + day, cloud=5.0))
        for track, (direction, orbit) in enumerate((("ascending", 15), ("descending", 95), ("ascending", 117))):
            time = {"day": START_DAY + day + 0.1 * (track + 1), "size_px": (1200, 1200)}
            archive.append(radar(10 * number + track, orbit_direction=direction, relative_orbit=orbit, **time))
    return archive


def flooded(fraction=0.4):
    return {"flood-1": EventImpact(fraction, True)}


IMPACTS = {row: flooded() for row in (0, 1, 8, 9)} | {row: flooded(0.0) for row in (2, 10, 16)}
AFFECTED_CELLS, UNAFFECTED_CELLS = ({NAMES[row] for row in rows} for rows in ((0, 1, 8, 9), (2, 10, 16)))


def rows_by_role(result):
    rows = defaultdict(list)
    for row in result.plan.to_pylist():
        rows[row["role"]].append(row)
    return rows


def cells_of(rows):
    return {row["cell"] for row in rows}


def flood():
    return event(parts=event_parts(square(*centre(0)), square(*centre(0), 0.02)))


def test_each_role_gets_the_requested_number_of_cells():
    by_role = rows_by_role(make_plan(archive_of(), [flood()], IMPACTS))
    cells = {role: cells_of(rows) for role, rows in by_role.items()}
    counts = {"affected": 3, "before": 3, "unaffected": 2, "distant": 2}
    assert {role: len(names) for role, names in cells.items()} == counts
    assert cells["affected"] == cells["before"] <= AFFECTED_CELLS and cells["unaffected"] <= UNAFFECTED_CELLS
    assert not cells["distant"] & {NAMES[row] for row in IMPACTS}
    for role, rows in by_role.items():
        assert Counter(row["sensor"] for row in rows) == dict.fromkeys(("s1", "s2"), len(cells[role]))


@pytest.mark.parametrize(
    ("role", "salt", "cells"),
    [("affected", "affected", AFFECTED_CELLS), ("unaffected", "spared", UNAFFECTED_CELLS)],
)
def test_the_cells_of_a_role_are_the_first_by_hash(role, salt, cells):
    chosen = cells_of(rows_by_role(make_plan(archive_of(), [flood()], IMPACTS))[role])
    assert chosen == set(sorted(cells, key=lambda cell: rank(0, f"around/flood-1/{salt}", cell))[: len(chosen)])


def test_before_has_the_same_orbit_and_distant_the_same_acquisitions():
    archive = archive_of(before=(-30, -20), during=(1, 2))
    by_id = {item.id: item for item in archive}
    by_role = rows_by_role(make_plan(archive, [flood()], IMPACTS))
    affected = {(row["cell"], row["sensor"]): by_id[row["acquisition"]] for row in by_role["affected"]}
    for row in by_role["before"]:
        earlier, shown = by_id[row["acquisition"]], affected[row["cell"], row["sensor"]]
        assert earlier.datetime < START <= shown.datetime
        assert (earlier.orbit_direction, earlier.relative_orbit) == (shown.orbit_direction, shown.relative_orbit)
    used = {row["acquisition"] for row in by_role["affected"] + by_role["unaffected"]}
    assert {row["acquisition"] for row in by_role["distant"]} <= used


def test_before_prefers_the_same_track_and_requires_the_same_direction():
    shown = [radar(1, day=START_DAY + 1, orbit_direction="ascending", relative_orbit=15)]
    other_track = radar(2, day=START_DAY - 9, orbit_direction="ascending", relative_orbit=117)
    other_direction = radar(3, day=START_DAY - 1, orbit_direction="descending", relative_orbit=15)
    by_role = rows_by_role(make_plan([*shown, other_track, other_direction], [flood()], IMPACTS, sensors=["s1"]))
    assert {row["acquisition"] for row in by_role["before"]} == {"s1_002"}
    assert "before" not in rows_by_role(make_plan([*shown, other_direction], [flood()], IMPACTS, sensors=["s1"]))


@pytest.mark.parametrize(
    ("kind", "day", "shown"), [("flood", 2, True), ("flood", 12, False), ("fire", 2, False), ("fire", 12, True)]
)
def test_only_acquisitions_of_a_mentionable_phase_show_the_event(kind, day, shown):
    # A flood is visible while it lasts, burned area once the fire has ended; both last ten days here.
    item = event(type=kind, parts=flood().parts)
    archive = [optical(1, day=START_DAY + day), optical(2, day=START_DAY - 5)]
    if shown:
        assert set(rows_by_role(make_plan(archive, [item], IMPACTS))) == {"affected", "before", "unaffected", "distant"}
    else:
        with pytest.raises(NoCoverage):
            make_plan(archive, [item], IMPACTS)


def test_acquisitions_outside_the_search_window_have_no_role():
    window = {"event_sampling": {"affected": 3, "before_days": 10, "after_days": 5, "min_distance_km": 0}}
    by_role = rows_by_role(make_plan(archive_of(before=(-20,), during=(2,)), [flood()], IMPACTS, **window))
    assert "before" not in by_role and len(cells_of(by_role["affected"])) == 3


def cloudy(cell, acquisition_id):
    rows = [{"cell": cell, "acquisition": acquisition_id, "code": 9, "pixels": 3600}]
    return pa.Table.from_pylist(rows, schema=CLOUD_STATS)


def test_cloudy_cells_are_replaced_by_others():
    archive, limits = archive_of(), {"sensors": ["s2"], "clouds": {"max_chip_pct": 10}}
    clear = cells_of(rows_by_role(make_plan(archive, [flood()], IMPACTS, **limits))["affected"])
    shown = next(item.id for item in archive if item.sensor == "s2" and item.datetime > START)
    result = make_plan(archive, [flood()], IMPACTS, cloud_stats=cloudy(min(clear), shown), **limits)
    cells = cells_of(rows_by_role(result)["affected"])
    assert len(cells) == 3 and min(clear) not in cells and cells <= AFFECTED_CELLS


def test_a_sample_that_serves_two_events_is_planned_once():
    events = [event(name, parts=flood().parts) for name in ("flood-1", "flood-2")]
    both = {"flood-1": EventImpact(0.4, True), "flood-2": EventImpact(0.2, True)}
    plan = make_plan(archive_of(), events, dict.fromkeys((0, 1, 8, 9), both)).plan
    assert len(set(plan["id"].to_pylist())) == plan.num_rows


def test_the_plan_does_not_depend_on_the_order_of_the_acquisitions():
    archive = archive_of(before=(-30, -20), during=(1, 2))
    plan, reverse = (make_plan(items, [flood()], IMPACTS).plan for items in (archive, archive[::-1]))
    assert plan.equals(reverse)


def test_the_proof_counts_the_cells_of_each_event_and_role():
    elsewhere = event("fire-9", type="fire", parts=event_parts(square(50, 10)))
    proof = make_plan(archive_of(), [flood(), elsewhere], IMPACTS).split_proof["events"]
    assert proof["flood-1"] == {"split": "train", "affected": 3, "before": 3, "unaffected": 2, "distant": 2}
    assert proof["fire-9"] == {"split": None, "affected": 0, "before": 0, "unaffected": 0, "distant": 0}


@st.composite
def scattered_events(draw):
    """Events of a few groups anywhere on the grid, some across several blocks."""
    events = []
    for number in range(draw(st.integers(1, 5))):
        lon, lat = centre(draw(st.integers(0, 63)))
        area = square(lon, lat, draw(st.sampled_from([0.004, 0.012, 0.03])))
        events.append(event(f"g{draw(st.integers(0, 2))}-{number}", parts=event_parts(area)))
    return events


@given(scattered_events(), st.integers(0, 50))
@examples(60)
def test_events_of_a_group_share_a_split_and_other_blocks_keep_the_split(events, seed):
    blocks, splits = CELLS["block"].to_pylist(), Splits(train=40, val=30, test=30)
    touched = events_touching(CELLS, events, 1200)
    group_of = union_groups(blocks, touched)
    split = assign_splits(blocks, splits, seed, group_of)
    splits_of_group = defaultdict(set)
    for group, row in touched:
        splits_of_group[group].add(split[row])
    assert all(len(names) == 1 for names in splits_of_group.values())
    alone = assign_splits(blocks, splits, seed)
    assert all(split[row] == alone[row] for row, block in enumerate(blocks) if block not in group_of)
    for item in events:
        for row in range(CELLS.num_rows):
            if item.parts[0].geometry.intersects(square(*centre(row), 0.004)):
                assert (item.group, row) in touched, NAMES[row]


def test_cells_of_events_are_not_lost_to_the_buffer_of_other_blocks():
    splits = {"train": 40, "val": 30, "test": 30, "block_m": 2400, "buffer_m": 1500}
    touched = {NAMES[row] for _, row in events_touching(CELLS, [flood()], 1200)}
    for seed in range(20):
        sampled = sample_cells(CELLS, archive_of(), recipe_of(splits=splits, sampling={"seed": seed}), [flood()])
        assert touched <= set(sampled.cells["cell"].to_pylist())


@pytest.mark.parametrize("changes", [{}, {"events": [{"source": "effis", "files": ["x"]}], "sampling": {"cells": 3}}])
def test_event_sampling_needs_events_and_excludes_a_number_of_cells(changes):
    with pytest.raises(ValidationError):
        recipe_of(event_sampling={}, **changes)


def test_cells_near_an_epicentre_are_affected():
    quake = event(
        "quake-1", type="earthquake", end=START, parts=event_parts(near=square(*centre(0), 0.02)), epicentre=centre(0)
    )
    impacts = {row: {"quake-1": EventImpact(0.0, False, near=True)} for row in (0, 1, 8)}
    by_role = rows_by_role(make_plan(archive_of(during=(dt.timedelta(days=2) / DAY,)), [quake], impacts))
    assert len(cells_of(by_role["affected"])) == 3 and "unaffected" not in by_role


def test_cloudy_cells_and_cells_without_a_pre_event_acquisition_are_in_the_ledger():
    archive = archive_of(before=(), during=(2,))
    shown = next(item.id for item in archive if item.sensor == "s2" and 0 < (item.datetime - START) / DAY < 10)
    stats, limits = cloudy(NAMES[0], shown), {"clouds": {"max_chip_pct": 10}}
    result = make_plan(archive, [flood()], IMPACTS, cloud_stats=stats, **limits)
    affected = {(row["cell"], row["sensor"]) for row in rows_by_role(result)["affected"]}
    assert {(row["id"], row["reason"], row["detail"].partition(":")[0]) for row in result.drops.to_pylist()} == {
        (NAMES[0], "cloud", "flood-1/affected")
    } | {(cell, "no_acquisition", f"{sensor} before flood-1") for cell, sensor in affected}


@pytest.mark.parametrize("min_distance_km", [0, 0.4])
def test_distant_cells_keep_the_least_distance_and_are_not_in_holes(min_distance_km):
    lon, lat = centre(27)
    ring = square(lon, lat, 0.03) - square(lon, lat, 0.025)
    with_hole = event(parts=event_parts(square(*centre(0)), ring))
    sampling = {"affected": 3, "distant": 64, "min_distance_km": min_distance_km}
    result = make_plan(archive_of(), [with_hole], {0: flooded()}, event_sampling=sampling)
    cells = cells_of(rows_by_role(result)["distant"])
    centres = shapely.MultiPoint([centre(NAMES.index(cell)) for cell in cells])
    assert cells and not shapely.intersects(centres, shapely.Polygon(ring.exterior))
    # From the centre, half a cell and the distance, in degrees of latitude.
    assert centres.distance(ring.exterior) > (0.55 + min_distance_km) / 111


def test_a_limited_plan_is_a_subset_of_the_unlimited_plan():
    unlimited, limited = (make_plan(archive_of(), [flood()], IMPACTS, limit=limit).plan for limit in (None, 3))
    assert set(limited["id"].to_pylist()) < set(unlimited["id"].to_pylist())
    assert len(set(limited["cell"].to_pylist())) == 3


def test_affected_cells_are_covered_by_an_acquisition():
    # All 64 cells are flooded, and the acquisition during the flood covers four of them.
    impacts = {row: flooded() for row in range(64)}
    archive = [acquisition(id="s2_001", datetime=START + 2 * DAY, size_px=(240, 240)), optical(2, day=START_DAY - 5)]
    assert len(cells_of(rows_by_role(make_plan(archive, [flood()], impacts))["affected"])) == 3


def test_an_event_outside_the_recipes_time_is_not_sampled():
    early = event("early-1", start=START - 300 * DAY, end=START - 290 * DAY, parts=flood().parts)
    time = {"start": "2021-05-01", "end": "2021-12-31"}
    result = make_plan(archive_of(), [flood(), early], IMPACTS, time=time)
    assert set(result.split_proof["events"]) == {"flood-1"}
