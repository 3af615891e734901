import numpy as np
import pyarrow as pa
import shapely
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer

from landmark.plan.coverage import CellSquares
from tests.parts import acquisition, cell_table, examples

# EPSG of the cells and of the acquisition, and a place (lon, lat) where they meet.
MEETINGS = [
    (32632, 32632, 9.5, 45.4),
    (32632, 32633, 12.0, 45.4),
    (32734, 32735, 24.0, -33.9),
    (32733, 32633, 12.7, -0.01),
    (32660, 32601, 179.99, 65.0),
    (32633, 32631, 9.0, 78.5),
]


def scene(epsg, lon, lat, *, shift_px=0.0, **changes):
    """An acquisition of 600 px centred on a place, shifted off the lattice of the cells."""
    x, y = Transformer.from_crs(4326, epsg, always_xy=True).transform(lon, lat)
    left, top = (60 * round(axis / 60) + 10 * shift_px for axis in (x - 3000, y + 3000))
    return acquisition(sensor="s1", epsg=epsg, origin=(left, top), **changes)


def cells_at(epsg, lon, lat):
    x, y = Transformer.from_crs(4326, epsg, always_xy=True).transform(lon, lat)
    left, top = 1200 * round(x / 1200), 1200 * round(y / 1200)
    return cell_table(epsg, [(left + 1200 * col, top + 1200 * row) for row in range(-6, 7) for col in range(-6, 7)])


def covered_rows(squares, item, *, warped=True):
    _, rows = squares.find_covered([item], warped=np.array([warped]))
    return rows.tolist()


def edges_px(cells, item):
    """First and last position of each cell along the acquisition's two axes, in its pixels."""
    (epsg,) = set(cells["epsg"].to_pylist())
    width, height = np.array([(0, 0), (0, 1200), (1200, 0), (1200, 1200)]).T
    left, top = (cells[name].to_numpy()[:, None] for name in "xy")
    x, y = Transformer.from_crs(epsg, item.epsg, always_xy=True).transform(left + width, top - height)
    positions = np.concatenate([x - item.origin[0], item.origin[1] - y], axis=1) / 10
    return positions.min(axis=1), positions.max(axis=1)


@given(st.sampled_from(MEETINGS), st.sampled_from([0.0, 0.3, 0.999, 17.5]))
@examples(40)
def test_a_warped_acquisition_covers_exactly_the_cells_with_all_corners_inside(meeting, shift_px):
    cells_epsg, epsg, lon, lat = meeting
    cells, item = cells_at(cells_epsg, lon, lat), scene(epsg, lon, lat, shift_px=shift_px)
    covered = set(covered_rows(CellSquares.of(cells, 1200), item))
    for number, (first, last) in enumerate(zip(*edges_px(cells, item), strict=True)):
        # Between the pixels of its own zone, one more is needed on both axes.
        if first > 1e-3 and last < 599:
            assert number in covered
        assert number not in covered or (first > -2e-3 and last < 600 + 2e-3)
    assert 0 < len(covered) < cells.num_rows


def test_an_unwarped_acquisition_covers_only_cells_on_the_lattice():
    for cells_epsg, epsg, lon, lat in MEETINGS:
        squares = CellSquares.of(cells_at(cells_epsg, lon, lat), 1200)
        on, off = (covered_rows(squares, scene(epsg, lon, lat, shift_px=shift), warped=False) for shift in (0, 0.3))
        assert len(off) == 0 and (len(on) > 0) == (cells_epsg == epsg)


def test_a_cell_outside_the_footprint_is_not_covered():
    cells, full = cells_at(32632, 12.0, 45.4), scene(32633, 12.0, 45.4)
    half = scene(32633, 12.0, 45.4, footprint=full.footprint.intersection(shapely.box(0, 0, 12.0, 90)))
    squares = CellSquares.of(cells, 1200)
    in_half, in_full = (covered_rows(squares, item) for item in (half, full))
    lon = cells["lon"].to_numpy()
    # A cell is 1.2 km wide, 0.0077 degrees from its centre to its edge.
    assert (
        {row for row in in_full if lon[row] < 11.991} <= set(in_half) <= {row for row in in_full if lon[row] < 11.993}
    )


def test_global_cells_are_covered_only_near_the_acquisition():
    tables = [cells_at(epsg, lon, lat) for epsg, _, lon, lat in MEETINGS[1:]]
    squares = CellSquares.of(pa.concat_tables(tables), 1200)
    for number, (_, epsg, lon, lat) in enumerate(MEETINGS[1:]):
        local = covered_rows(CellSquares.of(tables[number], 1200), scene(epsg, lon, lat))
        assert [row - 169 * number for row in covered_rows(squares, scene(epsg, lon, lat))] == local != []
