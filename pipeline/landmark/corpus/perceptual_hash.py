"""Perceptual hash of a chip, robust to small noise, gain and offset, and the search for similar hashes.

A hash holds the mid frequencies of the cosine transform of every band's 16 x 16 thumbnail (perceptual hashing: Zauner
2010, over all bands). Level and slopes are left out, so that water under a gradient of glint is represented by its
noise alone and resembles no other chip. Candidate pairs are found by the signs, and compared by the values.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

HASH_LENGTH = 252  # 21 numbers per band of Sentinel-2, 126 per polarisation of Sentinel-1
_GRID = 16
# Rotations of the sign bits that are sorted, and followers that each is compared with: bounds the cost for any number
# of similar hashes.
_ROTATIONS, _FOLLOWERS = 16, 6
# A cosine of 0.98 is an angle of 11 degrees, which flips 6 % of 252 signs; 40 is more than twice that.
_MAX_DIFFERENT_BITS = 40


def perceptual_hash(bands: Mapping[str, NDArray[Any]], nodata: int) -> bytes | None:
    """HASH_LENGTH signed bytes over the bands of at least 16 x 16 px; None where there is none."""
    large = [band for band in bands.values() if min(band.shape) >= _GRID]
    if not large:
        return None
    per_band = HASH_LENGTH // len(large)
    sizes = sorted({band.shape for band in large})
    parts = [_hash_bands([band for band in large if band.shape == size], nodata, per_band) for size in sizes]
    padded = np.zeros(HASH_LENGTH, dtype=np.int8)
    padded[: per_band * len(large)] = np.concatenate(parts)
    return padded.tobytes()


def _hash_bands(bands: list[NDArray[Any]], nodata: int, per_band: int) -> NDArray[np.int8]:
    """Concatenated numbers of bands of one size."""
    stack = np.stack(bands).astype(np.float32)
    valid = stack != nodata
    if not valid.all():
        stack = np.where(valid, stack, np.nanmean(np.where(valid, stack, np.nan), axis=(1, 2), keepdims=True))
    basis, (rows, cols) = _cosine_basis(stack.shape[1]), _mid_frequencies(per_band)
    # Amplitudes fall with frequency: weighted, so that all frequencies count equally.
    coefficients = (basis @ stack @ basis.T)[:, rows, cols] * (rows + cols)
    spread = np.sqrt((coefficients**2).mean(axis=1, keepdims=True)) + 1e-9
    return np.asarray(np.clip(np.rint(coefficients / spread * 42), -127, 127), dtype=np.int8).ravel()


@cache
def _cosine_basis(size: int) -> NDArray[np.float32]:
    """(frequency, pixel): orthonormal cosine transform of the means of 16 parts of a line of `size` pixels."""
    indices = np.arange(_GRID)
    waves = np.cos(np.pi * (2 * indices + 1) * indices[:, None] / (2 * _GRID)) * np.sqrt(2 / _GRID)
    waves[0] /= np.sqrt(2)
    part = np.arange(size) * _GRID // size
    means = (part == indices[:, None]) / np.bincount(part)[:, None]
    return np.asarray(waves @ means, dtype=np.float32)


@cache
def _mid_frequencies(number: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the lowest frequencies without the level and the two slopes."""
    rows, cols = np.indices((_GRID, _GRID)).reshape(2, -1)
    order = np.lexsort((rows, rows + cols))[3 : 3 + number]
    return rows[order], cols[order]


def near_pairs(hashes: NDArray[np.int8], min_similarity: float) -> Iterator[tuple[int, int, float]]:
    """Yield each pair of rows (first < second) whose hashes have at least a cosine similarity, and that similarity.

    Candidates are neighbours in the sorted order of the sign bits, rotated so that every part comes first once (sorted
    neighbourhoods: Hernandez & Stolfo 1995; rotations: Manku et al. 2007), which differ in few bits. Of many copies
    of one image not all pairs are found, but each copy is in a pair.

    Args:
        hashes: (sample, HASH_LENGTH).
        min_similarity: In (0, 1].
    """
    signs = np.packbits(hashes > 0, axis=1)
    words = signs.view(np.uint64)
    compared: set[tuple[int, int]] = set()
    for rotation in range(_ROTATIONS):
        rotated = np.ascontiguousarray(np.roll(signs, -2 * rotation, axis=1))
        order = np.argsort(rotated.view(f"S{rotated.shape[1]}").ravel(), kind="stable")
        for step in range(1, _FOLLOWERS + 1):
            left, right = order[:-step], order[step:]
            close = np.bitwise_count(words[left] ^ words[right]).sum(axis=1) <= _MAX_DIFFERENT_BITS
            for a, b in zip(left[close].tolist(), right[close].tolist(), strict=True):
                pair = min(a, b), max(a, b)
                if pair not in compared:
                    compared.add(pair)
                    similarity = _cosine(hashes[a], hashes[b])
                    if similarity >= min_similarity:
                        yield *pair, similarity


def _cosine(first: NDArray[np.int8], second: NDArray[np.int8]) -> float:
    a, b = first.astype(np.float64), second.astype(np.float64)
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0 else 0.0
