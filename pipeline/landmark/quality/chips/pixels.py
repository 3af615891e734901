"""Measures of a chip of any sensor: gaps, constant bands, bad lines, constant blocks, saturation, perceptual hash."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from landmark.corpus.perceptual_hash import perceptual_hash
from landmark.corpus.pixels import S1_NODATA
from landmark.quality.chips import optical, radar
from landmark.quality.chips.optical_detail import OPTICAL_DETAIL, measure_optical_detail
from landmark.quality.chips.radar_detail import RADAR_DETAIL, measure_radar_detail
from landmark.quality.chips.speckle_signs import speckle_signs

# Percentages are of a chip's pixels; of the worst band, where bands differ. `_dn`: reflectance x 10000; `_db`: gamma0.
MEASURES = pa.schema([
    ("data_pct", pa.float32()),  # pixels with data in every band
    ("partial_data_pct", pa.float32()),  # pixels with data in some bands only
    ("constant_bands", pa.int64()),
    ("bad_lines", pa.int64()),  # rows or columns that are constant or equal to the one before
    ("flat_blocks_pct", pa.float32()),  # constant blocks of 8 x 8 px
    ("saturated_pct", pa.float32()),  # pixels with the highest (in dB: or lowest) value of their band
    *((name, pa.float32()) for name in (*optical.OPTICAL_MEASURES, *radar.RADAR_MEASURES)),
    *((name, pa.float32()) for name in (*OPTICAL_DETAIL, *RADAR_DETAIL)),
    ("perceptual_hash", pa.binary()),
    ("edge_frequencies", pa.binary()),  # of images that have a pair, without gaps
    ("speckle_signs", pa.binary()),  # of radar images without gaps
    ("band_digests", pa.binary()),
    ("windows", pa.large_binary()),  # with --deep
    *((name, pa.float32()) for name in ("shift_y_px", "shift_x_px", "shift_strength")),
])  # fmt: skip

_BLOCK_PX = 8
_MIN_DETAIL_PX = 48  # chips of fewer pixels have too few for statistics of detail
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
    has_detail = measures["data_pct"] == 100 and stacks[0].shape[1] >= _MIN_DETAIL_PX
    measures |= _measure_optical(bands, has_detail) if sensor == "s2" else _measure_radar(bands, has_detail)
    return measures | {"perceptual_hash": perceptual_hash(bands, limits.nodata)}


def _measure_optical(bands: Mapping[str, NDArray[Any]], has_detail: bool) -> dict[str, Any]:
    image = optical.OpticalImage.of(bands)
    detail = measure_optical_detail(bands, image) if has_detail else {}
    return optical.measure_optical(bands, image) | detail


def _measure_radar(bands: Mapping[str, NDArray[Any]], has_detail: bool) -> dict[str, Any]:
    detail = measure_radar_detail(bands) | {"speckle_signs": speckle_signs(bands)} if has_detail else {}
    return radar.measure_radar(bands) | detail


def _stack_by_size(bands: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
    """Bands of equal size as (band, y, x), the largest size first."""
    sizes = sorted({band.shape for band in bands.values()}, reverse=True)
    return [np.stack([band for band in bands.values() if band.shape == size]) for size in sizes]


def _measure_gaps(stacks: list[NDArray[Any]], limits: _ValueRange) -> dict[str, float]:
    """Percentages of the finest pixels with data in all bands, and in some bands only."""
    # The value without data is the lowest of its type.
    if all(stack.min() > limits.nodata for stack in stacks):
        return {"data_pct": 100.0, "partial_data_pct": 0.0}
    size = stacks[0].shape[1]
    in_all, in_any = np.ones((size, size), dtype=bool), np.zeros((size, size), dtype=bool)
    for stack in stacks:
        valid, factor = stack != limits.nodata, size // stack.shape[1]
        in_all &= valid.all(axis=0).repeat(factor, axis=0).repeat(factor, axis=1)
        in_any |= valid.any(axis=0).repeat(factor, axis=0).repeat(factor, axis=1)
    return {"data_pct": 100 * float(in_all.mean()), "partial_data_pct": 100 * float((in_any & ~in_all).mean())}


# Defect → how the values of bands of different sizes combine.
_COMBINE: dict[str, Any] = {"constant_bands": sum, "bad_lines": max, "flat_blocks_pct": max, "saturated_pct": max}


def _measure_defects(stack: NDArray[Any], limits: _ValueRange) -> dict[str, float]:
    """Defects of bands of one size, (band, y, x); 0 for chips smaller than a block."""
    if stack[0].size < _BLOCK_PX**2:
        return dict.fromkeys(_COMBINE, 0)
    pixels = stack.reshape(len(stack), -1)
    top, bottom, n_valid = pixels.max(axis=1), pixels.min(axis=1), np.full(len(pixels), pixels.shape[1])
    if bottom.min() == limits.nodata:
        valid = pixels != limits.nodata
        bottom, n_valid = np.where(valid, pixels, top[:, None]).min(axis=1), valid.sum(axis=1)
    ends = [top] if limits.nodata == 0 else [top, bottom]
    return {
        "constant_bands": int(((top == bottom) & (top > limits.floor)).sum()),
        "bad_lines": _count_bad_lines(stack, limits.floor),
        "flat_blocks_pct": 100 * _flat_share(stack, limits.floor),
        "saturated_pct": 100 * max(
            _share_at(end, pixels, n_valid, (top > bottom) & (end >= limits.min_ceiling)) for end in ends
        ),
    }  # fmt: skip


def _count_bad_lines(stack: NDArray[Any], floor: int) -> int:
    """Rows or columns of the worst band that are constant or equal to the one before; not those mostly clipped.

    Three pixels of each line tell which lines need a full comparison.
    """
    places = [1, stack.shape[2] // 2, stack.shape[2] - 2]
    # (row or column, place, band, line)
    few = np.stack([stack.take(places, axis=2).transpose(2, 0, 1), stack.take(places, axis=1).transpose(1, 0, 2)])
    suspect = (few[:, 0] == few[:, 1]) & (few[:, 0] == few[:, 2])
    suspect[:, :, 1:] |= (few[..., 1:] == few[..., :-1]).all(axis=1)
    if not suspect.any():
        return 0
    both = zip((stack, stack.transpose(0, 2, 1)), suspect, strict=True)
    return max(_count_bad_rows(lines, floor, *np.nonzero(suspects)) for lines, suspects in both)


def _count_bad_rows(stack: NDArray[Any], floor: int, band: NDArray[np.intp], row: NDArray[np.intp]) -> int:
    """Bad rows of the worst band, among those given."""
    values, before = stack[band, row], stack[band, np.maximum(row - 1, 0)]
    bad = (values == values[:, :1]).all(axis=1) | ((row > 0) & (values == before).all(axis=1))
    bad &= np.count_nonzero(values > floor, axis=1) > stack.shape[2] / 2
    return int(np.bincount(band[bad], minlength=1).max())


def _flat_share(stack: NDArray[Any], floor: int) -> float:
    """The worst band's share of constant blocks."""
    size = stack.shape[1] // _BLOCK_PX
    if size < 2:
        return 0
    inner = stack[:, : size * _BLOCK_PX, : size * _BLOCK_PX]
    blocks = inner.reshape(len(stack), size, _BLOCK_PX, size, _BLOCK_PX)
    # Most chips have no block of which even three pixels are equal.
    first, middle, last = (blocks[:, :, place, :, place] for place in (0, _BLOCK_PX // 2, _BLOCK_PX - 1))
    if not ((first == middle) & (first == last)).any():
        return 0
    top, bottom = (extreme(extreme(blocks, axis=2), axis=3) for extreme in (np.max, np.min))
    # Dark water can be clipped to the floor in one band, but never in all.
    flat = top == bottom
    return float((flat & ((top > floor) | flat.all(axis=0))).mean(axis=(1, 2)).max())


def _share_at(end: NDArray[Any], pixels: NDArray[Any], n_valid: NDArray[np.int64], counted: NDArray[np.bool_]) -> float:
    """The worst counted band's share of pixels with data that equal an extreme value of the band."""
    at_end = np.array([np.count_nonzero(band) for band in pixels == end[:, None]])
    shares = at_end / np.maximum(n_valid, 1)
    return float(np.where(counted & (at_end > _MAX_CHANCE_PX), shares, 0).max())
