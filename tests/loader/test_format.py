"""Images of a batch against the arrays of `corpus[id]`."""

import json
import random
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

import landmark
from landmark.core.errors import InputError, InsufficientData, InvalidCorpus, UnknownName
from landmark.corpus.files import list_files
from landmark.corpus.pixel_columns import PIXELS
from landmark.corpus.pixels import decode, pixel_fields
from landmark.corpus.reader import Corpus
from landmark.corpus.stats import block_mean
from landmark.loader.format import PixelFormat, open_format
from landmark.loader.resize import bilinear
from tests.parts import raises
from tests.train.toy import open_toy
from tests.write.rows import PATCH_PX, SENSORS, pixels

ALL = {name: list(sensor.order) for name, sensor in SENSORS.items()}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Eight samples a sensor."""
    return open_toy(tmp_path_factory.mktemp("format") / "corpus", counts={"train": 8})


def sample_groups(sensor: str, count: int = 3) -> dict[str, NDArray[Any]]:
    """Column → (n, band, y, x) of random samples, a tenth of their pixels missing."""
    samples = [pixels(sensor, np.random.default_rng(seed)) for seed in range(count)]
    return {column: np.stack([sample[column] for sample in samples]) for column in samples[0]}


def decoded(corpus: Corpus, sensor: str, groups: Mapping[str, NDArray[Any]], bands: Sequence[str]) -> NDArray[Any]:
    """Stored values (n, channel, y, x) as the corpus decodes them."""
    path = list_files(corpus.root, corpus.manifest, sensor=sensor)[0]
    fields = pixel_fields(pq.read_schema(path))
    full = [
        decode({name: group[row].tobytes() for name, group in groups.items()}, fields)
        for row in range(len(next(iter(groups.values()))))
    ]
    return np.stack(full)[:, [ALL[sensor].index(band) for band in bands]]


def read(format: PixelFormat, groups: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
    """The arrays of a batch: the format's columns, resized sample by sample unless it is native."""
    arrays = [groups[name] for name in format.names]
    if format.native:
        return arrays
    out = np.empty((len(arrays[0]), *format.shape), format.dtype)
    for number in range(len(out)):
        format.resize([array[number] for array in arrays], out[number])
    return [out]


