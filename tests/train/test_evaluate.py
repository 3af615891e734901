"""Evaluation of runs and of TREC run files, against trec_eval."""

import json
import shutil
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import pytrec_eval

import landmark
from landmark.core.errors import InputError, InsufficientData, InvalidCorpus, InvalidRun, RunMismatch
from landmark.corpus.reader import Corpus
from landmark.corpus.relevance import Query
from landmark.train.loop import TrainingConfig, train
from landmark.train.profile import ModelProfile
from landmark.train.retrieval.embed import embed_split, load_run
from landmark.train.retrieval.evaluate import (
    EvaluationReport,
    EvaluationSet,
    compute_report,
    evaluate_run,
    evaluate_trec,
    load_evaluation_set,
    rank_images,
)
from landmark.train.retrieval.events import EventFacts
from landmark.train.retrieval.trec import Judgements
from tests.parts import raises
from tests.train.toy import dense_grades, dense_ranking, open_toy

# TREC run file, report, scores and grades, both query → document → value.
Ranked = tuple[Path, EvaluationReport, dict[str, dict[str, float]], dict[str, dict[str, int]]]


@pytest.fixture
def run(trained_toy: Path) -> Path:
    return trained_toy


def test_a_trained_run_is_well_above_chance_for_both_sensors(toy_corpus: Corpus, run: Path) -> None:
    report = evaluate_run(toy_corpus, load_run(run, "cpu"), split="test")
    assert {"s1", "s2"} == report.sensors.keys() and set(report.classes) == {"trees", "water", "built", "crops"}
    assert all(set(group) == {"overall", "s1", "s2"} for group in (report.label_sets, *report.classes.values()))
    for metrics in (report.overall, *report.sensors.values()):
        assert metrics.map is not None and metrics.above_chance > 0.1
    assert report.overall.documents == 24 and report.sensors["s1"].documents == 12


def test_a_run_on_an_assigned_division_is_of_that_division(
    toy_corpus: Corpus, profile: ModelProfile, tmp_path: Path
) -> None:
    """Its test samples are judged by their labels; the corpus's own division may test samples it was trained on."""
    splits = toy_corpus.columns("split")["split"].to_pylist()
    assigned = toy_corpus.assign(split=[{"train": "train", "val": "test", "test": "val"}[split] for split in splits])
    budget = profile.budget.model_copy(update={"epochs": 1, "select": "best"})
    config = TrainingConfig(profile.model_copy(update={"budget": budget}), tmp_path / "run", device="cpu")
    run = train(assigned, config)
    assert run.identity.content_digest == assigned.content_digest != toy_corpus.content_digest
    assert run.history[0].validation_loss is not None
    with raises(RunMismatch, key="content_digest"):
        evaluate_run(toy_corpus, load_run(config.out, "cpu"), split="test")
    with raises(RunMismatch, key="content_digest"):
        train(toy_corpus, config)
    report = evaluate_run(assigned, load_run(config.out, "cpu"), split="test")
    assert report.overall.documents == splits.count("val")
    own, original = load_evaluation_set(assigned, "test"), load_evaluation_set(toy_corpus, "val")
    assert own.ids == original.ids and np.array_equal(dense_grades(own), dense_grades(original))


def test_assigned_labels_are_judged(toy_corpus: Corpus) -> None:
    labels = [["trees"] if id.endswith("0") else [] for id in toy_corpus.ids]
    evaluation = load_evaluation_set(toy_corpus.assign(labels=labels), "test")
    grades = dense_grades(evaluation)
    assert [query.id for query, row in zip(evaluation.queries, grades, strict=True) if row.any()] == ["trees"]
    assert grades.max(axis=0).tolist() == [3 * id.endswith("0") for id in evaluation.ids]
    with raises(InsufficientData, key="split", value="test"):
        load_evaluation_set(toy_corpus.assign(labels=[[]] * len(labels)), "test")


