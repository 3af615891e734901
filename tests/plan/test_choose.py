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

from landmark.core.crs import LONLAT, reproject, transformer
from landmark.core.errors import NoCoverage
from landmark.domain.acquisition import Item
from landmark.domain.schemas import CLOUD_STATS, LEDGER, PLAN
from landmark.labels.label_rules import CellLabels
from landmark.plan.candidates import find_candidates
from landmark.plan.choose import LabelFacts, choose_samples
from landmark.plan.clearest import AcquisitionRanking, CloudCover, shortlist
from landmark.plan.sample import sample_cells
from tests.parts import examples, recipe_of
from tests.plan.scenes import SENSORS, grid, optical, radar

BOTH_YEARS = {"time": {"start": "2020-01-01", "end": "2022-12-31"}}


class LabelTable(dict):
    """(cell, period) -> CellLabels, with the mask lookup of `CellLabelTable`."""

    def class_and_label_masks(self, keys):
        masks = [[self[key].label_valid_pct > 0, bool(self[key].labels)] for key in keys]
        return tuple(np.array(masks).reshape(-1, 2).T)


def candidates_of(acquisitions, cells, recipe, **options):
    sampled = sample_cells(cells, acquisitions, recipe)
    return sampled, find_candidates(sampled.cells, acquisitions, recipe, SENSORS, **options)


def make_plan(acquisitions, *, cells=None, labels=None, gap_days=None, cloud_stats=None, **changes):
    recipe = recipe_of(**({"splits": {"block_m": 2400, "buffer_m": 0}} | changes))
    sampled, candidates = candidates_of(acquisitions, grid() if cells is None else cells, recipe)
    facts = LabelFacts(None if labels is None else LabelTable(labels), gap_days=gap_days or {})
    return choose_samples(sampled, candidates, recipe, SENSORS, facts, cloud_stats)


@st.composite
def archives(draw):
    """A few acquisitions of both sensors over two years, some equally cloudy, some at the same distance in time."""
    days = st.integers(0, 700).map(lambda day: day - 350)
    clouds = st.sampled_from([0.0, 5.0, 10.0, 40.0])
    optical_days = draw(st.lists(days, min_size=1, max_size=7, unique=True))
    radar_days = draw(st.lists(days, min_size=1, max_size=7, unique=True))
    optical_items = [optical(number, day=day, cloud=draw(clouds)) for number, day in enumerate(optical_days)]
    return optical_items + [radar(number, day=day + 0.25) for number, day in enumerate(radar_days)]


def naive_choice(archive, recipe):
    """(sensor, period) -> the acquisition to choose, for a cell that all of them cover."""
    chosen = {}
    by_period = defaultdict(list)
    for item in archive:
        by_period[item.sensor, recipe.time.period_of(item.datetime)].append(item)
    for (sensor, period), items in by_period.items():
        if sensor == "s2":
            chosen[sensor, period] = min(items, key=lambda item: (item.cloud_pct, item.datetime, item.id))
    for (sensor, period), items in by_period.items():
        if sensor == "s1":
            optical_item = chosen.get(("s2", period))
            target = optical_item.datetime if optical_item else dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
            chosen[sensor, period] = min(items, key=lambda item: (abs(item.datetime - target), item.id))
    return chosen


@given(archives(), st.sampled_from(["year", "month"]))
@examples(60)
def test_the_clearest_sentinel_2_and_the_nearest_sentinel_1_are_chosen(archive, period):
    time = BOTH_YEARS["time"] | {"period": period}
    result = make_plan(archive, time=time, cells=grid(2, 2))
    expected = naive_choice(archive, recipe_of(time=time))
    chosen = {(row["sensor"], row["period"]): row["acquisition"] for row in result.plan.to_pylist()}
    assert chosen == {key: item.id for key, item in expected.items()}
    assert result.plan.num_rows == 4 * len(expected) and result.plan.schema == PLAN


