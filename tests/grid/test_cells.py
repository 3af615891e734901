import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import assume, given
from hypothesis import strategies as st
from pyproj import Transformer

from landmark.domain.schemas import CELLS
from landmark.grid.cells import cell_blocks, cell_corner, utm_cells
from landmark.grid.zones import zone_of
from tests.parts import examples

SIZES_M = (600.0, 1200.0, 1260.0, 2400.0)


def epsg_of(zone: int, south: bool) -> int:
    return (32700 if south else 32600) + zone


@st.composite
def regions(draw, complete_zone: bool = False):
    """(zone, south, box) of a few kilometres, well inside a zone or (complete_zone) anywhere up to its edges."""
    zone, south = draw(st.integers(1, 60)), draw(st.booleans())
    lat = draw(st.floats(0.1, 55 if complete_zone else 71)) * (-1 if south else 1)
    lon = -180 + 6 * (zone - 1) + draw(st.floats(0.0, 5.9) if complete_zone else st.floats(0.6, 5.0))
    wide, high = draw(st.floats(0.03, 0.09)), draw(st.floats(0.03, 0.09))
    assume(lat > -79 and (lat + high <= 0 or lat >= 0))
    # Between 56 and 64 degrees north, zone 32 begins at 3 degrees east.
    assume(zone != 31 or lat + high < 56 or lat > 64 or lon + wide < 3)
    return zone, south, shapely.box(lon, lat, lon + wide, lat + high)


def squares(table: pa.Table, cell_m: float) -> list[tuple[int, float, float]]:
    return [(row["epsg"], row["x"], row["y"]) for row in table.to_pylist()]


