import datetime as dt
import math
import random
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from landmark.config.profiles import Provider, load_sensor
from landmark.core.crs import transformer
from landmark.core.errors import NoCoverage
from landmark.core.yaml_files import load
from landmark.domain.acquisition import Item
from landmark.domain.schemas import CLEAR, LEDGER, PLAN
from landmark.labels.label_rules import Fractions
from landmark.plan.candidates import choices
from landmark.plan.choose import draw
from landmark.plan.clearest import shortlist
from landmark.plan.estimate import estimate
from landmark.plan.sample import sample
from tests.parts import NOON, acquisition, cell_table, examples, recipe_of

SENSORS = {name: load_sensor(name) for name in ("s1", "s2")}
PROVIDER = load(Provider, "profiles/providers", "planetary-computer")
DAY = dt.timedelta(days=1)


def grid(wide=6, high=6):
    return cell_table(32632, [(600_000 + 1200 * x, 5_040_000 - 1200 * y) for y in range(high) for x in range(wide)])


def optical(number, *, day=0, cloud=10.0, **changes):
    return acquisition(id=f"s2_{number:03d}", moment=NOON + day * DAY, cloud_pct=cloud, size_px=(720, 720), **changes)


def radar(number, *, day=0.0, **changes):
    said = {"size_px": (900, 900), "origin": (599_000.0, 5_041_000.0)} | changes
    return acquisition(id=f"s1_{number:03d}", sensor="s1", moment=NOON + day * DAY, cloud_pct=None, **said)


class Told(dict):
    """(cell, period) → Fractions, as a fold has them."""

    def labelled(self, keys):
        return tuple(
            np.array([[self[key].label_valid_pct > 0, bool(self[key].labels)] for key in keys]).reshape(-1, 2).T
        )


def planned(acquisitions, *, cells=None, facts=None, label_gaps=None, clear=None, **changes):
    asked = recipe_of(**({"splits": {"block_m": 2400, "buffer_m": 0}} | changes))
    cells = grid() if cells is None else cells
    sampled = sample(cells, acquisitions, asked)
    options = choices(sampled.cells, acquisitions, asked, SENSORS)
    said = {
        "facts": None if facts is None else Told(facts),
        "sensors": SENSORS,
        "label_gaps": label_gaps or {},
        "clear": clear,
    }
    return draw(sampled, options, asked, **said)


@st.composite
def archives(draw):
    """A few acquisitions of both sensors over two years, some equally cloudy, some at the same distance in time."""
    days = st.integers(0, 700).map(lambda day: day - 350)
    clouds = st.sampled_from([0.0, 5.0, 10.0, 40.0])
    moments = draw(st.lists(days, min_size=1, max_size=7, unique=True))
    passes = draw(st.lists(days, min_size=1, max_size=7, unique=True))
    one = [optical(number, day=day, cloud=draw(clouds)) for number, day in enumerate(moments)]
    return one + [radar(number, day=day + 0.25) for number, day in enumerate(passes)]


BOTH_YEARS = {"time": {"start": "2020-01-01", "end": "2022-12-31"}}


def naive_choice(acquisitions, asked):
    """(sensor, period) → the acquisition to take, for a cell that all of them cover."""
    chosen = {}
    by_period = defaultdict(list)
    for one in acquisitions:
        by_period[one.sensor, asked.time.period_of(one.moment)].append(one)
    for (sensor, period), some in by_period.items():
        if sensor == "s2":
            chosen[sensor, period] = min(some, key=lambda one: (one.cloud_pct, one.moment, one.id))
    for (sensor, period), some in by_period.items():
        if sensor == "s1":
            clear = chosen.get(("s2", period))
            anchor = clear.moment if clear else dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
            chosen[sensor, period] = min(some, key=lambda one: (abs(one.moment - anchor), one.id))
    return chosen


@given(archives(), st.sampled_from(["year", "month"]))
@examples(60)
def test_the_clearest_sentinel_2_and_the_sentinel_1_nearest_to_it_are_taken(archive, period):
    time = BOTH_YEARS["time"] | {"period": period}
    result = planned(archive, time=time, cells=grid(2, 2))
    expected = naive_choice(archive, recipe_of(time=time))
    taken = {(row["sensor"], row["period"]): row["acquisition"] for row in result.plan.to_pylist()}
    assert taken == {key: one.id for key, one in expected.items()}
    assert result.plan.num_rows == 4 * len(expected) and result.plan.schema == PLAN


