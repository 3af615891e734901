"""What the trainer sees is what the corpus holds."""

from pathlib import Path

import numpy as np
import pytest

from landmark.config.profiles import load_sensor
from landmark.core.errors import InputError, InsufficientData
from landmark.corpus.reader import Corpus
from landmark.train import dataset as feed
from landmark.train.batches import Batches, Lesson
from landmark.train.profile import Model, Stat, load_model
from landmark.train.schedule import epoch_order, epoch_turns, learning_rate, turned
from tests.train.toy import model_file, opened


def model(folder: Path, **changes: dict[str, object]) -> Model:
    return load_model(str(model_file(folder, **changes)))


@pytest.mark.parametrize("sensor", ["s1", "s2"])
def test_decoded_pixels_are_the_stored_ones(toy_corpus: Corpus, tmp_path: Path, sensor: str) -> None:
    selection = toy_corpus.select(split="train", sensor=sensor)
    pixels = feed.decoded(selection, model(tmp_path), sensor=sensor, folder=tmp_path)
    assert pixels.dtype == np.dtype(load_sensor(sensor).dtype) and len(pixels) == len(selection)
    for stored, sample in zip(pixels, selection, strict=True):
        if sensor == "s2":
            assert np.array_equal(stored, sample.s2)
        else:
            assert np.array_equal(np.where(stored == -32768, np.nan, stored * np.float32(0.01)), sample.s1, True)
    assert len(list(tmp_path.glob("pixels-*.npy"))) == 1
    feed.discard(tmp_path)
    assert not list(tmp_path.glob("*.npy"))


def test_averaging_counts_valid_pixels_alone(toy_corpus: Corpus, tmp_path: Path) -> None:
    halved = model(tmp_path, image={"downsample": 2})
    selection, profile = toy_corpus.select(split="val", sensor="s2"), load_sensor("s2")
    pixels = feed.decoded(selection, halved, sensor="s2", folder=tmp_path)
    for stored, sample in zip(pixels, selection, strict=True):
        for band, row, col in ((0, 0, 0), (3, 2, 5), (11, 4, 4)):
            square = sample.s2[band, 2 * row : 2 * row + 2, 2 * col : 2 * col + 2].astype(float)
            valid = square[square != profile.nodata]
            assert stored[band, row, col] == (np.rint(valid.mean()) if valid.size else 0)


def test_a_square_without_data_stays_without(tmp_path: Path) -> None:
    sensor = load_sensor("s1")
    stored = np.full((2, 4, 4), -1000, dtype="<i2")
    stored[0, :2, :2] = sensor.nodata
    stored[1, 0, 0] = sensor.nodata
    shrunk = feed._shrunk(stored, sensor, 2)
    assert shrunk[0, 0, 0] == sensor.nodata and shrunk[1, 0, 0] == -1000 and shrunk.dtype == stored.dtype


@pytest.mark.parametrize("sensor", ["s1", "s2"])
def test_statistics_are_those_of_valid_pixels_and_standardise_them(sensor: str) -> None:
    profile, chance = load_sensor(sensor), np.random.default_rng(0)
    low, high = (-3000, 0) if sensor == "s1" else (1, 9000)
    stored = chance.integers(low, high, (70, len(profile.order), 6, 6)).astype(profile.dtype)
    gaps = chance.random(stored.shape) < 0.1
    stored[gaps] = profile.nodata
    statistics = feed.measure(stored, profile)
    values = np.where(gaps, np.nan, stored * profile.scale)
    for band, one in enumerate(statistics):
        assert one.mean == pytest.approx(np.nanmean(values[:, band]), rel=1e-9)
        assert one.std == pytest.approx(np.nanstd(values[:, band]), rel=1e-6)
    tower = load_model("tiny").image
    seen = feed.inputs(stored, profile, tower=tower, statistics=statistics)
    assert seen.dtype == np.float32 and not seen[gaps].any()
    assert np.allclose(np.nanmean(np.where(gaps, np.nan, seen), axis=(0, 2, 3)), 0, atol=1e-4)
    assert np.allclose(np.nanstd(np.where(gaps, np.nan, seen), axis=(0, 2, 3)), 1, atol=1e-4)


