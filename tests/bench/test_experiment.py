"""The experiment: divisions, differences of arms, and resumed runs; pages show the committed result."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench.experiment.analysis import Analysis, adjust, analyse
from bench.experiment.arms import COMPARISONS, REFERENCE, SINGLE, list_arms
from bench.experiment.divisions import DIVISIONS, divide, measure_leakage
from bench.experiment.experiment import ExperimentConfig, blocks_by_sensor, count_steps, experiment
from bench.experiment.plots import draw_differences, draw_maps
from bench.experiment.runs import permute_coordinates
from bench.experiment.table import PAGES, RESULT, ROOT, markdown, summary, with_table

from landmark.core.errors import InsufficientData
from landmark.corpus.metrics import average_precisions
from landmark.corpus.reader import Corpus
from landmark.train.profile import load_profile
from landmark.train.validation.evaluated import EvaluatedSet, load_evaluated
from landmark.train.validation.intervals import delete_block_maps, jackknife_interval
from tests.parts import raises
from tests.train.toy import build_toy, open_toy, write_profile

Document = dict[str, Any]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Cells of blocks of 2 x 2; events of 3 cells in a row, some of which cross the corpus's own splits."""

    def events(id: str) -> list[Document]:
        number = int(id.rsplit("_", 1)[1])
        names = ("id", "type", "phase", "label")
        fact: Document = dict(zip(names, (f"event-{number // 3}", "flood", "after", "flooded_area"), strict=True))
        return [fact | {"fraction": 0.4, "in_aoi": True}] if number % 9 < 3 else []

    folder = tmp_path_factory.mktemp("experiment") / "corpus"
    return open_toy(folder, counts={"train": 60, "val": 20, "test": 30}, events=events)


def splits_of(view: Corpus, name: str) -> set[tuple[str, str]]:
    """Values of a column with the splits that they are in."""
    table = view.columns(name, "split")
    return set(zip(table[name].to_pylist(), table["split"].to_pylist(), strict=True))


@pytest.mark.parametrize("division", DIVISIONS)
def test_divisions_have_the_shares_of_the_corpus(corpus: Corpus, division: str) -> None:
    view = divide(corpus, division)
    assert view is not None and view.ids == corpus.ids
    for name in ("train", "val", "test"):
        own, expected = (len(part.select(split=name)) / len(corpus) for part in (view, corpus))
        assert own == pytest.approx(expected, abs=0.1), name


def test_divisions_keep_apart_what_they_promise(corpus: Corpus) -> None:
    views = {name: view for name in DIVISIONS if (view := divide(corpus, name)) is not None}
    leakage = {name: measure_leakage(view) for name, view in views.items()}
    assert leakage["random"].same_cell > 0.4 and (leakage["random"].same_event or 0) > 0.8
    assert leakage["blocks"].same_cell == leakage["regions"].same_cell == 0
    assert leakage["events"].same_event == 0 and leakage["events"].same_cell > 0
    facts = [
        (fact["id"], split)
        for facts, split in zip(
            *(views["events"].columns("events", "split")[name].to_pylist() for name in ("events", "split")), strict=True
        )
        for fact in facts
    ]
    assert len({id for id, _ in facts}) == len(set(facts))
    cells = splits_of(views["regions"], "cell")
    assert len(dict(cells)) == len(cells)


@pytest.mark.parametrize("first", range(4))
def test_a_large_event_leaves_room_for_small_events(tmp_path: Path, first: int) -> None:
    """Whichever event comes first: three of four have two images, and the other one all the rest."""

    def events(id: str) -> list[Document]:
        number = int(id.rsplit("_", 1)[1])
        name = number % 4 if number < 8 else first
        return [{"id": f"event-{name}", "type": "flood", "phase": "after", "fraction": 0.4, "in_aoi": True}]

    view = divide(open_toy(tmp_path / "c", counts={"train": 28, "val": 4, "test": 8}, events=events), "events")
    assert view is not None and len(view.select(split="test")) > 0


def test_a_corpus_without_events_has_no_division_by_events(tmp_path: Path) -> None:
    toy = open_toy(tmp_path / "c", counts={"train": 8, "test": 4})
    assert divide(toy, "events") is None and divide(toy, "regions") is not None


@pytest.mark.parametrize("coordinates", ["by cell", "by image"])
def test_permuted_coordinates(corpus: Corpus, coordinates: Any) -> None:
    permuted = permute_coordinates(corpus, coordinates, seed=1)
    for split in ("train", "test"):
        before, after = (
            list(zip(*view.select(split=split).columns("lon", "lat").to_pydict().values(), strict=True))
            for view in (corpus, permuted)
        )
        assert set(after) == set(before) and np.mean([a != b for a, b in zip(after, before, strict=True)]) > 0.7
    table = permuted.columns("cell", "lon")
    per_cell = len(set(zip(*table.to_pydict().values(), strict=True))) / len(set(table["cell"].to_pylist()))
    assert (per_cell == 1) == (coordinates == "by cell")