@given(archives(), st.sampled_from([0, 1, 5, 30, 400]), st.sampled_from(["year", "month"]))
@examples(60)
def test_a_pair_is_the_nearest_sample_of_the_other_sensor_within_the_limit(archive, limit, period):
    time = BOTH_YEARS["time"] | {"period": period}
    rows = planned(archive, time=time, max_pair_gap_days=limit, cells=grid(1, 2)).plan.to_pylist()
    moments = {one.id: one.moment for one in archive}
    for row in rows:
        gaps = {
            o["id"]: (moments[row["acquisition"]] - moments[o["acquisition"]]).total_seconds()
            for o in rows
            if o["cell"] == row["cell"] and o["sensor"] != row["sensor"]
        }
        least = min((abs(gap) for gap in gaps.values()), default=math.inf)
        if least > limit * 86_400:
            assert row["pair"] is None and row["pair_gap_s"] is None
        else:
            assert abs(gaps[row["pair"]]) == least and row["pair_gap_s"] == gaps[row["pair"]]


def test_the_limit_of_a_pair_belongs_to_it_and_is_the_same_from_both_sides():
    for day, paired in ((10, True), (10 + 1 / 86_400, False), (-10, True), (-10 - 1 / 86_400, False)):
        rows = planned([optical(0), radar(0, day=day)], max_pair_gap_days=10, cells=grid(1, 1)).plan.to_pylist()
        assert [row["pair"] is not None for row in rows] == [paired, paired]
        if paired:
            assert {row["pair"] for row in rows} == {row["id"] for row in rows}
            assert rows[0]["pair_gap_s"] == -rows[1]["pair_gap_s"] == day * 86_400


@given(archives(), st.integers(0, 2**32 - 1))
@examples(30)
def test_the_plan_does_not_depend_on_the_order_of_its_inputs(archive, seed):
    chance, cells = random.Random(seed), grid(3, 3)
    shuffled = chance.sample(archive, len(archive))
    order = pa.array(chance.sample(range(9), 9))
    one = planned(archive, cells=cells, **BOTH_YEARS)
    other = planned(shuffled, cells=cells.take(order).sort_by("cell"), **BOTH_YEARS)
    again = planned(shuffled, cells=cells.take(order), **BOTH_YEARS)
    assert one.plan.equals(other.plan) and one.plan.equals(again.plan)
    assert one.left_out.equals(other.left_out) and one.considered == other.considered and one.proof == other.proof


@given(archives(), st.integers(1, 3))
@examples(20)
def test_the_plan_does_not_depend_on_how_much_is_looked_at_together(archive, few):
    whole = planned(archive, cells=grid(3, 3), **BOTH_YEARS)
    with pytest.MonkeyPatch.context() as patch:
        for module in ("choosing", "clearest"):
            patch.setattr(f"landmark.draw.{module}._AT_ONCE", few)
        parts = planned(archive, cells=grid(3, 3), **BOTH_YEARS)
    assert parts.plan.equals(whole.plan) and parts.left_out.equals(whole.left_out)


@given(archives())
@examples(30)
def test_ids_are_unique_and_name_sensor_cell_second_and_orbit(archive):
    rows = planned(archive, **BOTH_YEARS).plan.to_pylist()
    moments = {one.id: one.moment for one in archive}
    assert len({row["id"] for row in rows}) == len(rows)
    for row in rows:
        assert row["id"] == f"{row['sensor']}_{row['cell']}_{moments[row['acquisition']]:%Y%m%dt%H%M%S}_r022"


@given(st.integers(1, 40), st.sampled_from([0, 1200]))
@examples(25)
def test_a_limited_plan_holds_rows_of_the_unlimited_one(limit, buffer_m):
    archive, splits = [optical(0), radar(0, day=2), optical(1, day=3)], {"block_m": 2400, "buffer_m": buffer_m}
    few, every = (
        {row["id"]: row for row in planned(archive, limit=n, splits=splits).plan.to_pylist()} for n in (limit, None)
    )
    assert len({row["cell"] for row in few.values()}) == min(limit, len({row["cell"] for row in every.values()}))
    for id, row in few.items():
        assert {**row, "shard": 0} == {**every[id], "shard": 0}


