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

from landmark.extract.resample import ControlPoints, Shift, interpolate, linear_weights
from tests.parts import examples
from tests.raster.rasters import noise, write_raster

# -- constant shift ----------------------------------------------------------------------------------------------------


@given(
    arrays(np.float64, (5, 6), elements=st.floats(0.001, 10)),
    arrays(np.bool_, (5, 6)),
    st.floats(0, 0.999),
    st.floats(0, 0.999),
)
@examples(80)
def test_interpolation_equals_a_scalar_loop(power, valid, row_px, col_px):
    values, result_valid = interpolate((power, valid), Shift.from_offset(row_px, col_px))
    for row in range(4):
        for col in range(5):
            total = weight = 0.0
            for down, row_weight in ((0, 1 - row_px), (1, row_px)):
                for right, col_weight in ((0, 1 - col_px), (1, col_px)):
                    if valid[row + down, col + right]:
                        total += row_weight * col_weight * power[row + down, col + right]
                        weight += row_weight * col_weight
            if abs(weight - 0.5) > 1e-9:
                assert result_valid[row, col] == (weight > 0.5)
            if result_valid[row, col]:
                assert values[row, col] == pytest.approx(total / weight)


@pytest.mark.parametrize(("east_m", "south_m"), [(3, 0), (0, 7), (2.5, 7.5), (9.99, 0.01)])
def test_shifts_agree_with_gdal(tmp_path, east_m, south_m):
    power = noise((60, 60), "float32", 3)
    path = write_raster(tmp_path / "vv.tif", power, nodata=-32768.0)
    shifted = Affine(10, 0, 600_000 + east_m, 0, -10, 5_040_000 - south_m)
    with (
        rasterio.open(path) as source,
        WarpedVRT(source, crs=source.crs, transform=shifted, width=58, height=58, resampling=Resampling.bilinear,
                  dtype="float64") as warped,
    ):  # fmt: skip
        expected = warped.read(1)
    masked = power.astype(np.float64), np.ones_like(power, dtype=bool)
    values, valid = interpolate(masked, Shift.from_offset(south_m / 10, east_m / 10))
    assert valid.all()
    np.testing.assert_allclose(values[:58, :58], expected, rtol=1e-5)


# -- control points ----------------------------------------------------------------------------------------------------


@given(
    st.integers(1, 60),
    st.sampled_from([-1, 1]),
    st.floats(-80, 84),
    st.floats(-4, 4),
    st.sampled_from([120, 360, 1002]),
)
@examples(60)
def test_interpolated_centres_are_within_a_hundredth_of_a_pixel_of_proj(zone, side, lat, off_deg, size):
    south = 100 if lat < 0 else 0
    source, target = 32600 + south + zone, 32600 + south + (zone - 1 + side) % 60 + 1
    to_zone = Transformer.from_crs(4326, source, always_xy=True)
    left, top = to_zone.transform(6 * zone - 183 + off_deg, lat)
    points = ControlPoints.project(np.array([[left, top]]), 10.0 * size, source, target)
    pixels = np.linspace(0, size - 1, 31).astype(int)
    weights = linear_weights(points.x.shape[1], size)[pixels]
    x, y = (weights @ axis[0] @ weights.T for axis in (points.x, points.y))
    steps = 10.0 * (pixels + 0.5)
    true_x, true_y = Transformer.from_crs(source, target, always_xy=True).transform(
        *np.meshgrid(left + steps, top - steps)
    )
    assert np.hypot(x - true_x, y - true_y).max() < 0.1
