"""Pixels and annotations of a corpus for training: pixels are decoded once into a memory-mapped file.

For corpora that fit on disk twice. `train/schedule.py` decides which samples form a batch.
"""

import os
from collections.abc import Iterator, Sequence
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
from landmark.core.progress import Progress, silent
from landmark.corpus.reader import Corpus
from landmark.corpus.sample import Sample
from landmark.corpus.stats import block_mean
from landmark.train.profile import BandStatistics, ImageTower, ModelProfile

# Samples decoded, scaled or embedded at a time.
BLOCK = 64

StoredPixels = NDArray[np.uint16] | NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Annotations:
    """Label sets and captions of the samples of one sensor and split.

    Attributes:
        ids: Sample ids.
        labels: Label set of each sample.
        captions: Caption of each sample.
    """

    ids: tuple[str, ...]
    labels: tuple[frozenset[str], ...]
    captions: tuple[str, ...]


def read_annotations(selection: Corpus, style: str, lang: str) -> Annotations:
    """Read ids, label sets and captions of a selection, in its order.

    Raises:
        InsufficientData: a sample has no label, or no caption of this style and language.
    """
    table = selection.table
    annotations = Annotations(
        tuple(table["id"].to_pylist()),
        tuple(frozenset(labels) for labels in table["labels"].to_pylist()),
        tuple(_first_captions(table["captions"], style, lang)),
    )
    for id, labels, caption in zip(annotations.ids, annotations.labels, annotations.captions, strict=True):
        if not labels or not caption:
            problem = f"has no {style} caption in {lang}" if labels else "has no label"
            raise InsufficientData(
                problem,
                file=selection.root,
                key="captions" if labels else "labels",
                value=id,
                remedy=f"build the corpus with `labels` and `captions: [{style}]`",
            )
    return annotations


def read_split_annotations(corpus: Corpus, profile: ModelProfile, split: str = "train") -> dict[str, Annotations]:
    """Annotations of a split by sensor; sensors without samples are left out.

    Raises:
        InsufficientData: the split is empty, or samples have no label or no caption.
    """
    selections = {sensor: corpus.select(split=split, sensor=sensor) for sensor in corpus.manifest.sensors}
    annotations: dict[str, Annotations] = {
        sensor: read_annotations(selection, profile.style, profile.lang)
        for sensor, selection in selections.items()
        if len(selection)
    }
    if not annotations:
        raise InsufficientData("the split has no sample", file=corpus.root, key="split", value=split)
    return annotations


def _first_captions(column: pa.ChunkedArray, style: str, lang: str) -> list[str]:
    """The first caption of a style and language in each row, empty where there is none.

    Evidence and other captions stay in Arrow: as Python objects they would not fit in memory for a continent.
    """
    rows = column.combine_chunks()
    flat = pc.list_flatten(rows)
    mask = pc.and_(pc.equal(pc.struct_field(flat, "style"), style), pc.equal(pc.struct_field(flat, "lang"), lang))
    texts = pc.struct_field(flat, "text").filter(mask).to_pylist()
    parents = pc.list_parent_indices(rows).filter(mask).to_pylist()
    first = dict(zip(reversed(parents), reversed(texts), strict=True))
    return [first.get(row, "") for row in range(len(rows))]


def check_downsample(corpus: Corpus, tower: ImageTower) -> None:
    """Check that a model's `downsample` divides the image size.

    Raises:
        InputError: it does not.
    """
    if corpus.manifest.patch_px % tower.downsample:
        problem = f"does not divide the image size, {corpus.manifest.patch_px} px"
        raise InputError(problem, file=corpus.root, key="image.downsample", value=tower.downsample)


