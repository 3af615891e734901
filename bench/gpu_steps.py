"""Trainings of `bench.gpu`, step by step: seconds of each step, and of waiting for its batch."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any, Self

import torch
from torch.nn.functional import interpolate

from landmark.corpus.reader import Corpus
from landmark.train.batches import Batch, map_tensors
from landmark.train.distributed import World
from landmark.train.loop import Trainer, TrainingConfig
from landmark.train.prefetch import Prefetched, prefetch
from landmark.train.preparation import new_run, read_inputs
from landmark.train.profile import ModelProfile, TextTower, load_profile
from landmark.train.towers.vit import IMAGE_PX

# Dimensions of all-MiniLM-L6-v2, whose weights are not needed to measure speed.
_TEXT = TextTower(pooling="mean", width=384, layers=6, heads=12, max_tokens=64)


def model_of(name: str, architecture: str, text: Path | None, **budget: Any) -> ModelProfile:
    """A profile with other image towers, and a text tower from a folder or, of MiniLM's size, from scratch."""
    profile = load_profile(name)
    return profile.model_copy(
        update={
            "image": profile.image.model_copy(update={"architecture": architecture}),
            "text": _TEXT if text is None else profile.text.model_copy(update={"weights": str(text)}),
            "budget": profile.budget.model_copy(update=budget),
        }
    )


class Stepper:
    """Steps of a `Trainer`. Each ends when the trainer has read the loss from the device, and so needs no other wait.

    Attributes:
        trainer: The training, whose checkpoints are in a temporary folder.
        first: The first batch, on the device.
    """

    def __init__(self, trainer: Trainer, batches: Iterator[Prefetched]) -> None:
        """Start at the first step."""
        self.trainer, self._batches, self._number = trainer, batches, 0
        self.first = next(batches).batch
        trainer._start_epoch(0)

    @classmethod
    @contextmanager
    def open(cls, corpus: Corpus, profile: ModelProfile, device: torch.device) -> Iterator[Self]:
        """Prepare a training as `landmark train` does; its memory is free and its graphs forgotten afterwards."""
        with tempfile.TemporaryDirectory(prefix="landmark-gpu-") as folder, torch.random.fork_rng():
            config = TrainingConfig(profile, Path(folder), device=device.type)
            inputs = read_inputs(corpus, profile, seed=0, sensors=None)
            run = new_run(corpus, config.out, inputs, config.progress)
            trainer = Trainer(corpus, config, inputs, run, World())
            with closing(prefetch(trainer._batches)) as batches:
                yield cls(trainer, batches)
        torch._dynamo.reset()
        if device.type == "cuda":
            torch.cuda.empty_cache()

    def run(self, count: int, batch: Batch | None = None) -> dict[str, list[float]]:
        """Do some steps, each with a new batch or all with one; return seconds of each step and of its wait."""
        times: dict[str, list[float]] = {"step_s": [], "wait_s": []}
        for _ in range(count):
            start = time.perf_counter()
            own = next(self._batches).batch if batch is None else batch
            waited = time.perf_counter() - start
            self.trainer._step(self._number % self.trainer._n_steps, [own])
            self._number += 1
            times["step_s"].append(time.perf_counter() - start)
            times["wait_s"].append(waited)
        return times


def first_images(batch: Batch, count: int) -> Batch:
    """The first images of each sensor, with all texts."""
    return replace(
        batch,
        inputs={name: map_tensors(own, lambda tensor: tensor[:count]) for name, own in batch.inputs.items()},
        targets={name: map_tensors(own, lambda tensor: tensor[:count]) for name, own in batch.targets.items()},
    )


def enlarged(batch: Batch) -> Batch:
    """The same batch, its images of 224 px."""
    inputs = {
        sensor: replace(own, images=interpolate(own.images, size=(IMAGE_PX, IMAGE_PX), mode="bilinear"))
        for sensor, own in batch.inputs.items()
    }
    return replace(batch, inputs=inputs)


def repeated(batch: Batch, times: int) -> Batch:
    """A larger batch, of the same images several times."""

    def repeat(tensor: torch.Tensor) -> torch.Tensor:
        return torch.cat([tensor] * times)

    larger = batch.map(repeat)
    return replace(larger, token_ids=batch.token_ids, attention_mask=batch.attention_mask)


def images_of(batch: Batch) -> int:
    """Number of images of all sensors."""
    return sum(len(own.images) for own in batch.inputs.values())


def rate(batch: Batch, times: dict[str, list[float]]) -> float:
    """Images per second, by the median step."""
    return images_of(batch) / median(times["step_s"])
