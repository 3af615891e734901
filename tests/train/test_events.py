"""Retrieval of single events and their phases, against loops over the definitions."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from landmark.corpus.metrics import chance_ap
from landmark.domain.event import PHASES
from landmark.train.retrieval.events import EventFacts, PhaseMetrics, measure_events, read_event_facts
from tests.train.toy import open_toy

LABEL = "wet"
EVENTS = {"flood-1": "flood", "flood-2": "flood", "storm-1": "storm", "fire-1": "fire"}


def random_facts(chance: np.random.Generator, n_images: int) -> list[dict[str, Any]]:
    """Events of images; the class `wet` comes from floods and storms, in two phases."""
    facts = []
    for image in range(n_images):
        for id in chance.choice(list(EVENTS), size=int(chance.integers(0, 3)), replace=False).tolist():
            phase = str(chance.choice(PHASES))
            labelled = phase in ("during", "after") and chance.random() < 0.6
            label = ("burned" if EVENTS[id] == "fire" else LABEL) if labelled else ""
            facts.append({"image": image, "id": id, "type": EVENTS[id], "phase": phase, "label": label})
    return facts


def to_arrays(facts: list[dict[str, Any]], place: np.ndarray) -> EventFacts:
    names = ("image", "id", "type", "phase", "label")
    return EventFacts(*(np.array([fact[name] for fact in facts]) for name in names), place=place)


def average_precision(ranked: list[int], relevant: set[int]) -> float:
    hits = [place for place, image in enumerate(ranked, 1) if image in relevant]
    return sum(number / place for number, place in enumerate(hits, 1)) / len(relevant)


@pytest.mark.parametrize("seed", range(8))
def test_metrics_equal_loops_over_the_definitions(seed: int) -> None:
    chance, n_images = np.random.default_rng(seed), 60
    records, place = random_facts(chance, n_images), chance.integers(0, 12, n_images)
    mask = chance.random(n_images) < 0.7 if seed % 2 else np.ones(n_images, dtype=bool)
    ranking = chance.permutation(n_images)[: n_images if seed < 4 else 35]
    relevant = {fact["image"] for fact in records if fact["label"] == LABEL} | {3, 7}
    report = measure_events(to_arrays(records, place), LABEL, ranking, np.array(sorted(relevant)), mask)

    chosen = set(np.flatnonzero(mask).tolist())
    ranked = [image for image in ranking.tolist() if image in chosen]
    labelled = [fact for fact in records if fact["image"] in chosen and fact["label"] == LABEL]
    by_id = {id: {fact["image"] for fact in labelled if fact["id"] == id} for id in EVENTS}
    by_id = {id: images for id, images in by_id.items() if images}
    assert by_id and {event.id for event in report.events} == by_id.keys()
    for event in report.events:
        own, irrelevant = by_id[event.id], chosen - relevant
        expected = average_precision([image for image in ranked if image in own | irrelevant], own)
        assert (event.type, event.label, event.relevant) == (EVENTS[event.id], LABEL, len(own))
        assert event.ap == pytest.approx(expected, abs=1e-12)
        assert event.chance_ap == pytest.approx(chance_ap(len(own), len(own | irrelevant)), abs=1e-12)

    assert [kind.type for kind in report.types] == sorted({EVENTS[id] for id in by_id})
    for kind in report.types:
        ids = [id for id in by_id if EVENTS[id] == kind.type]
        assert kind.events == len(ids)
        assert kind.map == pytest.approx(np.mean([event.ap for event in report.events if event.id in ids]))
        facts = [fact for fact in records if fact["image"] in chosen and fact["type"] == kind.type]
        for phase in kind.phases:
            assert_phase(phase, facts, ranked, len(chosen), place)


def assert_phase(
    metrics: PhaseMetrics, facts: list[dict[str, Any]], ranked: list[int], n_images: int, place: np.ndarray
) -> None:
    """Compare with loops; images that are not ranked share the mean of the last places."""

    def position(image: int) -> float:
        return ranked.index(image) if image in ranked else (len(ranked) + n_images - 1) / 2

    def percentile(images: Iterable[int]) -> float:
        return float(np.mean([1 - position(image) / (n_images - 1) for image in images]))

    own = [fact for fact in facts if fact["phase"] == metrics.phase]
    images = {fact["image"] for fact in own}
    labelled = {fact["image"] for fact in own if fact["label"] == LABEL}
    assert (metrics.images, metrics.labelled) == (len(images), pytest.approx(len(labelled) / len(images)))
    assert metrics.percentile == pytest.approx(percentile(images), abs=1e-12)
    assert metrics.labelled_percentile == (pytest.approx(percentile(labelled), abs=1e-12) if labelled else None)
    pairs: dict[tuple[str, int], list[float]] = {}
    for fact in own:
        for earlier in facts if fact["label"] == LABEL else ():
            cell = place[fact["image"]]
            if earlier["phase"] == "before" and earlier["id"] == fact["id"] and place[earlier["image"]] == cell:
                first, second = position(fact["image"]), position(earlier["image"])
                pairs.setdefault((fact["id"], int(cell)), []).append((first < second) + (first == second) / 2)
    assert metrics.place_cells == len(pairs)
    means = [np.mean(wins) for wins in pairs.values()]
    assert metrics.place_auroc == (pytest.approx(np.mean(means), abs=1e-12) if means else None)


def test_facts_are_read_in_the_order_of_the_images(tmp_path: Any) -> None:
    def events(id: str) -> list[dict[str, Any]]:
        fact = {"id": f"flood-{id[-1]}", "type": "flood", "phase": "during", "fraction": 0.5, "in_aoi": True}
        fact |= {"product": "p", "days": 1.0, "label": LABEL if id < "s2" else None}
        return [fact, {**fact, "id": "other"}] if id.endswith("1") else [fact] if id.endswith("2") else []

    corpus = open_toy(tmp_path / "c", counts={"train": 5, "test": 4}, events=events).select(split="test")
    facts = read_event_facts(corpus)
    expected = [(row, fact["id"], fact["label"] or "") for row, id in enumerate(corpus.ids) for fact in events(id)]
    assert list(zip(facts.image.tolist(), facts.id.tolist(), facts.label.tolist(), strict=True)) == expected
    cells = corpus.table["cell"].to_pylist()
    keys = list(zip(cells, corpus.table["sensor"].to_pylist(), strict=True))
    assert [[a == b for b in keys] for a in keys] == (facts.place[:, None] == facts.place).tolist()
    assert len(read_event_facts(open_toy(tmp_path / "d", counts={"test": 4}))) == 0
