"""The measurements of `bench.gpu`, each a part of its result."""

import copy
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean, median
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

import landmark
from bench.gpu_correctness import measure_correctness
from bench.gpu_steps import Stepper, enlarged, first_images, images_of, model_of, rate, repeated
from bench.training_embed import measure_embedding
from bench.training_plain import train_plainly
from landmark.corpus.reader import Corpus
from landmark.train.batches import Batch
from landmark.train.closp import Closp
from landmark.train.loop import TrainingConfig, train
from landmark.train.prefetch import CUDA_AHEAD
from landmark.train.profile import ModelProfile
from landmark.train.retrieval.embed import load_run
from landmark.train.retrieval.evaluate import evaluate_run

Part = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Setup:
    """What all parts share.

    Attributes:
        corpus: Folder of a sealed corpus with both sensors.
        device: Device of the models.
        text: Folder of a pretrained text tower; None for one from scratch, of MiniLM's size.
        batch: Images of each sensor in a step.
        steps: Measured steps; a fourth of them before, to warm up.
        rounds: Of two arms that alternate.
        matrix: Edge of the matrices whose product gives the ceiling.
        training_steps: Of the part that trains.
        correctness: Images of each sensor that are compared with float64, at most; of ViT-L a fourth, as its
            activations in float64 would not fit.
    """

    corpus: Path
    device: torch.device
    text: Path | None
    batch: int = 64
    steps: int = 40
    rounds: int = 5
    matrix: int = 8192
    training_steps: int = 400
    correctness: int = 64

    def open(self) -> Corpus:
        """Open the corpus."""
        return landmark.open(self.corpus)

    @property
    def warmup(self) -> int:
        """Steps before those that are measured, and of a round."""
        return max(1, self.steps // 4)

    def model(self, architecture: str, name: str = "closp", **budget: Any) -> ModelProfile:
        """A profile with these image towers."""
        return model_of(name, architecture, self.text, **{"batch": self.batch, **budget})


def describe(setup: Setup) -> Part:
    """The device, and what of the corpus and the text tower figures depend on."""
    corpus, is_cuda = setup.open(), setup.device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name() if is_cuda else "CPU",
        "torch": torch.__version__,
        "text": "from scratch" if setup.text is None else "pretrained",
        "corpus": {"name": corpus.manifest.name, "samples": len(corpus), "image_px": corpus.manifest.patch_px},
    }


def measure_ceiling(setup: Setup) -> Part:
    """TFLOP/s of a product of bfloat16 matrices, the best of several."""
    edge = setup.matrix
    first, second = (torch.randn(edge, edge, device=setup.device, dtype=torch.bfloat16) for _ in range(2))
    seconds = [_time(setup.device, lambda: first @ second) for _ in range(setup.steps)]
    return {"edge": edge, "tflop_per_s": 2 * edge**3 / min(seconds) / 1e12}


def _time(device: torch.device, run: Callable[[], object]) -> float:
    """Seconds of a run, by events of the device, or by the clock of a CPU."""
    if device.type != "cuda":
        start = time.perf_counter()
        run()
        return time.perf_counter() - start
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    run()
    end.record()
    end.synchronize()
    return float(begin.elapsed_time(end)) / 1000


def measure_training(setup: Setup, architecture: str) -> Part:
    """Correctness, and steps with batches of the corpus and with one batch."""
    profile, corpus = setup.model(architecture), setup.open()
    n_images = setup.correctness // 4 if architecture == "vit_large_patch16_224" else setup.correctness
    with Stepper.open(corpus, profile, setup.device) as stepper:
        net = stepper.trainer._net
        correctness = measure_correctness(net, first_images(stepper.first, n_images), profile.objective)
        torch._dynamo.reset()
        _reset_peak(setup.device)
        stepper.run(setup.warmup)
        fed = stepper.run(setup.steps)
        part: Part = {
            "batch": images_of(stepper.first),
            "image_px": corpus.manifest.patch_px,
            "correctness": correctness,
            "images_per_s": rate(stepper.first, fed),
            "waiting": sum(fed["wait_s"]) / sum(fed["step_s"]),
            "peak_gb": _peak_gb(setup.device),
            "tflop": count_flops(net, stepper.first) / 1e12,
            "step_s": median(fed["step_s"]),
        }
        return part | {"resident": _measure_resident(setup, stepper, stepper.first)}


def measure_large_batch(setup: Setup, architecture: str, times: int) -> Part:
    """Steps of one batch of images of 224 px, `times` as large as others."""
    with Stepper.open(setup.open(), setup.model(architecture), setup.device) as stepper:
        return _measure_resident(setup, stepper, repeated(enlarged(stepper.first), times))


