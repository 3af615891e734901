"""The choice of an edition per cell and period, composites of exports, and limits of age."""

import datetime as dt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasterio.transform import Affine

from landmark.core.crs import transformer
from landmark.labels.editions import LabelSource
from tests.labels.maps import (
    DYNAMIC,
    IO_LULC,
    LEFT,
    PROBABILITY_BANDS,
    TOP,
    WORLDCOVER,
    count_labels,
    local_maps,
    period,
    pixels_by_codes,
    write_export,
    write_map,
)
from tests.parts import cell_table, examples

TWO = cell_table(32632, [(LEFT, TOP), (LEFT + 120, TOP)], cell_m=120)
A, B = TWO["cell"].to_pylist()
AT_A, BOTH_CELLS = TWO.slice(0, 1), (12, 24)


def flat(path, code, shape=(12, 12), **options):
    return write_map(path, np.full(shape, code, "uint8"), **options)


def years_at(label_counts, cell, name="2021"):
    """Year of each source's edition in a cell, None without one."""
    row = next(row for row in label_counts.table.to_pylist() if (row["cell"], row["period"]) == (cell, name))
    return [None if number < 0 else label_counts.editions[number].start.year for number in row["editions"]]


# -- nearest edition with data, per cell -------------------------------------------------------------------------------


def test_a_cell_outside_the_nearest_edition_gets_the_next(tmp_path):
    """2021 covers the first cell, 2020 both."""
    maps = local_maps(WORLDCOVER, flat(tmp_path / "wc_2021.tif", 10), flat(tmp_path / "wc_2020.tif", 20, BOTH_CELLS))
    label_counts = count_labels(TWO, (LabelSource(WORLDCOVER), maps))
    assert pixels_by_codes(label_counts, A) == {(10,): 144} and years_at(label_counts, A) == [2021]
    assert pixels_by_codes(label_counts, B) == {(20,): 144} and years_at(label_counts, B) == [2020]


def test_an_edition_without_data_in_a_cell_is_passed_over(tmp_path):
    codes = np.zeros(BOTH_CELLS, "uint8")
    codes[3, 3] = 10
    maps = local_maps(WORLDCOVER, write_map(tmp_path / "2021.tif", codes), flat(tmp_path / "2019.tif", 30, BOTH_CELLS))
    label_counts = count_labels(TWO, (LabelSource(WORLDCOVER), maps))
    assert pixels_by_codes(label_counts, A) == {(10,): 1, (-1,): 143} and years_at(label_counts, A) == [2021]
    assert pixels_by_codes(label_counts, B) == {(30,): 144} and years_at(label_counts, B) == [2019]


@pytest.mark.parametrize(
    ("years", "name", "expected"),
    [
        ((2020, 2021, 2022), "2021", 2021),
        ((2020, 2021), "2019", 2020),
        ((2020, 2021), "2025", 2021),
        ((2018, 2022), "2020", 2018),
        ((2018, 2022), "2021", 2022),
        ((2018, 2021), "2020-12", 2021),
        ((2018, 2021), "2019-01", 2018),
    ],
)
def test_the_nearest_edition_is_chosen(tmp_path, years, name, expected):
    maps = local_maps(WORLDCOVER, *[flat(tmp_path / f"{year}.tif", 10) for year in years])
    label_counts = count_labels(AT_A, (LabelSource(WORLDCOVER, max_gap_days=5000), maps), periods=(period(name),))
    assert years_at(label_counts, A, name) == [expected]


def test_editions_are_chosen_per_source(tmp_path):
    worldcover = local_maps(WORLDCOVER, flat(tmp_path / "wc_2021.tif", 10))
    io_lulc = local_maps(IO_LULC, flat(tmp_path / "io_2020.tif", 2, BOTH_CELLS))
    label_counts = count_labels(TWO, (LabelSource(WORLDCOVER), worldcover), (LabelSource(IO_LULC), io_lulc))
    assert years_at(label_counts, A) == [2021, 2020] and years_at(label_counts, B) == [None, 2020]
    assert pixels_by_codes(label_counts, A) == {(10, 2): 144} and pixels_by_codes(label_counts, B) == {(-1, 2): 144}


