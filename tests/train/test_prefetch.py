"""Batches made ahead in a thread equal those made when asked for, and a training continues behind any of them."""

import threading
from contextlib import closing
from dataclasses import replace
from itertools import islice
from typing import Any

import pytest
import torch

from landmark.corpus.reader import Corpus
from landmark.train.batches import Batch, Batches
from landmark.train.prefetch import Prefetched, prefetch
from landmark.train.preparation import add_statistics, measure_statistics, read_train_annotations
from landmark.train.profile import ModelProfile
from landmark.train.text import build_vocabulary, scratch_text_model

COUNT = 8  # Of three batches an epoch.


def open_batches(
    corpus: Corpus, profile: ModelProfile, state: dict[str, Any] | None = None, *, unknown: int = 0
) -> Batches:
    """Batches from a state on; with `unknown`, so many samples of each sensor lack annotations."""
    annotations = read_train_annotations(corpus, profile)
    statistics = measure_statistics(corpus, profile.image, annotations, lambda *_: None)
    vocabulary = build_vocabulary(caption for own in annotations.values() for caption in own.captions)
    tokenize = scratch_text_model(profile.text, vocabulary).tokenize
    known = {name: replace(own, ids=own.ids[unknown:]) for name, own in annotations.items()}
    data = add_statistics(known, statistics)
    batches = Batches(corpus.select(split="train"), data, profile, seed=1, tokenize=tokenize)
    if state is not None:
        batches.loader.load_state_dict(state)
    return batches


def take(batches: Batches, count: int, *, ahead: int) -> list[Prefetched]:
    with closing(prefetch(batches, ahead=ahead)) as made:
        return list(islice(made, count))


def tensors(batch: Batch) -> list[list[Any]]:
    values: list[list[Any]] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        values.append(tensor.tolist())
        return tensor

    batch.map(keep)
    return values


@pytest.mark.parametrize("ahead", [1, 2, 20])
def test_batches_made_ahead_equal_those_made_on_demand(toy_corpus: Corpus, profile: ModelProfile, ahead: int) -> None:
    expected = take(open_batches(toy_corpus, profile), COUNT, ahead=0)
    made = take(open_batches(toy_corpus, profile), COUNT, ahead=ahead)
    assert [own.state for own in made] == [own.state for own in expected]
    assert [tensors(own.batch) for own in made] == [tensors(own.batch) for own in expected]
    resumed = take(open_batches(toy_corpus, profile, made[3].state), 2, ahead=ahead)
    assert [tensors(own.batch) for own in resumed] == [tensors(own.batch) for own in expected[4:6]]


def test_the_thread_ends_with_the_generator_and_after_an_error(toy_corpus: Corpus, profile: ModelProfile) -> None:
    def names() -> list[str]:
        return [thread.name for thread in threading.enumerate()]

    with closing(prefetch(open_batches(toy_corpus, profile), ahead=1)) as made:
        next(made)
        assert "batches" in names()
    assert "batches" not in names()
    with pytest.raises(KeyError):
        take(open_batches(toy_corpus, profile, unknown=20), COUNT, ahead=1)
    assert "batches" not in names()


def test_an_error_that_is_no_exception_reaches_the_caller(
    toy_corpus: Corpus, profile: ModelProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a panic of a library, without which the caller would wait for ever."""

    def fail(*_: Any) -> None:
        raise SystemExit

    monkeypatch.setattr(Batches, "_assemble", fail)
    with pytest.raises(SystemExit):
        take(open_batches(toy_corpus, profile), 1, ahead=1)