def test_a_band_without_any_data_is_no_division_by_zero() -> None:
    sensor = load_sensor("s1")
    stored = np.full((3, 2, 4, 4), sensor.nodata, dtype="<i2")
    statistics = feed.measure(stored, sensor)
    assert statistics == [Stat(mean=0, std=1)] * 2
    assert not feed.inputs(stored, sensor, tower=load_model("tiny").image, statistics=statistics).any()


def test_the_papers_optical_input_is_reflectance_in_thirteen_channels_with_a_zero_b10() -> None:
    sensor, tower = load_sensor("s2"), load_model("closp-paper").image
    stored = np.random.default_rng(0).integers(0, 12_000, (2, 12, 6, 6)).astype("<u2")
    seen = feed.inputs(stored, sensor, tower=tower, statistics=[Stat(mean=5, std=9)] * 12)
    assert seen.shape == (2, 13, 6, 6) and feed.channels(sensor, tower) == 13
    assert not seen[:, 10].any()
    assert np.allclose(np.delete(seen, 10, axis=1), stored / 10_000, atol=1e-6)
    assert sensor.order[9] == "B09" and sensor.order[10] == "B11"


def test_the_papers_radar_input_is_db_and_the_mean_where_there_is_no_data() -> None:
    sensor, tower = load_sensor("s1"), load_model("closp-paper").image
    stored = np.array([-1234, sensor.nodata], dtype="<i2").repeat(2).reshape(1, 2, 1, 2)
    seen = feed.inputs(stored, sensor, tower=tower, statistics=[Stat(mean=-9.5, std=2)] * 2)
    assert seen.ravel() == pytest.approx([-12.34, -12.34, -9.5, -9.5])


# -- batches -----------------------------------------------------------------------------------------------------------


def batches(corpus: Corpus, folder: Path, **budget: object) -> Batches:
    wanted = model(folder, budget={"batch": 5, "turns": False, **budget})
    lessons = {}
    for sensor in ("s1", "s2"):
        selection = corpus.select(split="train", sensor=sensor)
        pixels = feed.decoded(selection, wanted, sensor=sensor, folder=folder)
        texts = feed.read_texts(selection, "structured", "en")
        lessons[sensor] = Lesson(pixels, texts, feed.measure(pixels, load_sensor(sensor)))

    def tokenize(texts: object) -> tuple[object, object]:
        import torch

        said = list(texts)  # type: ignore[call-overload]
        return torch.arange(len(said))[:, None], torch.ones(len(said), 1, dtype=torch.int64)

    return Batches(lessons, wanted, seed=3, tokenize=tokenize)  # type: ignore[arg-type]


def test_an_epoch_shows_each_image_once_and_drops_the_incomplete_batch(toy_corpus: Corpus, tmp_path: Path) -> None:
    made = batches(toy_corpus, tmp_path)
    assert made.per_epoch == 24 // 5
    for epoch in (0, 1):
        steps = [made.at(epoch * made.per_epoch + step) for step in range(made.per_epoch)]
        for sensor in ("s1", "s2"):
            seen = {image.numpy().tobytes() for batch in steps for image in batch.images[sensor]}
            assert len(seen) == 20


def test_a_batch_follows_from_its_step_whatever_came_before(toy_corpus: Corpus, tmp_path: Path) -> None:
    straight, jumping = batches(toy_corpus, tmp_path, turns=True), batches(toy_corpus, tmp_path, turns=True)
    expected = [straight.at(step) for step in range(8)]
    for step in (7, 0, 5, 2):
        for sensor in ("s1", "s2"):
            assert jumping.at(step).images[sensor].equal(expected[step].images[sensor])
    assert not expected[0].images["s1"].equal(expected[4].images["s1"])


