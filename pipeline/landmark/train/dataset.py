"""Annotations and pixels of a corpus for training."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from torch import Tensor

from landmark.config.profiles import Sensor
from landmark.core.errors import InputError, InsufficientData
from landmark.core.process_share import available_cores
from landmark.corpus.reader import Corpus
from landmark.train.profile import BandStatistics, ImageTower, ModelProfile

# Added to reflectance before its logarithm: dark water has about as much.
MIN_REFLECTANCE = 0.01
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


def input_size(corpus: Corpus, tower: ImageTower) -> int:
    """Edge of a model's images in pixels."""
    return corpus.manifest.patch_px // tower.downsample


def pixel_blocks(selection: Corpus, tower: ImageTower, *, block: int = BLOCK) -> Iterator[StoredPixels]:
    """Yield stored pixels (block, band, y, x) of a selection of one sensor, in its order, downsampled."""
    size = input_size(selection, tower)
    loader = selection.loader(batch=block, shuffle=False, size=size, cache_bytes=0, threads=loader_threads())
    for batch in loader:
        for pixels in batch.pixels.values():
            yield pixels.stored


def loader_threads() -> int:
    """Threads of the loader: a quarter of the cores, as PyTorch uses all of them, and no more than feed it."""
    return min(4, max(1, available_cores() // 4))


def band_statistics(blocks: Iterable[StoredPixels], sensor: Sensor) -> list[BandStatistics]:
    """Mean and deviation of each band over valid pixels; mean 0 without valid pixels, deviation 1 where it is 0."""
    sums = [[0, 0, 0] for _ in sensor.order]
    for stored in blocks:
        for band, own in zip(stored.swapaxes(0, 1), sums, strict=True):
            missing = band == sensor.nodata
            values = band.astype(np.float64)
            values[missing] = 0
            # Sums of integers below 2 ** 53 are exact in float64, in any order.
            parts = values.size - np.count_nonzero(missing), values.sum(), np.vdot(values, values)
            own[:] = [total + int(part) for total, part in zip(own, parts, strict=True)]
    return [_mean_and_deviation(count, total, squares, sensor.scale) for count, total, squares in sums]


def _mean_and_deviation(count: int, total: int, squares: int, scale: float) -> BandStatistics:
    mean = total / max(count, 1)
    deviation = scale * math.sqrt(max(squares / max(count, 1) - mean**2, 0))
    return BandStatistics(mean=scale * mean, std=deviation if deviation > 1e-9 else 1.0)


def model_input(
    stored: StoredPixels,
    sensor: Sensor,
    *,
    tower: ImageTower,
    statistics: Sequence[BandStatistics],
    device: torch.device | None = None,
) -> Tensor:
    """Scale stored pixels (n, band, y, x) to the image tower's input, (n, channel, y, x) float32 in channels_last.

    Nodata becomes the band's mean (0 when standardised); with `scaling: divided` Sentinel-2's nodata stays 0. Integers
    go to the device, and are scaled there.
    """
    factor, shift, fill = (part.to(device) for part in _scaling(sensor, tower, statistics))
    integers = torch.from_numpy(np.require(stored, requirements=["C", "W"])).to(device)
    images = integers.to(torch.float32, memory_format=torch.channels_last)
    # On a CPU integers are compared first, as floats take three times as long and few images lack pixels.
    has_missing = images.is_cuda or (stored == sensor.nodata).any()
    missing = images == sensor.nodata if has_missing else None
    if tower.scaling == "logarithmic" and sensor.name == "s2":
        images.mul_(sensor.scale).add_(MIN_REFLECTANCE).log_()
    torch.addcmul(shift, images, factor, out=images)
    if missing is not None:
        images = torch.where(missing, fill, images)
    if count_channels(sensor, tower) > len(sensor.order):
        before = sensor.order.index("B11")
        parts = images[:, :before], torch.zeros_like(images[:, :1]), images[:, before:]
        images = torch.cat(parts, dim=1).contiguous(memory_format=torch.channels_last)
    return images


def _scaling(sensor: Sensor, tower: ImageTower, statistics: Sequence[BandStatistics]) -> tuple[Tensor, Tensor, Tensor]:
    """Factor and shift of stored values, and the value of nodata, each (band, 1, 1) float32."""
    mean, std = (np.array([getattr(band, name) for band in statistics]) for name in ("mean", "std"))
    zero, scale = np.zeros_like(mean), np.full_like(mean, sensor.scale)
    if tower.scaling == "logarithmic" and sensor.name == "s2":
        slope, level = (mean + MIN_REFLECTANCE) / std, np.log(mean + MIN_REFLECTANCE)
        parts = slope, -slope * level, zero
    elif tower.scaling != "divided":
        parts = scale / std, -mean / std, zero
    else:
        parts = scale, zero, mean if sensor.name == "s1" else zero
    factor, shift, fill = (torch.from_numpy(part.astype(np.float32))[:, None, None] for part in parts)
    return factor, shift, fill


def count_channels(sensor: Sensor, tower: ImageTower) -> int:
    """Number of channels of `model_input`."""
    return len(sensor.order) + (tower.bands == "sentinel-2-l1c" and sensor.name == "s2")
