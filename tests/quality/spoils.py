"""Ways pixels go wrong, as pure functions of a chip's bands."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Bands = dict[str, NDArray[Any]]
Spoil = Callable[[Bands], Bands]
S1_NODATA = -32768


def renamed(**source: str) -> Spoil:
    """Bands that hold what another band of their size saw."""
    return lambda bands: {**bands, **{name: bands[of] for name, of in source.items()}}


def exchanged(one: str, other: str) -> Spoil:
    """Two bands under each other's name, resampled where their pixels differ in size."""

    def spoil(bands: Bands) -> Bands:
        return {**bands, one: resized(bands[other], len(bands[one])), other: resized(bands[one], len(bands[other]))}

    return spoil


def resized(band: NDArray[Any], size: int) -> NDArray[Any]:
    """Nearest pixels."""
    rows = (np.arange(size) * len(band)) // size
    return band[np.ix_(rows, rows)]


def every(change: Callable[[NDArray[Any]], NDArray[Any]]) -> Spoil:
    """The same to all bands; stored type and range are kept."""

    def spoil(bands: Bands) -> Bands:
        return {name: _stored(change(band.astype(np.float64)), band) for name, band in bands.items()}

    return spoil


def only(name: str, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Spoil:
    """To one band."""
    return lambda bands: {**bands, name: _stored(change(bands[name].astype(np.float64)), bands[name])}


def _stored(values: NDArray[Any], before: NDArray[Any]) -> NDArray[Any]:
    low, high, nodata = (1, 65535, 0) if before.dtype.kind == "u" else (-32767, 32767, S1_NODATA)
    return np.where(before == nodata, nodata, np.clip(np.rint(values), low, high)).astype(before.dtype)


def hole(bands: Bands) -> Bands:
    """No data in the upper left corner of all bands."""
    nodata = 0 if "B02" in bands else S1_NODATA
    return {name: box(nodata)(band.copy()) for name, band in bands.items()}


def torn(name: str) -> Spoil:
    """No data in the upper left corner of one band."""
    return lambda bands: {**bands, name: hole({"B02": bands[name]})["B02"]}


def box(value: float, *, share: float = 0.3) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """A square of one value in the upper left corner; `share` is of the edge."""

    def change(band: NDArray[Any]) -> NDArray[Any]:
        size = max(int(len(band) * share), 1)
        band[:size, :size] = value
        return band

    return change


def dead_line(band: NDArray[Any]) -> NDArray[Any]:
    """One column that holds its mean."""
    band[:, len(band) // 2] = np.rint(band.mean())
    return band


def padded(band: NDArray[Any]) -> NDArray[Any]:
    """The lower tenth repeats the last row above it."""
    start = len(band) - max(len(band) // 10, 1)
    band[start:] = band[start - 1]
    return band


def in_db(of: Callable[[NDArray[Any]], NDArray[Any]]) -> Spoil:
    """Another scale: a function of linear power, stored as hundredths."""
    return every(lambda stored: 100 * of(10 ** (stored / 1000)))


def moved(rows: int, cols: int) -> Spoil:
    """The picture south and east by pixels of 10 m; the edge comes round."""

    def spoil(bands: Bands) -> Bands:
        finest = max(len(band) for band in bands.values())
        return {
            name: np.roll(band, (rows * len(band) // finest, cols * len(band) // finest), (0, 1))
            for name, band in bands.items()
        }

    return spoil


def noisy(seed: int, *, share: float = 0.0, level: float = 0.0) -> Spoil:
    """Noise in proportion and of a level in stored numbers."""
    draw = np.random.default_rng(seed)
    return every(
        lambda band: band * (1 + share * draw.standard_normal(band.shape)) + level * draw.standard_normal(band.shape)
    )
