"""A batch: samples of one or several sensors, their pixels and annotations."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from landmark.loader.annotations import BatchAnnotations
from landmark.loader.captions import CaptionTexts
from landmark.loader.format import PixelFormat


@dataclass(frozen=True)
class SensorPixels:
    """Pixels of a batch's samples of one sensor.

    Their memory is reused once nothing refers to any view of it: arrays that are kept are never overwritten.

    Attributes:
        format: What is read and made of it.
        places: (n,) int64: positions of the samples in the batch.
        groups: Pixel column → stored integers (n, band, y, x) at native resolution; after `size=` one entry with all
            bands, by the name of the sensor.
        normalised: (n, channel, y, x) float32; None without `normalise=`.
    """

    format: PixelFormat
    places: NDArray[np.int64]
    groups: Mapping[str, NDArray[Any]]
    normalised: NDArray[np.float32] | None

    @cached_property
    def stored(self) -> NDArray[Any]:
        """Stored integers (n, channel, y, x), coarse bands repeated to the size of the images."""
        if not self.format.native:
            return self.groups[self.format.sensor]
        out = np.empty((len(self.places), *self.format.shape), self.format.dtype)
        self.format.stored(tuple(self.groups.values()), out)
        return out

    @property
    def images(self) -> NDArray[Any]:
        """(n, channel, y, x): `normalised`, or `stored` without `normalise=`."""
        return self.stored if self.normalised is None else self.normalised

    @cached_property
    def valid(self) -> NDArray[np.bool_]:
        """(n, y, x), true where every channel has data."""
        out = np.empty((len(self.places), *self.format.shape[1:]), np.bool_)
        self.format.valid(tuple(self.groups.values()), out)
        return out


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples in slot order; `sensors="together"` and `"paired"` give all of Sentinel-1 before those of Sentinel-2.

    Attributes:
        pixels: Sensor → pixels of its samples; sensors without a sample are omitted.
        annotations: Ids, captions, labels and other columns, a row per sample.
        classes: Class keys of labels and fractions.
    """

    pixels: Mapping[str, SensorPixels]
    annotations: BatchAnnotations
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def ids(self) -> tuple[str, ...]:
        """Sample ids."""
        return self.annotations.ids

    @property
    def images(self) -> dict[str, NDArray[Any]]:
        """Sensor → (n, channel, y, x): float32 with `normalise=`, else stored integers."""
        return {sensor: pixels.images for sensor, pixels in self.pixels.items()}

    @property
    def valid(self) -> dict[str, NDArray[np.bool_]]:
        """Sensor → (n, y, x), true where every channel has data."""
        return {sensor: pixels.valid for sensor, pixels in self.pixels.items()}

    @property
    def captions(self) -> CaptionTexts | None:
        """A text per sample, or a tuple of texts where all are read; None without `captions=`."""
        return self.annotations.captions

    @property
    def labels(self) -> NDArray[np.bool_]:
        """(n, class), true for the sample's labels."""
        return self.annotations.labels

    @property
    def fractions(self) -> NDArray[np.float32]:
        """(n, class) fraction of each class."""
        return self.annotations.fractions

    @property
    def coordinates(self) -> NDArray[np.float64]:
        """(n, 2) longitude and latitude of the centres in degrees."""
        return self.annotations.coordinates

    @property
    def columns(self) -> pa.Table:
        """Columns of the index that `columns=` names."""
        return self.annotations.columns
