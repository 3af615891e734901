"""Which edition serves each cell of a period, composites of exports, and how old labels may be."""

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
    SHARES,
    TOP,
    WORLDCOVER,
    counts,
    covered,
    export,
    maps,
    period,
    raster,
)
from tests.parts import cell_table, examples

TWO = cell_table(32632, [(LEFT, TOP), (LEFT + 120, TOP)], cell_m=120)
A, B = TWO["cell"].to_pylist()
AT_A, BOTH = TWO.slice(0, 1), (12, 24)


def flat(path, code, shape=(12, 12), **options):
    return raster(path, np.full(shape, code, "uint8"), **options)


def years_at(cover, cell, name="2021"):
    """Year of the edition each source gives a cell, None where it gives none."""
    row = next(row for row in cover.table.to_pylist() if (row["cell"], row["period"]) == (cell, name))
    return [None if number < 0 else cover.editions[number].start.year for number in row["editions"]]


def measured(cells, *sources, periods=()):
    return covered(cells, *sources, periods=periods, px=12, m=120)


# -- the nearest edition with data, per cell ---------------------------------------------------------------------------


def test_a_cell_the_nearest_edition_does_not_reach_takes_the_next(tmp_path):
    """2021 lies over the first cell alone, 2020 over both."""
    found = maps(WORLDCOVER, flat(tmp_path / "wc_2021.tif", 10), flat(tmp_path / "wc_2020.tif", 20, BOTH))
    cover = measured(TWO, (LabelSource(WORLDCOVER), found))
    assert counts(cover, A) == {(10,): 144} and years_at(cover, A) == [2021]
    assert counts(cover, B) == {(20,): 144} and years_at(cover, B) == [2020]


def test_an_edition_that_holds_only_no_data_in_a_cell_has_no_data_there(tmp_path):
    codes = np.zeros(BOTH, "uint8")
    codes[3, 3] = 10
    found = maps(WORLDCOVER, raster(tmp_path / "2021.tif", codes), flat(tmp_path / "2019.tif", 30, BOTH))
    cover = measured(TWO, (LabelSource(WORLDCOVER), found))
    assert counts(cover, A) == {(10,): 1, (-1,): 143} and years_at(cover, A) == [2021]
    assert counts(cover, B) == {(30,): 144} and years_at(cover, B) == [2019]


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
def test_the_nearest_edition_serves_a_period(tmp_path, years, name, expected):
    found = maps(WORLDCOVER, *[flat(tmp_path / f"{year}.tif", 10) for year in years])
    kind = "month" if "-" in name else "year"
    span = period(name)
    assert (span.end - span.start).days == (30 if kind == "month" else 365 if name == "2020" else 364)
    cover = measured(AT_A, (LabelSource(WORLDCOVER, max_gap_days=5000), found), periods=(span,))
    assert years_at(cover, A, name) == [expected]


def test_each_source_has_an_edition_of_its_own(tmp_path):
    one = maps(WORLDCOVER, flat(tmp_path / "wc_2021.tif", 10))
    other = maps(IO_LULC, flat(tmp_path / "io_2020.tif", 2, BOTH))
    cover = measured(TWO, (LabelSource(WORLDCOVER), one), (LabelSource(IO_LULC), other))
    assert years_at(cover, A) == [2021, 2020] and years_at(cover, B) == [None, 2020]
    assert counts(cover, A) == {(10, 2): 144} and counts(cover, B) == {(-1, 2): 144}


def test_the_editions_are_numbered_in_the_order_of_sources_and_time(tmp_path):
    found = maps(WORLDCOVER, *[flat(tmp_path / f"{year}.tif", 10) for year in (2022, 2020, 2021)])
    names = ("2022", "2020", "2021")
    cover = measured(AT_A, (LabelSource(WORLDCOVER), found), periods=tuple(period(name) for name in names))
    assert [edition.start.year for edition in cover.editions] == [2020, 2021, 2022]
    assert [years_at(cover, A, name) for name in sorted(names)] == [[2020], [2021], [2022]]


# -- how old labels may be ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("limit", "taken"), [(365, True), (364, False)])
def test_the_limit_counts_from_the_farthest_moment_of_the_period(tmp_path, limit, taken):
    """From the end of 2020 to the last moment of 2021."""
    found = maps(WORLDCOVER, flat(tmp_path / "2020.tif", 10))
    cover = measured(AT_A, (LabelSource(WORLDCOVER, max_gap_days=limit), found))
    assert counts(cover, A) == {(10 if taken else -1,): 144}
    assert cover.gaps == ({} if taken else {(A, "2021"): 365})
    assert years_at(cover, A) == [2020 if taken else None]


def test_only_the_part_of_a_period_that_lies_in_the_recipes_time_counts(tmp_path):
    found = maps(WORLDCOVER, flat(tmp_path / "2020.tif", 10))
    spring = period("2021", "2020-06-01", "2021-03-31")
    cover = measured(AT_A, (LabelSource(WORLDCOVER, max_gap_days=90), found), periods=(spring,))
    assert counts(cover, A) == {(10,): 144}
    cover = measured(AT_A, (LabelSource(WORLDCOVER, max_gap_days=89), found), periods=(spring,))
    assert cover.gaps == {(A, "2021"): 90}


