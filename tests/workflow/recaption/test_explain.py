"""Each phrase of a caption, and what it rests on, told of a real corpus."""

import json

import pytest

import landmark as library
from landmark.core.errors import UnknownName
from landmark.report.explain import explain


@pytest.fixture(scope="session")
def more(sealed):
    return sealed / "more"


def test_every_phrase_is_marked_once_and_has_evidence(more):
    corpus = library.open(more)
    for sample in list(corpus)[::5]:
        found = explain(more, sample.id)
        assert [one.text for one in found.captions] == [one["text"] for one in sample.captions]
        for mine, theirs in zip(found.captions, sample.captions, strict=True):
            assert mine.rule and [(one.start, one.end) for one in mine.phrases] == [
                (one["start"], one["end"]) for one in theirs["evidence"]
            ]
            assert [found.facts[one.number - 1][0] for one in mine.phrases] == [
                one["fact"] for one in theirs["evidence"]
            ]
        assert all(lines for _, lines in found.facts)


def test_a_label_rests_on_share_threshold_map_and_finer_class(more):
    corpus = library.open(more)
    sample = next(one for one in corpus if one.labels)
    key = sample.labels[0]
    lines = " ".join(dict(explain(more, sample.id).facts)[f"label:{key}"])
    source = sample.sources[0]
    assert f"{100 * sample.fractions[key]:.1f} % of the pixels with a class; a label from 5 % on" in lines
    assert f"worldcover {source['version']} of {source['year']}" in lines
    finer = {name.split("/")[1]: share for name, share in sample.subclasses.items()}
    assert any(f"{name} {100 * share:.1f} %" in lines for name, share in finer.items())


def test_the_page_underlines_each_phrase_beneath_its_words(more, landmark):
    sample = next(iter(library.open(more)))
    code, out, _ = landmark("explain", more, sample.id, "--style", "sentence", "--lang", "en")
    assert code == 0 and out.startswith(sample.id)
    lines = out.splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith("sentence, en, by sentence-"))
    text, marks = lines[start + 1], lines[start + 2]
    underlined = "".join(letter for letter, mark in zip(text, marks, strict=False) if mark != " ")
    spoken = next(one for one in sample.captions if (one["style"], one["lang"]) == ("sentence", "en"))
    first = spoken["evidence"][0]
    assert underlined.startswith(spoken["text"][first["start"] : first["end"]].split(" ")[0])
    assert "structured, " not in out and "sentence, fr" not in out and "¿" not in out


def test_json_is_one_document(more, landmark):
    sample = next(iter(library.open(more)))
    code, out, _ = landmark("explain", more, sample.id, "--json")
    said = json.loads(out)
    assert code == 0 and said["id"] == sample.id
    assert len(said["questions"]) == len(sample.questions) and len(said["hard_negatives"]) == len(sample.hard_negatives)


def test_an_unknown_id_is_refused_with_the_nearest(more, landmark):
    sample = next(iter(library.open(more)))
    code, out, err = landmark("explain", more, sample.id[:-1] + "x")
    assert (code, out) == (2, "") and sample.id in err
    with pytest.raises(UnknownName):
        explain(more, "")
