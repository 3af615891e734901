"""Chip → measures, whatever the sensor: gaps, constant bands, dead lines, flat blocks, ceilings, and its print."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from landmark.quality import optical, radar
from landmark.quality.perceptual_hash import fingerprint

# Percent are of a chip's pixels, and where bands differ of the worst band. `_dn`: reflectance x 10000; `_db`: gamma0.
MEASURES = pa.schema([
    ("data_pct", pa.float32()),  # pixels with data in every band
    ("masked_apart_pct", pa.float32()),  # pixels with data in some bands only
    ("constant_bands", pa.int64()),
    ("equal_lines", pa.int64()),  # rows or columns of one value, or equal to the one before
    ("flat_blocks_pct", pa.float32()),  # blocks of 8 x 8 px of one value
    ("saturated_pct", pa.float32()),  # pixels at the highest (or, in dB, lowest) value of their band
    *((name, pa.float32()) for name in (*optical.NAMES, *radar.NAMES)),
    ("print", pa.binary()),
    *((name, pa.float32()) for name in ("shift_y_px", "shift_x_px", "shift_strength")),
])  # fmt: skip

_BLOCK_PX = 8
_FEW_PX = 10  # that share a value by chance


class _Kind(NamedTuple):
    """How a sensor's numbers end: `floor` is what darker pixels with data are clipped to.

    `least_top`: the least number that is a ceiling when many pixels share it; dark water has few numbers anyway.
    """

    nodata: int
    floor: int
    least_top: int


_KINDS = {"s1": _Kind(radar.NODATA, radar.NODATA, radar.NODATA), "s2": _Kind(0, 1, 250)}


def measure_pixels(sensor: str, bands: Mapping[str, NDArray[Any]], record: Mapping[str, Any]) -> dict[str, Any]:
    """The measures of one sample; what is missing is null.

    Args:
        sensor: `s1` or `s2`.
        bands: Band → (y, x) stored numbers at its own resolution.
        record: The row's other columns.
    """
    kind = _KINDS[sensor]
    stacks = _stacks(bands)
    measures: dict[str, Any] = _gaps(stacks, kind)
    if measures["data_pct"] == 0:
        return measures
    faults = [_faults(stack, kind) for stack in stacks]
    measures |= {name: worst(fault[name] for fault in faults) for name, worst in _WORST.items()}
    measures |= optical.measure_optical(bands) if sensor == "s2" else radar.measure_radar(bands)
    return measures | {"print": fingerprint(bands, kind.nodata)}


def _stacks(bands: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
    """Bands of one size together, (band, y, x), the finest first."""
    sizes = sorted({band.shape for band in bands.values()}, reverse=True)
    return [np.stack([band for band in bands.values() if band.shape == size]) for size in sizes]


def _gaps(stacks: list[NDArray[Any]], kind: _Kind) -> dict[str, float]:
    """Shares of the finest pixels that every band, and that only some band, has data for."""
    finest = stacks[0].shape[1]
    every, some = np.ones((finest, finest), dtype=bool), np.zeros((finest, finest), dtype=bool)
    for stack in stacks:
        known, times = stack != kind.nodata, finest // stack.shape[1]
        if known.all():
            some[:] = True
            continue
        every &= known.all(axis=0).repeat(times, axis=0).repeat(times, axis=1)
        some |= known.any(axis=0).repeat(times, axis=0).repeat(times, axis=1)
    return {"data_pct": 100 * float(every.mean()), "masked_apart_pct": 100 * float((some & ~every).mean())}


_WORST: dict[str, Any] = {"constant_bands": sum, "equal_lines": max, "flat_blocks_pct": max, "saturated_pct": max}


def _faults(stack: NDArray[Any], kind: _Kind) -> dict[str, float]:
    """What is wrong with bands of one size, (band, y, x); of a few pixels nothing can be said."""
    if stack[0].size < _BLOCK_PX**2:
        return dict.fromkeys(_WORST, 0)
    known = stack != kind.nodata
    top = stack.max(axis=(1, 2))
    bottom = stack.min(axis=(1, 2)) if known.all() else np.where(known, stack, top[:, None, None]).min(axis=(1, 2))
    return {
        "constant_bands": int(((top == bottom) & (top > kind.floor)).sum()),
        "equal_lines": _lines(stack, kind),
        "flat_blocks_pct": 100 * _flat(stack, kind),
        "saturated_pct": 100 * _saturated(stack, known, top, bottom, kind),
    }


def _lines(stack: NDArray[Any], kind: _Kind) -> int:
    """The worst band's rows or columns that are of one value or equal to the one before, most pixels not clipped."""
    beside, below = stack[:, :, 1:] == stack[:, :, :-1], stack[:, 1:] == stack[:, :-1]
    worst = 0
    for equal, alike, lines in ((beside, below, stack), (below, beside, stack.transpose(0, 2, 1))):
        across = 2 if lines is stack else 1
        repeats = equal.all(axis=across)
        repeats[:, 1:] |= alike.all(axis=across)
        numbers = np.zeros(len(stack), dtype=np.int64)
        for band, line in np.argwhere(repeats):
            numbers[band] += np.count_nonzero(lines[band, line] > kind.floor) > lines.shape[2] / 2
        worst = max(worst, int(numbers.max()))
    return worst


def _flat(stack: NDArray[Any], kind: _Kind) -> float:
    """The worst band's share of blocks of one value."""
    size = stack.shape[1] // _BLOCK_PX
    if size < 2:
        return 0
    inner = stack[:, : size * _BLOCK_PX, : size * _BLOCK_PX]
    tall = inner.reshape(len(stack), size, _BLOCK_PX, -1)
    shape = (len(stack), size, size, _BLOCK_PX)
    top, bottom = tall.max(axis=2).reshape(shape).max(axis=3), tall.min(axis=2).reshape(shape).min(axis=3)
    # Dark water may be clipped to the floor in one band; ground is never so in all of them.
    flat = top == bottom
    return float((flat & ((top > kind.floor) | flat.all(axis=0))).mean(axis=(1, 2)).max())


def _saturated(
    stack: NDArray[Any], known: NDArray[np.bool_], top: NDArray[Any], bottom: NDArray[Any], kind: _Kind
) -> float:
    """The worst band's share of pixels that pile up at an end of their range."""
    ends = [top] if kind.nodata == 0 else [top, bottom]
    worst = 0.0
    for end in ends:
        at_end = np.count_nonzero(stack == end[:, None, None], axis=(1, 2))
        telling = (at_end > _FEW_PX) & (top > bottom) & (end >= kind.least_top)
        worst = max(worst, float(np.where(telling, at_end / np.maximum(known.sum(axis=(1, 2)), 1), 0).max()))
    return worst
