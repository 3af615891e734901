"""A run asked the corpus's own queries; rankings that leave as TREC runs and come back."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import pytrec_eval

import landmark
from landmark.core.errors import InputError, InvalidCorpus, InvalidRun, RunMismatch, InsufficientData
from landmark.corpus.reader import Corpus
from landmark.train.embed import embed_split, embed_texts, open_run
from landmark.train.evaluate import Report, evaluate_run, evaluate_trec, judged_split
from landmark.train.loop import Training, train
from landmark.train.profile import load_model
from tests.train.toy import model_file, opened

# Where the ranking lies; query → document → score; query → document → grade.
Ranked = tuple[Path, Report, dict[str, dict[str, float]], dict[str, dict[str, int]]]


@pytest.fixture(scope="module")
def run(toy_corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy model, trained long enough to know its colours."""
    folder = tmp_path_factory.mktemp("run")
    model = load_model(str(model_file(folder, budget={"epochs": 40})))
    train(toy_corpus, Training(model, folder / "run", device="cpu"))
    return folder / "run"


def test_a_run_that_learnt_retrieves_well_above_chance_from_both_sensors(toy_corpus: Corpus, run: Path) -> None:
    report = evaluate_run(toy_corpus, run, split="test", k=5, device="cpu")
    assert {"s1", "s2"} == report.sensors.keys() and set(report.classes) == {"trees", "water", "built", "crops"}
    for figures in (report.overall, *report.sensors.values()):
        assert figures.map is not None and figures.above_chance > 0.2
    assert report.overall.documents == 24 and report.sensors["s1"].documents == 12


@pytest.fixture
def ranked(toy_corpus: Corpus, run: Path, tmp_path: Path) -> Ranked:
    """The run's figures, its ranking as trec_eval reads it, and the judgements."""
    path = tmp_path / "ranking.txt"
    report = evaluate_run(toy_corpus, run, split="test", k=5, device="cpu", trec_file=path)
    with path.open() as file, (toy_corpus.root / "qrels" / "test.txt").open() as judged:
        return path, report, pytrec_eval.parse_run(file), pytrec_eval.parse_qrel(judged)


def test_figures_are_trec_evals_of_the_ranking_that_was_written(ranked: Ranked, toy_corpus: Corpus) -> None:
    path, report, ranking, judged = ranked
    evaluator = pytrec_eval.RelevanceEvaluator(judged, {"map", "Rprec", "ndcg_cut", "recip_rank", "success"})
    theirs = evaluator.evaluate(ranking)
    assert report.overall.queries == len(theirs) == len(judged)
    names = {"map": "map", "r_precision": "Rprec", "ndcg": "ndcg_cut_5", "mrr": "recip_rank", "hit": "success_5"}
    for ours, official in names.items():
        expected = np.mean([one[official] for one in theirs.values()])
        assert getattr(report.overall, ours) == pytest.approx(expected, abs=1e-9)
    assert evaluate_trec(toy_corpus, path, split="test", k=5) == report


def test_a_sensors_figures_are_those_of_its_documents_alone(ranked: Ranked) -> None:
    _, report, ranking, judged = ranked
    for sensor in ("s1", "s2"):
        mine = [
            {q: {d: g for d, g in docs.items() if d[:2] == sensor} for q, docs in of.items()}
            for of in (judged, ranking)
        ]
        asked = {query: docs for query, docs in mine[0].items() if docs}
        theirs = pytrec_eval.RelevanceEvaluator(asked, {"map"}).evaluate(mine[1])
        assert report.sensors[sensor].map == pytest.approx(np.mean([one["map"] for one in theirs.values()]), abs=1e-9)
        assert report.sensors[sensor].queries == len(asked)


def test_vectors_do_not_depend_on_how_many_are_embedded_at_once(
    toy_corpus: Corpus, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = open_run(run, "cpu")
    images, texts = embed_split(whole, toy_corpus, "test"), embed_texts(whole, ["trees", "water. built", "crops"])
    monkeypatch.setattr("landmark.train.dataset.BLOCK", 2)
    assert np.allclose(embed_split(whole, toy_corpus, "test"), images, atol=1e-5)
    assert np.allclose(embed_texts(whole, ["trees", "water. built", "crops"]), texts, atol=1e-5)


def test_a_perfect_and_a_worst_ranking(toy_corpus: Corpus, tmp_path: Path) -> None:
    judged, path = judged_split(toy_corpus, "test"), tmp_path / "run.txt"
    for sign, expected in ((1, 1.0), (-1, None)):
        path.write_text(
            "".join(
                f"{query.id} Q0 {id} 1 {sign * grade} x\n"
                for query, row in zip(judged.queries, judged.grades, strict=True)
                for id, grade in zip(judged.ids, row.tolist(), strict=True)
            )
        )
        report = evaluate_trec(toy_corpus, path, split="test", k=5)
        if expected:
            told = report.overall
            assert told.map == told.r_precision == told.mrr == told.hit == pytest.approx(1)
            assert told.ndcg == pytest.approx(1)
        else:
            assert report.overall.above_chance < 0


def test_a_query_the_ranking_does_not_answer_counts_as_failed(toy_corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("")
    report = evaluate_trec(toy_corpus, tmp_path / "empty.txt", split="test", k=5)
    assert report.overall.map == 0 and report.overall.queries > 0


# -- what cannot be judged ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("trees Q0 s1_test_000 1", "line 2: want `query Q0 document rank score tag`"),
        ("trees Q0 s1_test_000 1 high x", "line 2: want"),
        ("volcano Q0 s1_test_000 1 0.5 x", "line 2: the corpus has no query 'volcano'"),
        ("trees Q0 s1_train_000 1 0.5 x", "line 2: the split has no sample 's1_train_000'; --split"),
        ("trees Q0 s1_test_001 2 0.5 x", "'s1_test_001' stands twice for query 'trees'"),
        ("trees Q0 s1_test_000 2 nan x", "line 2: 's1_test_000' has no score"),
    ],
)
def test_a_wrong_line_of_a_trec_run_is_refused(toy_corpus: Corpus, tmp_path: Path, line: str, words: str) -> None:
    (tmp_path / "run.txt").write_text(f"trees Q0 s1_test_001 1 0.5 x\n{line}\n")
    with pytest.raises(InputError, match=words):
        evaluate_trec(toy_corpus, tmp_path / "run.txt", split="test", k=5)


