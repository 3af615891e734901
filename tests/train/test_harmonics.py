"""Spherical harmonics against SciPy, and in SatCLIP's convention against its closed formulas."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import lpmv, sph_harm_y

from landmark.core.errors import InputError
from landmark.train.harmonics import spherical_harmonics
from tests.parts import examples, raises

# Poles, the antimeridian from both sides, the equator, and places of both hemispheres.
LON = [0, 37, -180, 180, -180, 180, 0, -90, 151.2, -68.3]
LAT = [90, -90, 0, 0, 45.5, -33.9, 0, 0, -33.9, -54.8]


def by_scipy(lon, lat, degrees):
    """Degree by degree and order by order, by the definition."""
    polar, azimuth = np.radians(90 - np.asarray(lat)), np.radians(lon)
    columns = []
    for degree in range(degrees):
        for order in range(-degree, degree + 1):
            value = sph_harm_y(degree, abs(order), polar, azimuth)
            root = math.sqrt(2) if order else 1
            columns.append(root * (value.imag if order < 0 else value.real))
    return np.stack(columns, axis=1)


def by_satclip(lon, lat, degrees):
    """The expressions that SatCLIP's generator gives to SymPy; `lpmv` has the phase of SymPy's `assoc_legendre`."""
    phi, theta = np.radians(np.asarray(lon) + 180), np.radians(np.asarray(lat) + 90)
    columns = []
    for degree in range(degrees):
        for order in range(-degree, degree + 1):
            m = abs(order)
            legendre = lpmv(m, degree, np.cos(theta))
            if order == 0:
                columns.append(np.sqrt((2 * degree + 1) / 4 * np.pi) * legendre)
                continue
            norm = (2 * degree + 1) / (4 * np.pi) * math.factorial(degree - m) / math.factorial(degree + m)
            wave = np.sin(m * phi) if order < 0 else np.cos(m * phi)
            columns.append((-1.0) ** m * math.sqrt(2) * math.sqrt(norm) * legendre * wave)
    return np.stack(columns, axis=1)


ORACLES = {"orthonormal": by_scipy, "satclip-analytic": by_satclip}


@pytest.mark.parametrize("convention", ORACLES)
# SatCLIP's expressions, which take the sine of the polar angle from its cosine, are imprecise beside a pole.
@given(st.lists(st.tuples(st.floats(-180, 180), st.floats(-89.9, 89.9)), min_size=1, max_size=5))
@examples(30)
def test_harmonics_equal_the_definition(convention, places):
    lon, lat = np.array(places).T
    expected = ORACLES[convention](np.append(lon, LON), np.append(lat, LAT), 10)
    actual = spherical_harmonics(np.append(lon, LON), np.append(lat, LAT), 10, convention)
    assert actual.dtype == np.float64 and actual.shape == (len(lon) + len(LON), 100)
    assert np.abs(actual - expected).max() < 1e-10


def test_harmonics_are_stable_to_degree_100():
    lat = np.array([*np.degrees(np.arcsin(np.linspace(-1, 1, 41))), *LAT, 89.9999999, -89.9999])
    lon = np.array([*np.linspace(-180, 180, 41), *LON, 0.001, 12])
    harmonics = spherical_harmonics(lon, lat, 100)
    assert np.abs(harmonics - by_scipy(lon, lat, 100)).max() < 1e-10
    # Of each degree, the squares sum to a constant (the addition theorem).
    for degree in (0, 1, 50, 99):
        power = (harmonics[:, degree**2 : (degree + 1) ** 2] ** 2).sum(1)
        assert np.allclose(power, (2 * degree + 1) / (4 * np.pi), rtol=1e-12)


def test_satclip_convention_equals_published_expressions():
    """Y of degree 1, and of degree 3 and orders 0 and -1, in the printed code that SatCLIP trains with."""
    lon, lat = 151.2, -33.9
    phi, theta = math.radians(lon + 180), math.radians(lat + 90)
    cos, sin = math.cos(theta), math.sqrt(1 - math.cos(theta) ** 2)
    (values,) = spherical_harmonics([lon], [lat], 4, "satclip-analytic")
    assert values[0] == pytest.approx(0.886226925452758)
    assert values[1] == pytest.approx(0.48860251190292 * sin * math.sin(phi))
    assert values[2] == pytest.approx(1.53499006191973 * cos)
    assert values[3] == pytest.approx(0.48860251190292 * sin * math.cos(phi))
    assert values[11] == pytest.approx(0.304697199642977 * sin * (7.5 * cos**2 - 1.5) * math.sin(phi))
    assert values[12] == pytest.approx(5.86184012479344 * cos**3 - 3.51710407487606 * cos)


@pytest.mark.parametrize(
    ("lon", "lat", "degrees", "key", "value"),
    [
        (12.0, 90.5, 10, "lat", 90.5),
        (45.4, -120.0, 10, "lat", -120.0),
        (612_345.0, 45.4, 10, "lon", 612_345.0),
        (12.0, math.inf, 10, "lat", math.inf),
        (12.0, 45.4, 0, "degrees", 0),
        (12.0, 45.4, 101, "degrees", 101),
    ],
)
def test_places_that_are_not_on_earth_are_refused(lon, lat, degrees, key, value):
    with raises(InputError, key=key, value=value):
        spherical_harmonics([1.0, lon], [2.0, lat], degrees)
    with raises(InputError, key="lat"):
        spherical_harmonics([1.0], [math.nan], 10)
