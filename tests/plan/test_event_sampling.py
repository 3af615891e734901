import datetime as dt
from collections import Counter, defaultdict

import pyarrow as pa
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from landmark.config.recipe import Splits
from landmark.core.errors import NoCoverage
from landmark.core.yaml_files import load
from landmark.domain.impact import Ground, Happenings
from landmark.domain.schemas import CLEAR
from landmark.domain.taxonomy import Taxonomy
from landmark.labels.label_rules import Fractions, Meaning
from landmark.plan.candidates import choices
from landmark.plan.choose import draw
from landmark.plan.event_sampling import around
from landmark.plan.sample import assign_splits, sample, together, touching
from tests.domain.impacts import DAY, START, TYPES, event, grounds
from tests.parts import acquisition, cell_table, examples, recipe_of
from tests.plan.test_choose import NOON, SENSORS, optical, radar

TAXONOMY = load(Taxonomy, "taxonomies", "landmark")
SINCE_NOON = (START - NOON) / DAY


def square(lon, lat, half=0.006):
    return shapely.box(lon - half, lat - half, lon + half, lat + half)


def cells_of(wide=8, high=8):
    return cell_table(32632, [(600_000 + 1200 * x, 5_040_000 - 1200 * y) for y in range(high) for x in range(wide)])


def centre(cells, row):
    return cells["lon"][row].as_py(), cells["lat"][row].as_py()


def planned(archive, events, said, *, clear=None, cells=None, **changes):
    """The plan round events; `said` maps a row of the cells to what each event did there."""
    cells = cells_of() if cells is None else cells
    names = cells["cell"].to_pylist()
    asked = recipe_of(
        **{"events": [{"source": "effis", "files": ["x"]}],
           "around_events": {"affected": 3, "spared": 2, "far": 2, "apart_km": 0},
           "splits": {"train": 100, "val": 0, "test": 0, "block_m": 2400, "buffer_m": 0}} | changes
    )  # fmt: skip
    known = Happenings({one.id: one for one in events}, TYPES, ())
    meaning = Meaning(TAXONOMY, (), dict.fromkeys(TAXONOMY.classes, 5.0), happenings=known)
    sampled = sample(cells, archive, asked, events)
    options = choices(sampled.cells, archive, asked, SENSORS)
    facts = {
        (name, when): Fractions(("trees",), {"trees": 1.0}, {}, 100.0, {}, grounds=said.get(row, {}))
        for row, name in enumerate(names)
        for when in options.names
    }
    offered = around(options, facts, meaning, asked)
    return draw(sampled, offered, asked, facts=None, sensors=SENSORS, clear=clear, meaning=meaning)


def archive_of(*, before=(-20,), during=(2,), late=(60,)):
    """Both sensors, radar of both directions, so many days from the event's start; three radar tracks."""
    made = []
    for number, day in enumerate([*before, *during, *late]):
        made.append(optical(number, day=SINCE_NOON + day, cloud=5.0))
        for at, (direction, orbit) in enumerate((("ascending", 15), ("descending", 95), ("ascending", 117))):
            when = {"day": SINCE_NOON + day + 0.1 * (at + 1), "size_px": (1200, 1200)}
            made.append(radar(10 * number + at, orbit_direction=direction, relative_orbit=orbit, **when))
    return made


def flooded(share=0.4, **said):
    return {"flood-1": Ground(share, True, **said)}


SAID = {row: flooded() for row in (0, 1, 8, 9)} | {row: flooded(0.0) for row in (2, 10, 16)}


def roles_of(drawn):
    found = defaultdict(list)
    for row in drawn.plan.to_pylist():
        found[row["role"]].append(row)
    return found


def flood_of(cells=None):
    lon, lat = centre(cells_of() if cells is None else cells, 0)
    return event(parts=grounds(square(lon, lat), square(lon, lat, 0.02)))


