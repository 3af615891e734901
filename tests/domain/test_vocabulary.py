"""Words of Copernicus EMS packages: event types and grades of damage."""

import pytest

from landmark.core.errors import InputError
from landmark.core.yaml_files import load_model
from landmark.domain.vocabulary import Ignored, Vocabulary

EMS = load_model(Vocabulary, "taxonomies", "ems")


@pytest.mark.parametrize(
    ("words", "event_type"),
    [
        (("5-Flood", "Riverine flood", "Not Applicable"), "flood"),
        (("5 - FLOOD",), "flood"),
        (("1 \N{EN DASH} Earthquake", "Ground shaking"), "earthquake"),
        (("1-Earthquake", "Tsunami"), "flood"),
        (("8-Wildfire", "Forest fire", "Null"), "fire"),
        ((" wildfire ", None, "free words of an interpreter"), "fire"),
        (("3-Storm", "Null", "Flooded area"), "flood"),
        (("Null", "Coastal flood"), "flood"),
    ],
)
def test_the_most_specific_word_gives_the_event_type(words, event_type):
    assert EMS.event_type(*words) == event_type


@pytest.mark.parametrize("words", [("3-Storm",), ("Null", "Not Applicable"), (None,), ("6-Mass movement", "Landslide")])
def test_ignored_words_have_a_reason(words):
    target = EMS.event_type(*words)
    assert isinstance(target, Ignored) and target.drop


@pytest.mark.parametrize(
    ("grading", "key", "to"),
    [
        ("Completely Destroyed", "destroyed", "earthquake_damage"),
        ("DESTROYED", "destroyed", "earthquake_damage"),
        ("Highly Damaged", "highly_damaged", "earthquake_damage"),
        ("Damaged ", "damaged", "earthquake_damage"),
        ("Possibly damaged", "possibly_damaged", None),
        ("Negligible to slight damage", "slightly_damaged", None),
        ("No visible damage", "undamaged", None),
        ("Not Applicable", None, None),
        ("Null", None, None),
        (None, None, None),
    ],
)
def test_grades_of_damage(grading, key, to):
    grade = EMS.grade(grading)
    assert (grade.key, grade.to) == (key, to) and (grade.to or grade.drop)


def test_grades_are_sorted_worst_first():
    assert EMS.grades == ("destroyed", "damaged", "highly_damaged", "moderately_damaged")


@pytest.mark.parametrize(
    ("lookup", "key", "word"), [("event_type", "event_types", "5-Deluge"), ("grade", "gradings", "Kaputt")]
)
def test_unknown_words_are_refused(lookup, key, word):
    with pytest.raises(InputError) as caught:
        getattr(EMS, lookup)(word)
    assert (caught.value.file, caught.value.key, caught.value.value) == ("taxonomies/ems.yaml", key, word)
