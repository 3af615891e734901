"""Normalisations: shipped and of users, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from landmark.config.profiles import load_sensor
from landmark.core.errors import InputError
from landmark.core.resources import available
from landmark.core.yaml_files import load_model, parse_model
from landmark.loader.normalise import (
    KIND,
    Normalisation,
    StoredBands,
    load_normalisation,
    normalisation_reference,
    scaling_of,
)
from tests.parts import raises, text

STATISTICS = {"s1": [-12.0, 4.0], "s2": [0.2, 0.1]}
S2 = {"unit": "surface reflectance", "formula": "standardise", "bands": {"B02": {"mean": 0.3, "std": 0.2}}}


def stored_bands(sensor: str, *bands: str, **changes: Any) -> StoredBands:
    profile = load_sensor(sensor)
    names = bands or profile.order
    fields = {
        "unit": profile.unit,
        "scale": profile.scale,
        "nodata": profile.nodata,
        "statistics": dict.fromkeys(names, STATISTICS[sensor]),
    }
    return StoredBands(sensor=sensor, bands=tuple(names), **(fields | changes))


@pytest.mark.parametrize(
    ("normalise", "band", "stored", "image", "fill"),
    [
        # (value - mean) / std of the corpus
        ("corpus", "vv", -1000, 0.5, 0.0),
        ("corpus", "B02", 3000, 1.0, 0.0),
        # the unit itself, filled with the mean of the corpus
        ("reflectance", "vv", -1000, -10.0, -12.0),
        ("reflectance", "B02", 3000, 0.3, 0.2),
        # torchgeo: K.Normalize(mean, std) in dB, and (0, 10000) of stored values
        ("ssl4eo", "vh", -2026 + 591, 1.0, 0.0),
        ("ssl4eo", "B12", 3000, 0.3, 0.2),
        # olmoearth_pretrain: (x - (mean - 2 std)) / (4 std)
        ("olmoearth", "vv", -1165, (-11.65 + 11.648990747328444) / (4 * 10.840350299936597) + 0.5, 0.5),
        ("olmoearth", "B09", 3270, (3270 - 3269.812554170875) / (4 * 2651.088425085525) + 0.5, 0.5),
    ],
)
def test_shipped_normalisations(normalise: str, band: str, stored: int, image: float, fill: float) -> None:
    normalisation, file = load_normalisation(normalise)
    scaling = scaling_of(normalisation, stored_bands("s1" if band.startswith("v") else "s2", band), file=file)
    assert stored * scaling.factor[0] + scaling.shift[0] == pytest.approx(image, abs=1e-5)
    assert scaling.fill[0] == pytest.approx(fill, abs=1e-6)


@pytest.mark.parametrize("name", available(KIND))
@pytest.mark.parametrize("sensor", ["s1", "s2"])
def test_shipped_normalisations_have_every_band_and_a_source(name: str, sensor: str) -> None:
    normalisation = load_model(Normalisation, KIND, name)
    scaling = scaling_of(normalisation, stored_bands(sensor))
    assert normalisation.sources
    assert np.isfinite([scaling.factor, scaling.shift, scaling.fill]).all()
    assert (scaling.factor > 0).all()


@pytest.mark.parametrize("statistics", [{}, {"B02": []}, {"B02": [0.2, 0.0]}])
def test_constant_bands_and_those_without_pixels_are_not_divided_by_zero(statistics: dict[str, list[float]]) -> None:
    scaling = scaling_of(load_normalisation("corpus")[0], stored_bands("s2", "B02", statistics=statistics))
    assert scaling.factor[0] == pytest.approx(0.0001)
    assert scaling.fill[0] == 0


def test_a_file_of_the_user(tmp_path: Path) -> None:
    sensor = {"unit": "surface reflectance", "formula": "range", "bands": {"B02": {"low": 0.1, "high": 0.3}}}
    path = text(tmp_path / "own.yaml", yaml.safe_dump({"title": "Own", "sensors": {"s2": sensor}}))
    normalisation, file = load_normalisation(path)
    scaling = scaling_of(normalisation, stored_bands("s2", "B02"), file=file)
    assert np.array([1000, 3000]) * scaling.factor[0] + scaling.shift[0] == pytest.approx([0, 1], abs=1e-6)
    assert scaling.fill[0] == pytest.approx(0.5, abs=1e-6)  # of the corpus, which has the mean 0.2
    with raises(InputError, file=str(path), key="sensors.s2.bands", value="B03"):
        scaling_of(normalisation, stored_bands("s2", "B02", "B03"), file=file)
    with raises(InputError, file=str(path), key="sensors", value="s1"):
        scaling_of(normalisation, stored_bands("s1"), file=file)


@pytest.mark.parametrize(
    ("unit", "accepted"),
    [("dB of gamma0", True), ("dB", True), ("dB of sigma0", False), ("d", False), ("power", False)],
)
def test_units_are_held_against_the_shards(unit: str, accepted: bool) -> None:
    normalisation = Normalisation.model_validate(
        {"title": "", "sensors": {"s1": {"unit": unit, "formula": "standardise"}}}
    )
    if accepted:
        scaling_of(normalisation, stored_bands("s1"))
        return
    with raises(InputError, key="sensors.s1.unit", value=unit):
        scaling_of(normalisation, stored_bands("s1"))


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"formula": "divide", "bands": None}, "sensors.s2.divisor"),
        ({"divisor": 10}, "sensors.s2.divisor"),
        ({"deviations": 2}, "sensors.s2.deviations"),
        ({"formula": "range"}, "sensors.s2.bands.B02.low"),
        ({"formula": "range", "bands": None}, "sensors.s2.bands"),
        ({"bands": {"B02": {"mean": 1}}}, "sensors.s2.bands.B02.std"),
        ({"bands": {"B02": {"mean": 1, "std": 0}}}, "sensors.s2.bands.B02.std"),
        ({"formula": "range", "bands": {"B02": {"low": 2, "high": 1}}}, "sensors.s2.bands.B02.high"),
        ({"unit": ""}, "sensors.s2.unit"),
        ({"scale": 0}, "sensors.s2.scale"),
        ({"formula": "logarithm"}, "sensors.s2.formula"),
    ],
)
def test_invalid_files_are_refused_by_key(changes: dict[str, Any], key: str) -> None:
    with raises(InputError, key=key):
        parse_model(Normalisation, {"title": "", "sensors": {"s2": S2 | changes}}, "own.yaml")


def test_the_committed_reference_is_current() -> None:
    """If this fails, run `make docs`."""
    committed = Path(__file__).parents[2] / "docs/reference/normalisation.md"
    assert committed.read_text(encoding="utf-8") == normalisation_reference()
