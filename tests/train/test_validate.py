"""Validation: colours are learned, wrong captions are not, and what was trained is not trained again."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import landmark
from landmark.core.errors import InputError, InsufficientData, RunMismatch
from landmark.corpus.metrics import average_precisions
from landmark.corpus.reader import Corpus
from landmark.train.profile import ModelProfile, load_profile
from landmark.train.retrieval.embed import embed_split, load_run
from landmark.train.validation.evaluated import load_evaluated
from landmark.train.validation.rivals import RIVALS
from landmark.train.validation.validate import ValidationConfig, validate
from tests.train.toy import coloured_row, open_toy, seal, write_profile

# 24 blocks of four cells each.
COUNTS = {"train": 96, "test": 96}


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """A toy with enough blocks to tell."""
    return open_toy(tmp_path_factory.mktemp("large") / "corpus", counts=COUNTS)


def test_colours_are_learned(large: Corpus, tmp_path: Path) -> None:
    budget = {"epochs": 4, "batch": 16, "learning_rate": 0.02, "augment": "none"}
    profile = load_profile(str(write_profile(tmp_path, budget=budget)))
    config = ValidationConfig(profile, tmp_path / "runs", [1, 2, 3], device="cpu")
    report = validate(large, config)
    assert report.verdict.state == "passed", report.verdict.reasons
    assert report.near_duplicates == {"s1": [], "s2": []} and report.left_out == {"s1": [], "s2": []}
    evaluated = load_evaluated(large, "test")
    (folder,) = config.out.glob("seed1-*")
    loaded = load_run(folder, "cpu")
    for result in report.results:
        own = evaluated[result.sensor]
        images = embed_split(loaded, large.select(sensor=result.sensor), "test")
        precisions = average_precisions(loaded.encoder.encode_texts(own.names) @ images.T, own.relevant)
        assert result.maps[0] == pytest.approx(precisions.mean(), abs=1e-6)
        assert (result.n_images, result.n_blocks) == (96, 24) and list(result.rivals) == list(RIVALS)
        assert result.rivals["prior"].map == pytest.approx(result.chance_map)
        assert result.rivals["nearest"].map == pytest.approx(large.manifest.leakage[result.sensor].map, abs=1e-4)
        assert result.map == pytest.approx(np.mean(result.maps)) and result.null_p < 0.01
        for rival in result.rivals.values():
            assert rival.lead.mean == pytest.approx(result.map - rival.map)
        assert np.mean([own.ap for own in result.classes.values()]) == pytest.approx(result.map)
    times = {path: path.stat().st_mtime_ns for path in config.out.rglob("*.safetensors")}
    assert validate(large, config) == report and len(times) == 3
    assert {path: path.stat().st_mtime_ns for path in config.out.rglob("*.safetensors")} == times


def test_a_corpus_with_wrong_captions_is_refused(tmp_path: Path) -> None:
    corpus = open_toy(tmp_path / "c", counts=COUNTS, sensors=("s2",), mislabel=True)
    profile = load_profile(str(write_profile(tmp_path, budget={"epochs": 4})))
    config = ValidationConfig(profile, tmp_path / "runs", [0], smoke=True, device="cpu")
    verdict = validate(corpus, config).verdict
    assert verdict.state == "refused" and {reason.sensor for reason in verdict.reasons} == {"s2"}


def test_a_small_split_is_undecided_and_a_class_of_all_images_is_left_out(tmp_path: Path) -> None:
    """All images have `trees`, so that no ranking is better than another."""
    chance = np.random.default_rng(0)
    labels = {split: chance.permutation(12) for split in ("train", "test")}

    def pick(id: str) -> list[str]:
        _, split, number = id.split("_")
        return sorted(["trees", "water" if labels[split][int(number) % 12] % 2 else "built"])

    corpus = open_toy(tmp_path / "c", counts={"train": 24, "test": 12}, sensors=("s2",), labels=pick)
    profile = load_profile(str(write_profile(tmp_path, budget={"epochs": 1})))
    report = validate(corpus, ValidationConfig(profile, tmp_path / "runs", [0], smoke=True, device="cpu"))
    assert report.left_out == {"s2": ["trees"]} and set(report.results[0].classes) == {"water", "built"}
    (reason,) = report.verdict.reasons
    assert (report.verdict.state, reason.requirement, reason.blocks) == ("undecided", "blocks", 20)


@pytest.mark.parametrize(
    ("changes", "file", "value"),
    [
        ({"seeds": [0, 1], "smoke": False}, "--seeds", 2),
        ({"split": "train"}, "--split", "train"),
        ({"device": "tpu"}, "--device", "tpu"),
    ],
)
def test_invalid_parameters_are_refused(
    toy_corpus: Corpus, tmp_path: Path, profile: ModelProfile, changes: dict[str, Any], file: str, value: object
) -> None:
    config = ValidationConfig(profile, tmp_path / "runs", [0], smoke=True)
    with pytest.raises(InputError) as caught:
        validate(toy_corpus, replace(config, **changes))
    assert (caught.value.file, caught.value.value) == (file, value) and not config.out.exists()


def test_too_few_samples_are_refused(toy_corpus: Corpus, tmp_path: Path, profile: ModelProfile) -> None:
    config = ValidationConfig(profile, tmp_path / "runs", [0], smoke=True, split="val")
    with pytest.raises(InsufficientData) as caught:
        validate(toy_corpus, config)
    assert (caught.value.key, caught.value.value) == ("s1", 8)
    with pytest.raises(InsufficientData) as caught:
        validate(open_toy(tmp_path / "c", counts={"train": 8}), replace(config, split="test"))
    assert (caught.value.key, caught.value.value) == ("split", "test") and not config.out.exists()


def test_a_sensor_without_train_samples_is_refused(tmp_path: Path, profile: ModelProfile) -> None:
    chance = np.random.default_rng(0)
    rows = [
        coloured_row(f"{sensor}_{split}_{number:03d}", split, chance)
        for sensor, split in (("s1", "test"), ("s2", "train"), ("s2", "test"))
        for number in range(12)
    ]
    with pytest.raises(InsufficientData) as caught:
        validate(
            landmark.open(seal(tmp_path / "c", rows)), ValidationConfig(profile, tmp_path / "runs", [0], smoke=True)
        )
    assert caught.value.key == "s1" and not (tmp_path / "runs").exists()


def test_a_folder_with_foreign_files_is_refused_and_unchanged(
    toy_corpus: Corpus, tmp_path: Path, profile: ModelProfile
) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(RunMismatch) as caught:
        validate(toy_corpus, ValidationConfig(profile, tmp_path, [0], smoke=True))
    assert (caught.value.file, caught.value.value) == (str(tmp_path), "thesis.tex")
    assert sorted(path.name for path in tmp_path.iterdir()) == before