# -- what an acquisition covers ----------------------------------------------------------------------------------------


def cells_of(result, sensor="s2"):
    return {row["cell"] for row in result.plan.to_pylist() if row["sensor"] == sensor}


def test_a_cell_outside_the_footprint_is_not_taken_though_it_lies_in_the_raster():
    from landmark.core.crs import LONLAT, projected

    half = projected(shapely.segmentize(shapely.box(600_000, 5_032_800, 603_000, 5_040_000), 500), 32632, LONLAT)
    result = planned([optical(0, footprint=half), optical(1, cloud=60)], sensors=["s2"])
    near = {row["cell"] for row in result.plan.to_pylist() if row["acquisition"] == "s2_000"}
    assert near == {row["cell"] for row in grid().to_pylist() if row["x"] + 1200 <= 603_000}


def test_optical_rasters_between_the_pixels_of_the_grid_give_no_sample_and_radar_ones_do():
    archive = [optical(0, origin=(599_997.0, 5_040_000.0)), radar(0, origin=(599_003.0, 5_041_000.0))]
    result = planned(archive, cells=grid(5, 5))
    assert cells_of(result, "s2") == set() and len(cells_of(result, "s1")) == 25
    assert {(row["reason"], row["detail"]) for row in result.left_out.to_pylist()} == {("no_acquisition", "s2 2021")}


def test_cells_at_a_rasters_own_corner_are_for_the_rasters_on_them():
    archive = [radar(0), radar(1, day=1, origin=(599_003.0, 5_041_000.0))]
    result = planned(archive, sensors=["s1"], grid="source", cells=grid(2, 2))
    assert set(result.plan["acquisition"].to_pylist()) == {"s1_000"}


def test_a_radar_raster_between_the_pixels_needs_one_pixel_more():
    said = {"sensors": ["s1"], "cells": grid(1, 1)}
    for x, y, size, count in ((0, 0, 120, 1), (3, 0, 120, 0), (3, 0, 121, 1), (0, 4, 120, 0), (0, 4, 121, 1)):
        one = radar(0, origin=(600_000.0 - x, 5_040_000.0 + y), size_px=(size, size))
        if count:
            assert planned([one], **said).plan.num_rows == count
        else:
            with pytest.raises(NoCoverage):
                planned([one], **said)


# -- masks that were looked at -----------------------------------------------------------------------------------------


def masked(number, **changes):
    return optical(number, items=(Item(f"i{number}", {"SCL": "SCL.tif"}, ""),), **changes)


def shown(**cells):
    """A CLEAR table of one cell: acquisition → {mask class: pixels}."""
    rows = [
        {"cell": "32632_600000_5040000", "acquisition": one, "code": code, "pixels": pixels}
        for one, codes in cells.items()
        for code, pixels in codes.items()
    ]
    return pa.Table.from_pylist(rows, schema=CLEAR)


@pytest.mark.parametrize(
    ("looked", "taken"),
    [
        ({}, "s2_000"),
        ({"s2_000": {9: 30, 4: 70}, "s2_001": {9: 20, 4: 80}}, "s2_001"),
        ({"s2_000": {3: 10, 9: 10, 4: 80}, "s2_001": {9: 19, 4: 81}}, "s2_001"),
        ({"s2_000": {0: 40, 4: 60}, "s2_001": {9: 20, 4: 80}}, "s2_001"),
        ({"s2_000": {4: 100}, "s2_001": {4: 100}}, "s2_000"),
        ({"s2_001": {9: 24, 4: 76}}, "s2_001"),
        ({"s2_000": {0: 6, 4: 94}, "s2_001": {9: 10, 4: 90}}, "s2_001"),
        ({"s2_000": {9: 26, 4: 74}, "s2_001": {9: 24, 0: 4, 4: 72}}, "s2_001"),
        ({"s2_000": {9: 60, 4: 40}, "s2_001": {9: 50, 4: 50}}, "s2_002"),
        ({"s2_000": {11: 100}, "s2_001": {9: 1, 4: 99}}, "s2_000"),
    ],
    ids=[
        "none",
        "cloud",
        "shadow counts",
        "no data counts",
        "a tie: the earlier",
        "seen before said",
        "too empty",
        "too cloudy",
        "two that break a limit",
        "snow does not",
    ],
)
def test_of_the_masks_that_were_looked_at_the_clearest_chip_wins(looked, taken):
    archive = [masked(0, day=0, cloud=1.0), masked(1, day=9, cloud=30.0), masked(2, day=20, cloud=60.0)]
    result = planned(archive, sensors=["s2"], cells=grid(1, 1), clear=shown(**looked))
    assert result.plan["acquisition"].to_pylist() == [taken]


