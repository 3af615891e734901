"""Measures of a chip of any sensor: gaps, constant bands, bad lines, constant blocks, saturation, perceptual hash."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from landmark.corpus.perceptual_hash import perceptual_hash
from landmark.corpus.pixels import S1_NODATA
from landmark.quality import optical, radar

# Percentages are of a chip's pixels; of the worst band, where bands differ. `_dn`: reflectance x 10000; `_db`: gamma0.
MEASURES = pa.schema([
    ("data_pct", pa.float32()),  # pixels with data in every band
    ("partial_data_pct", pa.float32()),  # pixels with data in some bands only
    ("constant_bands", pa.int64()),
    ("bad_lines", pa.int64()),  # rows or columns that are constant or equal to the one before
    ("flat_blocks_pct", pa.float32()),  # constant blocks of 8 x 8 px
    ("saturated_pct", pa.float32()),  # pixels with the highest (in dB: or lowest) value of their band
    *((name, pa.float32()) for name in (*optical.OPTICAL_MEASURES, *radar.RADAR_MEASURES)),
    ("perceptual_hash", pa.binary()),
    *((name, pa.float32()) for name in ("shift_y_px", "shift_x_px", "shift_strength")),
])  # fmt: skip

_BLOCK_PX = 8
_MAX_CHANCE_PX = 10  # pixels that have the extreme value by chance


class _ValueRange(NamedTuple):
    """Limits of a sensor's stored values.

    Attributes:
        nodata: Value without data.
        floor: Value to which darker pixels are clipped.
        min_ceiling: Smallest value that counts as saturated; dark water has few distinct values anyway.
    """

    nodata: int
    floor: int
    min_ceiling: int


_VALUE_RANGES = {"s1": _ValueRange(S1_NODATA, S1_NODATA, S1_NODATA), "s2": _ValueRange(0, 1, 250)}


def measure_pixels(sensor: str, bands: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """Measures of one sample; missing ones are null.

    Args:
        sensor: `s1` or `s2`.
        bands: Band → (y, x) stored values at native resolution.
    """
    limits = _VALUE_RANGES[sensor]
    stacks = _stack_by_size(bands)
    measures: dict[str, Any] = _measure_gaps(stacks, limits)
    if measures["data_pct"] == 0:
        return measures
    defects = [_measure_defects(stack, limits) for stack in stacks]
    measures |= {name: combine(defect[name] for defect in defects) for name, combine in _COMBINE.items()}
    measures |= optical.measure_optical(bands) if sensor == "s2" else radar.measure_radar(bands)
    return measures | {"perceptual_hash": perceptual_hash(bands, limits.nodata)}


def _stack_by_size(bands: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
    """Bands of equal size as (band, y, x), the largest size first."""
    sizes = sorted({band.shape for band in bands.values()}, reverse=True)
    return [np.stack([band for band in bands.values() if band.shape == size]) for size in sizes]


def _measure_gaps(stacks: list[NDArray[Any]], limits: _ValueRange) -> dict[str, float]:
    """Percentages of the finest pixels with data in all bands, and in some bands only."""
    size = stacks[0].shape[1]
    in_all, in_any = np.ones((size, size), dtype=bool), np.zeros((size, size), dtype=bool)
    for stack in stacks:
        valid, factor = stack != limits.nodata, size // stack.shape[1]
        if valid.all():
            in_any[:] = True
            continue
        in_all &= valid.all(axis=0).repeat(factor, axis=0).repeat(factor, axis=1)
        in_any |= valid.any(axis=0).repeat(factor, axis=0).repeat(factor, axis=1)
    return {"data_pct": 100 * float(in_all.mean()), "partial_data_pct": 100 * float((in_any & ~in_all).mean())}


# Defect → how the values of bands of different sizes combine.
_COMBINE: dict[str, Any] = {"constant_bands": sum, "bad_lines": max, "flat_blocks_pct": max, "saturated_pct": max}


def _measure_defects(stack: NDArray[Any], limits: _ValueRange) -> dict[str, float]:
    """Defects of bands of one size, (band, y, x); 0 for chips smaller than a block."""
    if stack[0].size < _BLOCK_PX**2:
        return dict.fromkeys(_COMBINE, 0)
    valid = stack != limits.nodata
    top = stack.max(axis=(1, 2))
    bottom = stack.min(axis=(1, 2)) if valid.all() else np.where(valid, stack, top[:, None, None]).min(axis=(1, 2))
    ends = [top] if limits.nodata == 0 else [top, bottom]
    return {
        "constant_bands": int(((top == bottom) & (top > limits.floor)).sum()),
        "bad_lines": _count_bad_lines(stack, limits.floor),
        "flat_blocks_pct": 100 * _flat_share(stack, limits.floor),
        "saturated_pct": 100 * max(
            _share_at(end, stack, valid, (top > bottom) & (end >= limits.min_ceiling)) for end in ends
        ),
    }  # fmt: skip


def _count_bad_lines(stack: NDArray[Any], floor: int) -> int:
    """Rows or columns of the worst band that are constant or equal to the one before; not those mostly clipped."""
    equal_right, equal_below = stack[:, :, 1:] == stack[:, :, :-1], stack[:, 1:] == stack[:, :-1]
    counts = []
    for along, across, lines, axis in (
        (equal_right, equal_below, stack, 2),
        (equal_below, equal_right, stack.transpose(0, 2, 1), 1),
    ):
        bad = along.all(axis=axis)
        bad[:, 1:] |= across.all(axis=axis)
        per_band = np.zeros(len(stack), dtype=np.int64)
        for band, line in np.argwhere(bad):
            per_band[band] += np.count_nonzero(lines[band, line] > floor) > lines.shape[2] / 2
        counts.append(int(per_band.max()))
    return max(counts)


def _flat_share(stack: NDArray[Any], floor: int) -> float:
    """The worst band's share of constant blocks."""
    size = stack.shape[1] // _BLOCK_PX
    if size < 2:
        return 0
    inner = stack[:, : size * _BLOCK_PX, : size * _BLOCK_PX]
    tall = inner.reshape(len(stack), size, _BLOCK_PX, -1)
    shape = (len(stack), size, size, _BLOCK_PX)
    top, bottom = tall.max(axis=2).reshape(shape).max(axis=3), tall.min(axis=2).reshape(shape).min(axis=3)
    # Dark water can be clipped to the floor in one band, but never in all.
    flat = top == bottom
    return float((flat & ((top > floor) | flat.all(axis=0))).mean(axis=(1, 2)).max())


def _share_at(end: NDArray[Any], stack: NDArray[Any], valid: NDArray[np.bool_], counted: NDArray[np.bool_]) -> float:
    """The worst counted band's share of pixels with data that equal an extreme value of the band."""
    at_end = np.count_nonzero(stack == end[:, None, None], axis=(1, 2))
    shares = at_end / np.maximum(valid.sum(axis=(1, 2)), 1)
    return float(np.where(counted & (at_end > _MAX_CHANCE_PX), shares, 0).max())