@pytest.fixture
def ranked(toy_corpus: Corpus, run: Path, tmp_path: Path) -> Ranked:
    """The run's report, its ranking as read by trec_eval, and the judgements."""
    path = tmp_path / "ranking.txt"
    report = evaluate_run(toy_corpus, load_run(run, "cpu"), split="test", trec_file=path)
    with path.open() as file, (toy_corpus.root / "qrels" / "test.txt").open() as qrels:
        return path, report, pytrec_eval.parse_run(file), pytrec_eval.parse_qrel(qrels)


def test_metrics_equal_trec_eval_on_the_written_ranking(ranked: Ranked, toy_corpus: Corpus) -> None:
    path, report, ranking, grades = ranked
    names = {"relevant": "num_rel", "map": "map", "r_precision": "Rprec", "mrr": "recip_rank", "hit_10": "success_10"}
    names |= {"ndcg_10": "ndcg_cut_10", "ndcg_1000": "ndcg_cut_1000"}
    measures = {"num_rel", "map", "Rprec", "recip_rank", "success", "ndcg_cut"}
    rows = {"overall": report.overall, **report.sensors}
    for name, means in rows.items():
        own_grades, own_ranking = (
            {
                query: {id: value for id, value in values.items() if name in ("overall", id[:2])}
                for query, values in t.items()
            }
            for t in (grades, ranking)
        )
        own_grades = {query: values for query, values in own_grades.items() if values}
        by_query = pytrec_eval.RelevanceEvaluator(own_grades, measures).evaluate(own_ranking)
        # Ids of label sets join several classes.
        sets = [query for query in by_query if "+" in query]
        singles = [query for query in by_query if query not in sets]
        classes = [(report.classes[query][name], [query]) for query in singles]
        for metrics, queries in [(means, singles), (report.label_sets[name], sets), *classes]:
            assert metrics.queries == len(queries) > 0
            for attribute, official in names.items():
                expected = np.mean([by_query[query][official] for query in queries])
                assert getattr(metrics, attribute) == pytest.approx(expected, abs=1e-9)
    assert evaluate_trec(toy_corpus, path, split="test") == replace(report, classification={})


def test_vectors_do_not_depend_on_the_block_size(toy_corpus: Corpus, run: Path) -> None:
    loaded, texts = load_run(run, "cpu"), ["trees", "water. built", "crops"]
    images = [embed_split(loaded, toy_corpus, "test", block=block) for block in (64, 2)]
    vectors = (
        loaded.encoder.encode_texts(texts),
        np.concatenate([loaded.encoder.encode_texts([text]) for text in texts]),
    )
    assert np.allclose(*images, atol=1e-5) and np.allclose(*vectors, atol=1e-5)


def test_memory_does_not_grow_with_queries_times_images() -> None:
    """A table of these grades would take 24 MB, one of the scores 96 MB."""
    n_images, n_queries, n_relevant = 60_000, 400, 50
    chance = np.random.default_rng(0)
    ids = [f"s{1 + number % 2}_{number:05d}" for number in range(n_images)]
    relevant = [np.sort(chance.choice(n_images, n_relevant, replace=False)) for _ in range(n_queries)]
    judgements = Judgements(
        np.arange(n_queries + 1) * n_relevant,
        np.concatenate(relevant).astype(np.int32),
        np.ones(n_queries * n_relevant, dtype=np.int8),
    )
    no_text, no_image = np.empty(0, dtype=np.str_), np.empty(0, dtype=np.int64)
    facts = EventFacts(no_image, no_text, no_text, no_text, no_text, np.zeros(n_images, dtype=np.int64))
    queries = [Query(f"q{number}", "", (f"q{number}",)) for number in range(n_queries)]
    sensor = np.arange(n_images, dtype=np.int8) % 2
    evaluation = EvaluationSet("test", queries, ids, ("s1", "s2"), sensor, judgements, facts)
    images = chance.normal(size=(n_images, 2)).astype(np.float32)
    texts = np.stack([images[own].mean(axis=0) for own in relevant])
    tracemalloc.start()
    try:
        ranked = rank_images(texts, images, ids, max_scores=500_000)
        report = compute_report(evaluation, (ranking for ranking, _ in ranked))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (report.overall.queries, report.overall.documents) == (n_queries, n_images)
    assert report.overall.above_chance > 0 and peak < 16e6


