import numpy as np
import pyarrow as pa
import shapely
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer

from landmark.plan.coverage import Squares
from tests.parts import acquisition, cell_table, examples

# Of the cells and of the image, and a place where they meet.
MEETINGS = [
    (32632, 32632, 9.5, 45.4),
    (32632, 32633, 12.0, 45.4),
    (32734, 32735, 24.0, -33.9),
    (32733, 32633, 12.7, -0.01),
    (32660, 32601, 179.99, 65.0),
    (32633, 32631, 9.0, 78.5),
]


def scene(epsg, lon, lat, *, shift_px=0.0, **changes):
    """An image of 600 px, its middle at a place, so far off the lattice of cells."""
    x, y = Transformer.from_crs(4326, epsg, always_xy=True).transform(lon, lat)
    left, top = (60 * round(axis / 60) + 10 * shift_px for axis in (x - 3000, y + 3000))
    return acquisition(sensor="s1", epsg=epsg, origin=(left, top), **changes)


def cells_at(epsg, lon, lat):
    x, y = Transformer.from_crs(4326, epsg, always_xy=True).transform(lon, lat)
    left, top = 1200 * round(x / 1200), 1200 * round(y / 1200)
    return cell_table(epsg, [(left + 1200 * col, top + 1200 * row) for row in range(-6, 7) for col in range(-6, 7)])


def covered(squares, one, *, warped=True):
    _, rows = squares.covered([one], warped=np.array([warped]))
    return rows.tolist()


def edges_px(cells, one):
    """The first and the last place of each cell along the image's two axes, in its pixels."""
    (epsg,) = set(cells["epsg"].to_pylist())
    wide, high = np.array([(0, 0), (0, 1200), (1200, 0), (1200, 1200)]).T
    left, top = (cells[name].to_numpy()[:, None] for name in "xy")
    x, y = Transformer.from_crs(epsg, one.epsg, always_xy=True).transform(left + wide, top - high)
    places = np.concatenate([x - one.origin[0], one.origin[1] - y], axis=1) / 10
    return places.min(axis=1), places.max(axis=1)


@given(st.sampled_from(MEETINGS), st.sampled_from([0.0, 0.3, 0.999, 17.5]))
@examples(40)
def test_a_warped_image_covers_exactly_the_cells_whose_corners_lie_in_it(meeting, shift_px):
    cells_epsg, epsg, lon, lat = meeting
    cells, one = cells_at(cells_epsg, lon, lat), scene(epsg, lon, lat, shift_px=shift_px)
    found = set(covered(Squares.of(cells, 1200), one))
    for number, (first, last) in enumerate(zip(*edges_px(cells, one), strict=True)):
        # Between the pixels of its own zone, one more is asked for on both axes.
        if first > 1e-3 and last < 599:
            assert number in found
        assert number not in found or (first > -2e-3 and last < 600 + 2e-3)
    assert 0 < len(found) < cells.num_rows


def test_an_image_that_is_not_warped_covers_cells_on_its_pixels_alone():
    for cells_epsg, epsg, lon, lat in MEETINGS:
        squares = Squares.of(cells_at(cells_epsg, lon, lat), 1200)
        on, off = (covered(squares, scene(epsg, lon, lat, shift_px=shift), warped=False) for shift in (0, 0.3))
        assert len(off) == 0 and (len(on) > 0) == (cells_epsg == epsg)


def test_a_cell_outside_the_footprint_is_not_covered():
    cells, whole = cells_at(32632, 12.0, 45.4), scene(32633, 12.0, 45.4)
    half = scene(32633, 12.0, 45.4, footprint=whole.footprint.intersection(shapely.box(0, 0, 12.0, 90)))
    squares = Squares.of(cells, 1200)
    kept, every = (covered(squares, one) for one in (half, whole))
    lon = cells["lon"].to_numpy()
    # A cell is 1.2 km wide, 0.0077 degrees from its centre to its edge.
    assert {row for row in every if lon[row] < 11.991} <= set(kept) <= {row for row in every if lon[row] < 11.993}


def test_cells_of_the_whole_earth_are_found_only_where_an_image_lies():
    every = [cells_at(epsg, lon, lat) for epsg, _, lon, lat in MEETINGS[1:]]
    squares = Squares.of(pa.concat_tables(every), 1200)
    for place, (_, epsg, lon, lat) in enumerate(MEETINGS[1:]):
        alone = covered(Squares.of(every[place], 1200), scene(epsg, lon, lat))
        found = covered(squares, scene(epsg, lon, lat))
        assert [row - 169 * place for row in found] == alone != []