def test_a_cell_that_no_mask_shows_clear_is_left_out_before_a_pixel_is_read():
    archive = [masked(0, cloud=1.0), masked(1, day=9, cloud=30.0), radar(0)]
    hidden = shown(s2_000={9: 60, 4: 40}, s2_001={8: 20, 3: 20, 4: 60})
    result = planned(archive, cells=grid(1, 1), clear=hidden)
    assert cells_of(result, "s2") == set() and len(cells_of(result, "s1")) == 1
    assert [(row["reason"], row["detail"]) for row in result.left_out.to_pylist()] == [
        ("cloud", "2021: at best 40.0 % hidden")
    ]


@given(archives(), st.integers(1, 4), st.sampled_from(["year", "month"]))
@examples(40)
def test_the_shortlist_is_the_clearest_few_where_there_is_a_choice(archive, best_of, period):
    asked = recipe_of(time=BOTH_YEARS["time"] | {"period": period}, splits={"block_m": 2400, "buffer_m": 0})
    scenes = [replace(one, items=(Item("i", {"SCL": ""} if one.sensor == "s2" else {}, ""),)) for one in archive]
    options = choices(sample(grid(2, 1), scenes, asked).cells, scenes, asked, SENSORS)
    expected = set()
    by_period = defaultdict(list)
    for one in scenes:
        if one.sensor == "s2":
            by_period[asked.time.period_of(one.moment)].append(one)
    for some in by_period.values():
        if len(some) > 1 and best_of > 1:
            expected |= {one.id for one in sorted(some, key=lambda one: (one.cloud_pct, one.id))[:best_of]}
    found = shortlist(options, SENSORS["s2"], best_of)
    assert found.keys() == expected and all(rows.tolist() == [0, 1] for rows in found.values())


def beside(number, **changes):
    """Radar of zone 33 over the cells, which are of zone 32."""
    x, y = transformer(32632, 32633).transform(603_600, 5_036_400)
    return radar(number, epsg=32633, origin=(x - 6000, y + 6000), size_px=(1200, 1200), **changes)


def test_radar_of_the_zone_beside_serves_cells_that_have_none_of_their_own():
    result = planned([optical(0), beside(0, day=3)])
    assert set(result.plan["acquisition"].to_pylist()) == {"s2_000", "s1_000"}
    assert len(cells_of(result, "s1")) == 36 and all(row["epsg"] == 32632 for row in result.plan.to_pylist())
    assert cells_of(planned([optical(0), beside(0, day=3)], grid="source"), "s1") == set()


@pytest.mark.parametrize(
    ("own_day", "beside_day", "taken"), [(4, 4, "s1_000"), (9, 1, "s1_000"), (-9.5, 9, "s1_000"), (11, 9, "s1_001")]
)
def test_radar_of_the_own_zone_comes_first_as_long_as_it_is_near_enough_for_a_pair(own_day, beside_day, taken):
    result = planned([optical(0), radar(0, day=own_day), beside(1, day=beside_day)], max_pair_gap_days=10)
    assert {row["acquisition"] for row in result.plan.to_pylist() if row["sensor"] == "s1"} == {taken}


# -- labels and what is left out ---------------------------------------------------------------------------------------


def said(labels, valid_pct=100.0):
    return Fractions(tuple(labels), dict.fromkeys(labels, 1.0), {}, valid_pct, {})


def test_a_cell_without_a_label_is_left_out_with_the_reason():
    cells = grid(2, 2)
    kinds = dict(
        zip(cells["cell"].to_pylist(), [said(["trees"]), said([]), said([], 0.0), said(["water"])], strict=True)
    )
    result = planned([optical(0), radar(0)], cells=cells, facts={(cell, "2021"): fact for cell, fact in kinds.items()})
    names = cells["cell"].to_pylist()
    assert cells_of(result) == cells_of(result, "s1") == {names[0], names[3]}
    reasons = {
        (row["id"], row["reason"], row["detail"], row["stage"], row["final"]) for row in result.left_out.to_pylist()
    }
    assert reasons == {(names[1], "unlabelled", "2021", "draw", True), (names[2], "no_labels", "2021", "draw", True)}


