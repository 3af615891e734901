"""Training data equals the corpus: pixels, statistics, batches and schedule."""

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from landmark.config.profiles import load_sensor
from landmark.core.errors import InputError, InsufficientData
from landmark.corpus.reader import Corpus
from landmark.train.augmentation import epoch_orientations, orient, orient_images
from landmark.train.batches import Batch, Batches, SensorData
from landmark.train.dataset import (
    band_statistics,
    check_downsample,
    count_channels,
    model_input,
    pixel_blocks,
    read_annotations,
    read_split_annotations,
)
from landmark.train.profile import BandStatistics, ModelProfile, load_profile
from tests.train.toy import open_toy, write_profile


def profile_with(folder: Path, **changes: dict[str, object]) -> ModelProfile:
    return load_profile(str(write_profile(folder, **changes)))


@pytest.mark.parametrize("sensor", ["s1", "s2"])
def test_blocks_of_pixels_equal_stored_pixels(toy_corpus: Corpus, tmp_path: Path, sensor: str) -> None:
    selection = toy_corpus.select(split="train", sensor=sensor)
    blocks = list(pixel_blocks(selection, profile_with(tmp_path).image, block=10))
    assert [len(block) for block in blocks] == [10, 10, 4]
    pixels = np.concatenate(blocks)
    assert pixels.dtype == np.dtype(load_sensor(sensor).dtype)
    for stored, sample in zip(pixels, selection, strict=True):
        if sensor == "s2":
            assert np.array_equal(stored, sample.s2)
        else:
            assert np.array_equal(np.where(stored == -32768, np.nan, stored * np.float32(0.01)), sample.s1, True)


def test_downsampling_averages_valid_pixels_only(toy_corpus: Corpus, tmp_path: Path) -> None:
    halved = profile_with(tmp_path, image={"downsample": 2})
    selection, sensor = toy_corpus.select(split="val", sensor="s2"), load_sensor("s2")
    (pixels,) = pixel_blocks(selection, halved.image)
    for stored, sample in zip(pixels, selection, strict=True):
        for band, row, col in ((0, 0, 0), (3, 2, 5), (11, 4, 4)):
            square = sample.s2[band, 2 * row : 2 * row + 2, 2 * col : 2 * col + 2].astype(float)
            valid = square[square != sensor.nodata]
            assert stored[band, row, col] == (np.rint(valid.mean()) if valid.size else 0)


@pytest.mark.parametrize("sensor", ["s1", "s2"])
def test_statistics_are_of_valid_pixels_and_standardise_them(sensor: str) -> None:
    profile, chance = load_sensor(sensor), np.random.default_rng(0)
    low, high = (-3000, 0) if sensor == "s1" else (1, 9000)
    stored = chance.integers(low, high, (70, len(profile.order), 6, 6)).astype(profile.dtype)
    gaps = chance.random(stored.shape) < 0.1
    stored[gaps] = profile.nodata
    statistics = band_statistics([stored[:40], stored[40:]], profile)
    values = np.where(gaps, np.nan, stored * profile.scale)
    for band, own in enumerate(statistics):
        assert own.mean == pytest.approx(np.nanmean(values[:, band]), rel=1e-9)
        assert own.std == pytest.approx(np.nanstd(values[:, band]), rel=1e-6)
    tower = load_profile("tiny").image
    scaled = model_input(stored, profile, tower=tower, statistics=statistics).numpy()
    assert scaled.dtype == np.float32 and not scaled[gaps].any()
    assert np.allclose(np.nanmean(np.where(gaps, np.nan, scaled), axis=(0, 2, 3)), 0, atol=1e-4)
    assert np.allclose(np.nanstd(np.where(gaps, np.nan, scaled), axis=(0, 2, 3)), 1, atol=1e-4)


def test_bands_without_data_have_mean_0_and_deviation_1() -> None:
    sensor = load_sensor("s1")
    stored = np.full((3, 2, 4, 4), sensor.nodata, dtype="<i2")
    statistics = band_statistics([stored], sensor)
    assert statistics == [BandStatistics(mean=0, std=1)] * 2
    assert not model_input(stored, sensor, tower=load_profile("tiny").image, statistics=statistics).any()