def _measure_resident(setup: Setup, stepper: Stepper, batch: Batch) -> Part:
    """Steps of a batch that is on the device."""
    _reset_peak(setup.device)
    stepper.run(setup.warmup, batch)
    times = stepper.run(setup.steps, batch)
    return {
        "batch": images_of(batch),
        "images_per_s": rate(batch, times),
        "step_s": median(times["step_s"]),
        "peak_gb": _peak_gb(setup.device),
        "tflop": count_flops(stepper.trainer._net, batch) / 1e12,
    }


def count_flops(net: Closp, batch: Batch) -> int:
    """Floating-point operations of the matrix products and convolutions of a forward and backward pass.

    Counted once, of the plain net without data: attention is counted as matrix products, and nothing is recomputed.
    """
    with torch.device("meta"):
        empty = copy.deepcopy(net).to("meta")
        images = batch.map(lambda tensor: tensor.to("meta"))
        with FlopCounterMode(display=False) as counter:
            embeddings = empty(images.inputs, images.token_ids, images.attention_mask)
            torch.stack([own.images.sum() + own.texts.sum() for own in embeddings.values()]).sum().backward()
    return int(counter.get_total_flops())


def _reset_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()


def _peak_gb(device: torch.device) -> float | None:
    """Peak of the memory that tensors had on a CUDA device."""
    return torch.cuda.max_memory_allocated() / 1e9 if device.type == "cuda" else None


class _RoundsDone(Exception):
    """Ends the plain loop."""


def compare_with_plain(setup: Setup, architecture: str) -> Part:
    """Steps of a plain loop in float32 and of landmark, in alternating rounds after one to warm up.

    The plain loop has a text tower from scratch; both have one here.
    """
    profile, corpus, count = replace(setup, text=None).model(architecture, epochs=10_000), setup.open(), setup.warmup
    rounds: list[dict[str, float]] = []
    done, start = 0, 0.0
    with Stepper.open(corpus, profile, setup.device) as stepper, suppress(_RoundsDone):

        def after_step() -> None:
            nonlocal done, start
            done += 1
            if done % count == 0:
                _synchronize(setup.device)
                if start:
                    plain = (time.perf_counter() - start) / count
                    # Batches of the first steps were made ahead, while the plain loop ran.
                    own = stepper.run(count + CUDA_AHEAD)["step_s"][CUDA_AHEAD:]
                    rounds.append({"plain": plain, "landmark": fmean(own)})
                if len(rounds) > setup.rounds:
                    raise _RoundsDone
                start = time.perf_counter()

        train_plainly(corpus, profile, after_step, setup.device.type, fast=False)
    return {"rounds": rounds[1:]}


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def compare_with_geoclosp(setup: Setup, architecture: str) -> Part:
    """Steps of GeoCLOSP and of CLOSP, in alternating rounds after one to warm up."""
    with ExitStack() as stack:
        steppers = {
            name: stack.enter_context(Stepper.open(setup.open(), setup.model(architecture, name), setup.device))
            for name in ("closp", "geoclosp")
        }
        rounds = [
            {name: median(own.run(setup.warmup)["step_s"]) for name, own in steppers.items()}
            for _ in range(setup.rounds + 1)
        ]
    return {"rounds": rounds[1:]}


def measure_embeddings(setup: Setup, architecture: str) -> Part:
    """Seconds to embed images of the test split as `landmark evaluate` does, and of the forward passes alone."""
    profile, repeats = setup.model(architecture), max(1, setup.rounds - 2)
    return measure_embedding(setup.open(), profile, images=512, repeats=repeats, device=setup.device.type)


def train_closp(setup: Setup, architecture: str) -> Part:
    """Train on the corpus, then evaluate the test split."""
    corpus, profile = setup.open(), setup.model(architecture, steps=setup.training_steps)
    with tempfile.TemporaryDirectory(prefix="landmark-gpu-") as folder:
        start = time.perf_counter()
        run = train(corpus, TrainingConfig(profile, Path(folder) / "run", device=setup.device.type))
        trained = time.perf_counter()
        report = evaluate_run(corpus, load_run(Path(folder) / "run", setup.device.type), split="test")
    return {
        "steps": run.step,
        "epochs": len(run.history),
        "train_s": trained - start,
        "evaluate_s": time.perf_counter() - trained,
        "losses": [own.loss for own in run.history],
        "retrieval": {name: asdict(own) for name, own in {"overall": report.overall, **report.sensors}.items()},
    }