def test_a_trec_run_that_is_gone_is_refused(toy_corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        evaluate_trec(toy_corpus, tmp_path / "gone.txt", split="test", k=5)


def test_a_corpus_without_queries_is_refused(tmp_path: Path) -> None:
    corpus = opened(tmp_path / "c", counts={"test": 3}, labels=[])
    with pytest.raises(InsufficientData, match=r"lists no queries.*`labels`"):
        judged_split(corpus, "test")


@pytest.mark.parametrize("name", ["queries.jsonl", "qrels/test.txt"])
@pytest.mark.parametrize("content", [None, "nonsense\n"])
def test_missing_or_damaged_files_of_queries_are_refused(
    toy_corpus: Corpus, tmp_path: Path, name: str, content: str | None
) -> None:
    copy = shutil.copytree(toy_corpus.root, tmp_path / "copy")
    (copy / name).unlink() if content is None else (copy / name).write_text(content)
    with pytest.raises(InvalidCorpus, match=Path(name).name):
        judged_split(landmark.open(copy), "test")


def test_a_split_that_is_unknown_or_empty_is_refused(toy_corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--split dev: give train, val, test"):
        judged_split(toy_corpus, "dev")
    with pytest.raises(InsufficientData, match="no sample in its val split"):
        judged_split(opened(tmp_path / "c", counts={"train": 4}), "val")


def test_an_unfinished_or_missing_run_is_refused(toy_corpus: Corpus, run: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidRun, match="landmark train"):
        open_run(tmp_path, "cpu")
    copy = shutil.copytree(run, tmp_path / "copy")
    text = (copy / "run.json").read_text()
    (copy / "run.json").write_text(text.replace('"step": 120,\n "steps"', '"step": 60,\n "steps"'))
    with pytest.raises(InvalidRun, match="stands at step 60 of 120"):
        open_run(copy, "cpu")


def test_a_sensor_the_run_never_saw_is_refused(toy_corpus: Corpus, tmp_path: Path, model_path: Path) -> None:
    lone = opened(tmp_path / "lone", sensors=("s2",))
    train(lone, Training(load_model(str(model_path)), tmp_path / "run", device="cpu"))
    assert evaluate_run(lone, tmp_path / "run", split="test", k=5, device="cpu").sensors.keys() == {"s2"}
    with pytest.raises(InsufficientData, match="has s1 images, and the run learnt s2 only"):
        embed_split(open_run(tmp_path / "run", "cpu"), toy_corpus, "test")


def test_a_run_of_another_corpus_is_refused_for_what_it_may_know_by_heart(run: Path, tmp_path: Path) -> None:
    other = opened(tmp_path / "other", sensors=("s2",))
    with pytest.raises(RunMismatch, match="was trained on another corpus"):
        evaluate_run(other, run, split="test", k=5, device="cpu")


@pytest.mark.parametrize("name", ["queries.jsonl", "qrels/test.txt"])
@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"cut 0 short"], ids=["empty", "no-utf8", "other"])
def test_queries_and_judgements_that_are_not_the_sealed_ones_are_refused(
    toy_corpus: Corpus, tmp_path: Path, name: str, data: bytes
) -> None:
    root = Path(shutil.copytree(toy_corpus.root, tmp_path / "copy"))
    (root / name).write_bytes(data)
    with pytest.raises(InvalidCorpus, match=f"{name} is not the file that was sealed"):
        judged_split(landmark.open(root), "test")
    (root / name).unlink()
    with pytest.raises(InvalidCorpus, match=f"{name} is missing"):
        judged_split(landmark.open(root), "test")


def test_the_run_of_a_control_is_refused(toy_corpus: Corpus, run: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "run"))
    text = (copy / "run.json").read_text()
    (copy / "run.json").write_text(text.replace('"arm": "real"', '"arm": "shuffled"'))
    with pytest.raises(RunMismatch, match="learnt shuffled words, as a control"):
        evaluate_run(toy_corpus, copy, split="test", k=5, device="cpu")


def test_a_run_folder_with_a_space_writes_rankings_that_can_be_read_back(
    toy_corpus: Corpus, run: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "my run"))
    report = evaluate_run(toy_corpus, copy, split="test", k=5, device="cpu", trec_file=tmp_path / "x.run")
    assert evaluate_trec(toy_corpus, tmp_path / "x.run", split="test", k=5) == report
