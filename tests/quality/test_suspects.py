"""`landmark check --suspects`: planted mistakes of labels and events are ranked first, and their share is estimated."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

import landmark as package
from landmark.corpus.reader import Corpus
from landmark.domain.traits import Trait
from landmark.labels.label_rules import load_event_types
from landmark.quality.check_profile import load_check_profile
from landmark.quality.chips.optical import BANDS
from landmark.quality.findings import NotApplicable
from landmark.quality.suspects.class_ranking import calibrate
from landmark.quality.suspects.event_change import MEASURES, Change, measure_changes
from landmark.quality.suspects.label_noise import auroc, log_odds, score_mistakes
from landmark.quality.suspects.out_of_fold import FOLDS, LabelledSamples, assign_folds, predict_roots
from landmark.quality.suspects.suspects import CHECKS, EVENTS, LABELS, NOISE, find_suspects, rank_events, rank_labels
from tests.conftest import Run

PROFILE = load_check_profile()
N_CELLS, N_CLASSES = 240, 4


def labelled(seed: int = 0, *, informative: bool = True) -> LabelledSamples:
    """Cells with a sample of each sensor, whose statistics follow from the fractions or, if not informative, do not."""
    chance = np.random.default_rng(seed)
    fractions = chance.dirichlet(np.full(N_CLASSES, 0.3), N_CELLS)
    cell, mixing = np.repeat(np.arange(N_CELLS), 2), chance.normal(size=(2, N_CLASSES, 8))
    roots, sensors = np.sqrt(fractions)[cell], np.array(["s1", "s2"] * N_CELLS, dtype=np.str_)
    block = cell // 4
    features = {
        sensor: (
            roots[sensors == sensor] @ mixing[number] * informative + 0.2 * chance.normal(size=(N_CELLS, 8))
        ).astype(np.float32)
        for number, sensor in enumerate(("s1", "s2"))
    }
    return LabelledSamples(
        ids=[f"{sensor}_{number:03}" for number, sensor in zip(cell.tolist(), sensors.tolist(), strict=True)],
        sensor=sensors,
        cell=cell,
        edition=np.zeros(len(cell), dtype=np.int64),
        fold=assign_folds(block),
        block=block,
        classes=[f"class-{number}" for number in range(N_CLASSES)],
        roots=roots,
        has_label=roots**2 > 0.1,
        features=features,
    )


def mislabelled(samples: LabelledSamples, share: float, *, cells: bool) -> tuple[LabelledSamples, NDArray[np.bool_]]:
    """The samples after some, or all of some cells, got the labels of each other; and which of them differ."""
    rows = np.random.default_rng(7).permutation(N_CELLS if cells else len(samples.ids))
    chosen = rows[: round(share * len(rows))]
    source = np.arange(len(rows))
    source[chosen] = np.roll(chosen, 1)
    order = source[samples.cell] * 2 if cells else source
    changed = replace(samples, roots=samples.roots[order], has_label=samples.has_label[order])
    return changed, np.abs(changed.roots**2 - samples.roots**2).sum(axis=1) > 0.1


@pytest.mark.parametrize("cells", [True, False], ids=["cells", "samples"])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.2])
def test_the_share_of_mistakes_is_estimated_and_they_rank_first(share: float, cells: bool) -> None:
    samples, wrong = mislabelled(labelled(), share, cells=cells)
    suspects = rank_labels(samples, PROFILE.checks[NOISE].limits)
    assert suspects.noise is not None and suspects.noise.samples == len(samples.ids)
    assert suspects.noise.low_pct <= 100 * wrong.mean() <= suspects.noise.high_pct
    assert suspects.noise.rate_pct == pytest.approx(100 * wrong.mean(), abs=4)
    named = {suspect.id for suspect in suspects.labels[: suspects.named]}
    planted = {id for id, bad in zip(samples.ids, wrong.tolist(), strict=True) if bad}
    assert len(named - planted) <= 0.1 * len(planted)
    first = {suspect.id for suspect in suspects.labels[: len(planted)]}
    assert len(first & planted) >= 0.8 * min(len(planted), len(suspects.labels))
    if not share:
        assert not named


def test_pixels_without_information_rank_nothing() -> None:
    suspects = rank_labels(labelled(informative=False), PROFILE.checks[NOISE].limits)
    assert suspects.noise is None and suspects.labels == [] and suspects.cannot_tell
    assert suspects.classes and all(ranking.missing is None for ranking in suspects.classes)


def test_few_samples_rank_nothing() -> None:
    suspects = rank_labels(labelled(), {**PROFILE.checks[NOISE].limits, "min_samples": 1_000})
    assert suspects.cannot_tell and not suspects.classes


def test_labels_of_a_place_have_no_influence_on_the_expectation_of_the_place() -> None:
    samples = labelled()
    own = samples.fold == 3
    changed = samples.roots.copy()
    changed[own] = np.roll(changed[own], 1, axis=1)
    before, after = predict_roots(samples, [samples.roots, changed])
    # The mean of all labels, and the weights of sensors and ridge, are those of all samples.
    assert np.abs(before - after)[own].max() < 0.1
    assert np.abs(before - after)[~own].max() > 0.1


def test_folds_are_of_entire_blocks_and_about_equally_large() -> None:
    block = np.repeat(np.arange(40), np.arange(1, 41))
    fold = assign_folds(block)
    assert all(len(set(fold[block == number])) == 1 for number in range(40))
    sizes = np.bincount(fold, minlength=FOLDS)
    assert sizes.max() - sizes.min() <= 3


def test_a_sample_unlike_the_rest_of_the_cell_is_wrong_unless_the_edition_differs() -> None:
    samples = labelled()
    roots = samples.roots.copy()
    # The fractions of one of four samples differ by less than a change of land cover.
    cell = np.arange(len(samples.ids)) // 4
    roots[:4] = np.sqrt([0.5, 0.3, 0.2, 0])
    roots[0] = np.sqrt([0.5, 0.2, 0.3, 0])
    same = replace(samples, cell=cell, roots=roots)
    scores = np.full(len(cell), -3.0)
    other_edition = np.zeros(len(cell), dtype=np.int64)
    other_edition[0] = 1
    odds, changed = log_odds(same, scores), log_odds(replace(same, edition=other_edition), scores)
    assert odds[0] > 3 and (odds[1:4] < -3).all()
    assert (changed[:4] < 0).all()


def test_auroc_and_probability_are_those_of_plain_code() -> None:
    chance = np.random.default_rng(2)
    positive, negative = chance.integers(0, 5, 30).astype(float), chance.integers(0, 4, 40).astype(float)
    pairs = [(a > b) + 0.5 * (a == b) for a in positive for b in negative]
    assert auroc(positive, negative) == pytest.approx(np.mean(pairs))
    values, has = np.concatenate([positive, negative]), np.repeat([True, False], [30, 40])
    model = LogisticRegression(C=1e6, tol=1e-10).fit(values[:, None], has)
    assert calibrate(has, values) == pytest.approx(model.predict_proba(values[:, None])[:, 1], abs=1e-3)


def test_scores_of_exchanged_labels_are_of_other_cells() -> None:
    samples = labelled()
    (expected,) = predict_roots(samples, [samples.roots])
    scores, exchanged = score_mistakes(samples, samples.roots, expected)
    assert auroc(exchanged, scores) > 0.95


# -- Events ------------------------------------------------------------------------------------------------------------


def changes_of(corpus: Corpus, edits: Mapping[str, list[Mapping[str, Any]]] | None = None) -> list[Change]:
    """Changes of a corpus with other events of some samples."""
    if edits:
        events = [edits.get(row["id"], row["events"]) for row in corpus.columns("id", "events").to_pylist()]
        corpus = corpus.assign(events=events)
    types = load_event_types(corpus.manifest.taxonomy).types
    return list(measure_changes(corpus, types, PROFILE.checks[EVENTS].limits))


@pytest.fixture(scope="module")
def crisis(sealed_crisis: Path) -> tuple[Corpus, list[Change]]:
    corpus = package.open(sealed_crisis)
    return corpus, changes_of(corpus)


def test_pixels_change_as_far_as_labels_of_events_reach(crisis: tuple[Corpus, list[Change]]) -> None:
    corpus, changes = crisis
    labels = [change for change in changes if change.fraction]
    assert {change.id[:2] for change in labels} == {"s1", "s2"}
    for change in labels:
        assert change.slight == pytest.approx(change.fraction, rel=0.3), change
        before, after = corpus[change.reference], corpus[change.id]
        assert (before.cell, before.sensor) == (after.cell, after.sensor) and before.datetime < after.datetime
    assert all(change.clear < 0.05 for change in changes if not change.fraction)


def test_a_label_of_an_event_on_the_image_before_has_no_change(crisis: tuple[Corpus, list[Change]]) -> None:
    corpus, changes = crisis
    events = {row["id"]: row["events"] for row in corpus.columns("id", "events").to_pylist()}
    moved = [change for change in changes if change.fraction]
    edits = {change.reference: events[change.id] for change in moved}
    edits |= {change.id: events[change.reference] for change in moved}
    after = {change.id: change for change in changes_of(corpus, edits)}
    for change in moved:
        assert after[change.reference].fraction == pytest.approx(change.fraction)
        assert after[change.reference].slight < 0.2 * change.fraction
        assert after[change.id].fraction == 0 and after[change.id].clear > 0.5 * change.fraction


@pytest.mark.parametrize(
    ("key", "before", "after", "expected"),
    [
        (("s2", Trait.WATER), {"B03": 500, "B11": 1500}, {"B03": 500, "B11": 200}, (0.25, 0.25)),
        (("s2", Trait.WATER), {"B03": 500, "B11": 200}, {"B03": 500, "B11": 200}, (0, 0)),
        (("s2", Trait.BARE), {"B08": 3000, "B12": 1000}, {"B08": 1000, "B12": 1200}, (0.25, 0.25)),
        (("s2", Trait.BARE), {"B08": 3000, "B12": 1000}, {"B08": 2400, "B12": 1100}, (0.25, 0)),
        (("s1", Trait.WATER), {"VV": -9}, {"VV": -18}, (0.25, 0.25)),
        (("s1", Trait.WATER), {"VV": -12.5}, {"VV": -15}, (0.25, 0)),
        (("s1", Trait.WATER), {"VV": -5}, {"VV": -12}, (0, 0)),
    ],
)
def test_changes_of_a_quarter_of_the_pixels(
    key: tuple[str, Trait], before: dict[str, float], after: dict[str, float], expected: tuple[float, float]
) -> None:
    names = ["VV", "VH"] if key[0] == "s1" else list(BANDS)
    images = np.full((2, len(names), 8, 8), 1000, dtype=np.float32)
    for band, value in before.items():
        images[:, names.index(band)] = value
    for band, value in after.items():
        images[1, names.index(band), :4, :4] = value
    assert MEASURES[key](images[0], images[1], PROFILE.checks[EVENTS].limits) == expected


def test_both_images_of_a_pair_must_contradict_a_label() -> None:
    def change(id: str, fraction: float, changed: float) -> Change:
        return Change(id, f"s{id[1]}", f"{id}-before", "flood", "event", fraction, changed, changed)

    changes = [
        change("a1", 0.5, 0.02), change("a2", 0.5, 0.01),  # neither changed
        change("b1", 0.5, 0.02), change("b2", 0.5, 0.45),  # the radar image alone did not
        change("c1", 0.0, 0.6), change("c2", 0.0, 0.7),  # both changed without a label
        change("d1", 0.0, 0.6), change("d2", 0.0, 0.0),  # wind
        change("e1", 0.5, 0.45), change("f1", 0.05, 0.0),  # right, too small to tell
        change("g1", 0.0, 0.6),  # radar alone
    ]  # fmt: skip
    pairs = {f"{name}{number}": f"{name}{3 - number}" for name in "abcdefg" for number in (1, 2)}
    suspects = rank_events(changes, pairs, PROFILE.checks[EVENTS].limits)
    assert {suspect.id: suspect.problem for suspect in suspects} == {
        "a1": "label without change",
        "a2": "label without change",
        "c1": "change without label",
        "c2": "change without label",
    }
    assert [suspect.id for suspect in suspects][:2] == ["c1", "c2"]


# -- Command line ------------------------------------------------------------------------------------------------------


def test_the_page_holds_rate_classes_and_pictures(sealed_crisis: Path, tmp_path: Path, landmark: Run) -> None:
    page, rules = tmp_path / "suspects.html", tmp_path / "rules.yaml"
    rules.write_text("checks: {label-noise: {limits: {min_samples: 20, min_auroc: 0.5}}}")
    _, out, _ = landmark("check", sealed_crisis, "--workers", 0, "--rules", rules, "--suspects", page, "--json")
    report = json.loads(out)
    suspects, text = report["suspects"], page.read_text()
    assert all(report["checks"][name]["findings"] == [] for name in (NOISE, LABELS, EVENTS))
    assert suspects["events"] == [] and suspects["events_compared"] > 0
    assert f"{suspects['noise']['rate_pct']:.1f} %" in text
    assert all(suspect["id"] in text for suspect in suspects["labels"])
    sources = re.findall(r'src="(.{22})', text)
    assert len(sources) >= 10 and set(sources) == {"data:image/png;base64,"}
    assert "<script" not in text


@pytest.mark.parametrize("name", CHECKS)
def test_without_suspects_their_checks_say_so(name: str) -> None:
    with pytest.raises(NotApplicable):
        CHECKS[name](None, PROFILE.checks[name].limits)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["page.txt", "missing/page.html"])
def test_a_page_that_cannot_be_written_is_refused(sealed: Path, tmp_path: Path, landmark: Run, name: str) -> None:
    code, out, err = landmark("check", sealed, "--workers", 0, "--suspects", tmp_path / name)
    assert (code, out) == (2, "") and "--suspects" in err


def test_a_damaged_corpus_has_no_suspects(corpus: Path) -> None:
    for shard in (corpus / "shards" / "g0000").glob("s1-*.parquet"):
        shard.write_bytes(b"")
    suspects = find_suspects(corpus, PROFILE)
    assert suspects.cannot_tell and suspects.events_cannot_tell and not suspects.labels