def pixel_blocks(selection: Corpus, sensor: Sensor, factor: int, *, size: int = BLOCK) -> Iterator[StoredPixels]:
    """Yield stored pixels (block, band, y, x) of a selection of one sensor, downsampled by `factor`."""
    pending: list[NDArray[np.generic]] = []
    for sample in selection:
        pending.append(downsample(_stored_pixels(sample, sensor), sensor, factor))
        if len(pending) == size:
            yield np.stack(pending)
            pending.clear()
    if pending:
        yield np.stack(pending)


def decode_pixels(
    selection: Corpus, profile: ModelProfile, *, sensor: str, folder: Path, progress: Progress = silent
) -> StoredPixels:
    """Memory-mapped stored pixels (sample, band, y, x), downsampled; decoded into `folder` unless the file exists."""
    sensor_profile, factor = load_sensor(sensor), profile.image.downsample
    edge = selection.manifest.patch_px // factor
    shape = (len(selection), len(sensor_profile.order), edge, edge)
    path = folder / f"pixels-{digest([selection.manifest.content_digest, selection.ids, factor])[:12]}.npy"
    if not path.exists():
        with atomic_path(path) as partial:
            target = np.lib.format.open_memmap(partial, mode="w+", dtype=np.dtype(sensor_profile.dtype), shape=shape)
            # Writing to a mapped page on a full disk kills the process; allocating first raises OSError instead.
            with partial.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, partial.stat().st_size)
            row = 0
            for block in pixel_blocks(selection, sensor_profile, factor):
                target[row : row + len(block)] = block
                row += len(block)
                progress(f"decode {sensor}", row, len(selection))
            target.flush()
    pixels: StoredPixels = np.load(path, mmap_mode="r")
    return pixels


def remove_decoded(folder: Path) -> None:
    """Delete the files of `decode_pixels`."""
    for path in folder.glob("pixels-*.npy"):
        path.unlink()


def band_statistics(pixels: StoredPixels, sensor: Sensor) -> list[BandStatistics]:
    """Mean and deviation of each band over valid pixels; mean 0 without valid pixels, deviation 1 where it is 0."""
    sums = np.zeros((3, pixels.shape[1]))
    for start in range(0, len(pixels), BLOCK):
        stored = pixels[start : start + BLOCK]
        valid = stored != sensor.nodata
        values = np.where(valid, stored, 0).astype(np.float64) * sensor.scale
        sums += [part.sum(axis=(0, 2, 3)) for part in (valid, values, values**2)]
    count = np.maximum(sums[0], 1)
    mean = sums[1] / count
    std = np.sqrt(np.maximum(sums[2] / count - mean**2, 0))
    return [BandStatistics(mean=float(m), std=float(s) if s > 1e-9 else 1.0) for m, s in zip(mean, std, strict=True)]


def model_input(
    stored: StoredPixels, sensor: Sensor, *, tower: ImageTower, statistics: Sequence[BandStatistics]
) -> NDArray[np.float32]:
    """Scale stored pixels (n, band, y, x) to the image tower's input, (n, channel, y, x) float32.

    Nodata becomes the band's mean (0 when standardised); with `scaling: divided` Sentinel-2's nodata stays 0.
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


def count_channels(sensor: Sensor, tower: ImageTower) -> int:
    """Number of channels of `model_input`."""
    return len(sensor.order) + (tower.bands == "sentinel-2-l1c" and sensor.name == "s2")


def _stored_pixels(sample: Sample, sensor: Sensor) -> NDArray[np.generic]:
    """Pixels (band, y, x) as stored in the shards: the reader converts Sentinel-1 to dB, which is undone here."""
    if sample.s1 is None:
        assert sample.s2 is not None
        return sample.s2
    steps = np.rint(sample.s1 / np.float32(sensor.scale))
    return np.where(np.isnan(steps), sensor.nodata, steps).astype(sensor.dtype)


def downsample(stored: NDArray[np.generic], sensor: Sensor, factor: int) -> NDArray[np.generic]:
    """Average stored pixels (band, y, x) over the valid pixels of each factor x factor square."""
    if factor == 1:
        return stored
    return block_mean(stored, factor, sensor.nodata)
