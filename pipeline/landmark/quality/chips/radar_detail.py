"""Measures of the fine detail of a Sentinel-1 chip: filters, resampling, rounding, stripes and steps."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark.quality.chips.band_shifts import polarisation_shift
from landmark.quality.chips.detail import Detail, sharpness
from landmark.quality.chips.grey_values import count_values, neighbour_share
from landmark.quality.chips.lines import line_excess, line_step, stripe_z
from landmark.quality.chips.optical import F, float_block_mean
from landmark.quality.chips.radar import speckle_db
from landmark.quality.chips.seams import seam_step, segment_levels

# `own_share`: of the standard deviation of a polarisation's detail, what the other one does not explain.
# `neighbour_share` and `repeated_pct` are optical measures too.
RADAR_DETAIL = (
    *("radar_sharpness", "own_share", "vh_speckle_db", "radar_stripe_z", "radar_line_db", "radar_step_db"),
    *("polarisation_shift_gain", "polarisation_shift_px"),
)
_EVERY_ROWS = 3  # of the rows whose values are counted
_STEP_PX = 5  # so that speckle averages out
_QUARTERS, _PARTS = 4, 6  # of a line, of a quarter
_MIN_PART_PX = 4  # shorter ones fit after a shift by chance


def measure_radar_detail(bands: Mapping[str, NDArray[Any]]) -> dict[str, float | None]:
    """RADAR_DETAIL and two of `OPTICAL_DETAIL` of one chip without gaps.

    Args:
        bands: `vv`, `vh` → (y, x) int16, hundredths of a dB of gamma0, of at least 48 px and an even size.
    """
    stored = np.stack([bands["vv"], bands["vh"]])
    detail = Detail.of(stored.astype(np.float32))
    sharp = sharpness(detail, Detail.of(float_block_mean(detail.stack, 2)))
    parts = segment_levels(detail.stack, _QUARTERS * _PARTS)
    quarters = parts.reshape(len(parts), _QUARTERS, _PARTS, -1).sum(axis=2) / np.float32(_PARTS)
    excess, has_parts = line_excess(quarters), stored.shape[1] >= _QUARTERS * _PARTS * _MIN_PART_PX
    shift = polarisation_shift(parts.reshape(2, 2, *parts.shape[1:])) if has_parts else None
    return {
        "radar_sharpness": None if np.isnan(sharp).any() else float(sharp.min()),
        "own_share": _own_share(*detail.x),
        "vh_speckle_db": speckle_db(stored[1]),
        "radar_stripe_z": stripe_z(excess.sum(axis=1)),
        "radar_line_db": line_step(excess) / 100,
        "radar_step_db": seam_step(quarters, _STEP_PX) / 100,
        "polarisation_shift_gain": shift and shift.gain,
        "polarisation_shift_px": shift and shift.shift_px,
        "neighbour_share": neighbour_share(count_values(stored[:, ::_EVERY_ROWS])),
        "repeated_pct": 100 * max(_repeated_share(*detail.x), _repeated_share(*detail.y)),
    }


def _own_share(vv: F, vh: F) -> float:
    """Square root of 1 - r², of the correlation r of the steps between pixels; 0 for constant ones."""
    first, second = vv.ravel(), vh.ravel()
    energies = float(first @ first) * float(second @ second)
    return max(1 - float(first @ second) ** 2 / energies, 0.0) ** 0.5 if energies else 0.0


def _repeated_share(vv: F, vh: F) -> float:
    """Share of the steps between pixels that are 0 in both polarisations."""
    return np.count_nonzero((vv == 0) & (vh == 0)) / vv.size
