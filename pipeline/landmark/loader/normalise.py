"""Normalisations (`profiles/normalisations/*.yaml`): from stored pixels to the float32 images that models expect.

Every formula is linear, so that it is one factor and one shift of the stored value per band.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from landmark.config.profiles import SensorName
from landmark.config.reference import model_reference
from landmark.core.errors import InputError, LandmarkError, invalid
from landmark.core.resources import find_resource
from landmark.core.yaml_files import StrictModel, load_model

KIND = "profiles/normalisations"

_HEADER = """# Normalisation

Keys of a normalisation (`profiles/normalisations/*.yaml`, or a file of yours). Generated from
`landmark/loader/normalise.py` by `make docs`; do not edit.
"""
_PARAMETERS = {"standardise": ("mean", "std"), "range": ("low", "high"), "divide": ()}


class BandParameters(StrictModel):
    """Parameters of a band, in `scale` x `unit`."""

    mean: float | None = Field(None, description="Mean of the band; missing pixels become it")
    std: float | None = Field(None, gt=0, description="Standard deviation of the band")
    low: float | None = Field(None, description="With `range`: value that becomes 0")
    high: float | None = Field(None, description="With `range`: value that becomes 1")

    @model_validator(mode="after")
    def _check_range(self) -> "BandParameters":
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise invalid("must be greater than `low`", key="high", value=self.high)
        return self


class SensorNormalisation(StrictModel):
    """Formula of a sensor's bands."""

    unit: str = Field(
        min_length=1,
        description="Unit that the formula expects: that of the shards (`surface reflectance`, `dB of gamma0`), or its "
        "first words (`dB`)",
    )
    scale: float = Field(1.0, gt=0, description="Unit of the parameters, in `unit`: 0.0001 for reflectance x 10000")
    formula: Literal["standardise", "range", "divide"] = Field(
        description="`standardise`: (x - mean) / std; `range`: (x - low) / (high - low); `divide`: x / divisor"
    )
    divisor: float | None = Field(None, gt=0, description="With `divide`: of every band")
    deviations: float | None = Field(
        None, gt=0, description="With `range`: `low` and `high` are this many standard deviations from the mean"
    )
    bands: dict[str, BandParameters] | None = Field(
        None, description="Parameters of each band; by default mean and standard deviation of the corpus"
    )

    @property
    def parameters(self) -> tuple[str, ...]:
        """Parameters that the formula takes of each band."""
        return ("mean", "std") if self.deviations is not None else _PARAMETERS[self.formula]

    @model_validator(mode="after")
    def _check_formula(self) -> "SensorNormalisation":
        for key, formula in (("divisor", "divide"), ("deviations", "range")):
            if getattr(self, key) is not None and self.formula != formula:
                raise invalid(f"only with `formula: {formula}`", key=key, value=getattr(self, key))
        if self.formula == "divide" and self.divisor is None:
            raise invalid("needed with `formula: divide`", key="divisor")
        if self.bands is None and self.parameters == ("low", "high"):
            raise invalid("needed with `formula: range` without `deviations`", key="bands")
        for band, values in (self.bands or {}).items():
            if missing := [name for name in self.parameters if getattr(values, name) is None]:
                raise invalid(f"needed with `formula: {self.formula}`", key=f"bands.{band}.{missing[0]}")
        return self


class Normalisation(StrictModel):
    """What models expect of the pixels of each sensor."""

    title: str = Field(description="Title for people")
    sources: tuple[str, ...] = Field((), description="Where the numbers were published, or what they were computed of")
    caveats: tuple[str, ...] = Field((), description="Differences to the images that the numbers were computed of")
    sensors: dict[SensorName, SensorNormalisation] = Field(min_length=1, description="Sensor → formula of its bands")


@dataclass(frozen=True, slots=True)
class Scaling:
    """Linear functions of stored values, one per channel: `stored * factor + shift`, and `fill` for missing pixels.

    Attributes:
        factor: (channel,) float32.
        shift: (channel,) float32.
        fill: (channel,) float32: the normalised mean of the band.
        nodata: Stored value of missing pixels.
    """

    factor: NDArray[np.float32]
    shift: NDArray[np.float32]
    fill: NDArray[np.float32]
    nodata: int

    def apply(self, channel: int, stored: NDArray[Any], out: NDArray[np.float32]) -> None:
        """Normalise stored pixels (..., y, x) of a channel into `out`, float32 of the same shape."""
        np.copyto(out, stored)
        out *= self.factor[channel]
        out += self.shift[channel]
        missing = stored == self.nodata
        if missing.any():
            np.copyto(out, self.fill[channel], where=missing)


