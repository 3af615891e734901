"""Recognise the bands of sensors in names of assets and files, by the names that the shipped providers use."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from landmark.config.profiles import Provider
from landmark.core.resources import available
from landmark.core.yaml_files import load_model

_KIND = "profiles/providers"
_WORD = re.compile(r"[A-Za-z0-9]+")
_BREAKS = "_-. "


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
    """The band that a text names, as in `T32TQR_20210701T101559_B04_10m` or `scene_red`; None if none or several.

    Codes such as B04 may stand anywhere, other names at the end only: `red_edge` is not red.
    """
    words = _WORD.findall(_without_size(text))
    names = [word for word in words if word.lower() in _band_codes()] + words[-1:]
    bands = {_band_names()[name.lower()] for name in names if name.lower() in _band_names()}
    return bands.pop() if len(bands) == 1 else None


def without_band(text: str) -> str:
    """The text without the word that names its band, and without a pixel size."""
    text, band = _without_size(text), find_band(text)
    if band is not None:
        last = [match for match in _WORD.finditer(text) if _band_names().get(match[0].lower()) == band][-1]
        text = f"{text[: last.start()].rstrip(_BREAKS)}_{text[last.end() :].lstrip(_BREAKS)}"
    return text.strip(_BREAKS)


def find_assets(words: Mapping[str, Sequence[str]]) -> dict[str, dict[str, str]]:
    """Bands of sensors among an item's assets: sensor → band → asset key.

    Asset keys come first, then texts of a single band, then lists of bands: a preview repeats bands.

    Args:
        words: Asset key → names of its bands, titles and other texts that may name bands.
    """
    by_sensor: dict[str, dict[str, str]] = {}
    bands = {key: {band for text in texts if (band := find_band(text))} for key, texts in words.items()}
    passes = [{key: {band} for key in sorted(words) if (band := find_band(key))}]
    passes += [{key: bands[key] for key in sorted(words) if len(bands[key]) == 1}]
    passes += [{key: bands[key] for key in sorted(words) if len(bands[key]) > 1}]
    for group in passes:
        for key, several in group.items():
            for band in sorted(several, key=str):
                by_sensor.setdefault(band.sensor, {}).setdefault(band.band, key)
    return by_sensor


def _without_size(text: str) -> str:
    return re.sub(r"(?<![A-Za-z0-9])\d+m(?![A-Za-z0-9])", "", text).strip(_BREAKS)


@cache
def _band_codes() -> frozenset[str]:
    """Lower-case names of bands in the sensors' profiles; `b4` as well as `b04`."""
    return frozenset(
        name for name, band in _band_names().items() if re.sub("^b(?=.$)", "b0", name) == band.band.lower()
    )


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