def test_a_cell_whose_only_labels_are_too_old_says_by_how_much():
    cells = grid(2, 2)
    names = cells["cell"].to_pylist()
    kinds = dict(zip(names, [said(["trees"]), said([]), said([], 0.0), said([], 0.0)], strict=True))
    facts = {(cell, "2021"): fact for cell, fact in kinds.items()}
    gaps = {(names[1], "2021"): 7, (names[2], "2021"): 1246, (names[2], "2020"): 1}
    result = planned([optical(0), radar(0)], cells=cells, facts=facts, label_gaps=gaps)
    reasons = {(row["id"], row["reason"], row["detail"]) for row in result.left_out.to_pylist()}
    assert reasons == {
        (names[1], "unlabelled", "2021"),
        (names[2], "label_gap", "2021: 1246 days"),
        (names[3], "no_labels", "2021"),
    }


def test_candidates_are_planned_or_counted_as_lost():
    splits = {"train": 60, "val": 20, "test": 20, "block_m": 2400, "buffer_m": 1200}
    cells = grid()
    facts = {
        (cell, "2021"): said(["trees"] if number % 5 else []) for number, cell in enumerate(cells["cell"].to_pylist())
    }
    result = planned([optical(0), radar(0)], cells=cells, facts=facts, splits=splits, limit=15)
    counts = result.considered
    lost = ("outside_rasters", "not_sampled", "buffer", "beyond_limit", "without_sample")
    assert counts["cells"] == 36 == counts["planned"] + sum(counts[name] for name in lost)
    assert counts["planned"] == len(cells_of(result)) and counts["without_sample"] > 0
    assert result.left_out.schema == LEDGER
    buffered = [row["id"] for row in result.left_out.to_pylist() if row["reason"] == "buffer"]
    assert len(buffered) == counts["buffer"] > 0 and not set(buffered) & cells_of(result)


def test_nothing_with_both_image_and_label_is_a_refusal_that_counts_the_reasons():
    cells = grid(2, 2)
    facts = {(cell, "2021"): said([]) for cell in cells["cell"].to_pylist()}
    with pytest.raises(NoCoverage, match="unlabelled 4"):
        planned([optical(0)], cells=cells, facts=facts, sensors=["s2"])


# -- shards ------------------------------------------------------------------------------------------------------------


def shards_of(rows):
    held = defaultdict(set)
    for row in rows:
        held[row["sensor"], row["split"], row["shard"]].add(row["cell"])
    return held


@pytest.mark.parametrize("shard_mb", [0.3, 1, 2, 1000])
@pytest.mark.parametrize("period", ["year", "month"])
def test_a_shard_of_both_sensors_with_one_number_holds_the_same_cells(shard_mb, period):
    archive = [optical(n, day=40 * n) for n in range(3)] + [radar(n, day=40 * n + 3) for n in range(3)]
    rows = planned(archive, output={"shard_mb": shard_mb}, time=recipe_of().time.model_dump() | {"period": period}).plan
    held = shards_of(rows.to_pylist())
    for (_, split, k), cells in held.items():
        assert held["s1", split, k] == held["s2", split, k] == cells
    cells = [cell for (sensor, _, _), some in held.items() if sensor == "s2" for cell in some]
    assert len(cells) == len(set(cells))


def test_shards_are_numbered_without_a_gap_and_balanced():
    splits = {"train": 100, "val": 0, "test": 0}
    cells = grid(6, 6)
    rows = planned([optical(0), radar(0)], cells=cells, output={"shard_mb": 0.5}, splits=splits).plan.to_pylist()
    held = shards_of(rows)
    count = math.ceil(36 * SENSORS["s2"].sample_bytes(120) / 0.5e6)
    sizes = [len(held["s2", "train", k]) for k in range(count)]
    assert len(held) == 2 * count and sum(sizes) == 36 and max(sizes) - min(sizes) <= 1


