"""Evaluated sets: classes that are queries, and blocks as splits know them."""

import shutil

import landmark
from landmark.core.errors import InputError, InsufficientData
from landmark.train.validation.evaluated import EvaluatedSet, load_evaluated
from tests.parts import raises
from tests.train.toy import CLASSES, open_toy


def flood(id: str, **changes: object) -> dict[str, object]:
    """A fact of an event."""
    numbers = {"days": 1.0, "label": None, "grade": None, "distance_km": None, "magnitude": None}
    fact = {"id": id, "type": "flood", "phase": "before", "fraction": 0.0, "in_aoi": True, "product": "p"}
    return {**fact, **numbers, **changes}


def partition(own: EvaluatedSet) -> dict[str, int]:
    return dict(zip(own.ids, own.block.tolist(), strict=True))


def test_images_have_the_labels_and_blocks_of_the_corpus(toy_corpus):
    for sensor, own in load_evaluated(toy_corpus, "test").items():
        selection = toy_corpus.select(split="test", sensor=sensor)
        labels = dict(zip(selection.ids, selection.columns("labels")["labels"].to_pylist(), strict=True))
        assert own.sensor == sensor and list(own.ids) == selection.ids and set(own.classes) <= set(CLASSES)
        expected = [[key in labels[id] for id in own.ids] for key in own.classes]
        assert own.relevant.tolist() == expected
        assert own.relevant.any(axis=1).all() and not own.relevant.all(axis=1).any()
        # Four cells in a row of the toy are a block.
        assert own.block.tolist() == [int(id[-3:]) // 4 for id in own.ids]
        assert own.n_blocks == 3


def test_classes_of_all_or_no_images_are_left_out(tmp_path):
    def labels(id: str) -> list[str]:
        return ["water", "trees"] if id.endswith("1") else ["water"]

    corpus = open_toy(tmp_path / "some", sensors=("s2",), labels=labels)
    assert load_evaluated(corpus, "test")["s2"].classes == ("trees",)
    same = open_toy(tmp_path / "none", sensors=("s2",), labels=["water"])
    with raises(InsufficientData, key="s2"):
        load_evaluated(same, "test")
    with raises(InputError, value="all"):
        load_evaluated(corpus, "all")


def test_blocks_that_an_event_touches_are_joined(tmp_path):
    # Blocks of the 12 images: 0-3, 4-7, 8-11.
    facts = {
        "s2_test_000": [flood("a")],
        "s2_test_009": [flood("a"), flood("b", phase="unrelated", in_aoi=False)],
        "s2_test_005": [flood("b", phase="unrelated", in_aoi=False)],
    }
    corpus = open_toy(tmp_path, sensors=("s2",), events=lambda id: facts.get(id, []))
    block = partition(load_evaluated(corpus, "test")["s2"])
    assert block["s2_test_001"] == block["s2_test_010"] != block["s2_test_006"]
    assert len(set(block.values())) == 2


def test_a_corpus_without_lock_has_blocks_of_the_default_size(tmp_path, toy_corpus):
    copy = tmp_path / "copy"
    shutil.copytree(toy_corpus.root, copy)
    (copy / "lock.json").unlink()
    assert {own.n_blocks for own in load_evaluated(landmark.open(copy), "test").values()} == {1}
