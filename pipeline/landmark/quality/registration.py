"""Pairs of one place → how far the radar image lies from the optical one."""

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

F = NDArray[np.float32]
REACH_PX = 12
_SIZE_PX, _LEAST_PX = 96, 48
_EDGE_PX = 1.5  # smoothing of edges: wide enough for speckle, narrow enough for field margins
_SHARPEST = 4.0  # times the mean gradient: bright corners shall not outweigh everything else


class Surface(NamedTuple):
    """Correlation summed over chips: (y, x) in thousandths of a standard deviation for shifts of -12 … 12 px; chips.

    Whole numbers, so that portions add up to the same in any order.
    """

    total: NDArray[np.int64]
    chips: int


Surfaces = dict[str, Surface]


class Shift(NamedTuple):
    """How far the radar image lies south and east of the optical one.

    Attributes:
        strength: Height of the peak over the rest of the surface, in its standard deviations.
    """

    y_px: float
    x_px: float
    strength: float


class Registration:
    """What waits for its pair, and what was found. An image waits as 9 kB.

    Attributes:
        shifts: Id of an optical sample → its shift.
        surfaces: First item of an optical acquisition → its summed surface.
    """

    def __init__(self) -> None:
        self.shifts: dict[str, Shift] = {}
        self.surfaces: Surfaces = {}
        self._radar: dict[str, NDArray[np.uint8]] = {}
        self._optical: dict[str, list[tuple[str, str, NDArray[np.uint8]]]] = {}

    def add(self, record: Mapping[str, Any], bands: Mapping[str, NDArray[Any]]) -> None:
        """Take a sample in; correlate it with its pair if that has come already."""
        if record["pair"] is None or (edges := structure(bands)) is None:
            return
        if record["sensor"] == "s2":
            waiting = str(record["id"]), str(record["items"][0]), edges
            if record["pair"] in self._radar:
                self._correlate(waiting, self._radar[record["pair"]])
            else:
                self._optical.setdefault(record["pair"], []).append(waiting)
            return
        # Several optical samples may name one radar sample, and their number is not known: it stays.
        self._radar[record["id"]] = edges
        for waiting in self._optical.pop(record["id"], []):
            self._correlate(waiting, edges)

    def _correlate(self, optical: tuple[str, str, NDArray[np.uint8]], radar: NDArray[np.uint8]) -> None:
        id, item, edges = optical
        if edges.shape == radar.shape:
            surface = surface_of(edges, radar)
            self.shifts[id] = peak(surface)
            self.surfaces = merge(self.surfaces, {item: surface})


def merge(one: Surfaces, other: Surfaces) -> Surfaces:
    """The sum of two portions' surfaces."""
    whole = dict(one)
    for item, surface in other.items():
        before = whole.get(item)
        whole[item] = surface if before is None else Surface(before.total + surface.total, before.chips + surface.chips)
    return whole


def structure(bands: Mapping[str, NDArray[Any]]) -> NDArray[np.uint8] | None:
    """Edges in the middle of a chip, 0 to 255; None for chips too small or with gaps.

    Magnitudes of gradients of the logarithm: edges in both sensors whichever side is the brighter, and speckle, which
    multiplies, has the same weight everywhere.
    """
    if "vv" in bands:
        stored, radar = [bands["vv"], bands["vh"]], True
    else:
        stored, radar = [bands["B04"], bands["B08"]], False
    size = min(_SIZE_PX, stored[0].shape[0])
    if size < _LEAST_PX or any((band == (-32768 if radar else 0)).any() for band in stored):
        return None
    start = (stored[0].shape[0] - size) // 2
    total = np.zeros((size, size), dtype=np.float32)
    for band in stored:
        values = band[start : start + size, start : start + size].astype(np.float32)
        total += _edges(values if radar else np.log(values))
    return np.asarray(np.minimum(total * (255 / (2 * _SHARPEST)), 255), dtype=np.uint8)


def _edges(values: F) -> F:
    """Magnitude of the gradient over its mean, cut at `_SHARPEST`."""
    found = ndimage.gaussian_gradient_magnitude(values, _EDGE_PX)
    return np.asarray(np.minimum(found / max(float(found.mean()), 1e-9), np.float32(_SHARPEST)))


def surface_of(optical: NDArray[np.uint8], radar: NDArray[np.uint8]) -> Surface:
    """Phase correlation of two images (Kuglin & Hines 1975) of edges, under a Hann window, near shift 0.

    Edges stand for optical and radar images whose contrasts are each other's reverse (as in Ye et al. 2017); a Gaussian
    keeps frequencies apart from noise that the phase alone would weigh alike.
    """
    size = optical.shape[0]
    window, keep = _windows(size)
    one, other = (fft.rfft2((image - image.mean(dtype=np.float32)) * window) for image in (optical, radar))
    cross = other * np.conj(one)
    values = fft.irfft2(cross / np.maximum(abs(cross), 1e-9) * keep, s=(size, size))
    near = np.roll(values, (REACH_PX, REACH_PX), (0, 1))[: 2 * REACH_PX + 1, : 2 * REACH_PX + 1]
    spread = float(near.std())
    scaled = (near - near.mean()) / spread if spread > 0 else np.zeros_like(near)
    return Surface(np.rint(1000 * scaled).astype(np.int64), 1)


@cache
def _windows(size: int) -> tuple[F, F]:
    """Hann window, and the Gaussian of 1 px in the frequencies of a real transform."""
    hann = np.hanning(size)
    square = fft.fftfreq(size)[:, None] ** 2 + fft.rfftfreq(size)[None, :] ** 2
    return np.outer(hann, hann).astype(np.float32), np.exp(-2 * np.pi**2 * square).astype(np.float32)


def peak(surface: Surface) -> Shift:
    """The shift at the highest point, to parts of a pixel, and how far it stands out."""
    values = surface.total.astype(np.float64)
    row, col = (int(place) for place in np.unravel_index(int(values.argmax()), values.shape))
    rest = np.ones(values.shape, dtype=bool)
    rest[max(row - 3, 0) : row + 4, max(col - 3, 0) : col + 4] = False
    spread = float(values[rest].std())
    strength = (float(values[row, col]) - float(values[rest].mean())) / spread if spread > 0 else 0.0
    return Shift(row - REACH_PX + _vertex(values[:, col], row), col - REACH_PX + _vertex(values[row], col), strength)


def _vertex(line: NDArray[np.float64], top: int) -> float:
    """How far the vertex of the parabola through a peak and its neighbours lies from it, in px."""
    if not 0 < top < len(line) - 1:
        return 0.0
    before, at, after = (float(value) for value in line[top - 1 : top + 2])
    bend = before - 2 * at + after
    return 0.5 * (before - after) / bend if bend < 0 else 0.0