def test_the_rank_of_a_row_follows_from_seed_and_id_alone():
    few, every = (planned([optical(0)], sensors=["s2"], cells=grid(n, n)).plan.to_pylist() for n in (2, 5))
    ranks = {row["id"]: row["rank"] for row in every}
    assert all(ranks[row["id"]] == row["rank"] for row in few) and len(set(ranks.values())) == len(ranks)


# -- the proof ---------------------------------------------------------------------------------------------------------


def test_the_proof_says_how_near_the_splits_come_and_what_they_share():
    splits = {"train": 60, "val": 20, "test": 20, "block_m": 2400, "buffer_m": 1200}
    result = planned([optical(0), radar(0)], splits=splits)
    cells = {row["cell"]: row for row in result.plan.to_pylist()}
    gaps = [
        math.hypot(max(abs(a["x"] - b["x"]) - 1200, 0), max(abs(a["y"] - b["y"]) - 1200, 0))
        for a in cells.values()
        for b in cells.values()
        if a["split"] != b["split"]
    ]
    assert result.proof["closest_m"] == round(min(gaps), 1) >= 1200
    assert result.proof["shared_blocks"] == 0 and result.proof["shared_acquisitions"] == 2
    counts = {name: sum(row["split"] == name for row in cells.values()) for name in ("train", "val", "test")}
    assert result.proof["cells"] == counts


def test_one_split_alone_has_no_nearest_other():
    assert planned([optical(0)], sensors=["s2"], splits={"train": 100, "val": 0, "test": 0}).proof["closest_m"] is None


# -- the estimate ------------------------------------------------------------------------------------------------------


def naive_blocks(corners, size, block):
    return {
        (r, c)
        for row, col in corners
        for r in range(row // block, (row + size - 1) // block + 1)
        for c in range(col // block, (col + size - 1) // block + 1)
    }


def naive_ranges(blocks, most):
    """How often one has to ask anew, block after block."""
    asked, last, length = 0, None, 0
    for row, col in blocks:
        if last != (row, col - 1) or length == most:
            asked, length = asked + 1, 0
        last, length = (row, col), length + 1
    return asked


@given(st.integers(1, 6), st.integers(1, 6), st.sampled_from([64, 100, 512]), st.sampled_from([1, 2]))
@examples(25)
def test_the_estimate_counts_the_blocks_that_the_chips_touch(wide, high, block_px, items):
    one, other = optical(0), radar(0)
    one = acquisition(**{name: getattr(one, name) for name in one.__slots__} | {"items": one.items * items})
    archive, cells = [one, other], grid(wide, high)
    asked = recipe_of(splits={"block_m": 2400, "buffer_m": 0})
    provider = PROVIDER.model_copy(
        update={"sensors": {k: v.model_copy(update={"block_px": block_px}) for k, v in PROVIDER.sensors.items()}}
    )
    sampled = sample(cells, archive, asked)
    plan = draw(sampled, choices(sampled.cells, archive, asked, SENSORS), asked, facts=None, sensors=SENSORS).plan
    cost = estimate(plan, {a.id: a for a in archive}, asked, provider=provider, sensors=SENSORS)
    requests, fetched, kept = 0, 0.0, 0.0
    for scene in archive:
        rows = [row for row in plan.to_pylist() if row["acquisition"] == scene.id]
        layers = [(g.factor, len(g.bands)) for g in SENSORS[scene.sensor].groups] + (
            [(2, 1)] if scene.sensor == "s2" else []
        )
        for factor, bands in layers:
            corners = [
                (round((scene.origin[1] - row["y"]) / 10) // factor, round((row["x"] - scene.origin[0]) / 10) // factor)
                for row in rows
            ]
            blocks = naive_blocks(corners, 120 // factor, block_px)
            touched = len(blocks) * bands * len(scene.items)
            size = provider.sensors[scene.sensor].bytes_per_px
            ranges = naive_ranges(sorted(blocks), 2**22 // (block_px**2 * size))
            requests += (1 + ranges) * bands * len(scene.items)
            fetched += touched * block_px**2 * size
            kept += bands * len(rows) * (120 // factor) ** 2 * size
    assert (cost.samples, cost.acquisitions, cost.requests) == (plan.num_rows, 2, requests)
    assert cost.fetched_bytes == pytest.approx(fetched, abs=1) and cost.amplification == pytest.approx(fetched / kept)
    assert cost.staging_bytes > cost.corpus_bytes > 0
