"""Sums over the stored pixels of a shard, from which mean and standard deviation of each band follow."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from landmark.corpus.pixels import BandGroup, band_order, nodata_of, parse_group

# Per band: number of valid pixels, sum and sum of squares of stored values. Integers, so that the order of adding
# does not matter.
Moments = dict[str, tuple[int, int, int]]

# Values of a column that are summed together: as float64 they fit in a core's cache.
_CACHED_VALUES = 2**16


class MomentSums:
    """Running sums over the pixels of a shard.

    Args:
        fields: The pixel columns of its schema.
    """

    def __init__(self, fields: list[pa.Field]) -> None:
        self._names, self._nodata = band_order(fields), nodata_of(fields)
        groups = [(field.name, parse_group(field)) for field in fields]
        self._groups = [(name, group, [self._names.index(band) for band in group.bands]) for name, group in groups]
        self._sums = np.zeros((len(self._names), 3), dtype=np.int64)

    def add(self, rows: pa.Table) -> None:
        """Add samples.

        Raises:
            ValueError: a value has not the size of its column.
        """
        for name, group, places in self._groups:
            for chunk in rows[name].chunks:
                pixels = _pixels(chunk, group)
                step = max(1, _CACHED_VALUES // pixels[0].size) if len(pixels) else 1
                for start in range(0, len(pixels), step):
                    self._sums[places] += group.factor**2 * _sum(pixels[start : start + step], self._nodata)

    @property
    def total(self) -> Moments:
        """Count, sum and sum of squares per band."""
        return {name: (int(n), int(s), int(q)) for name, (n, s, q) in zip(self._names, self._sums, strict=True)}


def _pixels(column: pa.BinaryArray, group: BandGroup) -> NDArray[Any]:
    """Stored values (row, band, pixel) of a column, without a copy."""
    _, offsets, content = column.buffers()
    ends = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
    if (np.diff(ends) != group.size_bytes).any():
        raise ValueError(f"a value is not of {group.size_bytes} bytes")
    n_values = len(column) * group.size_bytes // np.dtype(group.dtype).itemsize
    stored = np.frombuffer(content or b"", group.dtype, n_values, int(ends[0]))
    return stored.reshape(len(column), len(group.bands), -1)


def _sum(pixels: NDArray[Any], nodata: int) -> NDArray[np.int64]:
    """Number of valid values, sum and sum of squares (band, 3) of stored values (row, band, pixel)."""
    n_rows, n_bands, n_pixels = pixels.shape
    stored = pixels.reshape(n_rows * n_bands, n_pixels)
    invalid, counts = stored == nodata, np.full(len(stored), n_pixels)
    # Integers below 2^53 are exact in float64.
    numbers = stored.astype(np.float64)
    if invalid.any():
        numbers[invalid] = 0
        counts -= np.count_nonzero(invalid, axis=1)
    sums = np.stack([counts, numbers.sum(axis=1), np.einsum("ij,ij->i", numbers, numbers)], axis=1)
    return np.asarray(sums.astype(np.int64).reshape(n_rows, n_bands, 3).sum(axis=0))