def test_editions_are_numbered_in_the_order_of_sources_and_time(tmp_path):
    maps = local_maps(WORLDCOVER, *[flat(tmp_path / f"{year}.tif", 10) for year in (2022, 2020, 2021)])
    names = ("2022", "2020", "2021")
    label_counts = count_labels(AT_A, (LabelSource(WORLDCOVER), maps), periods=tuple(period(name) for name in names))
    assert [edition.start.year for edition in label_counts.editions] == [2020, 2021, 2022]
    assert [years_at(label_counts, A, name) for name in sorted(names)] == [[2020], [2021], [2022]]


# -- limits of age -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("limit", "accepted"), [(365, True), (364, False)])
def test_the_gap_is_measured_to_the_most_distant_time_of_the_period(tmp_path, limit, accepted):
    """From the end of 2020 to the last moment of 2021."""
    maps = local_maps(WORLDCOVER, flat(tmp_path / "2020.tif", 10))
    label_counts = count_labels(AT_A, (LabelSource(WORLDCOVER, max_gap_days=limit), maps))
    assert pixels_by_codes(label_counts, A) == {(10 if accepted else -1,): 144}
    assert label_counts.gaps == ({} if accepted else {(A, "2021"): 365})
    assert years_at(label_counts, A) == [2020 if accepted else None]


def test_periods_are_cut_to_the_recipes_time_range(tmp_path):
    maps = local_maps(WORLDCOVER, flat(tmp_path / "2020.tif", 10))
    spring = period("2021", "2020-06-01", "2021-03-31")
    label_counts = count_labels(AT_A, (LabelSource(WORLDCOVER, max_gap_days=90), maps), periods=(spring,))
    assert pixels_by_codes(label_counts, A) == {(10,): 144}
    label_counts = count_labels(AT_A, (LabelSource(WORLDCOVER, max_gap_days=89), maps), periods=(spring,))
    assert label_counts.gaps == {(A, "2021"): 90}


def test_labels_of_any_source_prevent_a_gap(tmp_path):
    old, new = (
        local_maps(WORLDCOVER, flat(tmp_path / "2012.tif", 10, BOTH_CELLS)),
        local_maps(IO_LULC, flat(tmp_path / "2021.tif", 2)),
    )
    label_counts = count_labels(TWO, (LabelSource(WORLDCOVER), old), (LabelSource(IO_LULC), new))
    assert pixels_by_codes(label_counts, A) == {(-1, 2): 144}
    assert label_counts.gaps == {(B, "2021"): (dt.date(2022, 1, 1) - dt.date(2013, 1, 1)).days}


@given(
    st.lists(st.integers(2010, 2030), min_size=1, max_size=4, unique=True),
    st.integers(0, 3000),
    st.dates(dt.date(2016, 1, 1), dt.date(2024, 12, 31)),
)
@examples(25)
def test_no_image_is_further_from_the_labels_than_the_limit(tmp_path_factory, years, limit, day):
    folder = tmp_path_factory.mktemp("maps")
    maps = local_maps(WORLDCOVER, *[flat(folder / f"{year}.tif", 10) for year in years])
    label_counts = count_labels(
        AT_A, (LabelSource(WORLDCOVER, max_gap_days=limit), maps), periods=(period(str(day.year)),)
    )
    time = dt.datetime.combine(day, dt.time(10, 30), dt.UTC)
    (row,) = label_counts.table.to_pylist()
    for number in row["editions"]:
        assert (number >= 0) == (row["codes"] == [10]) == (not label_counts.gaps)
        if number >= 0:
            assert label_counts.editions[number].gap_days(time) <= limit
        else:
            assert label_counts.gaps[A, str(day.year)] > limit


# -- composites --------------------------------------------------------------------------------------------------------


def daily_export(folder, day, *bands):
    return write_export(folder / f"{day}T101031_32TQR.tif", *bands)


def series(folder, days, seed):
    """Exports of random codes over both cells, a fifth of each without data, and their (codes, probabilities)."""
    rng, maps, paths = np.random.default_rng(seed), [], []
    for day in days:
        label = rng.choice([0, 1, 4, 8], BOTH_CELLS)
        probabilities = rng.dirichlet(np.ones(9), BOTH_CELLS).transpose(2, 0, 1).astype("float32")
        nodata = rng.random(BOTH_CELLS) < 0.2
        probabilities[:, nodata], label[nodata] = 0, 0
        paths.append(daily_export(folder, day, label, probabilities))
        maps.append((np.where(nodata, -1, label), probabilities))
    return paths, maps


