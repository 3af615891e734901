import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pyproj import Transformer
from rasterio.enums import Resampling
from rasterio.transform import Affine
from rasterio.vrt import WarpedVRT

from landmark.extract.resample import Nodes, Shift, along, interpolated
from tests.parts import examples
from tests.raster.rasters import noise, write_raster

# -- all equally far ---------------------------------------------------------------------------------------------------


@given(
    arrays(np.float64, (5, 6), elements=st.floats(0.001, 10)),
    arrays(np.bool_, (5, 6)),
    st.floats(0, 0.999),
    st.floats(0, 0.999),
)
@examples(80)
def test_interpolation_equals_a_plain_loop(power, known, row_px, col_px):
    got, there = interpolated((power, known), Shift.by(row_px, col_px))
    for row in range(4):
        for col in range(5):
            total = weight = 0.0
            for down, deep in ((0, 1 - row_px), (1, row_px)):
                for right, across in ((0, 1 - col_px), (1, col_px)):
                    if known[row + down, col + right]:
                        total += deep * across * power[row + down, col + right]
                        weight += deep * across
            if abs(weight - 0.5) > 1e-9:
                assert there[row, col] == (weight > 0.5)
            if there[row, col]:
                assert got[row, col] == pytest.approx(total / weight)


@pytest.mark.parametrize(("east_m", "south_m"), [(3, 0), (0, 7), (2.5, 7.5), (9.99, 0.01)])
def test_interpolation_agrees_with_gdals_warper(tmp_path, east_m, south_m):
    power = noise((60, 60), "float32", 3)
    path = write_raster(tmp_path / "vv.tif", power, nodata=-32768.0)
    shifted = Affine(10, 0, 600_000 + east_m, 0, -10, 5_040_000 - south_m)
    with (
        rasterio.open(path) as source,
        WarpedVRT(source, crs=source.crs, transform=shifted, width=58, height=58, resampling=Resampling.bilinear,
                  dtype="float64") as warped,
    ):  # fmt: skip
        expected = warped.read(1)
    got, there = interpolated(
        (power.astype(np.float64), np.ones_like(power, dtype=bool)), Shift.by(south_m / 10, east_m / 10)
    )
    assert there.all()
    np.testing.assert_allclose(got[:58, :58], expected, rtol=1e-5)


# -- where another projection puts them --------------------------------------------------------------------------------


@given(
    st.integers(1, 60),
    st.sampled_from([-1, 1]),
    st.floats(-80, 84),
    st.floats(-4, 4),
    st.sampled_from([120, 360, 1002]),
)
@examples(60)
def test_every_centre_lies_within_a_hundredth_of_a_pixel_of_where_proj_puts_it(zone, side, lat, off_deg, size):
    south = 100 if lat < 0 else 0
    source, target = 32600 + south + zone, 32600 + south + (zone - 1 + side) % 60 + 1
    to_zone = Transformer.from_crs(4326, source, always_xy=True)
    left, top = to_zone.transform(6 * zone - 183 + off_deg, lat)
    nodes = Nodes.of(np.array([[left, top]]), 10.0 * size, source, target)
    some = np.linspace(0, size - 1, 31).astype(int)
    weights = along(nodes.x.shape[1], size)[some]
    x, y = (weights @ axis[0] @ weights.T for axis in (nodes.x, nodes.y))
    steps = 10.0 * (some + 0.5)
    true_x, true_y = Transformer.from_crs(source, target, always_xy=True).transform(
        *np.meshgrid(left + steps, top - steps)
    )
    assert np.hypot(x - true_x, y - true_y).max() < 0.1
