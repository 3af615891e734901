"""Search for similar perceptual hashes, also of rotated and mirrored images.

Candidate pairs are found by the signs, and compared by the values.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark.corpus.perceptual_hash import frequencies, orient, texture_share

# Rotations of the sign bits that are sorted, and followers that each is compared with: bounds the cost for any number
# of similar hashes.
_ROTATIONS, _FOLLOWERS = 16, 6
# A cosine of 0.98 is an angle of 11 degrees, which flips 6 % of the signs; 16 % is more than twice that.
_MAX_DIFFERENT_SHARE = 0.16
_WORD_BYTES = 8
_PAIRS_AT_ONCE = 100_000


class NearCopy(NamedTuple):
    """Two rows (first < second), the cosine similarity of their hashes, and the orientation of the second."""

    first: int
    second: int
    similarity: float
    orientation: int


def near_copies(hashes: NDArray[np.int8], min_similarity: float, *, min_texture_pct: float = 0) -> Iterator[NearCopy]:
    """Yield pairs of rows whose hashes have at least a cosine similarity in one of the eight orientations.

    Hashes are compared in a standard orientation, found by sums that other orientations reverse. Where a sum is so
    small that a copy could have the other sign, both are compared: 1.6 orientations of a hash in the mean.

    Args:
        hashes: (image, band, frequency).
        min_similarity: In (0, 1].
        min_texture_pct: Images with a smaller `texture_share`, in percent, are not compared.
    """
    compared = np.flatnonzero(100 * texture_share(hashes) >= min_texture_pct)
    hashes = hashes[compared]
    if hashes.size == 0:
        return
    parts = list(_standard_orientations(hashes, min_similarity))
    rows = np.concatenate([rows for rows, _ in parts])
    standard = np.concatenate([oriented for _, oriented in parts]).reshape(len(rows), -1)
    places = np.array([pair[:2] for pair in near_pairs(standard, min_similarity)], dtype=np.int64).reshape(-1, 2)
    first, second = np.unique(np.sort(rows[places], axis=1), axis=0).T
    first, second = first[first != second], second[first != second]
    similarities = np.array([_cosines(hashes[first], orient(hashes[second], number)) for number in range(8)])
    best = similarities.argmax(axis=0)
    columns = (compared[first], compared[second], similarities.max(axis=0), best)
    yield from map(NearCopy, *(column.tolist() for column in columns))


def _standard_orientations(
    hashes: NDArray[np.int8], min_similarity: float
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.int8]]]:
    """Per orientation, the rows for which it can be the standard one, and their hashes in it."""
    sums, tolerance = _orientation_sums(hashes, np.sqrt(2 * (1 - min_similarity)))
    for orientation in range(8):
        exchanged = bool(orientation & 4)
        along_y, along_x, across = (sums[1], sums[0], -sums[2]) if exchanged else sums
        signed = ((-1) ** (orientation >> 1 & 1) * along_y, (-1) ** (orientation & 1) * along_x, across)
        rows = np.flatnonzero(np.all([sum >= -least for sum, least in zip(signed, tolerance, strict=True)], axis=0))
        yield rows, orient(hashes[rows], orientation)


def _orientation_sums(hashes: NDArray[np.int8], angle: float) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    """Per image, the sums that are reversed upside down, left to right, and by exchanging y and x.

    Returns:
        The three sums, and their standard deviations if the hash is moved by an angle in a random direction.
    """
    rows, cols = frequencies(hashes.shape[2])
    flipped_y, flipped_x = (rows % 2 > cols % 2), (rows % 2 < cols % 2)
    values = hashes.sum(axis=1, dtype=np.int32)
    squares = np.einsum("ibf,ibf->if", hashes, hashes, dtype=np.int32, casting="unsafe")
    power = squares.sum(axis=1) / hashes[0].size
    sums = [values[:, flipped_y].sum(axis=1), values[:, flipped_x].sum(axis=1), squares @ np.sign(cols - rows)]
    n_flipped, n_exchanged = hashes.shape[1] * flipped_y.sum(), hashes.shape[1] * (rows != cols).sum()
    spread = angle * np.sqrt(power * n_flipped)
    return sums, [spread, spread, 2 * angle * power * np.sqrt(n_exchanged)]


def near_pairs(hashes: NDArray[np.int8], min_similarity: float) -> Iterator[tuple[int, int, float]]:
    """Yield each pair of rows (first < second) whose hashes have at least a cosine similarity, and that similarity.

    Candidates are neighbours in the sorted order of the sign bits, rotated so that every part comes first once (sorted
    neighbourhoods: Hernandez & Stolfo 1995; rotations: Manku et al. 2007), which differ in few bits. Of many copies
    of one image not all pairs are found, but each copy is in a pair.

    Args:
        hashes: (image, number).
        min_similarity: In (0, 1].
    """
    n_images, n_numbers = hashes.shape
    signs = np.packbits(hashes > 0, axis=1)
    candidates = [
        _similar_neighbours(np.roll(signs, -start, axis=1), _MAX_DIFFERENT_SHARE * n_numbers)
        for start in range(0, signs.shape[1], max(signs.shape[1] // _ROTATIONS, 1))
    ]
    keys = np.unique(np.concatenate(candidates))
    for part in np.array_split(keys, len(keys) // _PAIRS_AT_ONCE + 1):
        first, second = part // n_images, part % n_images
        similarities = _cosines(hashes[first], hashes[second])
        similar = similarities >= min_similarity
        yield from zip(*(values[similar].tolist() for values in (first, second, similarities)), strict=True)


def _similar_neighbours(signs: NDArray[np.uint8], max_different: float) -> NDArray[np.int64]:
    """Pairs of rows (first * number of rows + second) that follow each other sorted, and differ in few bits."""
    padded = np.pad(signs, ((0, 0), (0, -signs.shape[1] % _WORD_BYTES)))
    words = np.ascontiguousarray(padded.view(np.uint64).T)
    order = np.argsort(words[0], kind="stable")
    words, keys = words[:, order], [np.empty(0, np.int64)]
    for step in range(1, _FOLLOWERS + 1):
        different = np.bitwise_count(words[:, :-step] ^ words[:, step:]).sum(axis=0, dtype=np.uint16)
        close = np.flatnonzero(different <= max_different)
        left, right = order[close], order[close + step]
        keys.append(np.minimum(left, right) * len(order) + np.maximum(left, right))
    return np.concatenate(keys)


def _cosines(first: NDArray[np.int8], second: NDArray[np.int8]) -> NDArray[np.float64]:
    """Cosine similarity row by row, 0 where one is zero."""
    axes = tuple(range(1, first.ndim))
    a, b = first.astype(np.float64), second.astype(np.float64)
    scale = np.sqrt((a * a).sum(axis=axes) * (b * b).sum(axis=axes))
    return np.asarray((a * b).sum(axis=axes) / np.where(scale > 0, scale, np.inf))