def test_words_and_labels_belong_to_their_image(toy_corpus: Corpus, tmp_path: Path) -> None:
    made = batches(toy_corpus, tmp_path)
    captions = sorted({s.caption() for s in toy_corpus.select(split="train")})
    samples = list(toy_corpus.select(split="train", sensor="s2"))
    statistics = made._lessons["s2"].statistics
    tower = model(tmp_path).image
    stack = np.stack([sample.s2 for sample in samples])
    shown = feed.inputs(stack, load_sensor("s2"), tower=tower, statistics=statistics)
    classes = sorted({label for sample in samples for label in sample.labels})
    batch = made.at(1)
    for image, place, labels in zip(batch.images["s2"], batch.place["s2"], batch.labels["s2"], strict=True):
        (row,) = [number for number, one in enumerate(shown) if np.array_equal(one, image.numpy())]
        assert captions[int(batch.ids[place][0])] == samples[row].caption()
        assert [name for name, has in zip(classes, labels.tolist(), strict=True) if has] == sorted(samples[row].labels)


def test_turns_are_the_eight_attitudes_of_a_square() -> None:
    image = np.arange(2 * 9).reshape(2, 3, 3)
    made = {turned(image, turn).tobytes() for turn in range(8)}
    assert len(made) == 8 and image.tobytes() in made
    assert all((np.sort(turned(image, turn)[1].ravel()) == np.arange(9, 18)).all() for turn in range(8))
    assert set(epoch_turns(0, 0, "s1", rows=200).tolist()) == set(range(8))


def test_orders_differ_by_seed_epoch_and_sensor() -> None:
    orders = [epoch_order(*key, rows=50).tolist() for key in ((0, 0, "s1"), (1, 0, "s1"), (0, 1, "s1"), (0, 0, "s2"))]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4


@pytest.mark.parametrize("steps", [20, 100, 333])
@pytest.mark.parametrize("warmup", [0.3, 0.1])
def test_the_rate_is_pytorchs_one_cycle(steps: int, warmup: float) -> None:
    import torch

    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=1)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.02, total_steps=steps, pct_start=warmup)
    for step in range(steps):
        expected = optimizer.param_groups[0]["lr"]
        assert learning_rate(step, steps, peak=0.02, warmup=warmup) == pytest.approx(expected, rel=1e-9)
        optimizer.step()
        if step < steps - 1:
            cycle.step()


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_shortest_trainings_have_rates_too(steps: int) -> None:
    rates = [learning_rate(step, steps, peak=1.0, warmup=0.3) for step in range(steps)]
    assert all(0 < rate <= 1 for rate in rates)


# -- what cannot be fed ------------------------------------------------------------------------------------------------


def test_samples_without_labels_or_captions_are_refused(tmp_path: Path) -> None:
    bare = opened(tmp_path / "bare", counts={"train": 4}, labels=[])
    with pytest.raises(InsufficientData, match=r"has no label.*`labels`"):
        feed.read_texts(bare, "structured", "en")
    mute = opened(tmp_path / "mute", counts={"train": 4}, captions=[])
    with pytest.raises(InsufficientData, match="no structured caption in en"):
        feed.read_texts(mute, "structured", "en")


def test_the_first_caption_of_the_style_is_taken(tmp_path: Path) -> None:
    said = [
        ("structured", "fr", "eau"),
        ("natural", "en", "A lake."),
        ("structured", "en", "water"),
        ("structured", "en", "b"),
    ]
    rest = {"template": "structured@1", "evidence": []}
    captions = [{"style": style, "lang": lang, "text": text, **rest} for style, lang, text in said]
    corpus = opened(tmp_path / "c", counts={"train": 3}, sensors=("s2",), captions=captions)
    assert feed.read_texts(corpus, "structured", "en").captions == ("water",) * 3
    assert feed.read_texts(corpus, "structured", "fr").captions == ("eau",) * 3


def test_a_style_the_corpus_lacks_is_refused(toy_corpus: Corpus) -> None:
    with pytest.raises(InsufficientData, match=r"no natural caption in en.*captions: \[natural\]"):
        feed.read_texts(toy_corpus, "natural", "en")


def test_a_factor_that_does_not_divide_is_refused(toy_corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"`image\.downsample`: 5 does not divide the 12 px"):
        feed.check_size(toy_corpus, model(tmp_path, image={"downsample": 5}).image)
