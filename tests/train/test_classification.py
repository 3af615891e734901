"""Zero-shot classification and the linear probe, against scikit-learn, exhaustive search and chance."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score, label_ranking_average_precision_score

from landmark.corpus.metrics import chance_average_precisions
from landmark.corpus.reader import Corpus
from landmark.corpus.relevance import label_mask
from landmark.train.retrieval.classification import Classifier, best_threshold, label_ranking_ap
from landmark.train.retrieval.embed import LoadedRun, embed_split, load_run
from tests.parts import examples
from tests.train.toy import CLASSES


@given(st.lists(st.tuples(st.sampled_from([-1.0, 0.0, 0.25, 0.5]), st.booleans()), min_size=1, max_size=12))
@examples(100)
def test_the_best_threshold_has_the_highest_f1(images: list[tuple[float, bool]]) -> None:
    scores, labels = np.array([score for score, _ in images]), np.array([label for _, label in images])
    if labels.any():
        values = {
            score: 2 * (labels & (scores >= score)).sum() / (labels.sum() + (scores >= score).sum())
            for score in scores.tolist()
        }
        best = max(values.values())
        threshold = best_threshold(scores, labels)
        assert threshold == max(score for score, value in values.items() if value == pytest.approx(best))


def test_images_with_all_classes_or_none_do_not_count_in_label_ranking() -> None:
    labels = np.array([[1, 0, 0], [1, 1, 1], [0, 0, 0], [0, 1, 1]], dtype=bool)
    scores = np.array([[0.1, 0.2, 0.3]] * 4)
    assert label_ranking_ap(scores, labels) == pytest.approx((1 / 3 + 1) / 2)
    assert label_ranking_ap(scores[:1], labels) == label_ranking_ap(scores, labels)
    assert label_ranking_ap(scores, labels[1:3].repeat(2, axis=0)) is None


@pytest.fixture(scope="module")
def loaded(trained_toy: Path) -> LoadedRun:
    return load_run(trained_toy, "cpu")


def test_figures_equal_those_of_scikit_learn(toy_corpus: Corpus, loaded: LoadedRun) -> None:
    texts = loaded.encoder.encode_texts(CLASSES)
    vectors = embed_split(loaded, toy_corpus, "test")
    metrics = Classifier(toy_corpus, loaded, "test", dict(zip(CLASSES, texts, strict=True))).measure(vectors)
    assert metrics.keys() == {"s1", "s2"}
    for sensor, own in metrics.items():
        labels, scores = {}, {}
        for split in ("train", "val", "test"):
            selection = toy_corpus.select(split=split, sensor=sensor)
            labels[split] = label_mask(selection.columns("labels")["labels"], CLASSES).T
            scores[split] = embed_split(loaded, selection, split) @ texts.T
        truth, cosines = labels["test"], scores["test"]
        precisions = average_precision_score(truth, cosines, average=None)
        assert own.zero_shot_map == pytest.approx(np.mean(precisions))
        assert own.chance_map == pytest.approx(chance_average_precisions(truth.T).mean())
        assert own.label_ranking_ap == pytest.approx(label_ranking_average_precision_score(truth, cosines))
        prior = np.broadcast_to(labels["train"].mean(axis=0), truth.shape)
        assert own.prior_label_ranking_ap == pytest.approx(label_ranking_average_precision_score(truth, prior))
        columns = [column for column in range(len(CLASSES)) if labels["val"][:, column].any()]
        f1 = [
            f1_score(
                truth[:, column],
                cosines[:, column] >= best_threshold(scores["val"][:, column], labels["val"][:, column]),
            )
            for column in columns
        ]
        assert (own.f1, own.f1_classes) == (pytest.approx(np.mean(f1)), len(columns))
        every = np.ones(len(truth))
        assert own.prior_f1 == pytest.approx(np.mean([f1_score(truth[:, column], every) for column in columns]))
        assert own.probe_map is not None and own.probe_map > own.chance_map + 0.1


def test_what_is_fitted_on_the_evaluated_split_is_left_out(toy_corpus: Corpus, loaded: LoadedRun) -> None:
    texts = dict(zip(CLASSES, loaded.encoder.encode_texts(CLASSES), strict=True))
    for split, fields in (("val", ("f1", "prior_f1")), ("train", ("probe_map", "probe_above_chance"))):
        vectors = embed_split(loaded, toy_corpus, split)
        for own in Classifier(toy_corpus, loaded, split, texts).measure(vectors).values():
            values = {name: getattr(own, name) for name in ("f1", "prior_f1", "probe_map", "probe_above_chance")}
            assert {name for name, value in values.items() if value is None} == set(fields)


def test_many_images_are_drawn_by_hash(toy_corpus: Corpus, loaded: LoadedRun) -> None:
    texts = dict(zip(CLASSES, loaded.encoder.encode_texts(CLASSES), strict=True))
    few = Classifier(toy_corpus, loaded, "test", texts, max_fitted=5)
    drawn, again = few.embed("s1", "train"), few.embed("s1", "train")
    assert drawn is not None and again is not None and drawn.vectors.shape == (5, 16)
    assert (drawn.vectors == again.vectors).all() and (drawn.labels == again.labels).all()
    vectors, train = embed_split(loaded, toy_corpus, "test"), toy_corpus.select(sensor="s1")
    assert {row.tobytes() for row in drawn.vectors} < {row.tobytes() for row in embed_split(loaded, train, "train")}
    assert few.measure(vectors) != Classifier(toy_corpus, loaded, "test", texts).measure(vectors)
