"""Annotations and pixels of a corpus for training."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from landmark.config.profiles import Sensor
from landmark.core.errors import InputError, InsufficientData
from landmark.corpus.reader import Corpus
from landmark.train.profile import BandStatistics, ImageTower, ModelProfile

# Samples read, scaled or embedded at a time.
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
    table = selection.columns("id", "labels", "captions")
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


def read_split_annotations(
    corpus: Corpus, profile: ModelProfile, split: str = "train", sensors: Sequence[str] | None = None
) -> dict[str, Annotations]:
    """Annotations of a split by sensor, of all sensors or of some; those without samples are left out.

    Raises:
        InsufficientData: the split is empty, or samples have no label or no caption.
    """
    names = corpus.manifest.sensors if sensors is None else sensors
    selections = {sensor: corpus.select(split=split, sensor=sensor) for sensor in names}
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


def input_size(corpus: Corpus, tower: ImageTower) -> int | None:
    """Edge of a model's images in pixels; None for that of the corpus."""
    return corpus.manifest.patch_px // tower.downsample if tower.downsample > 1 else None


def pixel_blocks(selection: Corpus, tower: ImageTower, *, block: int = BLOCK) -> Iterator[StoredPixels]:
    """Yield stored pixels (block, band, y, x) of a selection of one sensor, in its order, downsampled."""
    for batch in selection.loader(batch=block, shuffle=False, size=input_size(selection, tower), cache_bytes=0):
        for pixels in batch.pixels.values():
            yield pixels.stored


def band_statistics(blocks: Iterable[StoredPixels], sensor: Sensor) -> list[BandStatistics]:
    """Mean and deviation of each band over valid pixels; mean 0 without valid pixels, deviation 1 where it is 0."""
    sums = np.zeros((3, len(sensor.order)))
    for stored in blocks:
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
