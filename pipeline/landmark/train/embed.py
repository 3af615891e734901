"""A trained run at work: images and texts → unit vectors."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from landmark.config.profiles import load_sensor
from landmark.core.errors import InsufficientData, InvalidRun
from landmark.corpus.reader import Corpus
from landmark.train import dataset as feed
from landmark.train.checkpoint import Run, read_run
from landmark.train.closp import Closp
from landmark.train.dataset import Progress, Stored
from landmark.train.net import pick_device, stored_net
from landmark.train.text import Tokenize


@dataclass(frozen=True, slots=True)
class Opened:
    """A finished run, its net in evaluation mode on a device."""

    run: Run
    net: Closp
    tokenize: Tokenize
    device: torch.device


def open_run(folder: Path, device: str = "auto") -> Opened:
    """A finished run of a folder.

    Raises:
        InvalidRun: there is none, it is unfinished, or its files are damaged.
    """
    run = read_run(folder)
    if not run.finished:
        raise InvalidRun(
            f"{folder}: the training stands at step {run.step} of {run.steps}; `landmark train` with the same arguments"
            " ends it"
        )
    where = pick_device(device)
    net, tokenize = stored_net(folder, run)
    return Opened(run, net.to(where).eval(), tokenize, where)


@torch.no_grad()
def embed_split(opened: Opened, corpus: Corpus, split: str, progress: Progress = feed.silent) -> NDArray[np.float32]:
    """Unit vectors (sample, d) of a split, in the corpus's order; pixels pass through a block at a time.

    Raises:
        InsufficientData: the run knows no such sensor.
        InputError: the model cannot average images of this size.
    """
    feed.check_size(corpus, opened.run.identity.model.image)
    selection = corpus.select(split=split)
    of = np.array(selection.table["sensor"].to_pylist())
    vectors = np.zeros((len(of), opened.run.identity.model.dimensions), dtype=np.float32)
    for name in np.unique(of).tolist():
        if name not in opened.run.sensors:
            raise InsufficientData(
                f"{corpus.root} has {name} images, and the run learnt {', '.join(opened.run.sensors)} only"
            )
        mine, done = np.flatnonzero(of == name), 0
        factor = opened.run.identity.model.image.downsample
        for block in feed.pixel_blocks(selection.select(sensor=name), load_sensor(name), factor):
            vectors[mine[done : done + len(block)]] = embed_block(opened, name, block)
            done += len(block)
            progress(f"embed {name}", done, len(mine), "")
    return vectors


@torch.no_grad()
def embed_block(opened: Opened, sensor: str, stored: Stored) -> NDArray[np.float32]:
    """Unit vectors (n, d) of stored pixels (n, band, y, x) of one sensor."""
    model, profile = opened.run.identity.model, load_sensor(sensor)
    pixels = feed.inputs(stored, profile, tower=model.image, statistics=opened.run.statistics[profile.name])
    return _numbers(opened.net.embed_images(sensor, torch.from_numpy(pixels).to(opened.device)))


@torch.no_grad()
def embed_texts(opened: Opened, texts: Sequence[str]) -> NDArray[np.float32]:
    """Unit vectors (text, d)."""
    blocks = [texts[start : start + feed.BLOCK] for start in range(0, len(texts), feed.BLOCK)]
    told = [opened.tokenize(block) for block in blocks]
    return np.concatenate(
        [_numbers(opened.net.embed_texts(ids.to(opened.device), mask.to(opened.device))) for ids, mask in told]
    )


def _numbers(vectors: Tensor) -> NDArray[np.float32]:
    numbers: NDArray[np.float32] = vectors.cpu().numpy()
    return numbers