@given(archives(), st.sampled_from([0, 1, 5, 30, 400]), st.sampled_from(["year", "month"]))
@examples(60)
def test_a_pair_is_the_nearest_sample_of_the_other_sensor_within_the_limit(archive, limit, period):
    time = BOTH_YEARS["time"] | {"period": period}
    rows = make_plan(archive, time=time, max_pair_gap_days=limit, cells=grid(1, 2)).plan.to_pylist()
    times = {item.id: item.datetime for item in archive}
    for row in rows:
        gaps = {
            candidate["id"]: (times[row["acquisition"]] - times[candidate["acquisition"]]).total_seconds()
            for candidate in rows
            if candidate["cell"] == row["cell"] and candidate["sensor"] != row["sensor"]
        }
        least = min((abs(gap) for gap in gaps.values()), default=math.inf)
        if least > limit * 86_400:
            assert row["pair"] is None and row["pair_gap_s"] is None
        else:
            assert abs(gaps[row["pair"]]) == least and row["pair_gap_s"] == gaps[row["pair"]]


def test_a_gap_of_exactly_the_limit_is_a_pair_from_both_sides():
    for day, paired in ((10, True), (10 + 1 / 86_400, False), (-10, True), (-10 - 1 / 86_400, False)):
        rows = make_plan([optical(0), radar(0, day=day)], max_pair_gap_days=10, cells=grid(1, 1)).plan.to_pylist()
        assert [row["pair"] is not None for row in rows] == [paired, paired]
        if paired:
            assert {row["pair"] for row in rows} == {row["id"] for row in rows}
            assert rows[0]["pair_gap_s"] == -rows[1]["pair_gap_s"] == day * 86_400


@given(archives(), st.integers(0, 2**32 - 1))
@examples(30)
def test_the_plan_does_not_depend_on_the_order_of_the_inputs(archive, seed):
    chance, cells = random.Random(seed), grid(3, 3)
    shuffled_archive = chance.sample(archive, len(archive))
    shuffled_cells = cells.take(pa.array(chance.sample(range(9), 9)))
    expected = make_plan(archive, cells=cells, **BOTH_YEARS)
    for shuffled in (shuffled_cells.sort_by("cell"), shuffled_cells):
        result = make_plan(shuffled_archive, cells=shuffled, **BOTH_YEARS)
        assert result.plan.equals(expected.plan) and result.drops.equals(expected.drops)
        assert (result.cell_counts, result.split_proof) == (expected.cell_counts, expected.split_proof)


@given(archives(), st.integers(1, 3))
@examples(20)
def test_the_choice_does_not_depend_on_the_batch_size(archive, batch_size):
    recipe = recipe_of(**BOTH_YEARS)
    _, candidates = candidates_of(archive, grid(3, 3), recipe)
    _, batched = candidates_of(archive, grid(3, 3), recipe, batch_size=batch_size)
    assert (batched.cell.tolist(), batched.acquisition.tolist()) == (
        candidates.cell.tolist(),
        candidates.acquisition.tolist(),
    )
    chosen, _ = AcquisitionRanking(candidates, CloudCover.empty(), recipe).choose_all()
    in_batches, _ = AcquisitionRanking(candidates, CloudCover.empty(), recipe, batch_size).choose_all()
    assert chosen.tolist() == in_batches.tolist()


@given(archives())
@examples(30)
def test_ids_are_unique_and_contain_sensor_cell_second_and_orbit(archive):
    rows = make_plan(archive, **BOTH_YEARS).plan.to_pylist()
    times = {item.id: item.datetime for item in archive}
    assert len({row["id"] for row in rows}) == len(rows)
    for row in rows:
        assert row["id"] == f"{row['sensor']}_{row['cell']}_{times[row['acquisition']]:%Y%m%dt%H%M%S}_r022"


