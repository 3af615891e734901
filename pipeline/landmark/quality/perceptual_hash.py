"""Chip → print: numbers that stay the same under small noise, gain and offset; and which prints are alike.

A print holds the mid frequencies of the cosine transform of every band's coarse picture (perceptual hashing: Zauner
2010, over all bands): no level and no slope, so that water under a gradient of glint has no more than its noise, which
is nobody else's. Their signs are the hash by which pairs are found, their values what a pair is compared by.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

LENGTH = 252  # numbers of a print: 21 a band of Sentinel-2, 126 a polarisation of Sentinel-1
_GRID = 16
# Turned bit strings that are sorted, and followers each is compared with: bounded, however many are alike.
_TURNS, _FOLLOWERS = 16, 6
_MOST_BITS = 40  # a cosine of 0.98 is an angle of 11 degrees, which turns 6 % of 252 signs; 40 is more than twice that


def fingerprint(bands: Mapping[str, NDArray[Any]], nodata: int) -> bytes | None:
    """LENGTH signed bytes, of the bands that have a picture of 16 x 16; None where none has."""
    large = [band for band in bands.values() if min(band.shape) >= _GRID]
    if not large:
        return None
    each = LENGTH // len(large)
    sizes = sorted({band.shape for band in large})
    numbers = [_print([band for band in large if band.shape == size], nodata, each) for size in sizes]
    whole = np.zeros(LENGTH, dtype=np.int8)
    whole[: each * len(large)] = np.concatenate(numbers)
    return whole.tobytes()


def _print(alike: list[NDArray[Any]], nodata: int, each: int) -> NDArray[np.int8]:
    """The numbers of bands of one size, band after band."""
    stack = np.stack(alike).astype(np.float32)
    known = stack != nodata
    if not known.all():
        stack = np.where(known, stack, np.nanmean(np.where(known, stack, np.nan), axis=(1, 2), keepdims=True))
    basis, (rows, cols) = _basis(stack.shape[1]), _frequencies(each)
    # Pictures fade with frequency; fine and coarse shall count alike.
    found = (basis @ stack @ basis.T)[:, rows, cols] * (rows + cols)
    spread = np.sqrt((found**2).mean(axis=1, keepdims=True)) + 1e-9
    return np.asarray(np.clip(np.rint(found / spread * 42), -127, 127), dtype=np.int8).ravel()


@cache
def _basis(size: int) -> NDArray[np.float32]:
    """Rows of the orthonormal cosine transform of the means of `_GRID` parts of a line of `size` pixels."""
    places = np.arange(_GRID)
    waves = np.cos(np.pi * (2 * places + 1) * places[:, None] / (2 * _GRID)) * np.sqrt(2 / _GRID)
    waves[0] /= np.sqrt(2)
    part = np.arange(size) * _GRID // size
    means = (part == places[:, None]) / np.bincount(part)[:, None]
    return np.asarray(waves @ means, dtype=np.float32)


@cache
def _frequencies(each: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The lowest frequencies but the level and the two slopes."""
    rows, cols = np.indices((_GRID, _GRID)).reshape(2, -1)
    order = np.lexsort((rows, rows + cols))[3 : 3 + each]
    return rows[order], cols[order]


def alike(prints: NDArray[np.int8], least_likeness: float) -> Iterator[tuple[int, int, float]]:
    """Pairs of rows (one < other) whose prints' cosine is at least as high, each once.

    Candidates are neighbours when the signs are sorted as bit strings, turned so that each part stands first once
    (sorted neighbourhoods, Hernandez & Stolfo 1995; turned as in Manku et al. 2007), that differ in few signs.

    Args:
        prints: (sample, LENGTH).
        least_likeness: In (0, 1].
    """
    signs = np.packbits(prints > 0, axis=1)
    words = signs.view(np.uint64)
    told: set[tuple[int, int]] = set()
    for turn in range(_TURNS):
        turned = np.ascontiguousarray(np.roll(signs, -2 * turn, axis=1))
        order = np.argsort(turned.view(f"S{turned.shape[1]}").ravel(), kind="stable")
        for step in range(1, _FOLLOWERS + 1):
            ones, others = order[:-step], order[step:]
            few = np.bitwise_count(words[ones] ^ words[others]).sum(axis=1) <= _MOST_BITS
            for one, other in zip(ones[few].tolist(), others[few].tolist(), strict=True):
                pair = min(one, other), max(one, other)
                if pair not in told:
                    told.add(pair)
                    likeness = _cosine(prints[one], prints[other])
                    if likeness >= least_likeness:
                        yield *pair, likeness


def _cosine(one: NDArray[np.int8], other: NDArray[np.int8]) -> float:
    a, b = one.astype(np.float64), other.astype(np.float64)
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0 else 0.0