def rendered(format: PixelFormat, arrays: Sequence[NDArray[Any]]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Stored values, images and mask of a batch, after checking that those of one sample are the same."""
    count = len(arrays[0])
    stored, images = (np.empty((count, *format.shape), dtype) for dtype in (format.dtype, format.image_dtype))
    valid = np.empty((count, *format.shape[1:]), bool)
    format.stored(arrays, stored)
    format.images(arrays, images)
    format.valid(arrays, valid)
    sample, mask = np.empty_like(images[-1]), np.empty_like(valid[-1])
    format.images([array[-1] for array in arrays], sample)
    format.valid([array[-1] for array in arrays], mask)
    assert np.array_equal(sample, images[-1])
    assert np.array_equal(mask, valid[-1])
    return stored, images, valid


@pytest.mark.parametrize(
    ("sensor", "bands", "columns"),
    [
        ("s1", None, (0,)),
        ("s1", ["vh"], (0,)),
        ("s1", ["vv", "vh", "vv"], (0,)),
        ("s2", None, (0, 1, 2)),
        ("s2", ["B04", "B03", "B02", "B08"], (0,)),
        ("s2", ["B01", "B8A", "B05"], (1, 2)),
        ("s2", ["B09", "B02"], (0, 2)),
    ],
)
def test_native_bands_are_those_of_the_corpus(
    corpus: Corpus, sensor: str, bands: list[str] | None, columns: tuple[int, ...]
) -> None:
    format = open_format(corpus.select(sensor=sensor), bands=bands)[sensor]
    groups = sample_groups(sensor)
    expected = decoded(corpus, sensor, groups, bands or ALL[sensor])
    stored, images, valid = rendered(format, read(format, groups))
    assert format.native
    assert format.columns == columns
    assert format.value_bytes == tuple(groups[name][0].nbytes for name in format.names)
    assert format.stored_shapes == {name: groups[name].shape[1:] for name in format.names}
    assert stored.dtype == images.dtype == expected.dtype
    assert np.array_equal(stored, expected)
    assert np.array_equal(images, expected)
    assert np.array_equal(valid, (expected != format.nodata).all(axis=1))


@pytest.mark.parametrize("sensor", ["s1", "s2"])
@pytest.mark.parametrize(
    ("size", "fit"),
    [*((size, "resize") for size in (12, 6, 4, 3, 2, 1, 5, 17, 24)), *((size, "crop") for size in (12, 7, 4, 1))],
)
def test_sizes_are_those_of_decoded_images(corpus: Corpus, sensor: str, size: int, fit: Any) -> None:
    bands = random.Random(size).sample(ALL[sensor], k=2)
    format = open_format(corpus, bands={sensor: bands}, size=size, fit=fit)[sensor]
    groups = sample_groups(sensor)
    full = decoded(corpus, sensor, groups, bands)
    if fit == "crop":
        start = (PATCH_PX - size) // 2
        expected = full[..., start : start + size, start : start + size]
    elif PATCH_PX % size:
        expected = np.empty((*full.shape[:2], size, size), full.dtype)
        for sample, band in np.ndindex(*full.shape[:2]):
            bilinear(full[sample, band], 1, format.nodata, expected[sample, band])
    else:
        expected = block_mean(full, PATCH_PX // size, format.nodata)
    arrays = read(format, groups)
    stored, _, valid = rendered(format, arrays)
    assert format.stored_shapes == {sensor: (2, size, size)}
    assert np.array_equal(stored, expected)
    assert np.array_equal(valid, (expected != format.nodata).all(axis=1))


@pytest.mark.parametrize("size", [None, 6, 17])
@pytest.mark.parametrize("normalise", ["corpus", "reflectance", "ssl4eo", "olmoearth"])
@pytest.mark.parametrize("sensor", ["s1", "s2"])
def test_images_are_normalised_and_missing_pixels_are_means(
    corpus: Corpus, sensor: str, normalise: str, size: int | None
) -> None:
    format = open_format(corpus, size=size, normalise=normalise)[sensor]
    arrays = read(format, sample_groups(sensor))
    stored, images, valid = rendered(format, arrays)
    scaling = format.scaling
    assert scaling is not None
    factor, shift, fill = (
        values.astype(np.float64)[:, None, None] for values in (scaling.factor, scaling.shift, scaling.fill)
    )
    expected = np.where(stored == format.nodata, fill, stored * factor + shift)
    assert images.dtype == np.float32
    np.testing.assert_allclose(images, expected, rtol=1e-5, atol=1e-5)
    # The same function on another device: the fields of the scaling say all.
    assert scaling.nodata == format.nodata == SENSORS[sensor].nodata
    assert np.array_equal(valid, (stored != format.nodata).all(axis=1))


def test_every_sensor_of_a_selection_has_a_format(corpus: Corpus) -> None:
    assert list(open_format(corpus)) == ["s1", "s2"]
    assert list(open_format(corpus.select(sensor="s2"), bands={"s1": ["vv"], "s2": ["B02"]})) == ["s2"]
    assert open_format(corpus, bands={"s1": ["vv"]})["s2"].bands == tuple(ALL["s2"])


@pytest.mark.parametrize(
    ("arguments", "kind", "key", "value"),
    [
        ({"bands": ["B02"]}, InputError, "bands", ["B02"]),  # of two sensors
        ({"bands": {"s3": ["B02"]}}, InputError, "bands", "s3"),
        ({"bands": {"s2": ["B10"]}}, InputError, "bands", "B10"),
        ({"bands": {"s2": []}}, InputError, "bands", []),
        ({"bands": {"s2": "B02"}}, InputError, "bands", "B02"),
        ({"bands": {"s2": 4}}, InputError, "bands", 4),
        ({"size": 0}, InputError, "size", 0),
        ({"size": 2.5}, InputError, "size", 2.5),
        ({"size": True}, InputError, "size", True),
        ({"size": 13, "fit": "crop"}, InputError, "size", 13),
        ({"size": 12, "fit": "pad"}, InputError, "fit", "pad"),
        ({"normalise": "olmo"}, UnknownName, "normalise", "olmo"),
        ({"normalise": 3}, InputError, "normalise", 3),
    ],
)
def test_impossible_formats_are_refused(
    corpus: Corpus, arguments: dict[str, Any], kind: type[InputError], key: str, value: Any
) -> None:
    with raises(kind, key=key, value=value):
        open_format(corpus, **arguments)


def test_an_empty_selection_is_refused(corpus: Corpus, tmp_path: Path) -> None:
    with raises(InsufficientData, file=str(corpus.root)):
        open_format(corpus.select(split="val"))


def test_unit_and_bands_are_those_of_the_shards(corpus: Corpus, tmp_path: Path) -> None:
    """Not those of the sensors' profiles, which may change after a corpus was sealed."""
    copy = Path(shutil.copytree(corpus.root, tmp_path / "copy"))
    index = pq.read_table(copy / "index.parquet")
    columns = json.loads(index.schema.metadata[PIXELS])
    columns["s1"]["s1"] |= {"unit": "dB of sigma0", "bands": '["vh", "vv"]'}
    metadata = {**index.schema.metadata, PIXELS: json.dumps(columns)}
    pq.write_table(index.replace_schema_metadata(metadata), copy / "index.parquet")
    radar = landmark.open(copy).select(sensor="s1")
    assert [channel.band for channel in open_format(radar)["s1"].channels] == [1, 0]
    assert open_format(radar, normalise="ssl4eo")["s1"].scaling is not None
    with raises(InputError, name="corpus.yaml", key="sensors.s1.unit", value="dB of gamma0"):
        open_format(radar, normalise="corpus")


@pytest.mark.parametrize("values", [[0.1], [0.1, -1.0], [0.1, 0.2, 0.3]])
def test_statistics_of_a_foreign_manifest_are_checked(corpus: Corpus, tmp_path: Path, values: list[float]) -> None:
    copy = Path(shutil.copytree(corpus.root, tmp_path / "copy"))
    manifest = json.loads((copy / "corpus.json").read_text())
    manifest["statistics"]["s2"]["B02"] = values
    (copy / "corpus.json").write_text(json.dumps(manifest))
    with raises(InvalidCorpus, name="corpus.json", key="statistics.s2.B02", value=values):
        landmark.open(copy)
