"""Pictures of samples, the contact sheet, and readers of a small corpus."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ImageFont
from shapely import contains_xy

import landmark
from landmark.config.recipe import load_recipe
from landmark.core.executor import ExecutorConfig
from landmark.corpus.reader import Corpus
from landmark.corpus.sample import Sample
from landmark.report import sheet
from landmark.report.render import to_rgb
from landmark.report.sheet import draw_contact_sheet
from landmark.workflow.build import BuildRequest, build


def optical(value: int) -> Sample:
    return Sample(None, np.full((12, 6, 6), value, np.uint16), np.ones((6, 6), bool), {"sensor": "s2"})


def radar(vv: Any, vh: Any) -> Sample:
    pixels = np.stack([np.full((6, 6), vv), np.full((6, 6), vh)]).astype(np.float32)
    return Sample(pixels, None, np.isfinite(pixels).all(axis=0), {"sensor": "s1"})


def test_snow_is_white_and_no_data_is_black() -> None:
    assert (to_rgb(optical(9000)) == 255).all()
    assert (to_rgb(optical(0)) == 0).all()
    assert (to_rgb(radar(np.nan, np.nan)) == 0).all()


def test_a_town_is_brighter_than_water_in_radar() -> None:
    town, water = to_rgb(radar(-4, -11)), to_rgb(radar(-19, -25))
    assert (town[..., :2] > water[..., :2]).all()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("view") / "corpus"


@pytest.fixture
def small(corpus: Path, recipe: Callable[..., Path]) -> Corpus:
    if not corpus.exists():
        build(BuildRequest(load_recipe(str(recipe()), limit=6), corpus, ExecutorConfig()))
    return landmark.open(corpus)


def test_the_sheet_grows_with_the_number_of_pairs(small: Corpus) -> None:
    single, four = draw_contact_sheet(small, pairs=1), draw_contact_sheet(small, pairs=4)
    assert four.height > single.height
    assert np.asarray(single).std() > 10


def test_a_card_shows_two_captions_of_the_first_language(small: Corpus) -> None:
    optical_samples = small.select(sensor="s2")
    sample = optical_samples[optical_samples.ids[0]]
    captions = [("structured", "fr", "arbres"), ("structured", "en", "trees"), ("sentence", "fr", "Une image."),
            ("sentence", "fr", "Autre image."), ("sentence", "en", "An image.")]  # fmt: skip
    rows = [{"style": style, "lang": lang, "text": text} for style, lang, text in captions]
    translated = Sample(sample.s1, sample.s2, sample.mask, {**sample.fields, "captions": rows})
    assert [text for text, _ in sheet._lines([translated])[:2]] == ["arbres", "Une image."]


def test_characters_that_the_font_lacks_are_replaced() -> None:
    font = ImageFont.load_default(size=12)
    plain = sheet.to_drawable("Forêt près d'Île-d\u2019Œuf, ¿qué? 水", font)
    box = sheet._glyph("\uffff", font)
    assert not [char for char in plain if sheet._glyph(char, font) == box]
    assert len(plain.split()) == 5 and plain.startswith("For") and "水" not in plain
    assert sheet.to_drawable("Trees and water", font) == "Trees and water"


def test_explain_rejects_unknown_languages_and_styles(small: Corpus, corpus: Path, landmark: Any) -> None:
    assert landmark("explain", corpus, small.ids[0], "--lang", "en", "--style", "structured")[0] == 0
    code, _, err = landmark("explain", corpus, small.ids[0], "--lang", "de")
    assert code == 2 and "--lang" in err and "de" in err
    code, _, err = landmark("explain", corpus, small.ids[0], "--style", "haiku", "--json")
    assert code == 2 and "--style" in err and "haiku" in err and "structured" in err


def test_the_sheet_depends_on_the_seed_only(small: Corpus) -> None:
    first, same, different = (np.asarray(draw_contact_sheet(small, pairs=2, seed=seed)) for seed in (0, 0, 1))
    assert (first == same).all()
    assert first.shape != different.shape or (first != different).any()


def test_a_corpus_of_a_single_sensor_has_a_sheet(small: Corpus) -> None:
    assert draw_contact_sheet(small.select(sensor="s1"), pairs=3).width > 0


def test_an_xarray_sample_carries_pixel_coordinates(small: Corpus) -> None:
    id = small.select(sensor="s2").ids[0]
    dataset, sample = small.xarray(id), small[id]
    assert dataset["s2"].shape == (12, 120, 120)
    assert dataset["x"][1] - dataset["x"][0] == 10
    assert float(dataset["y"][0]) == sample.transform[5] - 5
    assert dataset["spatial_ref"].attrs["crs_wkt"]
    known = sample.s2 > 0
    np.testing.assert_allclose(dataset["s2"].values[known], sample.s2[known] / 10_000, rtol=1e-6)


def test_the_index_is_a_geodataframe_whose_squares_hold_their_centres(small: Corpus) -> None:
    frame = small.index()
    assert frame.crs.to_epsg() == 4326
    assert contains_xy(frame.geometry.to_numpy(), frame["lon"], frame["lat"]).all()


def test_selections_read_the_samples_they_name(small: Corpus) -> None:
    for sample in small.select(sensor="s1", split="train"):
        assert (sample.sensor, sample.split) == ("s1", "train")
        assert sample.s1.dtype == np.float32
        assert sample.s1.shape == (2, 120, 120)
        assert small[sample.id].sha256 == sample.sha256
    with pytest.raises(KeyError):
        small["nothing"]
