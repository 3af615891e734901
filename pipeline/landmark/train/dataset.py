"""Samples of a corpus as a trainer wants them: pixels decoded once into a file, label sets and captions beside them.

A small feed for corpora that fit a disk twice; batches are chosen by `train/schedule.py`.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from landmark.config.profiles import Sensor, load_sensor
from landmark.core.atomic import atomic_path
from landmark.core.errors import InputError, InsufficientData
from landmark.core.hashing import digest
from landmark.corpus.reader import Corpus, Sample
from landmark.train.profile import ImageTower, Model, Stat

# Rows decoded, scaled or embedded at a time.
BLOCK = 64

# Told (stage, done, of, remark).
Progress = Callable[[str, int, int, str], None]

Stored = NDArray[np.uint16] | NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Texts:
    """What is said of the samples of one sensor and split, a place each.

    Attributes:
        ids: Sample ids.
        labels: Label sets.
        captions: One text each.
    """

    ids: tuple[str, ...]
    labels: tuple[frozenset[str], ...]
    captions: tuple[str, ...]


def read_texts(selection: Corpus, style: str, lang: str) -> Texts:
    """Ids, label sets and captions of a selection, in its order.

    Raises:
        InsufficientData: samples without a label, or without such a caption.
    """
    table = selection.table
    texts = Texts(
        tuple(table["id"].to_pylist()),
        tuple(frozenset(labels) for labels in table["labels"].to_pylist()),
        tuple(_captions(table["captions"], style, lang)),
    )
    for id, labels, caption in zip(texts.ids, texts.labels, texts.captions, strict=True):
        if not labels or not caption:
            lacks = f"no {style} caption in {lang}" if labels else "no label"
            raise InsufficientData(
                f"{selection.root}: {id} has {lacks}, so nothing can be learnt; build the corpus with `labels`"
                f" and `captions: [{style}]`"
            )
    return texts


def _captions(column: pa.ChunkedArray, style: str, lang: str) -> list[str]:
    """The first caption of a style and language in each row, empty where there is none.

    Evidence and other captions stay in Arrow: as Python objects those of Europe would fill the memory.
    """
    rows = column.combine_chunks()
    flat = pc.list_flatten(rows)
    wanted = pc.and_(pc.equal(pc.struct_field(flat, "style"), style), pc.equal(pc.struct_field(flat, "lang"), lang))
    texts = pc.struct_field(flat, "text").filter(wanted).to_pylist()
    found = dict(zip(reversed(pc.list_parent_indices(rows).filter(wanted).to_pylist()), reversed(texts), strict=True))
    return [found.get(row, "") for row in range(len(rows))]


def check_size(corpus: Corpus, tower: ImageTower) -> None:
    """Refuse a model whose `downsample` does not divide the corpus's images.

    Raises:
        InputError: it does not.
    """
    if corpus.manifest.patch_px % tower.downsample:
        raise InputError(
            f"`image.downsample`: {tower.downsample} does not divide the {corpus.manifest.patch_px} px of"
            f" {corpus.root}'s images"
        )


def pixel_blocks(selection: Corpus, sensor: Sensor, factor: int) -> Iterator[Stored]:
    """Stored pixels (block, band, y, x) of a selection of one sensor, averaged over factor x factor valid pixels."""
    waiting: list[NDArray[np.generic]] = []
    for sample in selection:
        waiting.append(_shrunk(_stored(sample, sensor), sensor, factor))
        if len(waiting) == BLOCK:
            yield np.stack(waiting)
            waiting.clear()
    if waiting:
        yield np.stack(waiting)


def silent(stage: str, done: int, of: int, remark: str) -> None:
    """Progress nobody looks at."""


def decoded(selection: Corpus, model: Model, *, sensor: str, folder: Path, progress: Progress = silent) -> Stored:
    """Memory-mapped pixels (sample, band, y, x), as stored; the file is written whole, unless it stands already."""
    profile, factor = load_sensor(sensor), model.image.downsample
    edge = selection.manifest.patch_px // factor
    shape = (len(selection), len(profile.order), edge, edge)
    path = folder / f"pixels-{digest([selection.manifest.content_digest, selection.ids, factor])[:12]}.npy"
    if not path.exists():
        with atomic_path(path) as partial:
            target = np.lib.format.open_memmap(partial, mode="w+", dtype=np.dtype(profile.dtype), shape=shape)
            # A mapped page that finds the disk full kills the process; asked before, the disk says no.
            with partial.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, partial.stat().st_size)
            row = 0
            for block in pixel_blocks(selection, profile, factor):
                target[row : row + len(block)] = block
                row += len(block)
                progress(f"decode {sensor}", row, len(selection), "")
            target.flush()
    pixels: Stored = np.load(path, mmap_mode="r")
    return pixels


def discard(folder: Path) -> None:
    """Remove decoded pixels."""
    for path in folder.glob("pixels-*.npy"):
        path.unlink()


def measure(pixels: Stored, sensor: Sensor) -> list[Stat]:
    """Mean and deviation of each band over valid pixels; a band without any has mean 0; no deviation is 1."""
    sums = np.zeros((3, pixels.shape[1]))
    for start in range(0, len(pixels), BLOCK):
        stored = pixels[start : start + BLOCK]
        valid = stored != sensor.nodata
        values = np.where(valid, stored, 0).astype(np.float64) * sensor.scale
        sums += [part.sum(axis=(0, 2, 3)) for part in (valid, values, values**2)]
    count = np.maximum(sums[0], 1)
    mean = sums[1] / count
    std = np.sqrt(np.maximum(sums[2] / count - mean**2, 0))
    return [Stat(mean=float(m), std=float(s) if s > 1e-9 else 1.0) for m, s in zip(mean, std, strict=True)]


def inputs(stored: Stored, sensor: Sensor, *, tower: ImageTower, statistics: Sequence[Stat]) -> NDArray[np.float32]:
    """What the image tower sees, (n, channel, y, x) float32.

    Standardised, a pixel without data is 0, its band's mean. Divided, Sentinel-1 takes the mean too, and Sentinel-2
    stays 0, as stored.
    """
    mean, std = (
        np.array([getattr(band, name) for band in statistics], dtype=np.float32)[:, None, None]
        for name in ("mean", "std")
    )
    values = stored.astype(np.float32) * np.float32(sensor.scale)
    if tower.scaling == "standardised" or sensor.name == "s1":
        values = np.where(stored == sensor.nodata, mean, values)
    if tower.scaling == "standardised":
        values = (values - mean) / std
    if tower.bands == "sentinel-2-l1c" and sensor.name == "s2":
        values = np.insert(values, sensor.order.index("B11"), 0, axis=1)
    return values


def channels(sensor: Sensor, tower: ImageTower) -> int:
    """How many channels `inputs` gives."""
    return len(sensor.order) + (tower.bands == "sentinel-2-l1c" and sensor.name == "s2")


def _stored(sample: Sample, sensor: Sensor) -> NDArray[np.generic]:
    """The pixels as the shards hold them: readers hand back Sentinel-1 in dB."""
    if sample.s1 is None:
        assert sample.s2 is not None
        return sample.s2
    number = np.rint(sample.s1 / np.float32(sensor.scale))
    return np.where(np.isnan(number), sensor.nodata, number).astype(sensor.dtype)


def _shrunk(stored: NDArray[np.generic], sensor: Sensor, factor: int) -> NDArray[np.generic]:
    if factor == 1:
        return stored
    bands, rows, cols = stored.shape
    squares = stored.reshape(bands, rows // factor, factor, cols // factor, factor)
    valid = squares != sensor.nodata
    count = valid.sum(axis=(2, 4))
    total = np.where(valid, squares, 0).sum(axis=(2, 4), dtype=np.int64)
    return np.where(count > 0, np.rint(total / np.maximum(count, 1)), sensor.nodata).astype(stored.dtype)
