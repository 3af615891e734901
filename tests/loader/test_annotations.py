"""Annotations by row against the table of the corpus."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from landmark.core.errors import InputError, InsufficientData
from landmark.corpus.reader import Corpus
from landmark.loader.annotations import Annotations
from landmark.loader.captions import CaptionChoice, parse_captions
from tests.parts import raises
from tests.train.toy import open_toy

ROWS = np.array([5, 0, 5, 3])
CAPTIONS = [("structured", "en"), ("sentence", "en"), ("sentence", "en"), ("structured", "fr"), ("sentence", "fr")]


def captions(number: int, kinds: list[tuple[str, str]] = CAPTIONS) -> list[dict[str, Any]]:
    return [
        {"style": style, "lang": lang, "text": f"{style} {lang} {place} of {number}", "template": "t@1", "evidence": []}
        for place, (style, lang) in enumerate(kinds)
    ]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return open_toy(
        tmp_path_factory.mktemp("annotations") / "corpus", counts={"train": 6, "val": 4}, captions=captions(0)
    )


@pytest.fixture(scope="module")
def selection(corpus: Corpus) -> Corpus:
    """Rows that are not the first of the corpus."""
    return corpus.select(split="val")


def test_labels_fractions_and_coordinates_are_those_of_the_table(selection: Corpus) -> None:
    annotations = Annotations(selection, columns=["cloud_pct", "datetime"])
    batch = annotations.read(ROWS, seed=0, epoch=0)
    samples = [selection.table.to_pylist()[row] for row in ROWS]
    assert len(annotations) == len(selection)
    assert annotations.classes == tuple(selection.manifest.taxonomy.classes)
    assert batch.ids == tuple(sample["id"] for sample in samples)
    assert batch.captions is None
    assert batch.labels.tolist() == [[name in sample["labels"] for name in annotations.classes] for sample in samples]
    fractions = [[dict(sample["fractions"]).get(name, 0) for name in annotations.classes] for sample in samples]
    assert batch.fractions.tolist() == fractions
    assert batch.fractions.dtype == np.float32
    assert batch.coordinates.tolist() == [[sample["lon"], sample["lat"]] for sample in samples]
    assert batch.columns.to_pylist() == [{name: s[name] for name in ("cloud_pct", "datetime")} for s in samples]


@pytest.mark.parametrize(
    ("request_", "choice"),
    [
        ("random", CaptionChoice(None, None, "random")),
        ("all", CaptionChoice(None, None, "all")),
        ("sentence", CaptionChoice("sentence", "fr")),
        (("random", "en"), CaptionChoice("random", "en")),
        (["sentence", None, "random"], CaptionChoice("sentence", None, "random")),
        ((None, "en", "all"), CaptionChoice(None, "en", "all")),
        (3, None),
        ((), None),
        (("sentence",), None),
        (("sentence", "en", "last"), None),
        (("sentence", 3), None),
    ],
)
def test_choices_of_captions(request_: Any, choice: CaptionChoice | None) -> None:
    if choice is not None:
        assert parse_captions(request_, ["fr", "en"]) == choice
        return
    with raises(InputError, key="captions"):
        parse_captions(request_)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ("sentence", "sentence en 1 of 0"),
        (("sentence", "fr"), "sentence fr 4 of 0"),
        (("structured", None, "all"), ("structured en 0 of 0", "structured fr 3 of 0")),
        ("all", tuple(caption["text"] for caption in captions(0))),
    ],
)
def test_captions_of_a_style_and_language(selection: Corpus, request_: Any, expected: Any) -> None:
    assert Annotations(selection, captions=request_).read(ROWS, seed=0, epoch=0).captions == (expected,) * len(ROWS)


def test_random_captions_are_a_function_of_seed_epoch_and_sample(corpus: Corpus, selection: Corpus) -> None:
    rows = np.arange(len(selection))
    annotations = Annotations(selection, captions=("sentence", None, "random"))
    picks = {
        (seed, epoch): annotations.read(rows, seed=seed, epoch=epoch).captions for seed in (0, 1) for epoch in range(20)
    }
    assert len(set(picks.values())) > len(picks) / 2
    assert {text for texts in picks.values() for text in texts or ()} == {
        caption["text"] for caption in captions(0) if caption["style"] == "sentence"
    }
    # Whatever the order of the batch, the thread, and the other samples of the selection.
    again = Annotations(corpus, captions=("sentence", None, "random"))
    places = np.flatnonzero(np.isin(corpus.ids, selection.ids))
    assert again.read(places[::-1], seed=1, epoch=7).captions == tuple(reversed(picks[1, 7] or ()))


@pytest.mark.parametrize("request_", ["detailed", ("sentence", "es"), ("senntence", None, "random")])
def test_captions_that_no_sample_has_are_refused(selection: Corpus, request_: Any) -> None:
    with raises(InputError, key="captions", value=request_):
        Annotations(selection, captions=request_)


def test_a_sample_without_a_caption_is_named_when_the_loader_opens(tmp_path: Path) -> None:
    kinds = {"s1_train_002": [("structured", "en")]}
    toy = open_toy(
        tmp_path / "corpus",
        counts={"train": 4},
        sensors=("s1",),
        captions=lambda id: captions(0, kinds.get(id, CAPTIONS)),
    )
    batch = Annotations(toy, captions="all").read(np.arange(len(toy)), seed=0, epoch=0)
    assert [len(texts) for texts in batch.captions or ()] == [len(kinds.get(id, CAPTIONS)) for id in toy.ids]
    with raises(InsufficientData, key="captions", value="s1_train_002"):
        Annotations(toy, captions="sentence")


def test_samples_without_labels(tmp_path: Path) -> None:
    toy = open_toy(tmp_path / "corpus", counts={"train": 2}, sensors=("s1",), labels=[], fractions=[], captions=[])
    batch = Annotations(toy).read(np.arange(2), seed=0, epoch=0)
    assert not batch.labels.any()
    assert not batch.fractions.any()
    with raises(InputError, key="captions", value="all"):
        Annotations(toy, captions="all")


@pytest.mark.parametrize(("columns", "value"), [("id", "id"), (5, 5), (["id", "cloud"], "cloud")])
def test_unknown_columns_are_refused(selection: Corpus, columns: Any, value: str) -> None:
    with raises(InputError, key="columns", value=value):
        Annotations(selection, columns=columns)