def test_a_cell_with_labels_of_another_source_has_no_gap(tmp_path):
    old, new = maps(WORLDCOVER, flat(tmp_path / "2012.tif", 10, BOTH)), maps(IO_LULC, flat(tmp_path / "2021.tif", 2))
    cover = measured(TWO, (LabelSource(WORLDCOVER), old), (LabelSource(IO_LULC), new))
    assert counts(cover, A) == {(-1, 2): 144}
    assert cover.gaps == {(B, "2021"): (dt.date(2022, 1, 1) - dt.date(2013, 1, 1)).days}


@given(
    st.lists(st.integers(2010, 2030), min_size=1, max_size=4, unique=True),
    st.integers(0, 3000),
    st.dates(dt.date(2016, 1, 1), dt.date(2024, 12, 31)),
)
@examples(25)
def test_no_image_of_a_period_is_farther_from_its_labels_than_the_limit(tmp_path_factory, years, limit, day):
    folder = tmp_path_factory.mktemp("maps")
    found = maps(WORLDCOVER, *[flat(folder / f"{year}.tif", 10) for year in years])
    cover = measured(AT_A, (LabelSource(WORLDCOVER, max_gap_days=limit), found), periods=(period(str(day.year)),))
    moment = dt.datetime.combine(day, dt.time(10, 30), dt.UTC)
    (row,) = cover.table.to_pylist()
    for number in row["editions"]:
        assert (number >= 0) == (row["codes"] == [10]) == (not cover.gaps)
        if number >= 0:
            assert cover.editions[number].gap_days(moment) <= limit
        else:
            assert cover.gaps[A, str(day.year)] > limit


# -- composites --------------------------------------------------------------------------------------------------------


def dated(folder, day, *options, **more):
    return export(folder / f"{day}T101031_32TQR.tif", *options, **more)


def series(folder, days, seed):
    """Exports of random codes over both cells, the classes of each pixel few, a fifth of each without data."""
    chance, codes, paths = np.random.default_rng(seed), [], []
    for day in days:
        label = chance.choice([0, 1, 4, 8], BOTH)
        shares = chance.dirichlet(np.ones(9), BOTH).transpose(2, 0, 1).astype("float32")
        nothing = chance.random(BOTH) < 0.2
        shares[:, nothing], label[nothing] = 0, 0
        paths.append(dated(folder, day, label, shares))
        codes.append((np.where(nothing, -1, label), shares))
    return paths, codes


def histogram(values):
    kinds, number = np.unique(values, return_counts=True)
    return {(int(kind),): int(count) for kind, count in zip(kinds, number, strict=True)}


DAYS = ["20210102", "20210315", "20210612", "20210613", "20211231"]


@pytest.mark.parametrize("seed", range(4))
def test_the_most_frequent_class_wins_and_of_two_the_smaller_code(tmp_path, seed):
    paths, made = series(tmp_path, DAYS, seed)
    cover = measured(TWO, (LabelSource(DYNAMIC, max_gap_days=366), maps(DYNAMIC, *paths)))
    expected = np.full(BOTH, -1)
    for at in np.ndindex(BOTH):
        votes = [int(codes[at]) for codes, _ in made if codes[at] >= 0]
        expected[at] = max(sorted(set(votes)), key=votes.count) if votes else -1
    assert counts(cover, A) == histogram(expected[:, :12]) and counts(cover, B) == histogram(expected[:, 12:])


@pytest.mark.parametrize("confidence", [0, 0.3, 0.9])
def test_the_greatest_mean_probability_wins_where_it_is_sure_enough(tmp_path, confidence):
    paths, made = series(tmp_path, DAYS, 7)
    source = LabelSource(DYNAMIC, "probability", confidence, 366)
    cover = measured(TWO, (source, maps(DYNAMIC, *paths)))
    shares = np.stack([np.where(codes >= 0, share, np.nan) for codes, share in made]).astype("float64")
    known = ~np.isnan(shares[:, 0]).all(axis=0)
    mean = np.nanmean(np.where(known, shares, 0), axis=0)
    expected = np.where(known & (mean.max(axis=0) >= confidence), mean.argmax(axis=0), -1)
    assert counts(cover, A) == histogram(expected[:, :12]) and counts(cover, B) == histogram(expected[:, 12:])
    assert years_at(cover, A) == [2021] and not cover.gaps


def test_a_composite_says_from_when_to_when_its_exports_are_in_each_cell(tmp_path):
    ones = np.ones((12, 12))
    paths = [dated(tmp_path, "20210301", ones), dated(tmp_path, "20210901", np.ones(BOTH))]
    cover = measured(TWO, (LabelSource(DYNAMIC, max_gap_days=366), maps(DYNAMIC, *paths)))
    spans = {
        row["cell"]: [f"{moment:%m-%d}" for moment in (edition.start, edition.end)]
        for row in cover.table.to_pylist()
        for edition in [cover.editions[row["editions"][0]]]
    }
    assert spans == {A: ["03-01", "09-01"], B: ["09-01", "09-01"]}


