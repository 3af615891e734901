"""Batches as PyTorch tensors, and a corpus as PyTorch's datasets. Needs PyTorch 2.6 or newer.

Stored integers go to the device as they were read; coarse bands are repeated and values normalised there.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from landmark.core.errors import InputError
from landmark.corpus.reader import Corpus
from landmark.loader.annotations import Annotations
from landmark.loader.assembly import SampleSource, SensorBuffers
from landmark.loader.batch import Batch
from landmark.loader.buffers import BufferPool
from landmark.loader.captions import CaptionRequest, CaptionTexts
from landmark.loader.format import PixelFormat, open_format
from landmark.loader.normalise import Scaling
from landmark.loader.sample_cache import SampleCache
from landmark.loader.stats import LoaderStats

Device = torch.device | str


@dataclass(frozen=True, slots=True)
class TensorBatch:
    """A batch as tensors on a device; names and order are those of `Batch`.

    Attributes:
        ids: Sample ids.
        images: Sensor → (n, channel, y, x): float32 if normalised, else stored integers, int32 for Sentinel-2 and int16
            for Sentinel-1.
        valid: Sensor → (n, y, x) bool, true where every channel has data.
        places: Sensor → (n,) int64: positions of its samples in the batch.
        captions: A text per sample, or a tuple of texts where all are read; None without `captions=`.
        labels: (sample, class) bool.
        fractions: (sample, class) float32.
        coordinates: (sample, 2) float64, longitude and latitude in degrees.
        columns: Columns of the index that `columns=` names.
        classes: Class keys of labels and fractions.
    """

    ids: tuple[str, ...]
    images: dict[str, Tensor]
    valid: dict[str, Tensor]
    places: dict[str, Tensor]
    captions: CaptionTexts | None
    labels: Tensor
    fractions: Tensor
    coordinates: Tensor
    columns: pa.Table
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)


def to_tensors(
    batch: Batch, device: Device = "cpu", scalings: Mapping[str, Scaling | None] | None = None
) -> TensorBatch:
    """Bring a batch to a device: normalised images as they are, else stored integers, of which it makes images.

    On the CPU, normalised images share their memory with the batch.

    Args:
        batch: A batch of a loader.
        device: The device.
        scalings: Sensor → how stored integers are normalised there, None for not at all.
    """
    places, images, valid = {}, {}, {}
    for sensor, pixels in batch.pixels.items():
        places[sensor] = torch.from_numpy(pixels.places).to(device)
        if pixels.normalised is not None or (scalings is None and torch.device(device).type == "cpu"):
            images[sensor], valid[sensor] = (_widen(a).to(device) for a in (pixels.images, pixels.valid))
        else:
            stored = [_to_device(array, device) for array in pixels.groups.values()]
            images[sensor] = _images(stored, pixels.format, scalings[sensor] if scalings else None)
            valid[sensor] = _valid(stored, pixels.format)
    labels, fractions, coordinates = (
        torch.from_numpy(array).to(device) for array in (batch.labels, batch.fractions, batch.coordinates)
    )
    return TensorBatch(
        ids=batch.ids,
        images=images,
        valid=valid,
        places=places,
        captions=batch.captions,
        labels=labels,
        fractions=fractions,
        coordinates=coordinates,
        columns=batch.columns,
        classes=batch.classes,
    )


def _widen(array: NDArray[Any]) -> Tensor:
    """A tensor of an array; uint16 as int32, as few operations of PyTorch know uint16."""
    return torch.from_numpy(array.astype(np.int32) if array.dtype == np.uint16 else array)


def _to_device(stored: NDArray[Any], device: Device) -> Tensor:
    """Stored integers on a device: int16 as they are, uint16 as int32.

    The bytes between the samples of a batch travel too, so that the host copies nothing.
    """
    size = stored.itemsize
    strides = [stride // size for stride in stored.strides]
    span = 1 + sum((edge - 1) * stride for edge, stride in zip(stored.shape, strides, strict=True))
    flat = as_strided(stored.view(np.int16), (span,), (size,))
    tensor = torch.from_numpy(flat).to(device).as_strided(stored.shape, strides)
    return tensor.to(torch.int32).bitwise_and_(0xFFFF) if stored.dtype.kind == "u" else tensor


def _images(stored: Sequence[Tensor], format: PixelFormat, scaling: Scaling | None) -> Tensor:
    """Images (n, channel, y, x) of the arrays of a format, as `PixelFormat.images` makes them."""
    dtype = stored[0].dtype if scaling is None else torch.float32
    images = torch.empty((len(stored[0]), *format.shape), dtype=dtype, device=stored[0].device)
    for number, values, factor in _channels_of(stored, format):
        pixels = values if scaling is None else _normalised(values, scaling, number)
        _squares(images[:, number], factor)[:] = pixels[:, :, None, :, None]
    return images


def _valid(stored: Sequence[Tensor], format: PixelFormat) -> Tensor:
    """Masks (n, y, x), true where every channel has data."""
    valid = torch.ones((len(stored[0]), *format.shape[1:]), dtype=torch.bool, device=stored[0].device)
    for _, values, factor in _channels_of(stored, format):
        _squares(valid, factor).logical_and_((values != format.nodata)[:, :, None, :, None])
    return valid


def _channels_of(stored: Sequence[Tensor], format: PixelFormat) -> Iterator[tuple[int, Tensor, int]]:
    """Number, stored pixels (n, y, x) and factor of each channel."""
    for number, channel in enumerate(format.channels):
        if format.native:
            yield number, stored[channel.group][:, channel.band], channel.factor
        else:
            yield number, stored[0][:, number], 1


def _squares(images: Tensor, factor: int) -> Tensor:
    """A view (n, y, factor, x, factor) of images (n, y, x): the squares that coarse pixels cover."""
    n, rows, columns = images.shape
    return images.view(n, rows // factor, factor, columns // factor, factor)


def _normalised(values: Tensor, scaling: Scaling, channel: int) -> Tensor:
    factor, shift, fill = (float(numbers[channel]) for numbers in (scaling.factor, scaling.shift, scaling.fill))
    normalised = values.to(torch.float32).mul_(factor).add_(shift)
    return normalised.masked_fill_(values == scaling.nodata, fill)


def _distributed_rank() -> dict[str, int]:
    """Rank and number of ranks of `torch.distributed`, where initialised."""
    distributed = torch.distributed
    if not (distributed.is_available() and distributed.is_initialized()):
        return {}
    return {"rank": distributed.get_rank(), "ranks": distributed.get_world_size()}


class CorpusDataset(IterableDataset[TensorBatch]):
    """Batches of a corpus or a selection as tensors, to iterate over or for `DataLoader(dataset, batch_size=None)`.

    Each iteration gives the rest of the current epoch; the next one gives the next epoch. Threads of this process read
    ahead: there are no workers to start, and `num_workers` must be 0.

    Attributes:
        loader: The loader.
        device: Device of the tensors.
        classes: Class keys of labels and fractions.
    """

    def __init__(self, corpus: Corpus, *, device: Device = "cpu", normalise: Any = None, **options: Any) -> None:
        """Open a loader.

        Args:
            corpus: A corpus or a selection of it.
            device: Where images are made of stored integers.
            normalise: As of `Corpus.loader`. The CPU normalises in the loader's threads, another device by itself.
            options: Of `Corpus.loader`. `rank` and `ranks` are those of `torch.distributed` if it is initialised.

        Raises:
            InputError, InsufficientData: as of `Corpus.loader`.
        """
        super().__init__()
        self.device, self.classes = torch.device(device), tuple(corpus.manifest.taxonomy.classes)
        on_cpu = self.device.type == "cpu"
        self.loader = corpus.loader(normalise=normalise if on_cpu else None, **(_distributed_rank() | options))
        pixels = {name: options[name] for name in ("bands", "size", "fit") if name in options}
        formats = {} if on_cpu else open_format(corpus, normalise=normalise, **pixels)
        self._scalings = {sensor: format.scaling for sensor, format in formats.items()}

    def __len__(self) -> int:
        """Batches of an epoch."""
        return len(self.loader)

    def __iter__(self) -> Iterator[TensorBatch]:
        """Iterate over the rest of the current epoch.

        Raises:
            InputError: in a worker process of a `DataLoader`.
            GenerationReplaced, InvalidCorpus: as of `Loader`.
        """
        for batch in self.loader:
            yield to_tensors(batch, self.device, self._scalings)

    def __reduce__(self) -> Any:
        problem = "a loader works in the process that opened it only: its threads do not exist in workers"
        raise InputError(problem, key="num_workers", remedy="set it to 0, or use CorpusSamples")

    @property
    def epoch(self) -> int:
        """Number of the current epoch."""
        return self.loader.epoch

    def state_dict(self) -> dict[str, Any]:
        """Position behind the last batch that was delivered, as JSON."""
        return self.loader.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue behind the batch of a state, which may be of another number of ranks or threads.

        Raises:
            StateMismatch: the state is of another corpus, selection or order.
        """
        self.loader.load_state_dict(state)


