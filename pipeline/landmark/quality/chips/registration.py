"""Shift between the optical and the radar image of a cell, by phase correlation of edges."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import cache
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from landmark.corpus.perceptual_hash import cosine_basis

F = NDArray[np.float32]
C = NDArray[np.complex64]
Group = TypeVar("Group", bound=Hashable)
MAX_SHIFT_PX = 12
_MAX_SIZE_PX, _MIN_SIZE_PX = 96, 48
_SMOOTHING_PX = 1.5  # wide enough for speckle, narrow enough for field boundaries
_MAX_GRADIENT = 4.0  # times the mean: single bright reflectors must not dominate


class Surface(NamedTuple):
    """Phase correlation summed over chips.

    Attributes:
        total: (y, x) for shifts of -12 … 12 px, in thousandths of a standard deviation. Integers, so that sums do not
            depend on the order of the workers.
        chips: Number of chips.
    """

    total: NDArray[np.int64]
    chips: int


# Per pair of an optical and a radar acquisition, by their first items.
Surfaces = dict[tuple[str, str], Surface]


class Shift(NamedTuple):
    """Position of the radar image relative to the optical one.

    Attributes:
        y_px: Pixels to the south.
        x_px: Pixels to the east.
        strength: Height of the peak above the rest of the surface, in standard deviations of the rest.
    """

    y_px: float
    x_px: float
    strength: float


class Registration:
    """Shifts of all pairs among the samples added so far. Edge images wait for their pair in 9 kB each.

    Attributes:
        shifts: Id of an optical sample → shift.
        surfaces: First items of an optical and a radar acquisition → summed correlation.
    """

    def __init__(self) -> None:
        self.shifts: dict[str, Shift] = {}
        self._frequencies: dict[str, bytes] = {}
        self.surfaces: Surfaces = {}
        self._radar: dict[str, tuple[str, NDArray[np.uint8]]] = {}
        self._optical: dict[str, list[tuple[str, str, NDArray[np.uint8]]]] = {}

    def add(self, record: Mapping[str, Any], bands: Mapping[str, NDArray[Any]]) -> None:
        """Add a sample, and correlate it with its pair if that was added before."""
        if record["pair"] is None or (edges := edge_image(bands)) is None:
            return
        self._frequencies[record["id"]] = edge_frequencies(edges)
        if record["sensor"] == "s2":
            waiting = str(record["id"]), str(record["items"][0]), edges
            if record["pair"] in self._radar:
                self._correlate(waiting, self._radar[record["pair"]])
            else:
                self._optical.setdefault(record["pair"], []).append(waiting)
            return
        # Kept: several optical samples may name one radar sample.
        self._radar[record["id"]] = str(record["items"][0]), edges
        for waiting in self._optical.pop(record["id"], []):
            self._correlate(waiting, self._radar[record["id"]])

    def measures(self, id: str) -> dict[str, Any]:
        """`edge_frequencies` of a sample that has a pair, and the shift, which optical ones have."""
        shift = zip(("shift_y_px", "shift_x_px", "shift_strength"), self.shifts.get(id, (None,) * 3), strict=True)
        return {"edge_frequencies": self._frequencies.get(id), **dict(shift)}

    def _correlate(self, optical: tuple[str, str, NDArray[np.uint8]], radar: tuple[str, NDArray[np.uint8]]) -> None:
        (id, optical_item, edges), (radar_item, radar_edges) = optical, radar
        if edges.shape == radar_edges.shape:
            surface = correlate(edges, radar_edges)
            self.shifts[id] = locate_peak(surface)
            self.surfaces = merge_surfaces(self.surfaces, {(optical_item, radar_item): surface})


def merge_surfaces(left: Surfaces, right: Surfaces) -> Surfaces:
    """Sum of two results per pair of acquisitions."""
    merged = dict(left)
    for items, surface in right.items():
        base = merged.get(items)
        merged[items] = surface if base is None else Surface(base.total + surface.total, base.chips + surface.chips)
    return merged


def sum_surfaces(surfaces: Iterable[Surface]) -> Surface:
    """Sum of at least one surface."""
    members = list(surfaces)
    return Surface(
        np.asarray(np.sum([surface.total for surface in members], axis=0)), sum(surface.chips for surface in members)
    )


def group_surfaces(surfaces: Surfaces, key: Callable[[str, str], Group | None]) -> dict[Group, Surface]:
    """Sums of the surfaces of equal keys of their optical and radar acquisition; those without a key are left out."""
    members: dict[Group, list[Surface]] = {}
    for items, surface in surfaces.items():
        if (group := key(*items)) is not None:
            members.setdefault(group, []).append(surface)
    return {group: sum_surfaces(parts) for group, parts in members.items()}


def edge_image(bands: Mapping[str, NDArray[Any]]) -> NDArray[np.uint8] | None:
    """Edges in the centre of a chip (y, x), 0 to 255; None for chips that are too small or have gaps.

    Magnitude of the gradient of the logarithm: independent of the sign of the contrast, which differs between optical
    and radar images, and of the level, so that multiplicative speckle has the same weight everywhere.
    """
    if "vv" in bands:
        stored, radar = [bands["vv"], bands["vh"]], True
    else:
        stored, radar = [bands["B04"], bands["B08"]], False
    size = min(_MAX_SIZE_PX, stored[0].shape[0])
    if size < _MIN_SIZE_PX or any(band.min() == (-32768 if radar else 0) for band in stored):
        return None
    start = (stored[0].shape[0] - size) // 2
    inner = slice(start, start + size)
    values = np.stack([band[inner, inner] for band in stored], axis=1, dtype=np.float32, casting="unsafe")
    return (_edges(values if radar else np.log(values, out=values)) * (255 / (2 * _MAX_GRADIENT))).astype(np.uint8)


def edge_frequencies(edges: NDArray[np.uint8]) -> bytes:
    """The lowest 16 x 16 numbers (y, x) of the cosine transform of an edge image, as float16."""
    basis = cosine_basis(len(edges))
    return (basis @ edges.astype(np.float32) @ basis.T).astype(np.float16).tobytes()


def _edges(values: F) -> F:
    """Sum over two bands of the magnitude of the gradient relative to its mean, clipped at `_MAX_GRADIENT`.

    Args:
        values: (y, band, x).
    """
    size = len(values)
    smoothing, derivative = _filters(size)
    along_y = values.reshape(size, -1)
    south, east = (
        ((first @ along_y).reshape(-1, size) @ second.T).reshape(size, -1, size)
        for first, second in ((derivative, smoothing), (smoothing, derivative))
    )
    magnitude = np.sqrt(south * south + east * east)
    magnitude /= np.maximum(magnitude.mean(axis=(0, 2)), np.float32(1e-9))[:, None]
    np.minimum(magnitude, np.float32(_MAX_GRADIENT), out=magnitude)
    return np.asarray(magnitude[:, 0] + magnitude[:, 1])


@cache
def _filters(size: int) -> tuple[F, F]:
    """Matrices of a Gaussian of `_SMOOTHING_PX` and its derivative for lines of `size` pixels, mirrored at the ends."""
    identity = np.eye(size)
    smoothing, derivative = (
        ndimage.gaussian_filter1d(identity, _SMOOTHING_PX, axis=0, order=order).astype(np.float32) for order in (0, 1)
    )
    return smoothing, derivative


def correlate(optical: NDArray[np.uint8], radar: NDArray[np.uint8]) -> Surface:
    """Phase correlation (Kuglin & Hines 1975) of two edge images under a Hann window, for shifts near 0.

    Edges replace intensities because contrasts of optical and radar images can be inverted (as in Ye et al. 2017). A
    Gaussian low-pass reduces the weight of high frequencies, whose phase is noise.
    """
    window, low_pass, rows, cols = _transforms(optical.shape[0])
    images = np.stack([optical, radar], dtype=np.float32, casting="unsafe")
    images -= images.mean(axis=(1, 2), keepdims=True)
    reference, moved = fft.rfft2(images * window)
    cross = moved * reference.conj()
    near = (rows @ (cross * (low_pass / np.maximum(abs(cross), np.float32(1e-9)))) @ cols).real
    near = near - near.mean()
    spread = float(np.vdot(near, near) / near.size) ** 0.5
    return Surface(np.rint(near * (1000 / spread if spread > 0 else 0)).astype(np.int64), 1)


@cache
def _transforms(size: int) -> tuple[F, F, C, C]:
    """Hann window, Gaussian low-pass of 1 px, and the inverse of a real FFT for shifts near 0.

    Returns:
        Window (y, x); transfer function (y, x) of a real FFT; matrices of its inverse (shift, y) and (x, shift).
    """
    hann = np.hanning(size)
    frequency_y, frequency_x = fft.fftfreq(size), fft.rfftfreq(size)
    low_pass = np.exp(-2 * np.pi**2 * (frequency_y[:, None] ** 2 + frequency_x**2))
    shifts = np.arange(-MAX_SHIFT_PX, MAX_SHIFT_PX + 1)
    rows = np.exp(2j * np.pi * np.outer(shifts, frequency_y))
    cols = np.exp(2j * np.pi * np.outer(frequency_x, shifts))
    # A real FFT holds one of two conjugate frequencies, but for the first and, of even sizes, the last.
    cols[1 : (size + 1) // 2] *= 2
    return (
        np.outer(hann, hann).astype(np.float32),
        low_pass.astype(np.float32),
        rows.astype(np.complex64),
        cols.astype(np.complex64),
    )


def locate_peak(surface: Surface) -> Shift:
    """Shift at the maximum of a surface with sub-pixel precision, and its strength."""
    values = surface.total.astype(np.float64)
    row, col = divmod(int(values.argmax()), values.shape[1])
    peak = values[max(row - 3, 0) : row + 4, max(col - 3, 0) : col + 4]
    number, total, squares = (
        all_px - near_px for all_px, near_px in zip(_moments(values), _moments(peak), strict=True)
    )
    mean = total / number
    spread = max(squares / number - mean * mean, 0.0) ** 0.5
    strength = (float(values[row, col]) - mean) / spread if spread > 0 else 0.0
    return Shift(
        row - MAX_SHIFT_PX + _vertex(values[:, col], row), col - MAX_SHIFT_PX + _vertex(values[row], col), strength
    )


def _moments(values: NDArray[np.float64]) -> tuple[int, float, float]:
    """Number, sum, and sum of squares."""
    return values.size, float(values.sum()), float((values * values).sum())


def _vertex(line: NDArray[np.float64], top: int) -> float:
    """Offset in px of the vertex of the parabola through a maximum and its two neighbours."""
    if not 0 < top < len(line) - 1:
        return 0.0
    left, centre, right = (float(value) for value in line[top - 1 : top + 2])
    curvature = left - 2 * centre + right
    return 0.5 * (left - right) / curvature if curvature < 0 else 0.0