def test_a_period_without_an_export_takes_the_nearest_one_in_time(tmp_path):
    paths = [
        dated(tmp_path, day, np.full((12, 12), code))
        for day, code in (("20210115", 1), ("20210131", 4), ("20210410", 6))
    ]
    months = tuple(period(f"2021-{month:02d}") for month in range(1, 6))
    cover = measured(AT_A, (LabelSource(DYNAMIC, max_gap_days=60), maps(DYNAMIC, *paths)), periods=months)
    said = {month.name: counts(cover, A, month.name) for month in months}
    # January holds two exports, one vote each; all of February is nearer to the last of them than to April's.
    assert said == {
        "2021-01": {(1,): 144},
        "2021-02": {(4,): 144},
        "2021-03": {(6,): 144},
        "2021-04": {(6,): 144},
        "2021-05": {(6,): 144},
    }


def test_only_exports_inside_the_recipes_time_are_put_together(tmp_path):
    paths = [
        dated(tmp_path, day, np.full((12, 12), code))
        for day, code in (("20210115", 8), ("20210120", 8), ("20210701", 2))
    ]
    summer = period("2021", "2021-06-01", "2021-08-31")
    cover = measured(AT_A, (LabelSource(DYNAMIC, max_gap_days=366), maps(DYNAMIC, *paths)), periods=(summer,))
    assert counts(cover, A) == {(2,): 144}


def test_two_tiles_of_one_moment_are_one_vote(tmp_path):
    """Two tiles say water at the same second, a day says trees twice: trees win by two days to one."""
    ones = np.ones((12, 12))
    tiles = [export(tmp_path / f"20210612T101031_{tile}.tif", 0 * ones) for tile in ("32TQR", "32TQS", "32TQT")]
    days = [dated(tmp_path, day, ones) for day in ("20210615", "20210618")]
    cover = measured(AT_A, (LabelSource(DYNAMIC, max_gap_days=366), maps(DYNAMIC, *tiles, *days)))
    assert counts(cover, A) == {(1,): 144}


def test_exports_of_two_crss_are_put_together(tmp_path):
    """Two days in EPSG:3035 outvote one in the cells' own zone."""
    x, y = transformer(32632, 3035).transform(LEFT, TOP)
    around = Affine(10, 0, x - 500, 0, -10, y + 500)
    one = dated(tmp_path, "20210612", np.ones((12, 12)))
    others = [
        dated(tmp_path, day, np.full((100, 100), 4), crs="EPSG:3035", transform=around)
        for day in ("20210613", "20210614")
    ]
    cover = measured(AT_A, (LabelSource(DYNAMIC, max_gap_days=366), maps(DYNAMIC, one, *others)))
    assert counts(cover, A) == {(4,): 144}


def test_the_cover_is_the_same_whatever_the_order_of_maps(tmp_path):
    paths, _ = series(tmp_path, DAYS, 3)
    one = measured(TWO, (LabelSource(DYNAMIC, max_gap_days=366), maps(DYNAMIC, *paths)))
    other = measured(TWO, (LabelSource(DYNAMIC, max_gap_days=366), maps(DYNAMIC, *reversed(paths))))
    assert one.table.equals(other.table) and one.editions == other.editions


@given(st.integers(0, 2**32 - 1), st.sampled_from(["mode", "probability"]))
@examples(8)
def test_every_cell_and_period_counts_all_its_pixels(tmp_path_factory, seed, composite):
    folder = tmp_path_factory.mktemp("dw")
    paths, _ = series(folder, DAYS[seed % 3 :], seed)
    old = flat(folder / "wc_2019.tif", 10, (7, 17))
    months = tuple(period(f"2021-{month:02d}") for month in (1, 6, 9))
    sources = (LabelSource(DYNAMIC, composite, 0.0, 20), maps(DYNAMIC, *paths)), (LabelSource(WORLDCOVER), maps(WORLDCOVER, old))
    cover = measured(TWO, *sources, periods=months)
    sums = cover.table.group_by(["cell", "period"]).aggregate([("pixels", "sum")])
    assert sums.num_rows == 6 and set(sums["pixels_sum"].to_pylist()) == {144}


@pytest.mark.parametrize(("confidence", "sure"), [(0.69, True), (0.7, True), (0.71, False)])
def test_whole_numbers_are_percent_and_exactly_the_limit_is_enough(tmp_path, confidence, sure):
    """As landmark's own export script writes them."""
    shares = [np.full((12, 12), percent, "uint8") for percent in (5, 70, 5, 4, 4, 3, 3, 3, 3)]
    names = [*SHARES, "label"]
    path = raster(tmp_path / "20210601.tif", *shares, np.ones((12, 12), "uint8"), names=names, nodata=255)
    source = LabelSource(DYNAMIC, "probability", confidence, 366)
    assert counts(measured(AT_A, (source, maps(DYNAMIC, path))), A) == {((1,) if sure else (-1,)): 144}