@given(regions(), st.sampled_from(SIZES_M), st.floats(0, 1), st.floats(0, 1))
@examples(60)
def test_each_point_is_in_a_single_cell(where, cell_m, along, up):
    zone, south, box = where
    table = utm_cells(box, cell_m=cell_m, block_m=24_000)
    assert set(table["epsg"].to_pylist()) <= {epsg_of(zone, south)}
    west, low, east, high = box.bounds
    to_utm = Transformer.from_crs(4326, epsg_of(zone, south), always_xy=True)
    to_degrees = Transformer.from_crs(epsg_of(zone, south), 4326, always_xy=True)
    x, y = to_utm.transform(west + along * (east - west), low + up * (high - low))
    equator = 10_000_000 if south else 0
    left, top = cell_m * (x // cell_m), cell_m * ((y - equator) // cell_m + 1) + equator
    centre = to_degrees.transform(left + cell_m / 2, top - cell_m / 2)
    holding = [(a, b) for _, a, b in squares(table, cell_m) if a <= x < a + cell_m and b - cell_m <= y < b]
    assert holding == ([(left, top)] if shapely.contains_xy(box, *centre) else [])


@given(regions(complete_zone=True), st.sampled_from(SIZES_M))
@examples(40)
def test_cell_centres_are_in_region_and_zone(where, cell_m):
    _, _, box = where
    table = utm_cells(box, cell_m=cell_m, block_m=24_000)
    for row in table.to_pylist():
        back = Transformer.from_crs(row["epsg"], 4326, always_xy=True)
        lon, lat = back.transform(row["x"] + cell_m / 2, row["y"] - cell_m / 2)
        assert (row["lon"], row["lat"]) == pytest.approx((lon, lat), abs=1e-9)
        assert shapely.contains_xy(box, lon, lat)
        assert row["epsg"] % 100 == int(zone_of(np.array([lon]), np.array([lat]))[0])
        assert row["epsg"] // 100 == (327 if lat < 0 else 326)


@given(regions(complete_zone=True), st.sampled_from(SIZES_M), st.floats(0.1, 0.9), st.booleans())
@examples(40)
def test_cells_of_adjacent_regions_partition_those_of_the_union(where, cell_m, cut, across):
    _, _, box = where
    west, south, east, north = box.bounds
    middle = west + cut * (east - west) if across else south + cut * (north - south)
    parts = (
        [shapely.box(west, south, middle, north), shapely.box(middle, south, east, north)]
        if across
        else [shapely.box(west, south, east, middle), shapely.box(west, middle, east, north)]
    )
    west, east = (set(utm_cells(part, cell_m=cell_m, block_m=24_000)["cell"].to_pylist()) for part in parts)
    assert not west & east
    assert west | east == set(utm_cells(box, cell_m=cell_m, block_m=24_000)["cell"].to_pylist())


@given(regions(complete_zone=True), st.sampled_from(SIZES_M))
@examples(30)
def test_corners_are_multiples_of_the_cell_from_equator_and_easting_zero(where, cell_m):
    table = utm_cells(where[2], cell_m=cell_m, block_m=24_000)
    for epsg, x, y in squares(table, cell_m):
        assert x % cell_m == 0
        assert (y - (10_000_000 if epsg > 32700 else 0)) % cell_m == 0


@given(regions(complete_zone=True), st.sampled_from(SIZES_M))
@examples(30)
def test_ids_count_from_easting_zero_and_the_equator(where, cell_m):
    table = utm_cells(where[2], cell_m=cell_m, block_m=24_000)
    ids = table["cell"].to_pylist()
    assert len(set(ids)) == len(ids) and ids == sorted(ids)
    for row in table.to_pylist():
        zone, col, away = row["cell"].split("_")
        south = zone.endswith("s")
        near_edge = 10_000_000 - row["y"] if south else row["y"] - cell_m
        assert (int(zone[:-1]), south) == (row["epsg"] % 100, row["epsg"] > 32700)
        assert (int(col) * cell_m, int(away) * cell_m) == (row["x"], near_edge)
        assert cell_corner(row["cell"], cell_m) == (row["epsg"], row["x"], row["y"])
    assert cell_blocks(ids, cell_m=cell_m, block_m=24_000) == table["block"].to_pylist()


def test_rows_at_the_equator_are_both_zero():
    table = utm_cells(shapely.box(9.0, -0.012, 9.03, 0.012), cell_m=1200, block_m=24_000)
    rows = {row["cell"]: row for row in table.to_pylist()}
    assert {name[:3] for name in rows} == {"32n", "32s"}
    for name, row in rows.items():
        if name.startswith("32n") and name.endswith("_0"):
            assert row["y"] - 1200 == 0
            assert rows[f"32s{name[3:]}"]["y"] == 10_000_000


def test_ids_do_not_depend_on_the_region():
    small, large = shapely.box(11.5, 45.2, 11.6, 45.3), shapely.box(11.4, 45.1, 11.7, 45.4)
    inner, outer = (utm_cells(part, cell_m=1200, block_m=24_000).to_pylist() for part in (small, large))
    by_id = {row["cell"]: row for row in outer}
    assert inner and all(by_id[row["cell"]] == row for row in inner)


PLACES = [
    ("Bergen lies west of 6 E, yet in zone 32", (5.20, 60.30, 5.35, 60.40), {32632}),
    ("south of 56 N the exception of 32V ends", (5.30, 55.90, 5.40, 55.98), {32631}),
    ("at 64 N it ends, too", (5.30, 64.01, 5.40, 64.06), {32631}),
    ("Longyearbyen in 33X", (15.5, 78.15, 15.7, 78.25), {32633}),
    ("8 E on Svalbard is 31X", (8.0, 78.5, 8.2, 78.55), {32631}),
    ("10 E on Svalbard is 33X, not 32", (10.0, 79.0, 10.2, 79.05), {32633}),
    ("21 E divides 33X from 35X", (20.9, 79.0, 21.1, 79.05), {32633, 32635}),
    ("33 E divides 35X from 37X", (32.9, 80.0, 33.1, 80.05), {32635, 32637}),
    ("zones of the south have no exception", (5.30, -60.40, 5.40, -60.30), {32731}),
]


@pytest.mark.parametrize(("box", "zones"), [pytest.param(*row, id=name) for name, *row in PLACES])
def test_zones_are_those_of_mgrs(box, zones):
    assert set(utm_cells(shapely.box(*box), cell_m=1200, block_m=24_000)["epsg"].to_pylist()) == zones


def test_zones_32_34_and_36_are_empty_on_svalbard():
    lon = np.linspace(-0.5, 42.5, 500)
    assert not {32, 34, 36} & set(zone_of(lon[(lon >= 0) & (lon < 42)], np.full(((lon >= 0) & (lon < 42)).sum(), 78.0)))


@given(st.floats(-180, 180).map(lambda degrees: round(degrees, 9)), st.floats(-79.9, 55.9))
@examples(80)
def test_outside_the_exceptions_a_zone_is_six_degrees(lon, lat):
    expected = next((zone for zone in range(1, 61) if lon < -180 + 6 * zone), 1)
    assert zone_of(np.array([lon]), np.array([lat]))[0] == expected


def test_a_region_over_the_antimeridian_has_cells_of_zones_60_and_1_and_no_others():
    region = shapely.union(shapely.box(179.9, -16.9, 180, -16.8), shapely.box(-180, -16.9, -179.9, -16.8))
    table = utm_cells(region, cell_m=1200, block_m=24_000)
    assert set(table["epsg"].to_pylist()) == {32760, 32701}
    for row in table.to_pylist():
        assert (row["lon"] > 0) == (row["epsg"] == 32760)
    apart = [utm_cells(part, cell_m=1200, block_m=24_000)["cell"].to_pylist() for part in region.geoms]
    assert sorted(table["cell"].to_pylist()) == sorted([*apart[0], *apart[1]])


def test_cells_of_two_zones_leave_no_gap_wider_than_a_cell_at_their_border():
    table = utm_cells(shapely.box(11.9, 45.3, 12.1, 45.4), cell_m=1200, block_m=24_000)
    points = shapely.points(np.random.default_rng(3).uniform((11.93, 45.33), (12.07, 45.37), (300, 2)))
    near = Transformer.from_crs(4326, 32633, always_xy=True)
    centres = np.array(near.transform(table["lon"].to_numpy(), table["lat"].to_numpy())).T
    for x, y in np.array(near.transform(shapely.get_x(points), shapely.get_y(points))).T:
        assert np.hypot(*(centres - (x, y)).T).min() < 1200


def test_each_cell_belongs_to_a_single_block():
    table = utm_cells(shapely.box(20.9, -33.95, 21.1, -33.8), cell_m=1200, block_m=3600)
    for row in table.to_pylist():
        col, away = (row["x"] + 600) // 3600, (row["y"] - 600 - 10_000_000) // 3600
        assert row["block"] == f"34s_{col:.0f}_{away:.0f}"
    assert max(table.group_by("block").aggregate([([], "count_all")])["count_all"].to_pylist()) == 9


def test_a_region_without_a_cell_centre_gives_an_empty_table_of_the_schema():
    table = utm_cells(shapely.box(11.5, 45.2, 11.5001, 45.2001), cell_m=1200, block_m=24_000)
    assert table.num_rows == 0 and table.schema == CELLS


def test_a_region_with_a_hole_has_no_cell_centred_in_the_hole():
    hole = shapely.box(11.45, 45.15, 11.55, 45.25)
    outer = shapely.box(11.4, 45.1, 11.6, 45.3)
    table = utm_cells(shapely.difference(outer, hole), cell_m=1200, block_m=24_000)
    inside = shapely.contains_xy(hole, table["lon"].to_numpy(), table["lat"].to_numpy())
    assert table.num_rows > 0 and not inside.any()