@given(st.integers(1, 40), st.sampled_from([0, 1200]))
@examples(25)
def test_a_limited_plan_is_a_subset_of_the_unlimited_plan(limit, buffer_m):
    archive, splits = [optical(0), radar(0, day=2), optical(1, day=3)], {"block_m": 2400, "buffer_m": buffer_m}
    limited, unlimited = (
        {row["id"]: row for row in make_plan(archive, limit=count, splits=splits).plan.to_pylist()}
        for count in (limit, None)
    )
    cells = {row["cell"] for row in unlimited.values()}
    assert len({row["cell"] for row in limited.values()}) == min(limit, len(cells))
    for id_, row in limited.items():
        assert {**row, "shard": 0} == {**unlimited[id_], "shard": 0}


# -- what an acquisition covers ----------------------------------------------------------------------------------------


def cells_of(result, sensor="s2"):
    return {row["cell"] for row in result.plan.to_pylist() if row["sensor"] == sensor}


def test_a_cell_in_the_raster_but_outside_the_footprint_is_not_covered():
    outline = shapely.segmentize(shapely.box(600_000, 5_032_800, 603_000, 5_040_000), 500)
    archive = [optical(0, footprint=reproject(outline, 32632, LONLAT)), optical(1, cloud=60)]
    result = make_plan(archive, sensors=["s2"])
    in_footprint = {row["cell"] for row in result.plan.to_pylist() if row["acquisition"] == "s2_000"}
    assert in_footprint == {row["cell"] for row in grid().to_pylist() if row["x"] + 1200 <= 603_000}


def test_off_lattice_rasters_serve_cells_for_radar_only():
    archive = [optical(0, origin=(599_997.0, 5_040_000.0)), radar(0, origin=(599_003.0, 5_041_000.0))]
    result = make_plan(archive, cells=grid(5, 5))
    assert cells_of(result, "s2") == set() and len(cells_of(result, "s1")) == 25
    assert {(row["reason"], row["detail"]) for row in result.drops.to_pylist()} == {("no_acquisition", "s2 2021")}


def test_with_the_source_grid_cells_are_for_rasters_on_their_lattice():
    archive = [radar(0), radar(1, day=1, origin=(599_003.0, 5_041_000.0))]
    result = make_plan(archive, sensors=["s1"], grid="source", cells=grid(2, 2))
    assert set(result.plan["acquisition"].to_pylist()) == {"s1_000"}


@pytest.mark.parametrize(
    ("left", "top", "size", "covered"),
    [(0, 0, 120, True), (3, 0, 120, False), (3, 0, 121, True), (0, 4, 120, False), (0, 4, 121, True)],
)
def test_an_off_lattice_radar_raster_needs_another_pixel(left, top, size, covered):
    item = radar(0, origin=(600_000.0 - left, 5_040_000.0 + top), size_px=(size, size))
    if covered:
        assert make_plan([item], sensors=["s1"], cells=grid(1, 1)).plan.num_rows == 1
    else:
        with pytest.raises(NoCoverage):
            make_plan([item], sensors=["s1"], cells=grid(1, 1))


# -- cloud statistics --------------------------------------------------------------------------------------------------


def with_mask(number, **changes):
    return optical(number, items=(Item(f"i{number}", {"SCL": "SCL.tif"}, ""),), **changes)


def stats_of(**pixels):
    """A CLOUD_STATS table of one cell: acquisition -> {mask class: pixels}."""
    rows = [
        {"cell": "32632_600000_5040000", "acquisition": acquisition, "code": code, "pixels": count}
        for acquisition, codes in pixels.items()
        for code, count in codes.items()
    ]
    return pa.Table.from_pylist(rows, schema=CLOUD_STATS)