def test_each_role_is_played_by_as_many_cells_as_are_wanted():
    found = roles_of(planned(archive_of(), [flood_of()], SAID))
    cells = {role: {row["cell"] for row in rows} for role, rows in found.items()}
    names = cells_of()["cell"].to_pylist()
    assert {role: len(some) for role, some in cells.items()} == {"affected": 3, "before": 3, "spared": 2, "far": 2}
    assert cells["affected"] == cells["before"] <= {names[row] for row in (0, 1, 8, 9)}
    assert cells["spared"] <= {names[row] for row in (2, 10, 16)}
    assert not cells["far"] & {names[row] for row in SAID}
    assert all(
        Counter(row["sensor"] for row in rows) == dict.fromkeys(("s1", "s2"), len(cells[role]))
        for role, rows in found.items()
    )


def test_what_comes_before_looked_the_same_way_and_what_is_far_was_seen_at_the_same_moment():
    archive = archive_of(before=(-30, -20), during=(1, 2))
    of = {one.id: one for one in archive}
    found = roles_of(planned(archive, [flood_of()], SAID))
    shown = {(row["cell"], row["sensor"]): of[row["acquisition"]] for row in found["affected"]}
    for row in found["before"]:
        one, then = of[row["acquisition"]], shown[row["cell"], row["sensor"]]
        assert one.moment < START <= then.moment
        assert (one.orbit_direction, one.relative_orbit) == (then.orbit_direction, then.relative_orbit)
    used = {row["acquisition"] for row in found["affected"] + found["spared"]}
    assert {row["acquisition"] for row in found["far"]} <= used


def test_another_track_of_the_same_direction_is_taken_before_none_and_another_direction_never():
    shown = [radar(1, day=SINCE_NOON + 1, orbit_direction="ascending", relative_orbit=15)]
    ways = [radar(2, day=SINCE_NOON - 9, orbit_direction="ascending", relative_orbit=117),
            radar(3, day=SINCE_NOON - 1, orbit_direction="descending", relative_orbit=15)]  # fmt: skip
    only = {"sensors": ["s1"]}
    found = roles_of(planned(shown + ways, [flood_of()], SAID, **only))
    assert {row["acquisition"] for row in found["before"]} == {"s1_002"}
    assert "before" not in roles_of(planned(shown + ways[1:], [flood_of()], SAID, **only))


@pytest.mark.parametrize(
    ("kind", "day", "shown"), [("flood", 2, True), ("flood", 12, False), ("fire", 2, False), ("fire", 12, True)]
)
def test_only_a_phase_that_says_the_event_shows_it(kind, day, shown):
    # A flood is seen while it lasts, a burn once the fire has ended; both last ten days here.
    lon, lat = centre(cells_of(), 0)
    one = event(type=kind, parts=grounds(square(lon, lat), square(lon, lat, 0.02)))
    archive = [optical(1, day=SINCE_NOON + day), optical(2, day=SINCE_NOON - 5)]
    if shown:
        assert set(roles_of(planned(archive, [one], SAID))) == {"affected", "before", "spared", "far"}
    else:
        with pytest.raises(NoCoverage):
            planned(archive, [one], SAID)


def test_an_event_too_long_ago_or_too_far_ahead_is_not_gone_round():
    window = {"around_events": {"affected": 3, "before_days": 10, "after_days": 5, "apart_km": 0}}
    archive = archive_of(before=(-20,), during=(2,))
    found = roles_of(planned(archive, [flood_of()], SAID, **window))
    assert "before" not in found and len({row["cell"] for row in found["affected"]}) == 3


def test_cells_under_clouds_make_way_for_others():
    cells, archive = cells_of(), archive_of()
    names = cells["cell"].to_pylist()
    asked = {"sensors": ["s2"], "clouds": {"max_chip_pct": 10}}
    free = {row["cell"] for row in roles_of(planned(archive, [flood_of()], SAID, **asked))["affected"]}
    veiled = min(free)
    during = next(one.id for one in archive if one.sensor == "s2" and one.moment > START)
    clear = pa.Table.from_pylist([{"cell": veiled, "acquisition": during, "code": 9, "pixels": 3600}], schema=CLEAR)
    kept = {row["cell"] for row in roles_of(planned(archive, [flood_of()], SAID, clear=clear, **asked))["affected"]}
    assert len(kept) == 3 and veiled not in kept and kept <= {names[row] for row in (0, 1, 8, 9)}


