"""Embed the images of a split with a finished run, or with a model that was saved elsewhere."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from landmark.core.errors import InsufficientData, InvalidRun
from landmark.core.progress import Progress, silent
from landmark.corpus.reader import Corpus
from landmark.train.checkpoint import Run, read_run
from landmark.train.dataset import BLOCK, check_downsample, pixel_blocks
from landmark.train.encoder import Encoder, is_pretrained


@dataclass(frozen=True, slots=True)
class LoadedRun:
    """A model with its folder, and the run that trained it; None for a model that was saved without one."""

    folder: Path
    run: Run | None
    encoder: Encoder


def load_run(folder: Path, device: str = "auto") -> LoadedRun:
    """Load the model of a finished run, or of a folder of `save_pretrained`.

    Raises:
        InvalidRun: neither, unfinished, or damaged.
    """
    if is_pretrained(folder):
        return LoadedRun(folder, None, Encoder.from_pretrained(folder, device))
    run = read_run(folder)
    if not run.finished:
        problem = "the training is unfinished"
        remedy = "resume it with the same `landmark train` command"
        raise InvalidRun(problem, file=folder, key="step", value=run.step, remedy=remedy)
    return LoadedRun(folder, run, Encoder.from_pretrained(folder, device, run=run))


def embed_split(
    loaded: LoadedRun, corpus: Corpus, split: str, *, progress: Progress = silent, block: int = BLOCK
) -> NDArray[np.float32]:
    """Unit vectors (sample, d) of a split, in the corpus's order, computed `block` samples at a time.

    Raises:
        InsufficientData: the split has a sensor that the model was not trained on.
        InputError: `image.downsample` does not divide the image size.
    """
    profile = loaded.encoder.profile
    check_downsample(corpus, profile.image)
    selection = corpus.select(split=split)
    sensors = np.array(selection.columns("sensor")["sensor"].to_pylist())
    vectors = np.zeros((len(sensors), profile.dimensions), dtype=np.float32)
    for sensor in np.unique(sensors).tolist():
        if sensor not in loaded.encoder.sensors:
            problem = f"the model was not trained on this sensor, but on {', '.join(loaded.encoder.sensors)}"
            raise InsufficientData(problem, file=corpus.root, key="sensors", value=sensor)
        rows, done = np.flatnonzero(sensors == sensor), 0
        for pixels in pixel_blocks(selection.select(sensor=sensor), profile.image, block=block):
            vectors[rows[done : done + len(pixels)]] = loaded.encoder.encode_downsampled(sensor, pixels)
            done += len(pixels)
            progress(f"embed {split} {sensor}", done, len(rows))
    return vectors
