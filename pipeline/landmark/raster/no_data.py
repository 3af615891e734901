"""Pixels without data: nodata values, mask bands and alpha bands."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.windows import Window


@dataclass(frozen=True, slots=True)
class Fill:
    """What the pixels without data of a band become.

    Attributes:
        value: Their value in chips.
        nodata: Values of the file that are replaced by it.
    """

    value: float
    nodata: tuple[Any, ...]

    @classmethod
    def of(cls, value: float, dtype: str, nodata: Iterable[float | None]) -> Self:
        """Fill for the nodata values that pixels of a type can have."""
        return cls(value, tuple(number for number in typed_nodata(dtype, nodata) if number != value))

    def apply(self, chip: NDArray[Any]) -> NDArray[Any]:
        """Replace the nodata values of a chip, in place."""
        for number in self.nodata:
            np.copyto(chip, self.value, where=chip == number, casting="unsafe")
        return chip


def typed_nodata(dtype: str, nodata: Iterable[float | None]) -> list[Any]:
    """The nodata values that pixels of a type can equal, in that type."""
    kind, values = np.dtype(dtype), {number for number in nodata if number is not None and not np.isnan(number)}
    if kind.kind == "f":
        with np.errstate(over="ignore"):
            return [kind.type(number) for number in sorted(values)]
    limits = np.iinfo(kind) if kind.kind in "iu" else None
    return [
        kind.type(int(number))
        for number in sorted(values)
        if limits and np.isfinite(number) and number == int(number) and limits.min <= int(number) <= limits.max
    ]


def has_mask(dataset: Any, band: int) -> bool:
    """Whether more than a nodata value marks valid pixels: a mask band or file, `NODATA_VALUES` or an alpha band."""
    flags = set(dataset.mask_flag_enums[band - 1])
    is_nodata = bool(flags & {MaskFlags.all_valid, MaskFlags.nodata}) and MaskFlags.per_dataset not in flags
    return not is_nodata or bool(alpha_bands(dataset))


def is_invalid(dataset: Any, band: int, window: Window) -> NDArray[np.bool_]:
    """Pixels of a window (y, x) that the mask, the alpha bands or the nodata value of the file mark as without data."""
    valid = dataset.read_masks(band, window=window) != 0
    for alpha in alpha_bands(dataset):
        valid &= dataset.read(alpha, window=window) != 0
    pixels = dataset.read(band, window=window)
    for number in typed_nodata(pixels.dtype.name, [dataset.nodatavals[band - 1]]):
        valid &= pixels != number
    return np.asarray(~valid)


def count_data_bands(dataset: Any) -> int:
    """Number of bands without the alpha bands."""
    return int(dataset.count) - len(alpha_bands(dataset))


def alpha_bands(dataset: Any) -> list[int]:
    """Numbers of the alpha bands, from 1."""
    return [number for number, kind in enumerate(dataset.colorinterp, start=1) if kind == ColorInterp.alpha]
