"""Measures of the fine detail of a Sentinel-1 chip: filters, resampling, rounding, stripes and steps."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark.quality.detail import Detail, residuals, sharpness, stripe_z
from landmark.quality.grey_values import count_values, neighbour_share
from landmark.quality.optical import float_block_mean
from landmark.quality.optical_detail import repeated_pct
from landmark.quality.radar import speckle_db
from landmark.quality.seams import quarter_levels, seam_step

# `own_share`: of the standard deviation of a polarisation's detail, what the other one does not explain.
# `neighbour_share` and `repeated_pct` are optical measures too.
RADAR_DETAIL = ("radar_sharpness", "own_share", "vh_speckle_db", "radar_stripe_z", "radar_step_db")
_STEP_PX = 5  # so that speckle averages out


def measure_radar_detail(bands: Mapping[str, NDArray[Any]]) -> dict[str, float | None]:
    """RADAR_DETAIL and two of `OPTICAL_DETAIL` of one chip without gaps.

    Args:
        bands: `vv`, `vh` → (y, x) int16, hundredths of a dB of gamma0, of at least 48 px and an even size.
    """
    stored = np.stack([bands["vv"], bands["vh"]])
    detail = Detail.of(stored.astype(np.float32))
    sharp = sharpness(detail, Detail.of(float_block_mean(detail.stack, 2)))
    residual, spread = residuals(detail.x)
    return {
        "radar_sharpness": None if np.isnan(sharp).any() else float(sharp.min()),
        "own_share": float((residual / spread).min()),
        "vh_speckle_db": speckle_db(stored[1], np.ones_like(stored[1], dtype=np.bool_)),
        "radar_stripe_z": stripe_z(detail.profiles()),
        "radar_step_db": seam_step(quarter_levels(detail.stack), _STEP_PX) / 100,
        "neighbour_share": neighbour_share(count_values(stored)),
        "repeated_pct": repeated_pct(detail.scaled_steps()),
    }