@pytest.mark.parametrize(
    ("stats", "expected"),
    [
        pytest.param({}, "s2_000", id="none read"),
        pytest.param({"s2_000": {9: 30, 4: 70}, "s2_001": {9: 20, 4: 80}}, "s2_001", id="cloud"),
        pytest.param({"s2_000": {3: 10, 9: 10, 4: 80}, "s2_001": {9: 19, 4: 81}}, "s2_001", id="shadow counts"),
        pytest.param({"s2_000": {0: 40, 4: 60}, "s2_001": {9: 20, 4: 80}}, "s2_001", id="nodata counts"),
        pytest.param({"s2_000": {4: 100}, "s2_001": {4: 100}}, "s2_000", id="a tie: the earlier"),
        pytest.param({"s2_001": {9: 24, 4: 76}}, "s2_001", id="read before declared"),
        pytest.param({"s2_000": {0: 6, 4: 94}, "s2_001": {9: 10, 4: 90}}, "s2_001", id="too few valid pixels"),
        pytest.param({"s2_000": {9: 26, 4: 74}, "s2_001": {9: 24, 0: 4, 4: 72}}, "s2_001", id="too cloudy"),
        pytest.param({"s2_000": {9: 60, 4: 40}, "s2_001": {9: 50, 4: 50}}, "s2_002", id="two beyond a limit"),
        pytest.param({"s2_000": {11: 100}, "s2_001": {9: 1, 4: 99}}, "s2_000", id="snow does not count"),
    ],
)
def test_the_clearest_chip_by_the_masks_is_chosen(stats, expected):
    archive = [with_mask(0, day=0, cloud=1.0), with_mask(1, day=9, cloud=30.0), with_mask(2, day=20, cloud=60.0)]
    result = make_plan(archive, sensors=["s2"], cells=grid(1, 1), cloud_stats=stats_of(**stats))
    assert result.plan["acquisition"].to_pylist() == [expected]


def test_a_cell_cloudy_in_all_masks_is_dropped():
    archive = [with_mask(0, cloud=1.0), with_mask(1, day=9, cloud=30.0), radar(0)]
    stats = stats_of(s2_000={9: 60, 4: 40}, s2_001={8: 20, 3: 20, 4: 60})
    result = make_plan(archive, cells=grid(1, 1), cloud_stats=stats)
    assert cells_of(result, "s2") == set() and len(cells_of(result, "s1")) == 1
    assert [row["reason"] for row in result.drops.to_pylist()] == ["cloud"]


@given(archives(), st.integers(1, 4), st.sampled_from(["year", "month"]))
@examples(40)
def test_the_shortlist_is_the_clearest_few_of_several(archive, best_of, period):
    recipe = recipe_of(time=BOTH_YEARS["time"] | {"period": period}, splits={"block_m": 2400, "buffer_m": 0})
    assets = {"s1": {}, "s2": {"SCL": ""}}
    masked = [replace(item, items=(Item("i", assets[item.sensor], ""),)) for item in archive]
    _, candidates = candidates_of(masked, grid(2, 1), recipe)
    by_period = defaultdict(list)
    for item in masked:
        if item.sensor == "s2":
            by_period[recipe.time.period_of(item.datetime)].append(item)
    expected = {
        item.id
        for items in by_period.values()
        if len(items) > 1 and best_of > 1
        for item in sorted(items, key=lambda item: (item.cloud_pct, item.id))[:best_of]
    }
    shortlisted = shortlist(candidates, SENSORS["s2"], best_of)
    assert shortlisted.keys() == expected and all(rows.tolist() == [0, 1] for rows in shortlisted.values())


def test_all_acquisitions_of_unknown_cloud_cover_are_shortlisted():
    clouds = [30.0, None, 5.0, None, 10.0, None]
    archive = [
        replace(with_mask(number, day=number, cloud=cloud), cloud_pct=cloud) for number, cloud in enumerate(clouds)
    ]
    _, candidates = candidates_of(archive, grid(2, 1), recipe_of(splits={"block_m": 2400, "buffer_m": 0}))
    assert shortlist(candidates, SENSORS["s2"], 2).keys() == {"s2_001", "s2_002", "s2_003", "s2_004", "s2_005"}


