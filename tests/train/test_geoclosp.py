"""GeoCLOSP: its tower, its batches, its training, and that queries do not use places."""

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from landmark.core.errors import InputError, InsufficientData
from landmark.core.hashing import file_sha256
from landmark.corpus.reader import Corpus
from landmark.train.batches import Batch, Batches, SensorData
from landmark.train.checkpoint import read_run
from landmark.train.dataset import read_split_annotations
from landmark.train.harmonics import spherical_harmonics
from landmark.train.locations import number_pairs
from landmark.train.loop import TrainingConfig, train
from landmark.train.profile import BandStatistics, LocationTower, ModelProfile, load_profile
from landmark.train.towers.siren import LocationEncoder
from tests.conftest import Run
from tests.parts import examples, raises
from tests.train.toy import open_toy, write_profile

# Sizes of SatCLIP's location encoder with L = 10, by the names in its checkpoints after `model.location.`.
SATCLIP_SHAPES = {
    "nnet.layers.0.weight": (512, 100),
    "nnet.layers.0.bias": (512,),
    "nnet.layers.1.weight": (512, 512),
    "nnet.layers.1.bias": (512,),
    "nnet.last_layer.weight": (256, 512),
    "nnet.last_layer.bias": (256,),
}
SMALL = LocationTower(degrees=3, width=6, layers=2, features=5)


@pytest.fixture
def geo_profile(tmp_path: Path) -> ModelProfile:
    """The test model with a location tower, and batches of pairs."""
    location = {"degrees": 4, "width": 16, "features": 8}
    changes = {"location": location, "objective": {"pair_weight": 0.5}, "budget": {"epochs": 2}}
    return load_profile(str(write_profile(tmp_path, **changes)))


@pytest.fixture(scope="module")
def paired_corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """A toy whose samples of equal number are pairs, but for the first of each split."""

    def partner(id: str) -> str | None:
        sensor, rest = id.split("_", 1)
        return None if rest.endswith("_000") else f"{'s1' if sensor == 's2' else 's2'}_{rest}"

    return open_toy(tmp_path_factory.mktemp("paired") / "corpus", pair=partner, pair_gap_s=lambda id: 0)


# -- the tower ---------------------------------------------------------------------------------------------------------


def test_the_tower_has_the_names_and_sizes_of_satclip() -> None:
    profile = load_profile("geoclosp").location
    assert profile is not None and (profile.degrees, profile.dropout, profile.convention) == (10, 0, "orthonormal")
    shapes = {name: tuple(tensor.shape) for name, tensor in LocationEncoder(profile).state_dict().items()}
    assert shapes == SATCLIP_SHAPES


def test_the_tower_is_a_siren() -> None:
    """Sines of 30 times and once an affine map, then an affine map; full precision under autocast."""
    tower = LocationEncoder(SMALL).double()
    weights = {name: tensor.numpy() for name, tensor in tower.state_dict().items()}
    x = spherical_harmonics([12.0, -70.0], [45.0, -80.0], 3)
    y = np.sin(30 * (x @ weights["nnet.layers.0.weight"].T + weights["nnet.layers.0.bias"]))
    y = np.sin(y @ weights["nnet.layers.1.weight"].T + weights["nnet.layers.1.bias"])
    expected = y @ weights["nnet.last_layer.weight"].T + weights["nnet.last_layer.bias"]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        actual = tower(torch.from_numpy(x).float().double())
    assert actual.dtype == torch.float64
    assert np.allclose(tower(torch.from_numpy(x)).detach(), expected, rtol=1e-12)
    assert np.allclose(actual.detach(), expected, atol=1e-4)


def test_the_tower_starts_as_siren_does() -> None:
    profile = LocationTower(degrees=10, width=2048, layers=2, features=1024)
    weights = LocationEncoder(profile).state_dict()
    for name, bound in (
        ("nnet.layers.0", 1 / 100),
        ("nnet.layers.1", math.sqrt(6 / 2048)),
        ("nnet.last_layer", math.sqrt(6 / 2048)),
    ):
        for part in ("weight", "bias"):
            largest = float(weights[f"{name}.{part}"].abs().max())
            assert 0.98 * bound < largest <= bound


def test_dropout_is_before_each_sine_in_training_only() -> None:
    """A dropped unit is sin 0 = 0 after the layer; with SatCLIP's half, others are doubled inside the sine."""
    tower = LocationEncoder(SMALL.model_copy(update={"dropout": 0.5, "layers": 1, "width": 4096, "features": 1}))
    harmonics = torch.from_numpy(spherical_harmonics([12.0], [45.0], 3)).float()
    hidden: list[torch.Tensor] = []
    tower.nnet.last_layer.register_forward_pre_hook(lambda _, inputs: hidden.append(inputs[0][0]))
    tower(harmonics), tower.eval()(harmonics)
    layer = tower.nnet.layers[0](harmonics)[0]
    dropped = hidden[0] == 0
    assert 0.45 < float(dropped.float().mean()) < 0.55
    assert torch.allclose(hidden[0][~dropped], torch.sin(60 * layer[~dropped]))
    assert torch.allclose(hidden[1], torch.sin(30 * layer))


