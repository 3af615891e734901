"""Perceptual hash of a chip, robust to small noise, gain and offset, and of its rotations and reflections.

A hash holds the mid frequencies of every band's cosine transform (perceptual hashing: Zauner 2010, over all bands).
Level and slopes are left out, so that water under a gradient of glint is represented by its noise alone and resembles
no other chip. The numbers of a rotated or reflected chip are those of the chip in another order, with other signs.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

HASH_LENGTH = 252  # 21 numbers per band of Sentinel-2, 125 per polarisation of Sentinel-1; the rest is zero
MIN_HASHED_PX = 16  # edge of the smallest bands with so many frequencies
# Descriptions of the eight orientations, by number, see `orient`.
ORIENTATIONS = (
    "upright", "mirrored", "mirrored", "turned by 180°", "mirrored", "turned by 90°", "turned by 90°", "mirrored",
)  # fmt: skip


def perceptual_hash(bands: Mapping[str, NDArray[Any]], nodata: int) -> bytes | None:
    """HASH_LENGTH signed bytes over the bands of at least 16 x 16 px, the smallest first; None where there is none."""
    large = [band for band in bands.values() if min(band.shape) >= MIN_HASHED_PX]
    if not large:
        return None
    per_band = HASH_LENGTH // len(large)
    sizes = sorted({band.shape for band in large})
    stacks = [_without_gaps(np.stack([band for band in large if band.shape == size]), nodata) for size in sizes]
    coefficients = np.concatenate([_cosine_transform(stack, per_band) for stack in stacks])
    spread = np.sqrt(np.einsum("bf,bf->b", coefficients, coefficients) / coefficients.shape[1]) + np.float32(1e-9)
    padded = np.zeros(HASH_LENGTH, dtype=np.int8)
    padded[: coefficients.size] = np.clip(np.rint(coefficients * (42 / spread)[:, None]), -127, 127).ravel()
    return padded.tobytes()


class Frequencies(NamedTuple):
    """Frequencies along y and x, in half waves per edge."""

    rows: NDArray[np.intp]
    cols: NDArray[np.intp]


def by_band(hashes: NDArray[np.int8], n_bands: int) -> NDArray[np.int8]:
    """Hashes of images of so many bands as (image, band, frequency), of (image, HASH_LENGTH)."""
    n_frequencies = len(frequencies(HASH_LENGTH // n_bands).rows)
    return hashes[:, : n_bands * n_frequencies].reshape(len(hashes), n_bands, n_frequencies)


def orient(hashes: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Hashes of rotated or mirrored images, (image, band, frequency).

    Args:
        hashes: Of the images, (image, band, frequency).
        orientation: 4 for transposed images, plus 2 if then upside down, plus 1 if then exchanged left to right.
    """
    rows, cols = frequencies(hashes.shape[2])
    signs = (-1) ** (rows * (orientation >> 1 & 1) + cols * (orientation & 1))
    turned = hashes[:, :, _exchanged(hashes.shape[2])] if orientation & 4 else hashes
    return np.asarray(turned * signs.astype(hashes.dtype))


@cache
def _exchanged(n_frequencies: int) -> NDArray[np.intp]:
    """Per frequency, the place of the one with y and x exchanged."""
    pairs = list(zip(*(values.tolist() for values in frequencies(n_frequencies)), strict=True))
    return np.array([pairs.index((col, row)) for row, col in pairs])


def texture_share(hashes: NDArray[np.int8]) -> NDArray[np.float64]:
    """Share of the power of images (image, band, frequency) in frequencies of 5 half waves or more in y plus x.

    A curved surface, such as haze over water, has hardly any: three numbers describe it, and it resembles others.
    """
    rows, cols = frequencies(hashes.shape[2])
    power = np.einsum("ibf,ibf->if", hashes, hashes, dtype=np.int32, casting="unsafe").astype(np.float64)
    return np.asarray(power[:, rows + cols >= 5].sum(axis=1) / np.maximum(power.sum(axis=1), 1))


def _without_gaps(stack: NDArray[Any], nodata: int) -> NDArray[np.float32]:
    """Bands (band, y, x) with their means where they have no data."""
    values = stack.astype(np.float32)
    if not (stack == nodata).any():
        return values
    known = np.where(values == nodata, np.nan, values)
    return np.where(np.isnan(known), np.nanmean(known, axis=(1, 2), keepdims=True), known)


def _cosine_transform(stack: NDArray[np.float32], most: int) -> NDArray[np.float32]:
    """Amplitudes (band, frequency) of at most so many frequencies, weighted, as they fall with frequency."""
    basis, (rows, cols) = cosine_basis(stack.shape[1]), frequencies(most)
    return np.asarray((basis @ stack @ basis.T)[:, rows, cols] * (rows + cols).astype(np.float32))


@cache
def cosine_basis(size: int) -> NDArray[np.float32]:
    """(frequency, pixel): the lowest 16 frequencies of the cosine transform of a line of `size` pixels."""
    waves = np.cos(np.pi * (2 * np.arange(size) + 1) * np.arange(MIN_HASHED_PX)[:, None] / (2 * size))
    return np.asarray(waves / size, dtype=np.float32)


@cache
def frequencies(most: int) -> Frequencies:
    """The lowest frequencies without the level and the two slopes, as many as are closed under exchange."""
    rows, cols = np.indices((MIN_HASHED_PX, MIN_HASHED_PX)).reshape(2, -1)
    order = np.lexsort((rows, abs(rows - cols), rows + cols))[3 : 3 + most]
    rows, cols = rows[order], cols[order]
    unpaired = not ((rows == cols[-1]) & (cols == rows[-1])).any()
    return Frequencies(*(values[: len(values) - unpaired] for values in (rows, cols)))
