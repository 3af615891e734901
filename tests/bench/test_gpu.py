"""The benchmark of the GPU runs on a CPU with small numbers; what no card measured is owed."""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from bench.gpu_parts import count_flops
from bench.gpu_steps import enlarged, first_images, images_of, model_of, repeated
from bench.gpu_table import MAX_ROUNDINGS, RESULT, ROOT, TITLES, markdown, targets, with_table

from bench import gpu
from landmark.train.batches import Batch
from landmark.train.closp import SensorInputs
from landmark.train.loss import SensorTargets
from landmark.train.net import new_net
from tests.train.toy import build_toy


def run_bench(tmp_path: Path, corpus: Path, *, seconds: float) -> dict[str, Any]:
    arguments = argparse.Namespace(
        corpus=corpus, out=tmp_path / "out", device="cpu", seconds=seconds, text=None, smoke=True
    )
    result = gpu.bench(arguments)
    assert json.loads((tmp_path / "out/gpu.json").read_text()) == json.loads(json.dumps(result))
    return result


@pytest.mark.long
def test_all_parts_run_on_a_cpu(tmp_path: Path) -> None:
    build_toy(tmp_path / "corpus")
    parts = run_bench(tmp_path, tmp_path / "corpus", seconds=time.perf_counter() + 3600)["parts"]
    assert [name for name, part in parts.items() if "missing" in part] == []
    correctness = parts["training tiny"]["correctness"]
    assert correctness["float32"]["gradient"] < 1e-3
    # Of images this small, not a number on some CPUs: see `autocast` of `landmark.train.net`.
    assert not correctness["bfloat16"]["gradient"] <= 1e-3
    assert len(parts["plain tiny"]["rounds"]) == len(parts["geoclosp tiny"]["rounds"]) == 2
    assert parts["closp"]["steps"] == 6 and parts["closp"]["retrieval"].keys() == {"overall", "s1", "s2"}


def test_parts_without_time_are_noted_as_such(tmp_path: Path) -> None:
    build_toy(tmp_path / "corpus")
    parts = run_bench(tmp_path, tmp_path / "corpus", seconds=1)["parts"]
    assert {part["missing"] for part in parts.values()} == {"not measured: out of time"}


def test_a_part_that_takes_too_long_is_stopped() -> None:
    def never_ends() -> dict[str, Any]:
        try:
            while True:
                time.sleep(0.01)
        except Exception:
            return {}

    assert gpu._measure(never_ends, 1.1) == {"missing": "not measured: out of time"}
    assert gpu._measure(lambda: {"value": 1}, 60) == {"value": 1}
    assert "ZeroDivisionError" in gpu._measure(lambda: {"value": 1 / 0}, 60)["missing"]


def batch_of(count: int, edge: int) -> Batch:
    index = torch.zeros(count, dtype=torch.int64)
    inputs = {
        sensor: SensorInputs(torch.rand(count, bands, edge, edge), index) for sensor, bands in (("s1", 2), ("s2", 12))
    }
    targets = {sensor: SensorTargets(torch.ones(count, 3, dtype=torch.bool)) for sensor in inputs}
    return Batch(inputs, targets, torch.zeros(1, 4, dtype=torch.int64), torch.ones(1, 4, dtype=torch.int64))


def test_batches_are_cut_enlarged_and_repeated() -> None:
    batch = batch_of(4, 12)
    larger = repeated(enlarged(first_images(batch, 3)), 2)
    assert images_of(larger) == 12 and larger.inputs["s2"].images.shape == (6, 12, 224, 224)
    assert torch.equal(larger.inputs["s1"].images[:3], larger.inputs["s1"].images[3:])
    assert len(larger.targets["s1"].labels) == 6 and torch.equal(larger.token_ids, batch.token_ids)


@pytest.mark.parametrize(
    ("architecture", "gmac"),
    # As published for 3 bands and 224 px (timm's results): the first layer is counted from 2 and from 12.
    [("resnet50", 4.11), ("vit_small_patch16_224", 4.61)],
)
def test_operations_are_those_published(architecture: str, gmac: float) -> None:
    with torch.device("meta"):
        vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "water"]
        net, _ = new_net(model_of("closp", architecture, None), ["s1", "s2"], vocabulary=vocabulary, text_folder=None)
    single, double = (count_flops(net, batch_of(count, 224)) for count in (1, 2))
    assert (double - single) / 2 == pytest.approx(3 * 2 * gmac * 1e9, rel=0.03)


def result_with(**changes: Any) -> dict[str, Any]:
    """A result in which all targets are just reached."""
    error = {"loss": 0.001, "min_cosine": 0.99, "gradient": 0.1, "worst_gradient": 0.1, "worst_group": "s1_encoder"}
    resident = {"batch": 128, "images_per_s": 1280.0, "step_s": 0.096, "peak_gb": 20.0, "tflop": 36.0}
    training = {**resident, "step_s": 0.1, "waiting": 0.01, "resident": resident}
    rounding = {"bfloat16": error, "rounding": error, "float32": error}
    parts = {
        "ceiling": {"edge": 8192, "tflop_per_s": 800.0},
        **{f"training {name}": {**training, "correctness": rounding} for name in TITLES},
        "plain resnet50": {"rounds": [{"plain": 0.2, "landmark": 0.1}]},
        "geoclosp resnet50": {"rounds": [{"geoclosp": 0.12, "closp": 0.1}]},
    }
    corpus = {"name": "demo", "samples": 2647, "image_px": 120}
    machine = {"device": "card", "torch": "2", "machine": {"cores": 16}, "text": "from scratch", "corpus": corpus}
    return {**machine, "parts": parts | changes}


def verdicts(text: str) -> list[str]:
    lines = [line for line in text.splitlines() if line.startswith("|")][2 : 2 + len(targets())]
    return [line.split("|")[-2].strip() for line in lines]


@pytest.mark.parametrize(
    ("changes", "missed"),
    [
        ({}, 0),
        ({"ceiling": {"tflop_per_s": 801.0}}, 1),
        ({"plain resnet50": {"rounds": [{"plain": 0.19, "landmark": 0.1}]}}, 1),
    ],
)
def test_targets(changes: dict[str, Any], missed: int) -> None:
    shown = verdicts(markdown(result_with(**changes)))
    assert (shown.count("missed"), shown.count("report"), len(shown)) == (missed, 1, 9)


def test_the_share_of_data_and_the_errors_count_by_the_worst() -> None:
    training = result_with()["parts"]["training resnet50"]
    worse = {**training["correctness"]["bfloat16"], "min_cosine": 1 - (MAX_ROUNDINGS + 0.1) ** 2 * 0.01}
    for changed in (
        {**training, "waiting": 0.06},
        {**training, "resident": {**training["resident"], "step_s": 0.094}},
        {**training, "correctness": {**training["correctness"], "bfloat16": worse}},
    ):
        assert verdicts(markdown(result_with(**{"training resnet50": changed}))).count("missed") == 1


def test_what_was_not_measured_is_owed() -> None:
    note = {"missing": "not measured: out of time"}
    text = markdown(result_with(**{"plain resnet50": note}))
    assert verdicts(text).count("owed") == 1 and text.endswith("- plain resnet50: not measured: out of time")


def test_the_docs_show_the_committed_result() -> None:
    page, result = (ROOT / "docs/bench.md").read_text(encoding="utf-8"), json.loads(RESULT.read_text(encoding="utf-8"))
    assert page == with_table(page, result)
    assert result["device"] != "CPU" and not result["smoke"]
