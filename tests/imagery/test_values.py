import math

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rasterio.enums import Resampling
from rasterio.transform import Affine
from rasterio.vrt import WarpedVRT

from landmark.base.profiles import Imagery
from landmark.imagery.values import block_mean, darkest, implausible, linear_power
from landmark.imagery.warp import Shift, interpolated
from tests.base.parts import examples
from tests.io.rasters import noise, write_raster


def radar(stored, **more):
    said = {"collection": "c", "product": "p", "assets": {"vv": "vv", "vh": "vh"}, "licence": "l", "attribution": "a"}
    return Imagery.model_validate({**said, "stored": stored, **more})


# -- bands stored finer than they are ----------------------------------------------------------------------------------


@given(arrays(np.uint16, (12, 18), elements=st.integers(0, 65535)), st.sampled_from([1, 2, 3, 6]))
@examples(60)
def test_a_block_mean_is_the_mean_of_the_pixels_with_data(numbers, times):
    got = block_mean(numbers, times, 0)
    for row in range(12 // times):
        for col in range(18 // times):
            block = numbers[row * times : (row + 1) * times, col * times : (col + 1) * times]
            known = [int(value) for value in block.ravel() if value]
            assert got[row, col] == (round(sum(known) / len(known)) if known else 0)


@given(arrays(np.uint16, (5, 4), elements=st.integers(0, 65535)), st.sampled_from([2, 6]))
@examples(30)
def test_repeated_pixels_give_the_native_band_back(native, times):
    assert (block_mean(native.repeat(times, axis=0).repeat(times, axis=1), times, 0) == native).all()


# -- units of gamma0 ---------------------------------------------------------------------------------------------------

DB = np.array([[-25.0, -12.34], [-3.21, 2.5]])


@pytest.mark.parametrize(
    ("imagery", "stored"),
    [
        (radar("gamma0_power"), 10 ** (DB / 10)),
        (radar("gamma0_db"), DB),
        # WorldCereal and openEO: dB = 20 log10(DN) - 83.
        (radar("gamma0_dn", calibration_db=-83), 10 ** ((DB + 83) / 20)),
    ],
    ids=["linear", "dB", "scaled"],
)
def test_every_unit_is_the_same_power(imagery, stored):
    power, known = linear_power(stored, imagery, None)
    assert known.all() and 10 * np.log10(power) == pytest.approx(DB)


@pytest.mark.parametrize(
    ("imagery", "fill", "declared"),
    [
        (radar("gamma0_power", nodata=-32768), -32768.0, None),
        (radar("gamma0_power"), -9999.0, -9999.0),
        (radar("gamma0_power", nodata=-32768), 0.5, 0.5),
        (radar("gamma0_db", nodata=0), 0.0, None),
        (radar("gamma0_db"), math.nan, None),
        (radar("gamma0_dn", calibration_db=-83, nodata=65535), 65535, None),
        (radar("gamma0_dn", calibration_db=-83), 0, None),
    ],
)
def test_no_data_is_what_profile_or_header_say(imagery, fill, declared):
    stored = np.array([[1.25, fill], [2.5, fill]])
    power, known = linear_power(stored, imagery, declared)
    assert known.tolist() == [[True, False], [True, False]] and np.isfinite(power[known]).all()


@pytest.mark.parametrize(
    ("imagery", "stored", "words"),
    [
        (radar("gamma0_power"), DB, "dB, where the profile says linear"),
        (radar("gamma0_db"), 10 ** (DB / 10), "linear power or amplitude, where the profile says dB"),
        (radar("gamma0_power"), 10 ** (DB / 10) - 0.004, None),
        (radar("gamma0_db"), DB, None),
    ],
    ids=["dB as power", "power as dB", "a little noise removed", "dB"],
)
def test_a_unit_that_cannot_be_is_noticed(imagery, stored, words):
    got = implausible(stored, imagery, np.ones_like(stored, dtype=bool))
    assert got is None if words is None else words in got


# -- between the pixels ------------------------------------------------------------------------------------------------


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
            for down, along in ((0, 1 - row_px), (1, row_px)):
                for right, across in ((0, 1 - col_px), (1, col_px)):
                    if known[row + down, col + right]:
                        total += along * across * power[row + down, col + right]
                        weight += along * across
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


# -- the darkest pixels ------------------------------------------------------------------------------------------------


@given(arrays(np.uint16, (20, 20), elements=st.integers(0, 5000)), arrays(np.uint16, (120, 120), fill=st.just(1200)))
@examples(30)
def test_the_darkest_is_the_smallest_first_percentile_of_pixels_with_data(coarse, fine):
    expected = []
    for values in (coarse, fine[::2, ::2]):
        if (values != 0).any():
            values = np.sort(values[values != 0])
            expected.append(int(values[len(values) // 100]))
    assert darkest([coarse, fine]) == min(expected)


def test_without_data_nothing_is_darkest():
    assert darkest([np.zeros((20, 20), "uint16")]) is None and darkest([]) is None


def test_real_pixels_tell_the_offset(real):
    found = {}
    for folder in sorted((real / "catalog/sentinel-2-l2a").iterdir()):
        if folder.is_dir():
            bands = [
                rasterio.open(folder / f"{band}.tif").read(1) for band in ("B01", "B02", "B04", "B08", "B11", "B12")
            ]
            found[folder.name] = darkest(bands)
    with_offset = {name for name, dark_dn in found.items() if dark_dn >= 1000}
    assert with_offset == {"S2_20200408_433D_629L_3_1"} and sorted(found.values())[-2] < 450