def histogram(values):
    codes, pixels = np.unique(values, return_counts=True)
    return {(int(code),): int(count) for code, count in zip(codes, pixels, strict=True)}


DAYS = ["20210102", "20210315", "20210612", "20210613", "20211231"]


@pytest.mark.parametrize("seed", range(4))
def test_the_most_frequent_class_wins_and_the_smaller_code_in_a_tie(tmp_path, seed):
    paths, maps = series(tmp_path, DAYS, seed)
    label_counts = count_labels(TWO, (LabelSource(DYNAMIC, max_gap_days=366), local_maps(DYNAMIC, *paths)))
    expected = np.full(BOTH_CELLS, -1)
    for pixel in np.ndindex(BOTH_CELLS):
        votes = [int(codes[pixel]) for codes, _ in maps if codes[pixel] >= 0]
        expected[pixel] = max(sorted(set(votes)), key=votes.count) if votes else -1
    assert pixels_by_codes(label_counts, A) == histogram(expected[:, :12]) and pixels_by_codes(
        label_counts, B
    ) == histogram(expected[:, 12:])


@pytest.mark.parametrize("confidence", [0, 0.3, 0.9])
def test_the_largest_mean_probability_wins_if_above_the_limit(tmp_path, confidence):
    paths, maps = series(tmp_path, DAYS, 7)
    source = LabelSource(DYNAMIC, "probability", confidence, 366)
    label_counts = count_labels(TWO, (source, local_maps(DYNAMIC, *paths)))
    stack = np.stack([np.where(codes >= 0, probabilities, np.nan) for codes, probabilities in maps]).astype("float64")
    valid = ~np.isnan(stack[:, 0]).all(axis=0)
    mean = np.nanmean(np.where(valid, stack, 0), axis=0)
    expected = np.where(valid & (mean.max(axis=0) >= confidence), mean.argmax(axis=0), -1)
    assert pixels_by_codes(label_counts, A) == histogram(expected[:, :12]) and pixels_by_codes(
        label_counts, B
    ) == histogram(expected[:, 12:])
    assert years_at(label_counts, A) == [2021] and not label_counts.gaps


def test_the_edition_of_a_composite_spans_the_exports_in_each_cell(tmp_path):
    values = np.ones((12, 12))
    paths = [daily_export(tmp_path, "20210301", values), daily_export(tmp_path, "20210901", np.ones(BOTH_CELLS))]
    label_counts = count_labels(TWO, (LabelSource(DYNAMIC, max_gap_days=366), local_maps(DYNAMIC, *paths)))
    spans = {
        row["cell"]: [f"{time:%m-%d}" for time in (edition.start, edition.end)]
        for row in label_counts.table.to_pylist()
        for edition in [label_counts.editions[row["editions"][0]]]
    }
    assert spans == {A: ["03-01", "09-01"], B: ["09-01", "09-01"]}


def test_a_period_without_exports_gets_the_nearest_export(tmp_path):
    paths = [
        daily_export(tmp_path, day, np.full((12, 12), code))
        for day, code in (("20210115", 1), ("20210131", 4), ("20210410", 6))
    ]
    months = tuple(period(f"2021-{month:02d}") for month in range(1, 6))
    label_counts = count_labels(
        AT_A, (LabelSource(DYNAMIC, max_gap_days=60), local_maps(DYNAMIC, *paths)), periods=months
    )
    by_month = {month.name: pixels_by_codes(label_counts, A, month.name) for month in months}
    # January has two exports, a tie; February is nearer to the last of them than to April's.
    assert by_month == {
        "2021-01": {(1,): 144},
        "2021-02": {(4,): 144},
        "2021-03": {(6,): 144},
        "2021-04": {(6,): 144},
        "2021-05": {(6,): 144},
    }


