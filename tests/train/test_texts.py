"""Texts of some of an image's classes, drawn anew in each epoch."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from landmark.config.profiles import load_sensor
from landmark.core.errors import InputError
from landmark.core.yaml_files import parse_model
from landmark.corpus.reader import Corpus
from landmark.train.batches import Batches, SensorData
from landmark.train.dataset import band_statistics, pixel_blocks, read_split_annotations
from landmark.train.profile import ModelProfile, load_profile
from landmark.train.text import build_vocabulary, scratch_text_model
from landmark.train.texts import draw_subsets
from tests.parts import raises
from tests.train.toy import CLASSES, PROFILE, write_profile


def test_half_of_the_subsets_have_a_single_class() -> None:
    labels = np.zeros((4000, 6), dtype=bool)
    labels[:, 1:5] = True
    drawn = draw_subsets(labels, 0, 0, "s1")
    sizes, firsts = np.bincount([len(own) for own in drawn]), np.bincount([own[0] for own in drawn], minlength=6)
    assert sizes / 4000 == pytest.approx([0, 0.625, 0.125, 0.125, 0.125], abs=0.03)
    assert firsts / 4000 == pytest.approx([0, 0.25, 0.25, 0.25, 0.25, 0], abs=0.03)
    assert all(len(set(own)) == len(own) for own in drawn)


def test_subsets_are_of_the_image_and_differ_by_seed_epoch_and_sensor() -> None:
    labels = np.random.default_rng(0).random((50, 5)) < 0.4
    draws = [draw_subsets(labels, *key) for key in ((0, 0, "s1"), (1, 0, "s1"), (0, 1, "s1"), (0, 0, "s2"))]
    assert draws[0] == draw_subsets(labels, 0, 0, "s1") and len({str(own) for own in draws}) == 4
    for row, subset in zip(labels, draws[0], strict=True):
        assert row[subset].all() and bool(subset) == row.any()


def test_texts_of_a_batch_name_the_classes_of_the_targets(toy_corpus: Corpus, tmp_path: Path) -> None:
    profile = load_profile(str(write_profile(tmp_path, objective={"targets": "subset"})))
    data = {}
    for sensor, own in read_split_annotations(toy_corpus, profile).items():
        blocks = pixel_blocks(toy_corpus.select(split="train", sensor=sensor), profile.image)
        data[sensor] = SensorData(own, band_statistics(blocks, load_sensor(sensor)))
    vocabulary = build_vocabulary(CLASSES)
    tokenize = scratch_text_model(profile.text, vocabulary).tokenize
    batches = Batches(toy_corpus.select(split="train"), data, profile, seed=0, tokenize=tokenize)
    epochs = []
    for batch in islice(batches, 2 * batches.per_epoch):
        epochs.append([])
        for sensor, own in batch.inputs.items():
            targets = batch.targets[sensor]
            assert targets.text_labels is not None and not (targets.text_labels & ~targets.labels).any()
            for index, named in zip(own.text_index, targets.text_labels, strict=True):
                words = {vocabulary[token] for token in batch.token_ids[index] if not vocabulary[token].startswith("[")}
                assert words - {"."} == {name for name, own in zip(sorted(CLASSES), named, strict=True) if own}
                epochs[-1].append(words)
    assert epochs[: batches.per_epoch] != epochs[batches.per_epoch :]


def test_subsets_of_other_styles_are_refused() -> None:
    objective = {**PROFILE["objective"], "targets": "subset"}
    with raises(InputError, key="style", value="natural"):
        parse_model(ModelProfile, {**PROFILE, "objective": objective, "style": "natural"}, "toy")