def test_the_best_and_the_worst_ranking(toy_corpus: Corpus, tmp_path: Path) -> None:
    path = tmp_path / "run.txt"
    for sign, expected in ((1, 1.0), (-1, None)):
        path.write_text(dense_ranking(toy_corpus, "test", sign))
        report = evaluate_trec(toy_corpus, path, split="test")
        if expected:
            metrics = report.overall
            assert metrics.map == metrics.r_precision == metrics.mrr == metrics.hit_10 == pytest.approx(1)
            assert metrics.ndcg_10 == metrics.ndcg_1000 == pytest.approx(1)
        else:
            assert report.overall.above_chance < 0


def test_queries_without_a_ranking_score_zero(toy_corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("")
    report = evaluate_trec(toy_corpus, tmp_path / "empty.txt", split="test")
    assert report.overall.map == 0 and report.overall.queries > 0


# -- refused -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "key", "value"),
    [
        ("trees Q0 s1_test_000 1", None, "trees Q0 s1_test_000 1"),
        ("trees Q0 s1_test_000 1 high x", None, "trees Q0 s1_test_000 1 high x"),
        ("volcano Q0 s1_test_000 1 0.5 x", "query", "volcano"),
        ("trees Q0 s1_train_000 1 0.5 x", "document", "s1_train_000"),
        ("trees Q0 s1_test_001 2 0.5 x", None, "s1_test_001"),
        ("trees Q0 s1_test_000 2 nan x", "score", "nan"),
    ],
)
def test_invalid_lines_of_a_trec_run_are_refused(
    toy_corpus: Corpus, tmp_path: Path, line: str, key: str | None, value: str
) -> None:
    path = tmp_path / "run.txt"
    path.write_text(f"trees Q0 s1_test_001 1 0.5 x\n{line}\n")
    with pytest.raises(InputError) as caught:
        evaluate_trec(toy_corpus, path, split="test")
    assert caught.value.file is not None and str(path) in caught.value.file
    assert (caught.value.key, caught.value.value) == (key, value)