class CorpusSamples(Dataset[dict[str, Any]]):
    """Samples of a corpus or a selection by number, for samplers and data loaders of others, with workers or without.

    An item has `id`, `image` (channel, y, x), `valid` (y, x) bool, `labels` (class) bool, `fractions` (class) float32,
    `coordinates` (2) float64, longitude and latitude, and `caption` with `captions=`. Images are float32 if normalised,
    else stored integers, int32 for Sentinel-2 and int16 for Sentinel-1. Picklable.

    Attributes:
        classes: Class keys of labels and fractions.
    """

    def __init__(self, corpus: Corpus, *, captions: CaptionRequest = None, seed: int = 0, **pixels: Any) -> None:
        """Open a selection.

        Args:
            corpus: A corpus or a selection of it.
            captions: As of `Corpus.loader`.
            seed: Seed of captions that are picked at random.
            pixels: `bands`, `size`, `fit` and `normalise`, as of `Corpus.loader`.

        Raises:
            InputError, InsufficientData: as of `Corpus.loader`.
        """
        self._corpus, self._seed = corpus, seed
        self._formats = open_format(corpus, **pixels)
        self._annotations = Annotations(corpus, captions=captions)
        self._sensors = corpus.columns("sensor")["sensor"].to_pylist()
        self.classes = self._annotations.classes

    def __len__(self) -> int:
        return len(self._corpus)

    def __getitem__(self, number: int) -> dict[str, Any]:
        """Read a sample.

        Raises:
            IndexError: the selection has no such number.
            GenerationReplaced, InvalidCorpus: as of `Corpus`.
        """
        place = range(len(self))[number]
        source = SampleSource(self._corpus.chips, SampleCache(0), BufferPool())
        rows = self._corpus.rows[place : place + 1]
        buffers = SensorBuffers(source, self._formats[self._sensors[place]], rows, np.zeros(1, dtype=np.int64))
        buffers.fill(0, LoaderStats())
        buffers.check(int(rows[0]))
        own = self._annotations.read(np.array([place]), seed=self._seed, epoch=0)
        item = {
            "id": own.ids[0],
            "image": _widen(buffers.pixels.images[0]),
            "valid": torch.from_numpy(buffers.pixels.valid[0]),
            "labels": torch.from_numpy(own.labels[0]),
            "fractions": torch.from_numpy(own.fractions[0]),
            "coordinates": torch.from_numpy(own.coordinates[0]),
        }
        return item if own.captions is None else {**item, "caption": own.captions[0]}