def test_an_image_two_events_ask_for_is_one_sample():
    cells = cells_of()
    lon, lat = centre(cells, 0)
    ground = grounds(square(lon, lat), square(lon, lat, 0.02))
    events = [event("flood-1", parts=ground), event("flood-2", parts=ground)]
    said = {row: {"flood-1": Ground(0.4, True), "flood-2": Ground(0.2, True)} for row in (0, 1, 8, 9)}
    plan = planned(archive_of(), events, said).plan
    assert len(set(plan["id"].to_pylist())) == plan.num_rows


def test_the_plan_does_not_depend_on_the_order_of_the_archive_or_of_the_cells_asked_for():
    archive = archive_of(before=(-30, -20), during=(1, 2))
    one, other = (planned(some, [flood_of()], SAID).plan for some in (archive, archive[::-1]))
    assert one.equals(other)


def test_the_proof_tells_each_event_also_one_without_a_sample():
    far_away = event("fire-9", type="fire", parts=grounds(square(50, 10)))
    proof = planned(archive_of(), [flood_of(), far_away], SAID).proof["events"]
    assert proof["flood-1"] == {"split": "train", "affected": 3, "before": 3, "spared": 2, "far": 2}
    assert proof["fire-9"] == {"split": None, "affected": 0, "before": 0, "spared": 0, "far": 0}


@st.composite
def scattered(draw):
    """Events of a few groups anywhere on the grid, some across several blocks."""
    cells, found = cells_of(), []
    for number in range(draw(st.integers(1, 5))):
        lon, lat = centre(cells, draw(st.integers(0, 63)))
        ground = square(lon, lat, draw(st.sampled_from([0.004, 0.012, 0.03])))
        found.append(event(f"g{draw(st.integers(0, 2))}-{number}", parts=grounds(ground)))
    return found


@given(scattered(), st.integers(0, 50))
@examples(60)
def test_events_of_a_group_lie_in_one_split_and_other_blocks_keep_theirs(events, seed):
    cells = cells_of()
    blocks, splits = cells["block"].to_pylist(), Splits(train=40, val=30, test=30)
    touched = touching(cells, events, 1200)
    group_of = together(blocks, touched)
    split = assign_splits(blocks, splits, seed, group_of)
    sides = defaultdict(set)
    for group, row in touched:
        sides[group].add(split[row])
    assert all(len(found) == 1 for found in sides.values())
    alone = assign_splits(blocks, splits, seed)
    assert all(split[row] == alone[row] for row, block in enumerate(blocks) if block not in group_of)
    corners = [(cells["x"][row].as_py(), cells["y"][row].as_py()) for row in range(cells.num_rows)]
    for group, ground in ((one.group, one.parts[0].shape) for one in events):
        for row in range(cells.num_rows):
            if ground.intersects(square(*centre(cells, row), 0.004)):
                assert (group, row) in touched, corners[row]


def test_a_cell_of_an_event_is_not_lost_to_the_buffer_of_a_block_without_one():
    cells = cells_of()
    splits = {"train": 40, "val": 30, "test": 30, "block_m": 2400, "buffer_m": 1500}
    for seed in range(20):
        asked = recipe_of(splits=splits, sampling={"seed": seed})
        sampled = sample(cells, archive_of(), asked, [flood_of()])
        kept = set(sampled.cells["cell"].to_pylist())
        touched = {cells["cell"][row].as_py() for _, row in touching(cells, [flood_of()], 1200)}
        assert touched <= kept


def test_a_recipe_cannot_both_go_round_events_and_count_cells():
    with pytest.raises(ValueError, match="needs `events`"):
        recipe_of(around_events={})
    with pytest.raises(ValueError, match="leave out"):
        recipe_of(around_events={}, events=[{"source": "effis", "files": ["x"]}], sampling={"cells": 3})