def test_closp_paper_input_of_sentinel_2_is_reflectance_in_13_channels_with_zero_b10() -> None:
    sensor, tower = load_sensor("s2"), load_profile("closp-paper").image
    stored = np.random.default_rng(0).integers(0, 12_000, (2, 12, 6, 6)).astype("<u2")
    scaled = model_input(stored, sensor, tower=tower, statistics=[BandStatistics(mean=5, std=9)] * 12).numpy()
    assert scaled.strides[1] == scaled.itemsize  # channels_last
    assert scaled.shape == (2, 13, 6, 6) and count_channels(sensor, tower) == 13
    assert not scaled[:, 10].any()
    assert np.allclose(np.delete(scaled, 10, axis=1), stored / 10_000, atol=1e-6)
    assert sensor.order[9] == "B09" and sensor.order[10] == "B11"


def test_closp_paper_input_of_sentinel_1_is_db_with_nodata_replaced_by_the_mean() -> None:
    sensor, tower = load_sensor("s1"), load_profile("closp-paper").image
    stored = np.array([-1234, sensor.nodata], dtype="<i2").repeat(2).reshape(1, 2, 1, 2)
    scaled = model_input(stored, sensor, tower=tower, statistics=[BandStatistics(mean=-9.5, std=2)] * 2).numpy()
    assert scaled.ravel() == pytest.approx([-12.34, -12.34, -9.5, -9.5])


def test_logarithmic_scaling_has_the_slope_of_standardisation_at_the_mean(tmp_path: Path) -> None:
    """Sentinel-1 is in dB, a logarithm, and standardised."""
    tower = profile_with(tmp_path, image={"scaling": "logarithmic"}).image
    statistics = [BandStatistics(mean=0.1 + 0.01 * band, std=0.02) for band in range(12)]
    sensor, stored = load_sensor("s2"), np.random.default_rng(0).integers(1, 9000, (2, 12, 6, 6)).astype("<u2")
    stored[0, 3, 2] = sensor.nodata
    mean = np.array([own.mean for own in statistics])[:, None, None] + 0.01
    expected = np.where(stored > 0, mean / 0.02 * np.log((stored / 10_000 + 0.01) / mean), 0)
    assert np.allclose(model_input(stored, sensor, tower=tower, statistics=statistics), expected, atol=1e-4)
    decibels, own = np.array([[[[-1234]], [[-900]]]], dtype="<i2"), [BandStatistics(mean=-10, std=2)] * 2
    scaled = model_input(decibels, load_sensor("s1"), tower=tower, statistics=own)
    assert scaled.flatten().tolist() == pytest.approx([-1.17, 0.5])


# -- batches -----------------------------------------------------------------------------------------------------------


def make_batches(
    corpus: Corpus,
    folder: Path,
    *,
    seed: int = 3,
    sensors: tuple[str, ...] = ("s1", "s2"),
    share: tuple[int, int] = (0, 1),
    **budget: object,
) -> Batches:
    profile = profile_with(folder, budget={"augment": "none", **budget})
    annotations = read_split_annotations(corpus, profile, sensors=sensors)
    data = {}
    for sensor, own in annotations.items():
        selection = corpus.select(split="train", sensor=sensor)
        data[sensor] = SensorData(own, band_statistics(pixel_blocks(selection, profile.image), load_sensor(sensor)))

    def tokenize(texts: object) -> tuple[object, object]:
        count = len(list(texts))  # type: ignore[call-overload]
        return torch.arange(count)[:, None], torch.ones(count, 1, dtype=torch.int64)

    split = corpus.select(split="train")
    return Batches(split, data, profile, seed=seed, tokenize=tokenize, share=share)  # type: ignore[arg-type]


def images_of(batches: list[Batch], sensor: str) -> list[bytes]:
    return [image.numpy().tobytes() for batch in batches for image in batch.inputs[sensor].images]


def test_an_epoch_has_each_image_of_the_longer_sensor_once(toy_corpus: Corpus, tmp_path: Path) -> None:
    ids = [id for id in toy_corpus.ids if not id.startswith("s2_train") or int(id[-3:]) < 16]
    batches = make_batches(toy_corpus.select(where=[("id", "in", ids)]), tmp_path)
    steps = list(islice(batches, 6))
    for epoch in (steps[:3], steps[3:]):
        assert all(len(batch.inputs[sensor].images) == 8 for batch in epoch for sensor in ("s1", "s2"))
        assert len(set(images_of(epoch, "s1"))) == 24
    # The shorter sensor starts again once all of its images came.
    assert len(set(images_of(steps[:2], "s2"))) == len(set(images_of(steps[2:4], "s2"))) == 16


