"""In which pixel of a raster a point lies, against turning every point by itself."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS, Transformer
from rasterio.transform import Affine

from landmark.core.crs import transformer
from landmark.grid.points import Points
from tests.parts import examples

PX = 24
GRIDS = {
    "the cells' own": (CRS.from_epsg(32632), 10.0),
    "CORINE's": (CRS.from_epsg(3035), 100.0),
    "a neighbouring zone's": (CRS.from_epsg(32633), 10.0),
    "degrees": (CRS.from_epsg(4326), 1 / 12000),
    "another datum's": (CRS.from_epsg(23032), 25.0),
}


@cache
def turning(epsg, crs):
    return Transformer.from_crs(epsg, crs, always_xy=True)


def squares(epsg, corners, *, cell_m=1200.0, px=PX):
    """Cells by their upper left corners, as the cover makes them."""
    steps = (np.arange(px) + 0.5) * (cell_m / px)
    left, top = np.array(corners, float).T[:, :, None]
    return left + steps, top - steps


def directly(epsg, x, y, crs, transform):
    """Rows and columns of the points, each turned by itself; -1 before the raster and where there are none."""
    x, y = np.broadcast_arrays(x[:, None, :], y[:, :, None])
    turned = np.stack(turning(epsg, crs).transform(x, y))
    inside = np.isfinite(turned).all(axis=0)
    col, row = ~transform @ np.where(inside, turned, 0)
    return np.maximum(np.where(inside, np.floor([row, col]), -1), -1)


def find_pixels(epsg, x, y, crs, transform):
    """What is tested, in the same form."""
    pixels = Points(epsg, x, y).pixels(crs, transform)
    return np.maximum([np.broadcast_to(axis, (len(x), y.shape[1], x.shape[1])) for axis in pixels], -1)


@given(
    st.sampled_from(sorted(GRIDS)),
    st.lists(st.tuples(st.floats(300_000, 700_000), st.floats(4_000_000, 7_000_000)), min_size=1, max_size=4),
    st.integers(0, 4 * PX**2 - 1),
    st.sampled_from([0.0, 1e-12, 1e-9, 1e-7, 1e-5, 1e-3]),
    st.sampled_from([-1, 1]),
    st.sampled_from([0, 0, 12]),
)
@examples(150)
def test_pixels_equal_exact_projection(name, corners, number, off, side, turned_deg):
    """The raster is laid so that the edges of its pixels all but touch one of the points."""
    (crs, pixel), (x, y) = GRIDS[name], squares(32632, corners)
    place = np.unravel_index(number % (len(corners) * PX**2), (len(corners), PX, PX))
    on_edge = turning(32632, crs).transform(x[place[0], place[2]], y[place[0], place[1]])
    shifted = [axis + side * off * pixel for axis in on_edge]
    transform = Affine(pixel, 0, shifted[0], 0, -pixel, shifted[1]) @ Affine.rotation(turned_deg)
    transform = transform @ Affine.translation(-1e4, -1e4)
    assert np.array_equal(find_pixels(32632, x, y, crs, transform), directly(32632, x, y, crs, transform))


def test_few_points_are_projected_exactly(monkeypatch):
    """Or the speed of it all would be lost without a word."""
    sizes = []
    turn = Transformer.transform
    monkeypatch.setattr(Transformer, "transform", lambda self, x, y: sizes.append(np.size(x)) or turn(self, x, y))
    x, y = squares(32632, [(600_000 + 1200 * col, 5_040_000) for col in range(10)], px=120)
    for crs, pixel in GRIDS.values():
        sizes.clear()
        left, top = turn(Transformer.from_crs(32632, crs, always_xy=True), 600_000, 5_040_000)
        Points(32632, x, y).pixels(crs, Affine(pixel, 0, left, 0, -pixel, top))
        assert sum(sizes) < 0.01 * 10 * 120**2


def test_pixels_at_the_antimeridian():
    left, top = transformer(4326, 32660).transform(180.0, 52.0)
    x, y = squares(32660, [(left - 600, top)])
    crs, transform = CRS.from_epsg(4326), Affine(1 / 12000, 0, -180, 0, -1 / 12000, 90)
    expected = directly(32660, x, y, crs, transform)
    assert np.array_equal(find_pixels(32660, x, y, crs, transform), expected) and np.ptp(expected[1]) > 4e6


def test_points_outside_a_projection_have_no_pixel():
    """A globe seen from so far south that its edge runs through the cell."""
    x, y = squares(32632, [(499_400, 5_000_600)])
    lon, lat = transformer(32632, 4326).transform(500_000, 5_000_000)
    crs = CRS.from_proj4(f"+proj=ortho +lat_0={lat - 90} +lon_0={lon} +ellps=WGS84")
    transform = Affine(10, 0, -1e7, 0, -10, 1e7)
    expected = directly(32632, x, y, crs, transform)
    assert np.array_equal(find_pixels(32632, x, y, crs, transform), expected)
    assert 0.2 < (expected[0] < 0).mean() < 0.8


@pytest.mark.parametrize("px", [1, 2, 7])
def test_small_rectangles_are_exact(px):
    x, y = squares(32632, [(612_345.6, 5_012_345.6)], px=px)
    crs, transform = CRS.from_epsg(3035), Affine(100, 0, 4_000_000, 0, -100, 3_000_000)
    assert np.array_equal(find_pixels(32632, x, y, crs, transform), directly(32632, x, y, crs, transform))
