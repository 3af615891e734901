"""Embed images and texts with a finished run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from landmark.config.profiles import load_sensor
from landmark.core.errors import InsufficientData, InvalidRun
from landmark.core.progress import Progress, silent
from landmark.corpus.reader import Corpus
from landmark.train.checkpoint import Run, read_run
from landmark.train.closp import Closp
from landmark.train.dataset import BLOCK, StoredPixels, check_downsample, model_input, pixel_blocks
from landmark.train.net import load_net, pick_device
from landmark.train.text import Tokenize


@dataclass(frozen=True, slots=True)
class LoadedRun:
    """A finished run with its folder, and its net in evaluation mode on a device."""

    folder: Path
    run: Run
    net: Closp
    tokenize: Tokenize
    device: torch.device


def load_run(folder: Path, device: str = "auto") -> LoadedRun:
    """Load a finished run.

    Raises:
        InvalidRun: no run, unfinished, or damaged.
    """
    run = read_run(folder)
    if not run.finished:
        problem = "the training is unfinished"
        remedy = "resume it with the same `landmark train` command"
        raise InvalidRun(problem, file=folder, key="step", value=run.step, remedy=remedy)
    torch_device = pick_device(device)
    net, tokenize = load_net(folder, run)
    return LoadedRun(folder, run, net.to(torch_device).eval(), tokenize, torch_device)


@torch.no_grad()
def embed_split(
    loaded: LoadedRun, corpus: Corpus, split: str, *, progress: Progress = silent, block: int = BLOCK
) -> NDArray[np.float32]:
    """Unit vectors (sample, d) of a split, in the corpus's order, computed `block` samples at a time.

    Raises:
        InsufficientData: the split has a sensor that the run was not trained on.
        InputError: `image.downsample` does not divide the image size.
    """
    profile = loaded.run.identity.model
    check_downsample(corpus, profile.image)
    selection = corpus.select(split=split)
    sensors = np.array(selection.columns("sensor")["sensor"].to_pylist())
    vectors = np.zeros((len(sensors), profile.dimensions), dtype=np.float32)
    for sensor in np.unique(sensors).tolist():
        if sensor not in loaded.run.sensors:
            problem = f"the run was not trained on this sensor, but on {', '.join(loaded.run.sensors)}"
            raise InsufficientData(problem, file=corpus.root, key="sensors", value=sensor)
        rows, done = np.flatnonzero(sensors == sensor), 0
        for pixels in pixel_blocks(selection.select(sensor=sensor), profile.image, block=block):
            vectors[rows[done : done + len(pixels)]] = embed_block(loaded, sensor, pixels)
            done += len(pixels)
            progress(f"embed {sensor}", done, len(rows))
    return vectors


@torch.no_grad()
def embed_block(loaded: LoadedRun, sensor: str, stored: StoredPixels) -> NDArray[np.float32]:
    """Unit vectors (n, d) of stored pixels (n, band, y, x) of one sensor."""
    profile = load_sensor(sensor)
    statistics = loaded.run.statistics[profile.name]
    pixels = model_input(stored, profile, tower=loaded.run.identity.model.image, statistics=statistics)
    vectors: NDArray[np.float32] = (
        loaded.net.encode_image(sensor, torch.from_numpy(pixels).to(loaded.device)).cpu().numpy()
    )
    return vectors


@torch.no_grad()
def embed_texts(loaded: LoadedRun, texts: Sequence[str], *, block: int = BLOCK) -> NDArray[np.float32]:
    """Unit vectors (text, d), computed `block` texts at a time."""
    tokens = [loaded.tokenize(texts[start : start + block]) for start in range(0, len(texts), block)]
    return np.concatenate(
        [loaded.net.encode_text(ids.to(loaded.device), mask.to(loaded.device)).cpu().numpy() for ids, mask in tokens]
    )
