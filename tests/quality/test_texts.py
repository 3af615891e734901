"""The check of texts: what it reports and what it lets pass, with words of the shipped languages."""

import pytest
from hypothesis import given

from landmark.captions.grammar import load_shipped_languages
from landmark.captions.negatives import render_hard_negatives
from landmark.captions.questions import render_questions
from landmark.captions.render import CaptionConfig
from landmark.quality.check_input import CorpusContext
from landmark.quality.rows.language_words import load_language_words
from landmark.quality.rows.row_checks import ROW_CHECKS
from tests.captions.samples import GRAMMAR, LEXICONS, STYLES, TAXONOMY, all_captions, sample_facts
from tests.parts import examples
from tests.quality.measured_corpus import PROFILE

WORDS = load_language_words(LEXICONS, load_shipped_languages())
CONTEXT = CorpusContext(None, None, None, {}, {}, words=WORDS)
CONFIG = CaptionConfig(STYLES, 3, questions=8, hard_negatives=8)


def problems(row):
    return list(ROW_CHECKS["texts"](row, CONTEXT, PROFILE.checks["texts"].limits))


def problems_of(text, *, lang="en", template="free", place=None):
    caption = {"style": "sentence", "lang": lang, "text": text, "template": template}
    return problems({"captions": [caption], "place": place and {"name": place, "names": []}})


@given(sample_facts())
@examples(60)
def test_texts_that_landmark_writes_pass(facts):
    names = [{"name": name} for name in facts.place.names.values()] if facts.place else []
    row = {
        "captions": all_captions(facts, each=3),
        "questions": render_questions(facts, GRAMMAR, TAXONOMY, CONFIG),
        "hard_negatives": render_hard_negatives(facts, GRAMMAR, TAXONOMY, CONFIG),
        "place": {"name": facts.place.names[""], "names": names} if facts.place else None,
    }
    assert problems(row) == []


@pytest.mark.parametrize(("text", "options"), [
    ("A wide river crosses farmland with scattered villages near the town.", {}),
    ("Dense forest on a slope, with a lake in the north-east (about 10 %).", {}),
    ("Burned area after the fire of 12 August 2021; fields & orchards \N{EN DASH} and a road.", {}),
    ("A forest 3 km north of Río de la Plata_2 <old>.", {"place": "Río de la Plata_2 <old>"}),
    ("Une forêt dense près d'un lac, vue en été.", {"lang": "fr"}),
    ("Sentinel-2 optical image, 12 km west of Łódź.", {"place": "Łódź"}),
    ("Wald und Wiesen am Rand einer kleinen Stadt im Norden.", {"lang": "de"}),
])  # fmt: skip
def test_plain_sentences_pass(text, options):
    assert problems_of(text, **options) == []


@pytest.mark.parametrize(("text", "problem"), [
    ("Ein optisches Bild von Wald und Wiesen im Sommer", "is not in its language"),
    ("Une image optique montrant des arbres et de l'eau, prise en été.", "is not in its language"),
    ("Una imagen de árboles y agua", "is not in its language"),
    ("A view of <b>trees</b> in summer.", "holds markup"),
    ("Trees &amp; water in an image.", "holds markup"),
    ("**Trees** in an image.", "holds markup"),
    ("Trees in an image, from https://example.org/a.", "holds an address"),
    ("Here is a caption for the image: trees in summer.", "holds words of a dialogue with a language model"),
    ("I'm sorry, the image shows nothing.", "holds words of a dialogue with a language model"),
    ("Caption: a forest.", "holds words of a dialogue with a language model"),
    ("An image of None in summer.", "holds a name or value of a program"),
    ("An image of flooded_vegetation.", "holds a name or value of a program"),
    ("A for?t in an image.", "has broken characters"),
    ("A forÃªt in an image.", "has broken characters"),
    ("An image of cafÃ© gardens.", "has broken characters"),
    ("A S\N{CYRILLIC SMALL LETTER IE}ntinel image of trees.", "has letters of another script"),
    ("Снимок леса и воды", "has letters of another script"),
    ("An image\N{ZERO WIDTH SPACE} of trees.", "has characters of no sentence"),
    ("An image\tof trees.", "has characters of no sentence"),
    ("A forest \N{EVERGREEN TREE} in an image.", "has characters of no sentence"),
    ("An image of of trees.", "repeats a word"),
    ("Trees in an image. Trees in an image.", "repeats a sentence"),
    ("AN IMAGE OF TREES.", "is in capitals"),
    ("An image  of trees.", "has surplus spaces or punctuation"),
    ("An image of trees.\n", "has surplus spaces or punctuation"),
    ('"An image of trees."', "is in quotation marks"),
    ("An image of trees,", "is cut short"),
    ("An image taken in the", "is cut short"),
])  # fmt: skip
def test_remains_are_reported(text, problem):
    assert f"captions: text {problem}" in {name for name, _ in problems_of(text)}


@pytest.mark.parametrize(("text", "known"), [
    ("A Sentinel-2 optical image of trees, taken in summer.", True),
    ("A Sentinel-2 optical image of trees and a castle, taken in summer.", False),
    ("A Sentinel-2 optical image of tre", False),
])  # fmt: skip
def test_captions_of_templates_have_known_words(text, known):
    assert (problems_of(text, template="sentence-1@1") == []) == known
    assert problems_of(text) == []


def test_a_duplicate_text_is_reported():
    caption = {"style": "sentence", "lang": "en", "text": "An image of trees.", "template": "free"}
    assert problems({"captions": [caption, caption | {"style": "detailed"}], "place": None}) == []
    assert len(problems({"captions": [caption, caption], "place": None})) == 1