@dataclass(frozen=True, slots=True)
class StoredBands:
    """What the stored values of a sensor's channels are.

    Attributes:
        sensor: Name of the sensor.
        bands: Band of each channel.
        unit: Unit of `scale` x stored value.
        scale: Units per stored step.
        nodata: Stored value of missing pixels.
        statistics: Band → mean and standard deviation in the corpus, in `unit`; empty for bands without valid pixels.
    """

    sensor: str
    bands: tuple[str, ...]
    unit: str
    scale: float
    nodata: int
    statistics: Mapping[str, Sequence[float]]


def load_normalisation(normalise: str | os.PathLike[str] | Normalisation) -> tuple[Normalisation, str | None]:
    """A normalisation by name or path, and its file; None for one that was made in Python.

    Raises:
        UnknownName: no such file; the remedy lists the names.
        InputError: the file is invalid.
    """
    if isinstance(normalise, Normalisation):
        return normalise, None
    if not isinstance(normalise, str | os.PathLike):
        problem = "must be the name of a normalisation or the path of a .yaml file"
        raise InputError(problem, key="normalise", value=normalise)
    name = os.fspath(normalise)
    try:
        path = find_resource(KIND, name)
    except LandmarkError as error:
        error.key = "normalise"
        raise
    return load_model(Normalisation, KIND, name), str(path)


def scaling_of(normalisation: Normalisation, stored: StoredBands, *, file: str | None = None) -> Scaling:
    """The linear functions of a sensor's channels.

    Args:
        normalisation: Formula and parameters.
        stored: Channels and their unit in the shards.
        file: File of the normalisation, for errors.

    Raises:
        InputError: no formula for the sensor, no parameters for a band, or another unit.
    """
    formula = normalisation.sensors.get(stored.sensor)  # type: ignore[call-overload]
    if formula is None:
        sensors = ", ".join(normalisation.sensors)
        problem = f"the normalisation has no formula for {stored.sensor}, only for {sensors}"
        raise InputError(problem, file=file, key="sensors", value=stored.sensor)
    if stored.unit != formula.unit and not stored.unit.startswith(f"{formula.unit} of "):
        problem = f"the normalisation is of another unit than the shards of {stored.sensor}, {stored.unit}"
        raise InputError(problem, file=file, key=f"sensors.{stored.sensor}.unit", value=formula.unit)
    channels = [_linear(formula, stored, band, file) for band in stored.bands]
    factor, shift, fill = np.array(channels, dtype=np.float32).T
    return Scaling(factor, shift, fill, stored.nodata)


def _linear(
    formula: SensorNormalisation, stored: StoredBands, band: str, file: str | None
) -> tuple[float, float, float]:
    """Factor and shift from stored values of a band, and the normalised mean."""
    mean, std = (value / formula.scale for value in stored.statistics.get(band) or (0.0, formula.scale))
    values = BandParameters(mean=mean, std=std or 1.0)
    if formula.bands is not None:
        if band not in formula.bands:
            key = f"sensors.{stored.sensor}.bands"
            raise InputError("the normalisation has no parameters of the band", file=file, key=key, value=band)
        values = formula.bands[band]
        mean = mean if values.mean is None else values.mean
    low, width = _low_and_width(formula, values)
    return stored.scale / formula.scale / width, -low / width, (mean - low) / width


def _low_and_width(formula: SensorNormalisation, values: BandParameters) -> tuple[float, float]:
    """The values that become 0, and their distance from those that become 1."""
    if formula.divisor is not None:
        return 0.0, formula.divisor
    if formula.formula == "range" and formula.deviations is None:
        assert values.low is not None and values.high is not None
        return values.low, values.high - values.low
    assert values.mean is not None and values.std is not None
    if formula.deviations is None:
        return values.mean, values.std
    return values.mean - formula.deviations * values.std, 2 * formula.deviations * values.std


def normalisation_reference() -> str:
    """Render the keys of normalisations."""
    return model_reference(Normalisation, _HEADER)