def evaluated_with(chance: np.random.Generator, sensor: str, n_images: int) -> EvaluatedSet:
    """Images in blocks of 10 with two general classes and one of events."""
    relevant = chance.random((3, n_images)) < 0.4
    ids = tuple(f"{sensor}_{number}" for number in range(n_images))
    return EvaluatedSet(sensor, ids, ("a", "b", "flood"), ("a", "b", "flood"), relevant, np.arange(n_images) // 10)


def noisy(own: EvaluatedSet, chance: np.random.Generator, noise: float) -> np.ndarray:
    """Scores that follow the labels, with noise."""
    return own.relevant + chance.normal(0, noise, own.relevant.shape)


def test_differences_are_those_of_planted_arms() -> None:
    chance = np.random.default_rng(0)
    # The second sensor has images in every second block only.
    evaluated = {"s1": evaluated_with(chance, "s1", 300), "s2": evaluated_with(chance, "s2", 150)}
    blocks = {"s1": [f"{row:03d}" for row in range(30) for _ in range(10)]}
    blocks["s2"] = [f"{row:03d}" for row in range(0, 30, 2) for _ in range(10)]
    analysis = Analysis(evaluated, {"flood"}, blocks)

    def scores(noise: float) -> list[dict[str, Any]]:
        return [{sensor: noisy(own, chance, noise) for sensor, own in evaluated.items()} for _ in range(3)]

    arms: Document = {REFERENCE: scores(0.5), "identity": scores(2.0), "geoclosp": scores(0.5)}
    arms["fixed-scale"] = arms[REFERENCE]
    arms[SINGLE] = [{"s1": own["s1"]} for own in scores(2.0)]
    rivals = dict.fromkeys(("nearest", "bands", "handcrafted"), scores(3.0)[0])
    document = analyse(analysis, arms, rivals)
    adjust([own for measure in document.values() for own in measure["comparisons"]])
    assert document.keys() == {"s1", "s2", "s1 events", "s2 events", "events"}
    single_sensor = Analysis({"s1": evaluated["s1"]}, {"flood"}, {"s1": blocks["s1"]})
    assert single_sensor.measures.keys() == {"s1", "events"}
    assert SINGLE in document["s1"]["arms"] and SINGLE not in document["events"]["arms"]
    for measure in document.values():
        by_question = {own["question"]: own for own in measure["comparisons"] if own["second"] != SINGLE}
        assert by_question["targets"]["low"] > 0 and by_question["targets"]["adjusted_p"] <= 0.05
        assert by_question["scale"]["mean"] == 0 and by_question["scale"]["adjusted_p"] == 1
        assert by_question["places"]["adjusted_p"] > 0.05
    own = evaluated["s1"]
    model, rival = (
        delete_block_maps(np.stack([part["s1"][:2] for part in parts]), own.relevant[:2], own.block)
        for parts in (arms[REFERENCE], [rivals["nearest"]])
    )
    expected = jackknife_interval(model - rival, conservative=True)
    lead = document["s1"]["arms"][REFERENCE]["lead"]["nearest"]
    assert [lead["mean"], lead["low"], lead["high"]] == pytest.approx(
        [expected.mean, expected.low, expected.high], abs=1e-4
    )
    # The mean of the sensors, without a block of both.
    maps = analysis.maps(arms["identity"], "events")
    assert maps is not None and maps.shape == (3, 31)
    for block, column in (("000", 1), ("001", 2)):
        rest = {sensor: np.array(own) != block for sensor, own in blocks.items()}
        naive = [
            float(average_precisions(arms["identity"][1][sensor][2:, rest[sensor]], own.relevant[2:, rest[sensor]])[0])
            for sensor, own in evaluated.items()
        ]
        assert maps[1, column] == pytest.approx(np.mean(naive))


def config_of(tmp_path: Path, folder: Path) -> ExperimentConfig:
    closp = load_profile(str(write_profile(tmp_path, budget={"epochs": 1, "batch": 64})))
    return ExperimentConfig(folder, tmp_path / "runs", closp, load_profile("geoclosp-tiny"), tuple(DIVISIONS), (0, 1))


def test_runs_on_a_corpus_without_events_and_sentences(tmp_path: Path) -> None:
    """As real-five: five places with images of both sensors and one source of labels; train does not fill a batch."""
    folder = build_toy(tmp_path / "corpus", counts={"train": 12, "val": 4, "test": 4})
    config = config_of(tmp_path, folder)
    config = replace(config, divisions=("events", "regions"))
    result = experiment(config)
    assert result["left_out"] == ["events"] and result["batch"] == 8
    assert "sentences" not in result["arms"] and {"single-s1", "single-s2", "geoclosp"} <= result["arms"].keys()
    for division in result["divisions"].values():
        assert division["measures"].keys() == {"s1", "s2"}
        assert all(len(arm["maps"]) == 2 for own in division["measures"].values() for arm in own["arms"].values())
    runs = {path: path.stat().st_mtime_ns for path in config.out.rglob("scores.npz")}
    # Eight arms and two seeds.
    assert len(runs) == 16
    # An interrupted run is resumed, and finished ones are left alone.
    interrupted = min(runs)
    interrupted.unlink()
    again = experiment(config)
    changed = {path for path, time in runs.items() if path.stat().st_mtime_ns != time}
    assert changed == {interrupted} and again["divisions"] == result["divisions"]
    report = markdown(json.loads(json.dumps(result, allow_nan=False)))
    assert "events held out" in report and "Not tried" in report
    for draw in (draw_maps, draw_differences):
        draw(result, tmp_path / "plot.png")
        assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("counts", "changes", "key", "value"),
    [
        ({"train": 6, "val": 2, "test": 4}, {}, "budget.batch", 8),
        ({"val": 6, "test": 4}, {}, "split", "train"),
        # Before the first training.
        ({"train": 12, "val": 4}, {}, "split", "test"),
        ({"train": 12, "test": 4}, {"captions": []}, "captions", "s1_train_000"),
    ],
)
def test_a_corpus_that_cannot_be_trained_on_or_evaluated_is_refused(
    tmp_path: Path, counts: dict[str, int], changes: Document, key: str, value: Any
) -> None:
    config = config_of(tmp_path, build_toy(tmp_path / "corpus", counts=counts, **changes))
    with raises(InsufficientData, key=key, value=value):
        experiment(replace(config, divisions=("blocks",)))
    assert not list(config.out.rglob("model.safetensors"))