def test_near_an_epicentre_alone_is_enough_to_be_gone_round():
    lon, lat = centre(cells_of(), 0)
    quake = event(
        "quake-1", type="earthquake", end=START, parts=grounds(near=square(lon, lat, 0.02)), epicentre=(lon, lat)
    )
    said = {row: {"quake-1": Ground(0.0, False, near=True)} for row in (0, 1, 8)}
    found = roles_of(planned(archive_of(during=(dt.timedelta(days=2) / DAY,)), [quake], said))
    assert len({row["cell"] for row in found["affected"]}) == 3 and "spared" not in found


def test_what_lies_under_clouds_and_what_has_no_image_before_is_told():
    archive, cells = archive_of(before=(), during=(2,)), cells_of()
    during = next(one.id for one in archive if one.sensor == "s2" and 0 < (one.moment - START) / DAY < 10)
    veiled = cells["cell"][0].as_py()
    clear = pa.Table.from_pylist([{"cell": veiled, "acquisition": during, "code": 9, "pixels": 3600}], schema=CLEAR)
    drawn = planned(archive, [flood_of()], SAID, clear=clear, clouds={"max_chip_pct": 10})
    told = {(row["id"], row["reason"], row["detail"]) for row in drawn.left_out.to_pylist()}
    affected = {(row["cell"], row["sensor"]) for row in roles_of(drawn)["affected"]}
    assert told == {(veiled, "cloud", "flood-1/affected: at best 100.0 % hidden")} | {
        (cell, "no_acquisition", f"{sensor} before flood-1") for cell, sensor in affected
    }


def test_far_cells_stand_apart_from_all_events_and_out_of_their_holes():
    cells = cells_of()
    lon, lat = centre(cells, 27)
    ring = square(lon, lat, 0.03) - square(lon, lat, 0.025)
    holed = event(parts=grounds(square(*centre(cells, 0)), ring))
    said = {0: flooded()}
    for apart_km in (0, 0.4):
        wish = {"affected": 3, "far": 64, "apart_km": apart_km}
        far = {row["cell"] for row in roles_of(planned(archive_of(), [holed], said, around_events=wish))["far"]}
        gap = shapely.MultiPoint([centre(cells, cells["cell"].to_pylist().index(cell)) for cell in far])
        assert far and not shapely.intersects(gap, shapely.Polygon(ring.exterior))
        # Centres, half a cell and the distance asked for, in degrees of latitude.
        assert gap.distance(ring.exterior) > (0.55 + apart_km) / 111


def test_a_limit_takes_a_true_subset_of_the_plan():
    archive = archive_of()
    whole = planned(archive, [flood_of()], SAID).plan
    some = planned(archive, [flood_of()], SAID, limit=3).plan
    assert set(some["id"].to_pylist()) < set(whole["id"].to_pylist()) and len(set(some["cell"].to_pylist())) == 3


def test_candidates_no_image_of_the_event_shows_leave_their_place_to_others():
    cells = cells_of()
    # All 64 cells are flooded, and the image of the flood covers four of them.
    said = {row: flooded() for row in range(64)}
    shown = acquisition(id="s2_001", moment=START + 2 * DAY, size_px=(240, 240))
    archive = [shown, optical(2, day=SINCE_NOON - 5)]
    covered = {row["cell"] for row in roles_of(planned(archive, [flood_of()], said, cells=cells))["affected"]}
    assert len(covered) == 3


def test_an_event_out_of_the_recipes_time_speaks_but_is_not_gone_round():
    early = event("early-1", start=START - 300 * DAY, end=START - 290 * DAY, parts=flood_of().parts)
    drawn = planned(archive_of(), [flood_of(), early], SAID, time={"start": "2021-05-01", "end": "2021-12-31"})
    assert set(drawn.proof["events"]) == {"flood-1"}
