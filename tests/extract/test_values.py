import math

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from landmark.config.profiles import SensorCollection
from landmark.corpus.stats import block_mean
from landmark.extract.values import dark_percentiles, linear_power, unit_mismatch
from tests.parts import examples


def radar(stored, **options):
    facts = {"collection": "c", "product": "p", "assets": {"vv": "vv", "vh": "vh"}, "licence": "l", "attribution": "a"}
    return SensorCollection.model_validate({**facts, "stored": stored, **options})


# -- oversampled bands -------------------------------------------------------------------------------------------------


@given(arrays(np.uint16, (12, 18), elements=st.integers(0, 65535)), st.sampled_from([1, 2, 3, 6]))
@examples(60)
def test_block_means_leave_out_nodata(values, factor):
    means = block_mean(values, factor, 0)
    for row in range(12 // factor):
        for col in range(18 // factor):
            block = values[row * factor : (row + 1) * factor, col * factor : (col + 1) * factor]
            valid = [int(value) for value in block.ravel() if value]
            assert means[row, col] == (round(sum(valid) / len(valid)) if valid else 0)


@given(arrays(np.uint16, (5, 4), elements=st.integers(0, 65535)), st.sampled_from([2, 6]))
@examples(30)
def test_block_means_undo_nearest_upsampling(native, factor):
    assert (block_mean(native.repeat(factor, axis=0).repeat(factor, axis=1), factor, 0) == native).all()


# -- units of gamma0 ---------------------------------------------------------------------------------------------------

DB = np.array([[-25.0, -12.34], [-3.21, 2.5]])


@pytest.mark.parametrize(
    ("collection", "stored"),
    [
        (radar("gamma0_power"), 10 ** (DB / 10)),
        (radar("gamma0_db"), DB),
        # WorldCereal and openEO: dB = 20 log10(DN) - 83.
        (radar("gamma0_dn", calibration_db=-83), 10 ** ((DB + 83) / 20)),
    ],
    ids=["linear", "dB", "scaled"],
)
def test_all_units_give_the_same_power(collection, stored):
    power, valid = linear_power(stored, collection)
    assert valid.all() and 10 * np.log10(power) == pytest.approx(DB)


@pytest.mark.parametrize(
    ("collection", "fill"),
    [(radar("gamma0_db"), math.nan), (radar("gamma0_power"), math.inf), (radar("gamma0_dn", calibration_db=-83), 0)],
)
def test_values_without_a_power_are_invalid(collection, fill):
    power, valid = linear_power(np.array([[1.25, fill], [2.5, fill]]), collection)
    assert valid.tolist() == [[True, False], [True, False]] and np.isfinite(power[valid]).all()


@pytest.mark.parametrize(
    ("collection", "stored", "contradicts"),
    [
        (radar("gamma0_power"), DB, True),
        (radar("gamma0_db"), 10 ** (DB / 10), True),
        (radar("gamma0_power"), 10 ** (DB / 10) - 0.004, False),
        (radar("gamma0_db"), DB, False),
    ],
    ids=["dB as power", "power as dB", "a little noise removed", "dB"],
)
def test_values_that_contradict_the_unit_are_detected(collection, stored, contradicts):
    mismatch = unit_mismatch(stored, collection, np.ones_like(stored, dtype=bool))
    assert (mismatch is not None) == contradicts


# -- dark percentile ---------------------------------------------------------------------------------------------------


@given(arrays(np.uint16, (20, 20), elements=st.integers(0, 5000)), arrays(np.uint16, (120, 120), fill=st.just(1200)))
@examples(30)
def test_the_dark_percentile_is_the_smallest_of_all_bands(coarse, fine):
    # Chips of one batch do not change each other's: one without zeros, one as drawn, one empty.
    batch = [np.stack([np.maximum(band, 1), band, np.zeros_like(band)]) for band in (coarse, fine)]
    expected = [_smallest_percentile([band[chip] for band in batch]) for chip in range(3)]
    assert dark_percentiles(batch, 3) == expected and expected[2] is None
    assert dark_percentiles([band[:1] for band in batch], 1) == expected[:1]


def test_sensors_without_dark_bands_have_no_dark_percentile():
    assert dark_percentiles([], 2) == [None, None]


def _smallest_percentile(bands):
    levels = []
    for band in bands:
        step = 2 if len(band) > 60 else 1
        if len(values := np.sort(band[::step, ::step][band[::step, ::step] != 0])):
            levels.append(int(values[len(values) // 100]))
    return min(levels, default=None)


def test_the_dark_percentile_of_real_scenes_reveals_the_offset(real):
    percentiles = {}
    for folder in sorted((real / "catalog/sentinel-2-l2a").iterdir()):
        if folder.is_dir():
            bands = [
                rasterio.open(folder / f"{band}.tif").read(1) for band in ("B01", "B02", "B04", "B08", "B11", "B12")
            ]
            (percentiles[folder.name],) = dark_percentiles([band[np.newaxis] for band in bands], 1)
    with_offset = {name for name, dark_dn in percentiles.items() if dark_dn >= 1000}
    assert with_offset == {"S2_20200408_433D_629L_3_1"} and sorted(percentiles.values())[-2] < 450