def test_incomplete_batches_are_left_out(toy_corpus: Corpus, tmp_path: Path) -> None:
    batches = make_batches(toy_corpus, tmp_path, batch=16)
    assert [len(batch.inputs["s2"].images) for batch in islice(batches, 3)] == [16] * 3
    assert batches.loader.epoch == 2
    # Samples stay in memory: each is decoded once.
    stats = batches.loader.stats()
    assert stats.samples - stats.cached == 48


def test_an_incomplete_last_batch_is_delivered_and_continued_behind(toy_corpus: Corpus, tmp_path: Path) -> None:
    batches = make_batches(toy_corpus, tmp_path, batch=16, last_batch="keep")
    steps, states = [], []
    for batch in islice(batches, 4):
        steps.append(batch)
        states.append(batches.loader.state_dict())
    assert batches.per_epoch == 2
    assert [len(batch.inputs["s1"].images) for batch in steps] == [16, 8, 16, 8]
    assert len(set(images_of(steps[:2], "s1"))) == 24
    resumed = make_batches(toy_corpus, tmp_path, batch=16, last_batch="keep")
    resumed.loader.load_state_dict(states[1])
    assert images_of([next(iter(resumed))], "s2") == images_of(steps[2:3], "s2")


def test_ranks_share_each_batch(toy_corpus: Corpus, tmp_path: Path) -> None:
    expected, *parts = (
        list(islice(make_batches(toy_corpus, tmp_path, augment="turns", batch=16, share=share), 2))
        for share in ((0, 1), (0, 2), (1, 2))
    )
    for sensor in ("s1", "s2"):
        assert all(len(batch.inputs[sensor].images) == 8 for part in parts for batch in part)
        for batch, *shares in zip(expected, *parts, strict=True):
            assert images_of([batch], sensor) == images_of(shares, sensor)


def test_batches_of_a_single_sensor(toy_corpus: Corpus, tmp_path: Path) -> None:
    batches = make_batches(toy_corpus, tmp_path, sensors=("s2",))
    steps = list(islice(batches, 3))
    assert batches.per_epoch == 3 and all(list(batch.inputs) == ["s2"] for batch in steps)
    assert len(set(images_of(steps, "s2"))) == 24


def test_batches_continue_from_the_state_of_the_loader(toy_corpus: Corpus, tmp_path: Path) -> None:
    expected, states = [], []
    batches = make_batches(toy_corpus, tmp_path, augment="turns")
    for batch in islice(batches, 8):
        expected.append(batch)
        states.append(batches.loader.state_dict())
    for step in (6, 0, 2):
        resumed = make_batches(toy_corpus, tmp_path, augment="turns")
        resumed.loader.load_state_dict(states[step])
        batch = next(iter(resumed))
        for sensor in ("s1", "s2"):
            assert batch.inputs[sensor].images.equal(expected[step + 1].inputs[sensor].images)
    assert not expected[0].inputs["s1"].images.equal(expected[3].inputs["s1"].images)


def test_a_last_batch_of_a_single_image_is_skipped(toy_corpus: Corpus, tmp_path: Path) -> None:
    """BatchNorm could not normalise it; but a split of one image has it."""
    for count, sizes in ((17, [8, 8, 8]), (18, [8, 8, 2]), (1, [1, 1, 1])):
        ids = [id for id in toy_corpus.ids if "_train_" in id and int(id[-3:]) < count]
        batches = make_batches(toy_corpus.select(where=[("id", "in", ids)]), tmp_path, last_batch="keep")
        assert [len(batch.inputs["s2"].images) for batch in islice(batches, 3)] == sizes


def test_images_of_a_batch_keep_their_captions_and_labels(toy_corpus: Corpus, tmp_path: Path) -> None:
    batches, sensor = make_batches(toy_corpus, tmp_path), load_sensor("s2")
    captions = sorted({sample.caption() for sample in toy_corpus.select(split="train")})
    samples = list(toy_corpus.select(split="train", sensor="s2"))
    stack = np.stack([sample.s2 for sample in samples])
    tower = profile_with(tmp_path).image
    images = model_input(stack, sensor, tower=tower, statistics=band_statistics([stack], sensor))
    classes = sorted({label for sample in samples for label in sample.labels})
    batch = next(iter(batches))
    own = batch.inputs["s2"]
    for image, index, labels in zip(own.images, own.text_index, batch.targets["s2"].labels, strict=True):
        (row,) = [row for row, expected in enumerate(images) if np.array_equal(expected.numpy(), image.numpy())]
        assert captions[int(batch.token_ids[index][0])] == samples[row].caption()
        present = [name for name, is_present in zip(classes, labels.tolist(), strict=True) if is_present]
        assert present == sorted(samples[row].labels)


