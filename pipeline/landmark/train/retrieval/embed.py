"""Embed images and texts with a finished run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from landmark.core.errors import InsufficientData, InvalidRun
from landmark.core.progress import Progress, silent
from landmark.corpus.reader import Corpus
from landmark.train.checkpoint import Run, read_run
from landmark.train.dataset import BLOCK, check_downsample, pixel_blocks
from landmark.train.encoder import Encoder


@dataclass(frozen=True, slots=True)
class LoadedRun:
    """A finished run with its folder and its model."""

    folder: Path
    run: Run
    encoder: Encoder


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
    return LoadedRun(folder, run, Encoder.from_pretrained(folder, device, weights=run.weights))


def embed_split(
    loaded: LoadedRun, corpus: Corpus, split: str, *, progress: Progress = silent, block: int = BLOCK
) -> NDArray[np.float32]:
    """Unit vectors (sample, d) of a split, in the corpus's order, computed `block` samples at a time.

    Raises:
        InsufficientData: the split has a sensor that the run was not trained on.
        InputError: `image.downsample` does not divide the image size.
    """
    profile = loaded.encoder.profile
    check_downsample(corpus, profile.image)
    selection = corpus.select(split=split)
    sensors = np.array(selection.columns("sensor")["sensor"].to_pylist())
    vectors = np.zeros((len(sensors), profile.dimensions), dtype=np.float32)
    for sensor in np.unique(sensors).tolist():
        if sensor not in loaded.encoder.sensors:
            problem = f"the run was not trained on this sensor, but on {', '.join(loaded.encoder.sensors)}"
            raise InsufficientData(problem, file=corpus.root, key="sensors", value=sensor)
        rows, done = np.flatnonzero(sensors == sensor), 0
        for pixels in pixel_blocks(selection.select(sensor=sensor), profile.image, block=block):
            vectors[rows[done : done + len(pixels)]] = loaded.encoder.encode_downsampled(sensor, pixels)
            done += len(pixels)
            progress(f"embed {sensor}", done, len(rows))
    return vectors


def embed_texts(loaded: LoadedRun, texts: Sequence[str]) -> NDArray[np.float32]:
    """Unit vectors (text, d)."""
    return loaded.encoder.encode_texts(texts)
