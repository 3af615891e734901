import math

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from landmark.config.profiles import Imagery
from landmark.extract.values import block_mean, darkest, implausible, linear_power
from tests.parts import examples


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