def test_only_exports_inside_the_recipes_time_range_are_combined(tmp_path):
    paths = [
        daily_export(tmp_path, day, np.full((12, 12), code))
        for day, code in (("20210115", 8), ("20210120", 8), ("20210701", 2))
    ]
    summer = period("2021", "2021-06-01", "2021-08-31")
    label_counts = count_labels(
        AT_A, (LabelSource(DYNAMIC, max_gap_days=366), local_maps(DYNAMIC, *paths)), periods=(summer,)
    )
    assert pixels_by_codes(label_counts, A) == {(2,): 144}


def test_tiles_of_the_same_time_count_once(tmp_path):
    """Three tiles show water at the same second, two later exports show trees: trees win by two to one."""
    values = np.ones((12, 12))
    tiles = [write_export(tmp_path / f"20210612T101031_{tile}.tif", 0 * values) for tile in ("32TQR", "32TQS", "32TQT")]
    days = [daily_export(tmp_path, day, values) for day in ("20210615", "20210618")]
    label_counts = count_labels(AT_A, (LabelSource(DYNAMIC, max_gap_days=366), local_maps(DYNAMIC, *tiles, *days)))
    assert pixels_by_codes(label_counts, A) == {(1,): 144}


def test_exports_in_different_crs_are_combined(tmp_path):
    """Two exports in EPSG:3035 outnumber one in the cells' zone."""
    x, y = transformer(32632, 3035).transform(LEFT, TOP)
    transform = Affine(10, 0, x - 500, 0, -10, y + 500)
    paths = [daily_export(tmp_path, "20210612", np.ones((12, 12)))]
    for day in ("20210613", "20210614"):
        path = tmp_path / f"{day}T101031_32TQR.tif"
        paths.append(write_export(path, np.full((100, 100), 4), crs="EPSG:3035", transform=transform))
    label_counts = count_labels(AT_A, (LabelSource(DYNAMIC, max_gap_days=366), local_maps(DYNAMIC, *paths)))
    assert pixels_by_codes(label_counts, A) == {(4,): 144}


def test_the_order_of_maps_does_not_matter(tmp_path):
    paths, _ = series(tmp_path, DAYS, 3)
    source = LabelSource(DYNAMIC, max_gap_days=366)
    ordered = count_labels(TWO, (source, local_maps(DYNAMIC, *paths)))
    reverse = count_labels(TWO, (source, local_maps(DYNAMIC, *reversed(paths))))
    assert ordered.table.equals(reverse.table) and ordered.editions == reverse.editions


@given(st.integers(0, 2**32 - 1), st.sampled_from(["mode", "probability"]))
@examples(8)
def test_every_cell_and_period_counts_all_pixels(tmp_path_factory, seed, composite):
    folder = tmp_path_factory.mktemp("dw")
    paths, _ = series(folder, DAYS[seed % 3 :], seed)
    old = flat(folder / "wc_2019.tif", 10, (7, 17))
    months = tuple(period(f"2021-{month:02d}") for month in (1, 6, 9))
    sources = (
        (LabelSource(DYNAMIC, composite, 0.0, 20), local_maps(DYNAMIC, *paths)),
        (LabelSource(WORLDCOVER), local_maps(WORLDCOVER, old)),
    )
    label_counts = count_labels(TWO, *sources, periods=months)
    sums = label_counts.table.group_by(["cell", "period"]).aggregate([("pixels", "sum")])
    assert sums.num_rows == 6 and set(sums["pixels_sum"].to_pylist()) == {144}


@pytest.mark.parametrize(("confidence", "accepted"), [(0.69, True), (0.7, True), (0.71, False)])
def test_integers_are_percent_and_the_limit_is_inclusive(tmp_path, confidence, accepted):
    bands = [np.full((12, 12), percent, "uint8") for percent in (5, 70, 5, 4, 4, 3, 3, 3, 3)]
    names = [*PROBABILITY_BANDS, "label"]
    path = write_map(tmp_path / "20210601.tif", *bands, np.ones((12, 12), "uint8"), names=names, nodata=255)
    source = LabelSource(DYNAMIC, "probability", confidence, 366)
    assert pixels_by_codes(count_labels(AT_A, (source, local_maps(DYNAMIC, path))), A) == {
        ((1,) if accepted else (-1,)): 144
    }
