"""Rivals: what each knows, against plain code; the same on any number of threads."""

import datetime as dt
import zlib

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

import landmark
from landmark.corpus.metrics import average_precisions, chance_average_precisions
from landmark.corpus.reader import Corpus
from landmark.train.validation.evaluated import load_evaluated
from landmark.train.validation.rivals import NEAREST_IN_TIME, RIVALS, RivalInput, fit_rivals
from tests.services.client import once
from tests.train.toy import build_toy

START = dt.datetime(2021, 1, 1, tzinfo=dt.UTC)


def moment(id: str) -> dt.datetime:
    """One of sixty days, so that images share dates."""
    return START + dt.timedelta(days=zlib.crc32(id.encode()) % 60)


@pytest.fixture(scope="module")
def corpus(shared) -> Corpus:
    """A toy with more train images than a date's neighbours."""
    counts = {"train": 48, "val": 8, "test": 16}
    once(shared, "dated toy", lambda folder: build_toy(folder / "corpus", counts, datetime=moment))
    return landmark.open(shared / "dated toy" / "corpus")


@pytest.fixture(scope="module")
def scores(corpus):
    return fit_rivals(corpus, "test", load_evaluated(corpus, "test"))


def test_each_rival_scores_each_class_and_image(corpus, scores):
    for sensor, own in load_evaluated(corpus, "test").items():
        assert list(scores[sensor]) == list(RIVALS)
        assert {values.shape for values in scores[sensor].values()} == {own.relevant.shape}
        precisions = {name: average_precisions(values, own.relevant).mean() for name, values in scores[sensor].items()}
        chance = chance_average_precisions(own.relevant).mean()
        assert precisions["prior"] == pytest.approx(chance) and precisions["sensor"] == pytest.approx(chance)
        # The classes of the toy are colours.
        assert min(precisions["bands"], precisions["handcrafted"]) > chance + 0.2


def test_prior_and_sensor_are_frequencies(corpus, scores):
    rows = corpus.select(split="train").columns("sensor", "labels").to_pylist()
    for sensor, own in load_evaluated(corpus, "test").items():
        for number, key in enumerate(own.classes):
            overall = np.mean([key in row["labels"] for row in rows])
            own_sensor = np.mean([key in row["labels"] for row in rows if row["sensor"] == sensor])
            assert scores[sensor]["prior"][number] == pytest.approx(overall)
            assert scores[sensor]["sensor"][number] == pytest.approx(own_sensor)


def test_date_takes_the_labels_of_the_images_nearest_in_time(corpus, scores):
    for sensor, own in load_evaluated(corpus, "test").items():
        train = corpus.select(split="train", sensor=sensor).columns("datetime", "labels").to_pylist()
        times = corpus.select(split="test", sensor=sensor).columns("datetime")["datetime"].to_pylist()
        for column, time in enumerate(times):
            gaps = [abs(row["datetime"] - time) for row in train]
            last = sorted(gaps)[NEAREST_IN_TIME - 1]
            near = [row["labels"] for row, gap in zip(train, gaps, strict=True) if gap <= last]
            expected = [np.mean([key in labels for labels in near]) for key in own.classes]
            assert scores[sensor]["date"][:, column] == pytest.approx(expected)


def test_bands_is_a_logistic_regression_of_means_and_deviations(corpus, scores):
    own = load_evaluated(corpus, "test")["s1"]
    splits = {split: corpus.select(split=split, sensor="s1") for split in ("train", "test")}
    features = {}
    for split, selection in splits.items():
        pixels = [np.where(sample.mask, sample.s1, np.nan) for sample in selection]
        features[split] = np.array([[*np.nanmean(s, axis=(1, 2)), *np.nanstd(s, axis=(1, 2))] for s in pixels])
    mean, deviation = features["train"].mean(axis=0), features["train"].std(axis=0)
    labels = splits["train"].columns("labels")["labels"].to_pylist()
    for number, key in enumerate(own.classes):
        model = LogisticRegression(C=1.0, max_iter=10_000, tol=1e-8)
        model.fit((features["train"] - mean) / deviation, [key in row for row in labels])
        expected = model.decision_function((features["test"] - mean) / deviation)
        assert scores["s1"]["bands"][number] == pytest.approx(expected, abs=0.01)


def test_a_class_that_no_train_image_has_gets_the_frequency(tmp_path):
    def labels(id: str) -> list[str]:
        number = int(id[-1])
        return ["trees"] if "train" in id else ["trees", "water"] if number % 2 else ["built"]

    corpus = landmark.open(build_toy(tmp_path, sensors=("s2",), labels=labels))
    known = RivalInput(corpus, "test", load_evaluated(corpus, "test")["s2"])
    frequencies = [float(key == "trees") for key in known.evaluated.classes]
    for rival in RIVALS.values():
        scores = rival(known)
        assert scores == pytest.approx(np.repeat(np.array(frequencies)[:, None], len(known.images), axis=1), abs=1e-9)


def test_are_equal_on_any_number_of_threads(corpus, scores):
    with threadpool_limits(2):
        again = fit_rivals(corpus, "test", load_evaluated(corpus, "test"))
    for sensor, own in scores.items():
        for name, values in own.items():
            assert values.tobytes() == again[sensor][name].tobytes(), (sensor, name)
