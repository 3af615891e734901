"""Resize stored pixels of one band, with nodata: block means, bilinear interpolation, repetition and crops.

Arrays are integers (y, x) or with leading axes, and square; results are written into a given array.
"""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Stored = NDArray[Any]
# Sums of squares with longer edges than this are not exact in float32, or their means are nearer to a half than its
# precision.
_MAX_FLOAT32_FACTOR = 15


def magnify(pixels: NDArray[Any], factor: int, out: NDArray[Any]) -> None:
    """Repeat each pixel (..., y, x) `factor` x `factor` times into `out`."""
    if factor == 1:
        np.copyto(out, pixels)
        return
    # Strided writes of complete columns and rows: a broadcast would write runs of `factor` pixels.
    for column in range(factor):
        out[..., ::factor, column::factor] = pixels
    for row in range(1, factor):
        out[..., row::factor, :] = out[..., ::factor, :]


def crop(pixels: Stored, factor: int, offset: int, out: Stored) -> None:
    """Cut a square out of pixels that are repeated `factor` times, from (`offset`, `offset`) on, into `out`."""
    size = out.shape[-1]
    if factor == 1:
        np.copyto(out, pixels[..., offset : offset + size, offset : offset + size])
        return
    first, end = offset // factor, -(-(offset + size) // factor)
    covering = np.empty((*pixels.shape[:-2], *[(end - first) * factor] * 2), dtype=pixels.dtype)
    magnify(pixels[..., first:end, first:end], factor, covering)
    crop(covering, 1, offset - first * factor, out)


def block_mean(pixels: Stored, factor: int, nodata: int, out: Stored) -> None:
    """Means of the valid pixels of `factor` x `factor` squares (..., y, x), half to even; nodata without any."""
    missing = pixels == nodata
    if not missing.any():
        means = _block_sum(pixels, factor)
        means /= factor**2
        np.copyto(out, np.rint(means, out=means), casting="unsafe")
        return
    total = _block_sum(np.where(missing, 0, pixels), factor)
    count = factor**2 - _block_sum(missing, factor)
    means = np.rint(total / np.maximum(count, 1))
    np.copyto(out, np.where(count > 0, means, nodata), casting="unsafe")


def _block_sum(values: NDArray[Any], factor: int) -> NDArray[np.floating[Any]]:
    """Sums of squares of pixels (..., y, x) by strided adds, which are faster than reductions of short axes."""
    dtype: type[np.floating[Any]] = np.float32 if factor <= _MAX_FLOAT32_FACTOR else np.float64
    rows: NDArray[np.floating[Any]] = values[..., ::factor, :].astype(dtype)
    for row in range(1, factor):
        rows += values[..., row::factor, :]
    total = rows[..., ::factor].copy()
    for column in range(1, factor):
        total += rows[..., column::factor]
    return total


def bilinear(pixels: Stored, factor: int, nodata: int, out: Stored) -> None:
    """Interpolate pixels (y, x) that are repeated `factor` times to the size of `out`, with half-pixel centres.

    Places and edges are those of `torch.nn.functional.interpolate(mode="bilinear", align_corners=False)`. Results are
    means of the valid ones among four pixels, rounded half to even, and nodata where the nearest one is.
    """
    taps = _taps(pixels.shape[-1], factor, out.shape[-1])
    missing = pixels == nodata
    if not missing.any():
        np.copyto(out, np.rint(_interpolate(pixels, taps)), casting="unsafe")
        return
    valid = np.logical_not(missing)
    weight = _interpolate(valid, taps)
    values = _interpolate(np.where(missing, 0, pixels), taps)
    nearest = taps.nearest
    reached = valid[nearest[:, None], nearest]
    np.divide(values, weight, out=values, where=reached)
    np.copyto(out, np.where(reached, np.rint(values), nodata), casting="unsafe")


class _Taps:
    """Pixels and weights of linear interpolation along one axis; read-only.

    Attributes:
        lower: (size,) number of the pixel below each place.
        upper: (size,) number of the pixel above it.
        weights: Width of an image → (size, width) float32 weights of `upper`: broadcasting them would be half as fast.
        nearest: (size,) number of the nearest pixel.
    """

    __slots__ = ("lower", "nearest", "upper", "weights")

    def __init__(self, edge: int, factor: int, size: int) -> None:
        magnified = edge * factor
        places = np.clip((np.arange(size) + 0.5) * (magnified / size) - 0.5, 0, magnified - 1)
        first = places.astype(np.intp)
        second = np.minimum(first + 1, magnified - 1)
        fraction = places - first
        self.lower, self.upper = first // factor, second // factor
        weight = fraction.astype(np.float32)[:, None]
        self.weights = {width: weight.repeat(width, axis=1) for width in {edge, size}}
        self.nearest = np.where(fraction > 0.5, self.upper, self.lower)


@cache
def _taps(edge: int, factor: int, size: int) -> _Taps:
    return _Taps(edge, factor, size)


def _interpolate(pixels: NDArray[Any], taps: _Taps) -> NDArray[np.float32]:
    """Interpolate along both axes of (y, x); gathers rows only, as these are contiguous."""
    columns = np.ascontiguousarray(pixels.T, dtype=np.float32)
    return _interpolate_rows(np.ascontiguousarray(_interpolate_rows(columns, taps).T), taps)


def _interpolate_rows(values: NDArray[np.float32], taps: _Taps) -> NDArray[np.float32]:
    low = values.take(taps.lower, axis=0)
    result: NDArray[np.float32] = values.take(taps.upper, axis=0)
    result -= low
    result *= taps.weights[values.shape[1]]
    result += low
    return result
