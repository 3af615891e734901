"""Turned images and bands are named, and those that fit the others of their cell are not."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from bench.draft import Bands
from numpy.typing import NDArray

from tests.quality.measured_corpus import MeasuredCorpus, run_check

TURNS: dict[str, Callable[[NDArray[np.generic]], NDArray[np.generic]]] = {
    "mirrored": np.fliplr,
    "upside-down": np.flipud,
    "by-90": np.rot90,
    "by-180": lambda band: np.rot90(band, 2),
    "by-270": lambda band: np.rot90(band, 3),
    "transposed": np.transpose,
}


def turned(bands: Bands, turn: str, *names: str) -> Bands:
    """The image with some bands turned; all without names."""
    return {name: TURNS[turn](band) if name in names or not names else band for name, band in bands.items()}


@pytest.fixture(scope="module")
def measured(sealed: Path) -> MeasuredCorpus:
    return MeasuredCorpus(sealed)


@pytest.mark.parametrize("sensor", ["s1", "s2"])
@pytest.mark.parametrize("turn", TURNS)
def test_turned_images_are_named(measured: MeasuredCorpus, sensor: str, turn: str) -> None:
    chosen = measured.ids(sensor, 6)
    edits = {id: {"bands": turned(measured.bands[id], turn)} for id in chosen}
    named = {flag.subject for flag in run_check("registration-single", measured.inputs(edits))}
    assert len(named & set(chosen)) >= 4
    cells = {measured.rows[id]["cell"] for id in chosen}
    assert {measured.rows[id]["cell"] for id in named} <= cells


def test_images_that_are_upright_are_not_named(measured: MeasuredCorpus) -> None:
    assert not run_check("registration-single", measured.inputs())
    assert not run_check("band-shift", measured.inputs())


@pytest.mark.parametrize(
    ("sensor", "names"), [("s2", ("B01", "B09")), ("s2", ("B05", "B06", "B07", "B8A", "B11", "B12")), ("s1", ("vh",))]
)
@pytest.mark.parametrize("turn", ["upside-down", "by-270"])
def test_turned_bands_are_named(measured: MeasuredCorpus, sensor: str, names: tuple[str, ...], turn: str) -> None:
    chosen = measured.ids(sensor, 6)
    edits = {id: {"bands": turned(measured.bands[id], turn, *names)} for id in chosen}
    named = {flag.subject for flag in run_check("band-shift", measured.inputs(edits))}
    assert len(named & set(chosen)) >= 5 and named <= set(chosen)
