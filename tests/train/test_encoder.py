"""Models as folders: written, read, published, refused."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from landmark.config.profiles import load_sensor
from landmark.core.errors import InputError, InvalidRun
from landmark.corpus.reader import Corpus
from landmark.train import Encoder
from landmark.train.dataset import StoredPixels, pixel_blocks
from landmark.train.loop import TrainingConfig, train
from landmark.train.net import new_net
from landmark.train.profile import BandStatistics, ModelProfile, load_profile
from landmark.train.retrieval.embed import embed_split, load_run
from landmark.train.text import build_vocabulary
from tests.parts import raises
from tests.train.published import MINILM, fill, geoclosp

TEXTS = ["Trees. water", "built", "a volcano"]


def stored_pixels(sensor: str, n: int = 3, edge: int = 24) -> StoredPixels:
    """Random stored pixels with a corner without data."""
    profile, chance = load_sensor(sensor), np.random.default_rng(0)
    pixels = chance.integers(100, 3000, (n, len(profile.order), edge, edge)).astype(profile.dtype)
    pixels[:, :, :5, :7] = profile.nodata
    return pixels


def make_encoder(profile: ModelProfile, **image: object) -> Encoder:
    """An untrained model of both sensors."""
    torch.manual_seed(0)
    own = profile.model_copy(update={"image": profile.image.model_copy(update=image)})
    vocabulary = build_vocabulary(["trees. water. built"])
    net, tokenize = new_net(own, ["s1", "s2"], vocabulary=vocabulary, text_folder=None)
    band = BandStatistics(mean=0.1, std=2.0)
    return Encoder(net.eval(), tokenize, own, {name: [band] * len(load_sensor(name).order) for name in net.sensors})


@pytest.fixture
def encoder(profile: ModelProfile) -> Encoder:
    """One with images averaged over squares of 2 pixels."""
    return make_encoder(profile, downsample=2)


def vectors_of(encoder: Encoder) -> list[NDArray[np.float32]]:
    images = [encoder.encode_images(sensor, stored_pixels(sensor)) for sensor in encoder.sensors]
    return [*images, encoder.encode_texts(TEXTS)]


def test_a_saved_model_is_the_same_model(encoder: Encoder, tmp_path: Path) -> None:
    """But for paths of its pretrained weights, which are not stored."""
    image = encoder.profile.image.model_copy(update={"weights": {"s1": "/home/somebody/s1.pth"}})
    encoder = replace(encoder, profile=encoder.profile.model_copy(update={"image": image}))
    encoder.save_pretrained(tmp_path / "new" / "model")
    assert sorted(path.name for path in (tmp_path / "new" / "model").iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    assert "somebody" not in (tmp_path / "new" / "model" / "config.json").read_text()
    loaded = Encoder.from_pretrained(tmp_path / "new" / "model", "cpu")
    for name, tensor in encoder.net.state_dict().items():
        assert torch.equal(loaded.net.state_dict()[name], tensor), name
    for before, after in zip(vectors_of(encoder), vectors_of(loaded), strict=True):
        assert np.array_equal(before, after) and before.dtype == np.float32
        assert np.allclose(np.linalg.norm(before, axis=1), 1, atol=1e-6)
    loaded.save_pretrained(tmp_path / "again")
    for path in (tmp_path / "new" / "model").iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_another_precision_are_converted(encoder: Encoder, tmp_path: Path, dtype: torch.dtype) -> None:
    """The counters of BatchNorm, too."""
    encoder.save_pretrained(tmp_path)
    tensors = {name: tensor.to(dtype) for name, tensor in load_file(tmp_path / "model.safetensors").items()}
    save_file(tensors, tmp_path / "model.safetensors")
    loaded = Encoder.from_pretrained(tmp_path, "cpu")
    types = {name: tensor.dtype for name, tensor in encoder.net.state_dict().items()}
    assert {name: tensor.dtype for name, tensor in loaded.net.state_dict().items()} == types
    for before, after in zip(vectors_of(encoder), vectors_of(loaded), strict=True):
        assert np.allclose(before, after, atol=1e-6 if dtype == torch.float64 else 0.05)


def test_loading_changes_no_random_state_and_the_model_can_be_trained(encoder: Encoder, tmp_path: Path) -> None:
    encoder.save_pretrained(tmp_path)
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    loaded = Encoder.from_pretrained(tmp_path, "cpu")
    assert torch.equal(torch.rand(1), expected)
    assert {name for name, parameter in loaded.net.named_parameters() if parameter.requires_grad} == {
        name for name, _ in encoder.net.named_parameters()
    }
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert all(bool(tensor.isfinite().all()) for tensor in loaded.net.state_dict().values())


def test_a_run_folder_is_a_model(toy_corpus: Corpus, tmp_path: Path, profile: ModelProfile) -> None:
    """The images of a corpus get the same vectors from its shards and by hand."""
    image = profile.image.model_copy(update={"downsample": 2})
    budget = profile.budget.model_copy(update={"epochs": 1})
    own = profile.model_copy(update={"image": image, "budget": budget})
    train(toy_corpus, TrainingConfig(own, tmp_path / "run", device="cpu"))
    encoder = Encoder.from_pretrained(tmp_path / "run", "cpu")
    assert encoder.sensors == ("s1", "s2")
    embedded = embed_split(load_run(tmp_path / "run", "cpu"), toy_corpus, "test")
    test = toy_corpus.select(split="test")
    sensors = np.array(test.columns("sensor")["sensor"].to_pylist())
    full = own.image.model_copy(update={"downsample": 1})
    for sensor in encoder.sensors:
        blocks = [block.copy() for block in pixel_blocks(test.select(sensor=sensor), full)]
        vectors = encoder.encode_images(sensor, np.concatenate(blocks))
        assert np.allclose(vectors, embedded[sensors == sensor], atol=1e-6)


def test_b10_is_a_zero_at_index_10(profile: ModelProfile) -> None:
    """A net for 13 bands sees the 12 of a corpus as a net for 12 does that has no weights for that channel."""
    wide, narrow = make_encoder(profile, bands="sentinel-2-l1c"), make_encoder(profile)
    state, kernel = wide.net.state_dict(), "s2_encoder.conv1.weight"
    assert state[kernel].shape[1] == 13
    narrow.net.load_state_dict(state | {kernel: torch.cat([state[kernel][:, :10], state[kernel][:, 11:]], dim=1)})
    for before, after in zip(vectors_of(wide), vectors_of(narrow), strict=True):
        assert np.allclose(before, after, atol=1e-5)


def test_no_images_and_no_texts_have_no_vectors(encoder: Encoder) -> None:
    assert encoder.encode_texts([]).shape == encoder.encode_images("s1", stored_pixels("s1", n=0)).shape == (0, 16)


@pytest.mark.parametrize(
    ("sensor", "stored", "key"),
    [
        ("s3", stored_pixels("s1"), "sensor"),
        ("s2", stored_pixels("s1"), "stored"),
        ("s1", stored_pixels("s1")[0], "stored"),
        ("s1", stored_pixels("s1").astype(np.float32), "stored"),
        ("s1", stored_pixels("s1", edge=23), "stored"),
        ("s1", stored_pixels("s1")[:, :, :0], "stored"),
    ],
    ids=["sensor", "bands", "dimensions", "floats", "edge", "no rows"],
)
def test_other_images_are_refused(encoder: Encoder, sensor: str, stored: StoredPixels, key: str) -> None:
    with raises(InputError, key=key):
        encoder.encode_images(sensor, stored)


def test_a_text_is_no_list_of_texts(encoder: Encoder, toy_corpus: Corpus) -> None:
    with raises(InputError, key="texts", value="trees"):
        encoder.encode_texts("trees")
    with raises(InputError, key="texts", value="trees"):
        encoder.encode_queries("trees", toy_corpus.manifest.taxonomy)


# -- published checkpoints ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("location", [True, False])
def test_a_published_checkpoint_loads(tmp_path: Path, location: bool) -> None:
    """A file of GeoCLOSP, with its location tower or as a CLOSP; then it is a model like any other."""
    profile = load_profile("closp-paper")
    small = {"location": load_profile("geoclosp").location} if location else {}
    tensors = fill(geoclosp("resnet50", (True, True)), start=0.0)
    torch.save(tensors, tmp_path / "closp.pt")
    encoder = Encoder.from_published(tmp_path / "closp.pt", profile.model_copy(update=small), MINILM, "cpu")
    state = encoder.net.state_dict()
    used = {name for name in tensors if "pooler" not in name and "position_ids" not in name}
    if not location:
        used = {name for name in used if "location" not in name}
    assert state.keys() == used | {"logit_scale"} and encoder.net.scale.item() == 1
    assert all(bool((state[name] == tensors[name]).all()) for name in used)
    assert encoder.statistics["s1"][0].mean == pytest.approx(0, abs=1e-5)


# -- refusals ----------------------------------------------------------------------------------------------------------


def edit(name: str, part: str | None = None, **values: object) -> Callable[[Path], None]:
    """Change keys of a JSON file of a folder, or of a part of it."""

    def apply(folder: Path) -> None:
        document = json.loads((folder / name).read_text())
        (document if part is None else document[part]).update(values)
        (folder / name).write_text(json.dumps(document))

    return apply


def edit_vocabulary(**numbers: int) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        document = json.loads((folder / "tokenizer.json").read_text())
        document["model"]["vocab"] |= numbers
        (folder / "tokenizer.json").write_text(json.dumps(document))

    return apply


def rename_unknown_token(folder: Path) -> None:
    text = (folder / "tokenizer.json").read_text()
    (folder / "tokenizer.json").write_text(text.replace('"[UNK]"', '"[OTHER]"', 1))


def edit_weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors")

    return apply


def write(name: str, content: bytes) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        (folder / name).write_bytes(content)

    return apply


def cases() -> Iterator[tuple[str, str, Callable[[Path], None], str | None]]:
    """Name, file at fault, damage and key."""
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        yield "missing", name, lambda folder, name=name: (folder / name).unlink(), None
        yield "damaged", name, write(name, b'{"version": "1.0", "model"'), None
        yield "binary", name, write(name, b"\xff\xfe\x00"), None
        yield "list", name, write(name, b"[]"), None
    for key, value in [("format", 2), ("profile", {}), ("sensors", []), ("statistics.s1", {"s1": []}), ("more", 1)]:
        changed = edit("config.json", **{key.split(".")[0]: value})
        yield key, "config.json", changed, key if key != "profile" else None
    yield "heads", "config.json", edit("config.json", "text", num_attention_heads=5), None
    yield "more tokens", "tokenizer.json", edit("config.json", "text", vocab_size=5), None
    yield "huge", "model.safetensors", edit("config.json", "text", vocab_size=10**15), None
    yield "other width", "model.safetensors", edit("config.json", "profile", dimensions=8), None
    yield "tensor missing", "model.safetensors", edit_weights(lambda t: t.pop("s1_encoder.conv1.weight")), None
    shape = edit_weights(lambda tensors: tensors.update({"s1_projection.bias": torch.zeros(3)}))
    yield "shape", "model.safetensors", shape, None
    for key, value in [("dimensions", 10**18), ("dimensions", 10**30)]:
        yield f"{key} {value}", "config.json", edit("config.json", "profile", **{key: value}), None
    for key, value in [("hidden_size", 10**10), ("num_hidden_layers", 10**9), ("layer_norm_eps", float("inf"))]:
        yield f"{key} {value}", "config.json", edit("config.json", "text", **{key: value}), None
    flat = {"s1": [{"mean": 0.0, "std": 0.0}] * 2}
    yield "deviation of zero", "config.json", edit("config.json", "statistics", **flat), "statistics.s1"
    yield "far token", "tokenizer.json", edit_vocabulary(volcano=10**6), None
    yield "no unknown token", "tokenizer.json", rename_unknown_token, None
    complex_ = edit_weights(lambda tensors: tensors.update({"s1_projection.bias": torch.zeros(16, dtype=torch.cfloat)}))
    yield "complex", "model.safetensors", complex_, None
    integers = edit_weights(lambda tensors: tensors.update({"s1_projection.bias": torch.zeros(16, dtype=torch.int64)}))
    yield "integers", "model.safetensors", integers, None


CASES = [pytest.param(*case[1:], id=f"{case[1]}: {case[0]}") for case in cases()]


@pytest.mark.parametrize(("name", "damage", "key"), CASES)
def test_damaged_folders_are_refused(
    encoder: Encoder, tmp_path: Path, name: str, damage: Callable[[Path], None], key: str | None
) -> None:
    encoder.save_pretrained(tmp_path / "model")
    damage(tmp_path / "model")
    with pytest.raises(InvalidRun) as caught:
        Encoder.from_pretrained(tmp_path / "model", "cpu")
    assert caught.value.file == str(tmp_path / "model" / name)
    assert key is None or (caught.value.key or "").startswith(key)