def zone_33(number, **changes):
    """Radar of zone 33 over the cells, which are of zone 32."""
    x, y = transformer(32632, 32633).transform(603_600, 5_036_400)
    return radar(number, epsg=32633, origin=(x - 6000, y + 6000), size_px=(1200, 1200), **changes)


def test_radar_of_an_adjacent_zone_serves_cells_without_radar_of_their_own_zone():
    result = make_plan([optical(0), zone_33(0, day=3)])
    assert set(result.plan["acquisition"].to_pylist()) == {"s2_000", "s1_000"}
    assert len(cells_of(result, "s1")) == 36 and all(row["epsg"] == 32632 for row in result.plan.to_pylist())
    assert cells_of(make_plan([optical(0), zone_33(0, day=3)], grid="source"), "s1") == set()


@pytest.mark.parametrize(
    ("own_day", "adjacent_day", "expected"),
    [(4, 4, "s1_000"), (9, 1, "s1_000"), (-9.5, 9, "s1_000"), (11, 9, "s1_001")],
)
def test_radar_of_the_own_zone_comes_first_if_near_enough_for_a_pair(own_day, adjacent_day, expected):
    result = make_plan([optical(0), radar(0, day=own_day), zone_33(1, day=adjacent_day)], max_pair_gap_days=10)
    assert {row["acquisition"] for row in result.plan.to_pylist() if row["sensor"] == "s1"} == {expected}


# -- labels and drops --------------------------------------------------------------------------------------------------


def cell_labels(labels, valid_pct=100.0):
    return CellLabels(tuple(labels), dict.fromkeys(labels, 1.0), {}, valid_pct, {})


def test_a_cell_without_a_label_is_dropped_with_the_reason():
    cells = grid(2, 2)
    names = cells["cell"].to_pylist()
    values = [cell_labels(["trees"]), cell_labels([]), cell_labels([], 0.0), cell_labels(["water"])]
    labels = {(name, "2021"): value for name, value in zip(names, values, strict=True)}
    result = make_plan([optical(0), radar(0)], cells=cells, labels=labels)
    assert cells_of(result) == cells_of(result, "s1") == {names[0], names[3]}
    columns = ("id", "reason", "detail", "stage", "final")
    assert {tuple(row[column] for column in columns) for row in result.drops.to_pylist()} == {
        (names[1], "unlabelled", "2021", "plan", True),
        (names[2], "no_labels", "2021", "plan", True),
    }


def test_a_cell_whose_only_labels_are_too_old_is_dropped_with_the_gap():
    cells = grid(2, 2)
    names = cells["cell"].to_pylist()
    values = [cell_labels(["trees"]), cell_labels([]), cell_labels([], 0.0), cell_labels([], 0.0)]
    labels = {(name, "2021"): value for name, value in zip(names, values, strict=True)}
    gap_days = {(names[1], "2021"): 7, (names[2], "2021"): 1246, (names[2], "2020"): 1}
    result = make_plan([optical(0), radar(0)], cells=cells, labels=labels, gap_days=gap_days)
    assert {(row["id"], row["reason"], row["detail"]) for row in result.drops.to_pylist()} == {
        (names[1], "unlabelled", "2021"),
        (names[2], "label_gap", "2021: 1246 days"),
        (names[3], "no_labels", "2021"),
    }


def test_every_candidate_cell_is_planned_or_counted():
    splits = {"train": 60, "val": 20, "test": 20, "block_m": 2400, "buffer_m": 1200}
    cells = grid()
    names = enumerate(cells["cell"].to_pylist())
    labels = {(name, "2021"): cell_labels(["trees"] if number % 5 else []) for number, name in names}
    result = make_plan([optical(0), radar(0)], cells=cells, labels=labels, splits=splits, limit=15)
    counts = result.cell_counts
    reasons = ("outside_rasters", "not_sampled", "buffer", "beyond_limit", "without_sample")
    assert counts["cells"] == 36 == counts["planned"] + sum(counts[name] for name in reasons)
    assert counts["planned"] == len(cells_of(result)) and counts["without_sample"] > 0
    assert result.drops.schema == LEDGER
    buffered = [row["id"] for row in result.drops.to_pylist() if row["reason"] == "buffer"]
    assert len(buffered) == counts["buffer"] > 0 and not set(buffered) & cells_of(result)


