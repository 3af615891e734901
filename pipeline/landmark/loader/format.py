"""The pixels of a batch: which bands are read, and how stored values become images."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from landmark.core.errors import InputError, InsufficientData
from landmark.corpus.pixels import BandGroup, band_order, nodata_of, parse_group
from landmark.corpus.reader import Corpus
from landmark.loader.normalise import Normalisation, Scaling, StoredBands, load_normalisation, scaling_of
from landmark.loader.resize import bilinear, block_mean, crop, magnify

Fit = Literal["resize", "crop"]
FITS = ("resize", "crop")

Bands = Sequence[str] | Mapping[str, Sequence[str]]
Groups = Sequence[NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Channel:
    """Where the pixels of a channel of the images are.

    Attributes:
        group: Number of its array among the columns that are read.
        band: Number of its band in that array.
        factor: Edge of a pixel in pixels of the images.
    """

    group: int
    band: int
    factor: int


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """What is read of a sensor's samples, and what its images are.

    Methods are thread-safe and write into a given array. All but `resize` take the arrays of one sample, (band, y, x),
    or of several, (n, band, y, x).

    Attributes:
        sensor: Name of the sensor.
        bands: Band of each channel of the images.
        columns: Numbers of the pixel columns to read, among the pixel columns of the sensor's shards.
        names: Their names.
        groups: Their bands, shapes and types.
        channels: Where each channel's pixels are in them.
        edge: Edge of the images in pixels.
        patch_px: Edge of the finest bands in the shards, in pixels.
        fit: How they are brought to `edge`; None for images at the corpus's own size, from arrays at native resolution.
        nodata: Stored value of missing pixels.
        scaling: Normalisation of each channel; None for images of stored integers.
    """

    sensor: str
    bands: tuple[str, ...]
    columns: tuple[int, ...]
    names: tuple[str, ...]
    groups: tuple[BandGroup, ...]
    channels: tuple[Channel, ...]
    edge: int
    patch_px: int
    fit: Fit | None
    nodata: int
    scaling: Scaling | None

    @property
    def native(self) -> bool:
        """Whether samples stay at native resolution, one array a column, until images are made of them."""
        return self.fit is None

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the stored values."""
        return np.dtype(self.groups[0].dtype)

    @property
    def image_dtype(self) -> np.dtype[Any]:
        """Type of the images: float32 where normalised, else that of the stored values."""
        return self.dtype if self.scaling is None else np.dtype(np.float32)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channel, y, x) of an image."""
        return len(self.bands), self.edge, self.edge

    @property
    def value_bytes(self) -> tuple[int, ...]:
        """Bytes of a value of each column that is read."""
        return tuple(int(np.prod(group.shape)) * self.dtype.itemsize for group in self.groups)

    @property
    def stored_shapes(self) -> dict[str, tuple[int, int, int]]:
        """(band, y, x) of the arrays of a sample in a batch, by name: the columns, or the sensor after `resize`."""
        if self.native:
            return {name: group.shape for name, group in zip(self.names, self.groups, strict=True)}
        return {self.sensor: self.shape}

    @property
    def identity(self) -> dict[str, Any]:
        """JSON of all that the arrays of `stored_shapes` depend on, besides the corpus."""
        return {"sensor": self.sensor, "bands": list(self.bands), "edge": self.edge, "fit": self.fit}

    def resize(self, groups: Groups, out: NDArray[Any]) -> None:
        """Bring the columns of one sample to the size of the images: stored values (channel, y, x), with nodata."""
        if self.fit == "resize" and self.patch_px % self.edge == 0:
            reduced = [self._reduce(pixels, group.factor) for pixels, group in zip(groups, self.groups, strict=True)]
            for number, channel in enumerate(self.channels):
                out[number] = reduced[channel.group][channel.band]
            return
        for number, channel in enumerate(self.channels):
            pixels = groups[channel.group][channel.band]
            if self.fit == "crop":
                crop(pixels, channel.factor, (self.patch_px - self.edge) // 2, out[number])
            else:
                bilinear(pixels, channel.factor, self.nodata, out[number])

    def stored(self, arrays: Groups, out: NDArray[Any]) -> None:
        """Write stored values of all channels (..., channel, y, x), coarse bands repeated.

        Args:
            arrays: Those of `stored_shapes`.
            out: Of the type of the stored values.
        """
        for number, pixels, factor in self._channels_of(arrays):
            magnify(pixels, factor, out[..., number, :, :])

    def images(self, arrays: Groups, out: NDArray[Any]) -> None:
        """Write images (..., channel, y, x): normalised float32, or stored values where nothing is normalised.

        Args:
            arrays: Those of `stored_shapes`.
            out: Of `image_dtype`.
        """
        if self.scaling is None:
            self.stored(arrays, out)
            return
        for number, pixels, factor in self._channels_of(arrays):
            image = out[..., number, :, :]
            # Normalising coarse bands before they are repeated is the same and needs a part of the operations.
            values = image if factor == 1 else np.empty(pixels.shape, dtype=np.float32)
            self.scaling.apply(number, pixels, values)
            if factor > 1:
                magnify(values, factor, image)

    def valid(self, arrays: Groups, out: NDArray[np.bool_]) -> None:
        """Write (..., y, x) bool: true where every channel has data.

        Args:
            arrays: Those of `stored_shapes`.
            out: The mask.
        """
        out[...] = True
        for _, pixels, factor in self._channels_of(arrays):
            valid = pixels != self.nodata
            if not valid.all():
                mask = np.empty_like(out)
                magnify(valid, factor, mask)
                out &= mask

    def _channels_of(self, arrays: Groups) -> Iterator[tuple[int, NDArray[Any], int]]:
        """Number, stored pixels (..., y, x) and factor of each channel."""
        for number, channel in enumerate(self.channels):
            if self.native:
                yield number, arrays[channel.group][..., channel.band, :, :], channel.factor
            else:
                yield number, arrays[0][..., number, :, :], 1

    def _reduce(self, pixels: NDArray[Any], factor: int) -> NDArray[Any]:
        """Means (band, y, x) over squares of the finest bands, of as many pixels as one of the images has."""
        reduction = self.patch_px // self.edge
        if reduction == factor:
            return pixels
        reduced = np.empty((len(pixels), self.edge, self.edge), dtype=pixels.dtype)
        if factor % reduction == 0:
            magnify(pixels, factor // reduction, reduced)
        elif reduction % factor == 0:
            block_mean(pixels, reduction // factor, self.nodata, reduced)
        else:
            finest = np.empty((len(pixels), self.patch_px, self.patch_px), dtype=pixels.dtype)
            magnify(pixels, factor, finest)
            block_mean(finest, reduction, self.nodata, reduced)
        return reduced


def open_format(
    corpus: Corpus,
    *,
    bands: Bands | None = None,
    size: int | None = None,
    fit: Fit = "resize",
    normalise: str | os.PathLike[str] | Normalisation | None = None,
) -> dict[str, PixelFormat]:
    """The format of each sensor of a selection, in the order of the manifest.

    Args:
        corpus: A corpus or a selection of it.
        bands: Bands in the order of the channels, for a selection of one sensor; else sensor → bands. By default all
            bands in the sensor's order.
        size: Edge of the images in pixels; by default that of the corpus, with coarse bands at native resolution.
        fit: `resize`, by block means where `size` divides the edge, else by bilinear interpolation; or `crop`, the
            centre.
        normalise: A normalisation by name or path; by default images keep the stored values.

    Raises:
        InsufficientData: the selection has no sample.
        InputError: an unknown band or sensor, an impossible size, or a normalisation that does not fit the shards.
    """
    present = set(corpus.columns("sensor")["sensor"].unique().to_pylist())
    if not present:
        raise InsufficientData("the selection has no sample", file=corpus.root, remedy="select others")
    sensors = [name for name in corpus.manifest.sensors if name in present]
    _check_size(corpus.manifest.patch_px, size, fit)
    by_sensor = _bands_by_sensor(corpus, sensors, bands)
    loaded = None if normalise is None else load_normalisation(normalise)
    formats: dict[str, PixelFormat] = {}
    for sensor in sensors:
        columns = corpus.chips.fields[sensor]
        format = _select_bands(sensor, columns, by_sensor.get(sensor))
        if size is not None:
            format = replace(format, edge=int(size), fit=fit)
        if loaded is not None:
            stored = _stored_bands(format, columns[0], corpus.manifest.statistics.get(sensor, {}))
            format = replace(format, scaling=scaling_of(loaded[0], stored, file=loaded[1]))
        formats[sensor] = format
    return formats


def _check_size(patch_px: int, size: int | None, fit: str) -> None:
    if fit not in FITS:
        raise InputError("no such way to fit", key="fit", value=fit, remedy=f"choose one of {', '.join(FITS)}")
    if size is not None and (isinstance(size, bool) or not isinstance(size, Integral) or size < 1):
        raise InputError("must be a positive number of pixels", key="size", value=size)
    if size is not None and fit == "crop" and size > patch_px:
        problem = f"a crop is at most as large as the samples, {patch_px} px"
        raise InputError(problem, key="size", value=size, remedy="use `fit=resize`")


def _bands_by_sensor(corpus: Corpus, sensors: Sequence[str], bands: Bands | None) -> Mapping[str, Sequence[str]]:
    if bands is None:
        return {}
    if isinstance(bands, Mapping):
        if unknown := [sensor for sensor in bands if sensor not in corpus.manifest.sensors]:
            remedy = f"sensors of the corpus: {', '.join(corpus.manifest.sensors)}"
            raise InputError("the corpus has no such sensor", key="bands", value=unknown[0], remedy=remedy)
        return bands
    if len(sensors) > 1:
        problem = f"the selection has the sensors {', '.join(sensors)}"
        raise InputError(problem, key="bands", value=bands, remedy="give a mapping from sensor to bands")
    return {sensors[0]: bands}


def _select_bands(sensor: str, columns: Sequence[pa.Field], bands: Sequence[str] | None) -> PixelFormat:
    """The native format of a sensor's bands, of which all are selected by default."""
    order, groups = band_order(columns), [parse_group(column) for column in columns]
    selected = order if bands is None else bands
    if isinstance(selected, str) or not isinstance(selected, Sequence) or not selected:
        raise InputError("must be a list of bands", key="bands", value=bands)
    for band in selected:
        if band not in order:
            remedy = f"bands of {sensor}: {', '.join(order)}"
            raise InputError(f"{sensor} has no such band", key="bands", value=band, remedy=remedy)
    place = {band: (number, row) for number, group in enumerate(groups) for row, band in enumerate(group.bands)}
    numbers = sorted({place[band][0] for band in selected})
    return PixelFormat(
        sensor=sensor,
        bands=tuple(selected),
        columns=tuple(numbers),
        names=tuple(columns[number].name for number in numbers),
        groups=tuple(groups[number] for number in numbers),
        channels=tuple(
            Channel(numbers.index(place[band][0]), place[band][1], groups[place[band][0]].factor) for band in selected
        ),
        patch_px=(edge := max(group.shape[1] * group.factor for group in groups)),
        edge=edge,
        fit=None,
        nodata=nodata_of(columns),
        scaling=None,
    )


def _stored_bands(format: PixelFormat, column: pa.Field, statistics: Mapping[str, Sequence[float]]) -> StoredBands:
    unit, scale = column.metadata[b"unit"].decode(), float(column.metadata[b"scale"])
    return StoredBands(format.sensor, format.bands, unit, scale, format.nodata, statistics)