def test_training_starts_from_weights_of_satclip(
    paired_corpus: Corpus, geo_profile: ModelProfile, tmp_path: Path
) -> None:
    path, prefix = tmp_path / "satclip.ckpt", "model.location."
    shapes = {"nnet.layers.0": (16, 16), "nnet.layers.1": (16, 16), "nnet.last_layer": (8, 16)}
    generator = torch.Generator().manual_seed(1)
    weights = {
        f"{prefix}{name}.{part}": torch.randn(shape[: 2 if part == "weight" else 1], generator=generator).double() / 9
        for name, shape in shapes.items()
        for part in ("weight", "bias")
    }
    torch.save({"state_dict": {**weights, "model.visual.conv1.weight": torch.zeros(2)}, "epoch": 3}, path)
    profile = with_weights(geo_profile, path)
    slow = profile.budget.model_copy(update={"learning_rate": 1e-12, "epochs": 1, "weight_decay": 0.0})
    config = TrainingConfig(profile.model_copy(update={"budget": slow}), tmp_path / "run", device="cpu")
    train(paired_corpus, config)
    stored = load_file(tmp_path / "run/model.safetensors")
    for name, tensor in weights.items():
        own = stored[f"location_encoder.{name.removeprefix(prefix)}"]
        assert own.dtype == torch.float32 and torch.allclose(own, tensor.float(), atol=1e-6)


def test_location_weights_of_other_sizes_or_conventions_are_refused(
    paired_corpus: Corpus, geo_profile: ModelProfile, tmp_path: Path
) -> None:
    path = tmp_path / "satclip.safetensors"
    save_file({f"model.location.{name}": torch.zeros(shape) for name, shape in SATCLIP_SHAPES.items()}, path)
    with raises(InputError, file=str(path), key="location.weights", value="nnet.layers.0.weight"):
        train(paired_corpus, TrainingConfig(with_weights(geo_profile, path), tmp_path / "run", device="cpu"))
    with raises(InputError, file=str(tmp_path / "none.ckpt"), key="location.weights"):
        profile = with_weights(geo_profile, tmp_path / "none.ckpt")
        train(paired_corpus, TrainingConfig(profile, tmp_path / "run", device="cpu"))
    changes = {"degrees": 4, "weights": str(path)}
    with raises(InputError, key="location.convention", value="orthonormal"):
        load_profile(str(write_profile(tmp_path, location=changes)))


def with_weights(profile: ModelProfile, path: Path) -> ModelProfile:
    changes = {"weights": str(path), "convention": "satclip-analytic"}
    assert profile.location is not None
    return profile.model_copy(update={"location": profile.location.model_copy(update=changes)})


# -- batches -----------------------------------------------------------------------------------------------------------


def make_batches(corpus: Corpus, profile: ModelProfile) -> Iterator[Batch]:
    data = {
        sensor: SensorData(own, [BandStatistics(mean=0, std=1)] * (12 if sensor == "s2" else 2))
        for sensor, own in read_split_annotations(corpus, profile).items()
    }

    def tokenize(texts: object) -> tuple[torch.Tensor, torch.Tensor]:
        count = len(list(texts))  # type: ignore[call-overload]
        return torch.arange(count)[:, None], torch.ones(count, 1, dtype=torch.int64)

    return iter(Batches(corpus.select(split="train"), data, profile, seed=0, tokenize=tokenize))


def test_batches_have_harmonics_coordinates_and_pairs_of_their_images(
    paired_corpus: Corpus, geo_profile: ModelProfile
) -> None:
    rows = paired_corpus.select(split="train").columns("lon", "lat").to_pylist()
    places = {(row["lon"], row["lat"]) for row in rows}
    seen = set()
    for batch in islice(make_batches(paired_corpus, geo_profile), 2):
        for sensor, targets in batch.targets.items():
            coordinates, harmonics = targets.coordinates, batch.inputs[sensor].harmonics
            assert coordinates is not None and harmonics is not None and harmonics.dtype == torch.float32
            assert {*map(tuple, coordinates.tolist())} <= places
            expected = spherical_harmonics(*coordinates.numpy().T, 4)
            assert np.allclose(harmonics, expected, atol=1e-7)
        first, second = batch.targets["s1"], batch.targets["s2"]
        assert first.pair is not None and second.pair is not None and min(first.pair) >= 0
        # Pairs come together, each from one place.
        assert torch.equal(first.pair, second.pair) and len(set(first.pair.tolist())) == 8
        assert torch.equal(first.coordinates, second.coordinates)  # type: ignore[arg-type]
        seen |= set(first.pair.tolist())
    # Of 24 samples of a sensor, 23 have a pair: two batches.
    assert len(seen) == 16


