"""Recognise the bands of sensors in names of assets and files, by the names that the shipped providers use."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from landmark.config.profiles import Provider
from landmark.core.yaml_files import available, load_model

_KIND = "profiles/providers"


@dataclass(frozen=True, slots=True)
class SensorBand:
    """A band of a sensor, its quality mask included."""

    sensor: str
    band: str


@cache
def shipped_providers() -> tuple[Provider, ...]:
    """The providers in profiles/providers/."""
    return tuple(load_model(Provider, _KIND, name) for name in available(_KIND))


def find_band(text: str) -> SensorBand | None:
    """The band that a text names, as in `T32TQR_20210701T101559_B04_10m`; None if it names none. The last word wins."""
    words = [word.lower() for word in re.findall(r"[A-Za-z0-9]+", text)]
    return next((_band_names()[word] for word in reversed(words) if word in _band_names()), None)


def without_band(text: str) -> str:
    """The text without the word that names a band, and without a pixel size, as in `_B04_10m`."""
    pattern = re.compile(r"(^|[^A-Za-z0-9])([A-Za-z0-9]+)(?=[^A-Za-z0-9]|$)")
    matches = [match for match in pattern.finditer(text) if match[2].lower() in _band_names()]
    if matches:
        text = text[: matches[-1].start()] + text[matches[-1].end() :]
    return re.sub(r"(^|[^A-Za-z0-9])\d+m(?=[^A-Za-z0-9]|$)", "", text).strip("_-. ")


def find_assets(words: Mapping[str, Sequence[str]]) -> dict[str, dict[str, str]]:
    """Bands of sensors among an item's assets: sensor → band → asset key.

    Args:
        words: Asset key → names of its bands, titles and other texts that may name bands.
    """
    by_sensor: dict[str, dict[str, str]] = {}
    for key in sorted(words):
        own = find_band(key)
        for band in [own] if own else [band for text in words[key] if (band := find_band(text))]:
            by_sensor.setdefault(band.sensor, {}).setdefault(band.band, key)
    return by_sensor


@cache
def _band_names() -> dict[str, SensorBand]:
    """Lower-case name → band; `b4` as well as `b04`."""
    names: dict[str, SensorBand] = {}
    for provider in shipped_providers():
        for sensor, collection in provider.sensors.items():
            for band, keys in collection.assets.items():
                spellings = {band, re.sub(r"^B0", "B", band), *keys}
                names |= {name.lower(): SensorBand(sensor, band) for name in spellings}
    return names