def test_a_missing_trec_run_is_refused(toy_corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        evaluate_trec(toy_corpus, tmp_path / "gone.txt", split="test")
    assert (caught.value.file, caught.value.value) == ("--from-trec", str(tmp_path / "gone.txt"))


def test_a_corpus_without_queries_is_refused(tmp_path: Path) -> None:
    corpus = open_toy(tmp_path / "c", counts={"test": 3}, labels=[])
    with pytest.raises(InsufficientData) as caught:
        load_evaluation_set(corpus, "test")
    assert caught.value.key == "queries"


def test_a_split_without_labels_is_refused(tmp_path: Path) -> None:
    def labels(id: str) -> list[str]:
        return [] if "_test_" in id else ["trees"]

    with raises(InsufficientData, key="split", value="test"):
        load_evaluation_set(open_toy(tmp_path / "c", counts={"train": 3, "test": 3}, labels=labels), "test")


@pytest.mark.parametrize("name", ["queries.jsonl", "qrels/test.txt"])
@pytest.mark.parametrize(
    "content", [None, b"", b"\xff\xfe", b"changed"], ids=["missing", "empty", "no-utf8", "changed"]
)
def test_missing_or_changed_query_files_are_refused(
    toy_corpus: Corpus, tmp_path: Path, name: str, content: bytes | None
) -> None:
    path = Path(shutil.copytree(toy_corpus.root, tmp_path / "copy")) / name
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(InvalidCorpus) as caught:
        load_evaluation_set(landmark.open(tmp_path / "copy"), "test")
    assert caught.value.file == str(path) and caught.value.remedy


def test_unknown_and_empty_splits_are_refused(toy_corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_evaluation_set(toy_corpus, "dev")
    assert (caught.value.file, caught.value.value) == ("--split", "dev")
    with pytest.raises(InsufficientData) as caught:
        load_evaluation_set(open_toy(tmp_path / "c", counts={"train": 4}), "val")
    assert (caught.value.key, caught.value.value) == ("split", "val")


def edit_run(source: Path, target: Path, **changes: object) -> Path:
    """Copy a run folder with other values in its `run.json`."""
    shutil.copytree(source, target)
    document = json.loads((target / "run.json").read_text())
    (target / "run.json").write_text(json.dumps(document | changes))
    return target


def test_unfinished_and_missing_runs_are_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidRun) as caught:
        load_run(tmp_path, "cpu")
    assert caught.value.file == str(tmp_path / "run.json")
    unfinished = edit_run(
        run, tmp_path / "copy", step=60, optimizer={"path": "state-00000060.safetensors", "sha256": ""}
    )
    with pytest.raises(InvalidRun) as caught:
        load_run(unfinished, "cpu")
    assert (caught.value.file, caught.value.key, caught.value.value) == (str(unfinished), "step", 60)


def test_images_of_sensors_without_training_are_left_out(
    toy_corpus: Corpus, tmp_path: Path, profile: ModelProfile
) -> None:
    train(toy_corpus, TrainingConfig(profile, tmp_path / "run", sensors=("s2",), device="cpu"))
    loaded = load_run(tmp_path / "run", "cpu")
    report = evaluate_run(toy_corpus, loaded, split="test")
    assert report.sensors == {"s2": report.overall} and report.overall.documents == 12
    assert report.classification.keys() == {"s2"} and len(report.notes) == 1
    labels = toy_corpus.select(sensor="s2", split="test").table["labels"].to_pylist()
    assert report.classes["trees"]["overall"].relevant == sum("trees" in own for own in labels)
    with pytest.raises(InsufficientData) as caught:
        embed_split(loaded, toy_corpus, "test")
    assert (caught.value.key, caught.value.value) == ("sensors", "s1")


def test_runs_of_another_corpus_are_refused(run: Path, tmp_path: Path) -> None:
    other_corpus = open_toy(tmp_path / "other", sensors=("s2",))
    with pytest.raises(RunMismatch) as caught:
        evaluate_run(other_corpus, load_run(run, "cpu"), split="test")
    assert (caught.value.file, caught.value.key) == (str(run), "content_digest")


def test_a_model_without_a_run_is_evaluated_with_a_note(toy_corpus: Corpus, run: Path, tmp_path: Path) -> None:
    loaded = load_run(run, "cpu")
    loaded.encoder.save_pretrained(tmp_path / "model")
    report = evaluate_run(toy_corpus, load_run(tmp_path / "model", "cpu"), split="test")
    expected = evaluate_run(toy_corpus, loaded, split="test")
    assert replace(report, notes=()) == expected and len(report.notes) == 1 and not expected.notes


def test_queries_in_other_languages_have_the_vectors_of_the_class_names(toy_corpus: Corpus, run: Path) -> None:
    encoder, taxonomy = load_run(run, "cpu").encoder, toy_corpus.manifest.taxonomy
    queries = ["Forêt", "zonas construidas. agua", "cropland"]
    expected = encoder.encode_texts(["trees", "built. water", "crops"])
    assert (encoder.encode_queries(queries, taxonomy) == expected).all()
    assert not np.allclose(encoder.encode_texts(queries), expected)


def test_a_run_folder_with_a_space_writes_a_readable_trec_run(toy_corpus: Corpus, run: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "my run"))
    report = evaluate_run(toy_corpus, load_run(copy, "cpu"), split="test", trec_file=tmp_path / "x.run")
    assert evaluate_trec(toy_corpus, tmp_path / "x.run", split="test") == replace(report, classification={})