def test_a_model_without_location_and_pairs_reads_neither(toy_corpus: Corpus, profile: ModelProfile) -> None:
    batch = next(make_batches(toy_corpus, profile))
    for sensor, targets in batch.targets.items():
        assert (targets.coordinates, targets.pair, batch.inputs[sensor].harmonics) == (None, None, None)


def test_a_loss_of_pairs_without_pairs_is_refused(
    toy_corpus: Corpus, paired_corpus: Corpus, geo_profile: ModelProfile, tmp_path: Path
) -> None:
    config = TrainingConfig(geo_profile, tmp_path / "run", device="cpu")
    with raises(InsufficientData, file=str(toy_corpus.root), key="objective.pair_weight", value=0.5):
        train(toy_corpus, config)
    with raises(InsufficientData, key="objective.pair_weight"):
        train(paired_corpus, replace(config, sensors=["s1"]))
    path = write_profile(tmp_path, objective={"pair_weight": 0.5}, budget={"alternate_sensors": True})
    with raises(InputError, key="objective.pair_weight", value=0.5):
        load_profile(str(path))


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12))
@examples(50)
def test_samples_linked_by_pairs_share_a_number(links: list[tuple[int, int]]) -> None:
    partner = {a: b for a, b in links if a != b}
    group = list(range(10))
    for a, b in partner.items():
        group = [group[a] if number == group[b] else number for number in group]
    # A pair outside the selection is none.
    pairs = [f"x{partner[row]}" if row in partner else [None, "elsewhere"][row % 2] for row in range(10)]
    numbers = number_pairs(pa.table({"id": [f"x{row}" for row in range(10)], "pair": pa.array(pairs, pa.string())}))
    for a in range(10):
        assert (numbers[a] < 0) == (group.count(group[a]) == 1)
        for b in range(a):
            assert (numbers[a] == numbers[b] >= 0) == (group[a] == group[b])


# -- training and queries ----------------------------------------------------------------------------------------------


class Stop(Exception):
    pass


def test_resumed_training_equals_uninterrupted(
    paired_corpus: Corpus, geo_profile: ModelProfile, tmp_path: Path
) -> None:
    def stop(stage: str, done: int, total: int, detail: str = "", /) -> None:
        if (stage, done) == ("train", 3):
            raise Stop

    config = TrainingConfig(geo_profile, tmp_path / "run", device="cpu", save_every=1)
    with pytest.raises(Stop):
        train(paired_corpus, replace(config, progress=stop))
    run = train(paired_corpus, config)
    # Of 23 pairs there are two batches an epoch.
    assert run.finished and run.step == 4
    train(paired_corpus, replace(config, out=tmp_path / "uninterrupted"))
    names = ("run/model.safetensors", "uninterrupted/model.safetensors")
    first, second = ((tmp_path / name).read_bytes() for name in names)
    assert first == second
    before, after = load_file(tmp_path / names[0]), LocationEncoder(geo_profile.location)  # type: ignore[arg-type]
    assert set(after.state_dict()) == {
        name.removeprefix("location_encoder.") for name in before if name.startswith("location_encoder.")
    }


def test_queries_do_not_use_places(
    landmark: Run, toy_corpus: Corpus, geo_profile: ModelProfile, tmp_path: Path
) -> None:
    """The rankings are the same with a location tower that gives no number."""
    objective = geo_profile.objective.model_copy(update={"pair_weight": 0.0})
    config = TrainingConfig(geo_profile.model_copy(update={"objective": objective}), tmp_path / "run", device="cpu")
    train(toy_corpus, config)
    arguments = ("evaluate", toy_corpus.root, config.out, "--device", "cpu", "--json", "--trec")
    before = landmark(*arguments, tmp_path / "before.txt")
    weights = load_file(config.out / "model.safetensors")
    changed = [name for name in weights if name.startswith("location")]
    assert len(changed) == 8
    save_file({k: v * math.nan if k in changed else v for k, v in weights.items()}, config.out / "model.safetensors")
    document = json.loads((config.out / "run.json").read_text())
    document["weights"]["sha256"] = file_sha256(config.out / "model.safetensors")
    (config.out / "run.json").write_text(json.dumps(document))
    assert read_run(config.out).finished
    after = landmark(*arguments, tmp_path / "after.txt")
    assert before[0] == after[0] == 0 and before[1] == after[1]
    assert (tmp_path / "before.txt").read_bytes() == (tmp_path / "after.txt").read_bytes()