def test_no_cell_with_both_image_and_label_is_an_error():
    cells = grid(2, 2)
    labels = {(cell, "2021"): cell_labels([]) for cell in cells["cell"].to_pylist()}
    with pytest.raises(NoCoverage) as caught:
        make_plan([optical(0)], cells=cells, labels=labels, sensors=["s2"])
    assert caught.value.file == recipe_of().name


# -- shards ------------------------------------------------------------------------------------------------------------


def cells_by_shard(rows):
    cells = defaultdict(set)
    for row in rows:
        cells[row["sensor"], row["split"], row["shard"]].add(row["cell"])
    return cells


@pytest.mark.parametrize("shard_mb", [0.3, 1, 2, 1000])
@pytest.mark.parametrize("period", ["year", "month"])
def test_shard_k_of_both_sensors_holds_the_same_cells(shard_mb, period):
    archive = [optical(n, day=40 * n) for n in range(3)] + [radar(n, day=40 * n + 3) for n in range(3)]
    time = recipe_of().time.model_dump() | {"period": period}
    by_shard = cells_by_shard(make_plan(archive, output={"shard_mb": shard_mb}, time=time).plan.to_pylist())
    for (_, split, number), cells in by_shard.items():
        assert by_shard["s1", split, number] == by_shard["s2", split, number] == cells
    names = [name for (sensor, _, _), cells in by_shard.items() if sensor == "s2" for name in cells]
    assert len(names) == len(set(names))


def test_shards_are_numbered_consecutively_and_balanced():
    splits = {"train": 100, "val": 0, "test": 0}
    plan = make_plan([optical(0), radar(0)], cells=grid(6, 6), output={"shard_mb": 0.5}, splits=splits).plan
    by_shard = cells_by_shard(plan.to_pylist())
    count = math.ceil(36 * SENSORS["s2"].sample_bytes(120) / 0.5e6)
    sizes = [len(by_shard["s2", "train", number]) for number in range(count)]
    assert len(by_shard) == 2 * count and sum(sizes) == 36 and max(sizes) - min(sizes) <= 1


def test_the_rank_of_a_row_depends_on_seed_and_id_only():
    small, large = (make_plan([optical(0)], sensors=["s2"], cells=grid(n, n)).plan.to_pylist() for n in (2, 5))
    ranks = {row["id"]: row["rank"] for row in large}
    assert all(ranks[row["id"]] == row["rank"] for row in small) and len(set(ranks.values())) == len(ranks)


# -- the proof of the splits -------------------------------------------------------------------------------------------


def test_the_proof_measures_distance_and_overlap_of_the_splits():
    splits = {"train": 60, "val": 20, "test": 20, "block_m": 2400, "buffer_m": 1200}
    result = make_plan([optical(0), radar(0)], splits=splits)
    cells = {row["cell"]: row for row in result.plan.to_pylist()}
    gaps = [
        math.hypot(max(abs(a["x"] - b["x"]) - 1200, 0), max(abs(a["y"] - b["y"]) - 1200, 0))
        for a in cells.values()
        for b in cells.values()
        if a["split"] != b["split"]
    ]
    assert result.split_proof["closest_m"] == round(min(gaps), 1) >= 1200
    assert result.split_proof["shared_blocks"] == 0 and result.split_proof["shared_acquisitions"] == 2
    counts = {name: sum(row["split"] == name for row in cells.values()) for name in ("train", "val", "test")}
    assert result.split_proof["cells"] == counts


def test_a_single_split_has_no_distance():
    result = make_plan([optical(0)], sensors=["s2"], splits={"train": 100, "val": 0, "test": 0})
    assert result.split_proof["closest_m"] is None