def test_augmentation_gives_the_eight_orientations_of_a_square() -> None:
    image = np.arange(2 * 9).reshape(2, 3, 3)
    augmented = {orient(image, orientation).tobytes() for orientation in range(8)}
    assert len(augmented) == 8 and image.tobytes() in augmented
    for orientation in range(8):
        assert (np.sort(orient(image, orientation)[1].ravel()) == np.arange(9, 18)).all()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_images_of_a_batch_are_oriented_as_single_images(layout: torch.memory_format) -> None:
    images = torch.arange(24 * 2 * 9, dtype=torch.float32).view(24, 2, 3, 3)
    orientations = np.random.default_rng(0).permutation(np.arange(24) % 8)
    oriented = orient_images(images.contiguous(memory_format=layout), orientations)
    expected = [orient(image.numpy(), number) for image, number in zip(images, orientations.tolist(), strict=True)]
    assert oriented.is_contiguous(memory_format=layout)
    assert np.array_equal(oriented.numpy(), np.stack(expected))


@pytest.mark.parametrize(
    ("sensor", "augmentation", "count"),
    [
        ("s1", "none", 1),
        ("s2", "none", 1),
        ("s1", "flips", 4),
        ("s2", "flips", 4),
        ("s1", "turns", 4),
        ("s2", "turns", 8),
    ],
)
def test_sentinel_1_is_mirrored_and_never_turned_by_a_quarter(sensor: str, augmentation: Any, count: int) -> None:
    image = np.arange(9).reshape(1, 3, 3)
    drawn = epoch_orientations(0, 0, sensor, rows=200, augmentation=augmentation).tolist()
    seen = {orient(image, orientation).tobytes() for orientation in drawn}
    assert len(seen) == count
    mirrored = {image[:, ::down, ::right].tobytes() for down in (1, -1) for right in (1, -1)}
    assert seen <= mirrored or count == 8


def test_orders_differ_by_seed_and_epoch(toy_corpus: Corpus, tmp_path: Path) -> None:
    orders = [images_of(list(islice(make_batches(toy_corpus, tmp_path, seed=seed), 6)), "s1") for seed in (0, 1)]
    epochs = [order[start : start + 24] for order in orders for start in (0, 24)]
    assert all(sorted(epoch) == sorted(epochs[0]) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4


# -- refused -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["labels", "captions"])
def test_samples_without_labels_or_captions_are_refused(tmp_path: Path, column: str) -> None:
    corpus = open_toy(tmp_path / "corpus", counts={"train": 4}, **{column: []})
    with pytest.raises(InsufficientData) as caught:
        read_annotations(corpus, "structured", "en")
    assert (caught.value.file, caught.value.key) == (str(corpus.root), column)
    assert caught.value.value in corpus.ids


def test_the_first_caption_of_style_and_language_is_read(tmp_path: Path) -> None:
    texts = [("structured", "fr", "eau"), ("natural", "en", "A lake."), ("structured", "en", "water"),
             ("structured", "en", "b")]  # fmt: skip
    fields = {"template": "structured@1", "evidence": []}
    captions = [{"style": style, "lang": lang, "text": text, **fields} for style, lang, text in texts]
    corpus = open_toy(tmp_path / "c", counts={"train": 3}, sensors=("s2",), captions=captions)
    assert read_annotations(corpus, "structured", "en").captions == ("water",) * 3
    assert read_annotations(corpus, "structured", "fr").captions == ("eau",) * 3
    with pytest.raises(InsufficientData) as caught:
        read_annotations(corpus, "natural", "fr")
    assert caught.value.key == "captions"


def test_a_downsampling_factor_that_does_not_divide_is_refused(toy_corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        check_downsample(toy_corpus, profile_with(tmp_path, image={"downsample": 5}).image)
    assert (caught.value.key, caught.value.value) == ("image.downsample", 5)
