"""Real spherical harmonics of places, the input of the location tower."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from landmark.core.errors import InputError
from landmark.train.profile import Convention

_MAX_DEGREES = 100


def spherical_harmonics(
    lon: ArrayLike, lat: ArrayLike, degrees: int, convention: Convention = "orthonormal"
) -> NDArray[np.float64]:
    """Real spherical harmonics (n, degrees ** 2) float64: l = 0 .. degrees - 1 and, within l, m = -l .. l.

    Args:
        lon: (n,) longitudes in degrees.
        lat: (n,) latitudes in degrees.
        degrees: From 1 to 100.
        convention: `orthonormal`: √2 Re Y for m > 0, Y for m = 0 and √2 Im Y of |m| for m < 0, where Y is
            `scipy.special.sph_harm_y(l, m, θ, φ)`, θ = 90° - lat and φ = lon; the Condon-Shortley phase is in it.
            `satclip-analytic`: what the weights of SatCLIP (arXiv 2311.17179) were trained with: θ = lat + 90°,
            φ = lon + 180°, (-1)^m times these for m ≠ 0, and π times these for m = 0.

    Raises:
        InputError: a latitude is not from -90 to 90, a longitude not from -360 to 360, or `degrees` out of range.
    """
    longitudes, latitudes = (
        _check(key, values, bound) for key, values, bound in (("lon", lon, 360.0), ("lat", lat, 90.0))
    )
    if not 1 <= degrees <= _MAX_DEGREES:
        raise InputError(f"must be from 1 to {_MAX_DEGREES}", key="degrees", value=degrees)
    is_satclip = convention == "satclip-analytic"
    sin_lat, cos_lat = np.sin(np.radians(latitudes)), np.cos(np.radians(latitudes))
    legendre = _legendre(-sin_lat if is_satclip else sin_lat, cos_lat, degrees)
    orders = np.arange(degrees)
    angle = np.radians(longitudes + 180 if is_satclip else longitudes)[:, None] * orders
    factors = np.where(orders == 0, 1.0, np.sqrt(2.0))
    if is_satclip:
        factors *= np.where(orders == 0, np.pi, (-1.0) ** orders)
    cosines, sines = np.cos(angle) * factors, np.sin(angle) * factors
    harmonics = np.empty((len(longitudes), degrees**2))
    for degree, row in enumerate(legendre):
        zero = degree**2 + degree
        harmonics[:, zero : zero + degree + 1] = row * cosines[:, : degree + 1]
        harmonics[:, zero - degree : zero] = (row * sines[:, : degree + 1])[:, :0:-1]
    return harmonics


def _check(key: str, values: ArrayLike, bound: float) -> NDArray[np.float64]:
    numbers = np.asarray(values, dtype=np.float64)
    outside = ~(np.abs(numbers) <= bound)
    if outside.any():
        problem, value = f"must be from {-bound:g} to {bound:g} degrees", float(numbers[outside][0])
        raise InputError(problem, key=key, value=value, remedy="give longitude first, then latitude")
    return numbers


def _legendre(cos: NDArray[np.float64], sin: NDArray[np.float64], degrees: int) -> list[NDArray[np.float64]]:
    """Associated Legendre functions of each degree n, (place, n + 1) for m = 0 .. n, with the phase (-1)^m.

    Normalised, so that none overflows: times √((2n + 1) (n - m)! / (4π (n + m)!)). The recurrence in n is stable
    (Holmes & Featherstone 2002, Journal of Geodesy 76, 279-299, equations 11 and 12).
    """
    rows = [np.full((len(cos), 1), np.sqrt(1 / (4 * np.pi)))]
    for n in range(1, degrees):
        row, m = np.empty((len(cos), n + 1)), np.arange(n)
        # Of order n - 1 there is no function of degree n - 2; its factor `b` is zero.
        before, earlier = rows[n - 1], np.zeros((len(cos), n))
        earlier[:, : n - 1] = rows[n - 2][:, : n - 1]
        a = np.sqrt((4 * n**2 - 1) / (n**2 - m**2))
        b = np.sqrt(((n - 1) ** 2 - m**2) / (4 * (n - 1) ** 2 - 1))
        row[:, :n] = a * (cos[:, None] * before - b * earlier)
        row[:, n] = -np.sqrt((2 * n + 1) / (2 * n)) * sin * before[:, n - 1]
        rows.append(row)
    return rows