def test_an_event_joins_blocks_of_all_sensors(tmp_path: Path) -> None:
    """It touches the first block in images of one sensor only, and the second in those of the other."""
    fact: Document = {"id": "a", "type": "flood", "phase": "after", "label": None, "fraction": 0.4, "in_aoi": True}
    touched = {"s1_test_000", "s2_test_004"}
    counts = {"train": 8, "test": 12}
    toy = open_toy(tmp_path / "c", counts=counts, events=lambda id: [fact] if id in touched else [])
    blocks = blocks_by_sensor(toy)
    assert blocks["s1"].tolist() == blocks["s2"].tolist() and len(set(blocks["s1"].tolist())) == 2
    for sensor, own in load_evaluated(toy, "test").items():
        assert np.unique(blocks[sensor], return_inverse=True)[1].tolist() == own.block.tolist()


def test_steps_are_those_of_the_reference(corpus: Corpus) -> None:
    profile = load_profile("tiny", epochs=3, batch=16)
    for changes, expected in (({}, 9), ({"accumulate": 2}, 6), ({"steps": 5}, 5)):
        budget = profile.budget.model_copy(update=changes)
        assert count_steps(profile.model_copy(update={"budget": budget}), corpus) == expected


def test_arms_differ_from_the_reference_in_what_is_compared(corpus: Corpus) -> None:
    arms = list_arms(corpus, load_profile("tiny"), load_profile("geoclosp-tiny"), 10)
    assert {name for own in COMPARISONS for name in (own.first, own.second)} - {SINGLE, "sentences"} <= arms.keys()
    reference = arms[REFERENCE].profile.model_dump()
    changed = {
        name: {key for key, value in arm.profile.model_dump().items() if value != reference[key]}
        for name, arm in arms.items()
    }
    unchanged = {REFERENCE, "single-s1", "single-s2"}
    objectives = {"identity", "fixed-scale"}
    assert changed == {
        name: set() if name in unchanged else {"objective"} if name in objectives else {"location"} for name in arms
    }
    assert all(arm.profile.budget.steps == 10 for arm in arms.values())
    texture = load_profile("tiny-texture")
    assert "sentences" not in list_arms(corpus, texture, load_profile("geoclosp-tiny"), 10)


@pytest.mark.parametrize("name", PAGES)
def test_pages_show_the_committed_result(name: str) -> None:
    page, result = (ROOT / name).read_text(encoding="utf-8"), json.loads(RESULT.read_text(encoding="utf-8"))
    assert page == with_table(page, PAGES[name](result))


def test_the_committed_result_answers_every_question() -> None:
    result = json.loads(RESULT.read_text(encoding="utf-8"))
    assert result["seeds"] >= 3 and {"random", "regions"} <= result["divisions"].keys()
    for division in result["divisions"].values():
        for measure in division["measures"].values():
            pairs = {(own["first"], own["second"]) for own in measure["comparisons"]}
            assert pairs == {(own.first, own.second) for own in COMPARISONS}
    assert "CLOSP" in summary(result)
