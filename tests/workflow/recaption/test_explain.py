"""Explanations of captions of a small corpus."""

import json

import pytest

import landmark as library
from landmark.core.errors import UnknownName
from landmark.report.explain import explain
from tests.parts import raises


@pytest.fixture(scope="session")
def more(sealed):
    return sealed / "more"


def test_all_phrases_have_a_numbered_fact_with_evidence(more):
    for sample in list(library.open(more))[::5]:
        explanation = explain(more, sample.id)
        assert [caption.text for caption in explanation.captions] == [caption["text"] for caption in sample.captions]
        for explained, caption in zip(explanation.captions, sample.captions, strict=True):
            assert explained.rule
            phrases = [
                (phrase.start, phrase.end, explanation.facts[phrase.number - 1][0]) for phrase in explained.phrases
            ]
            assert phrases == [(span["start"], span["end"], span["fact"]) for span in caption["evidence"]]
        assert all(lines for _, lines in explanation.facts)


def test_a_label_is_explained_by_fraction_threshold_map_and_subclass(more):
    sample = next(sample for sample in library.open(more) if sample.labels)
    key, source = sample.labels[0], sample.sources[0]
    lines = " ".join(dict(explain(more, sample.id).facts)[f"label:{key}"])
    assert f"{100 * sample.fractions[key]:.1f} %" in lines and " 5 %" in lines
    assert f"worldcover {source['version']} of {source['year']}" in lines
    subclasses = {name.split("/")[1]: fraction for name, fraction in sample.subclasses.items()}
    assert any(f"{name} {100 * fraction:.1f} %" in lines for name, fraction in subclasses.items())


def test_phrases_are_underlined(more, landmark):
    sample = next(iter(library.open(more)))
    code, out, _ = landmark("explain", more, sample.id, "--style", "sentence", "--lang", "en")
    assert code == 0 and out.startswith(sample.id)
    lines = out.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("sentence, en, by sentence-"))
    text, marks = lines[start + 1], lines[start + 2]
    underlined = "".join(char for char, mark in zip(text, marks, strict=False) if mark != " ")
    caption = next(row for row in sample.captions if (row["style"], row["lang"]) == ("sentence", "en"))
    span = caption["evidence"][0]
    assert underlined.startswith(caption["text"][span["start"] : span["end"]].split(" ")[0])
    assert "structured, " not in out and "sentence, fr" not in out and "¿" not in out


def test_json_output_is_a_single_document(more, landmark):
    sample = next(iter(library.open(more)))
    code, out, _ = landmark("explain", more, sample.id, "--json")
    document = json.loads(out)
    assert code == 0 and document["id"] == sample.id
    assert len(document["questions"]) == len(sample.questions)
    assert len(document["hard_negatives"]) == len(sample.hard_negatives)


def test_an_unknown_id_is_refused_and_similar_ids_are_suggested(more, landmark):
    sample = next(iter(library.open(more)))
    code, out, err = landmark("explain", more, sample.id[:-1] + "x")
    assert (code, out) == (2, "") and sample.id in err
    with raises(UnknownName, value=""):
        explain(more, "")
