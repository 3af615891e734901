"""Published weights load by name, in the layouts in which they are published."""

import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from landmark.core.errors import InputError
from landmark.train.closp import image_tower
from landmark.train.profile import ImageTower, LocationTower
from landmark.train.towers.siren import LocationEncoder
from landmark.train.weights import load_tower
from tests.parts import raises
from tests.train import published
from tests.train.published import Shapes, Tensors, fill, read_layout

ARCHITECTURES = ("resnet50", "vit_small_patch16_224", "vit_large_patch16_224")
CHANNELS = {"s1": 2, "s2": 13}


def tower_of(
    architecture: str, sensor: str = "s2", device: str = "cpu", *, bands: str = "sentinel-2-l1c", head: int = 0
) -> nn.Module:
    """A tower; on `meta`, loading into it checks names and shapes without memory for ViT-L."""
    options = {"architecture": architecture, "bands": bands, "head": {sensor: head} if head else {}}
    with torch.device(device):
        return image_tower(ImageTower.model_validate(options), sensor)


def shapes_of(tower: nn.Module) -> Shapes:
    return {name: tuple(tensor.shape) for name, tensor in tower.state_dict().items()}


def assert_equal(tower: nn.Module, tensors: Tensors) -> None:
    state = tower.state_dict()
    for name, tensor in tensors.items():
        assert bool((state[name] == tensor).all()), name


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("sensor", CHANNELS)
@pytest.mark.parametrize("head", [0, 1000])
def test_towers_have_the_names_and_shapes_of_timm(architecture: str, sensor: str, head: int) -> None:
    tower = tower_of(architecture, sensor, device="meta", head=head)
    assert shapes_of(tower) == read_layout(architecture, channels=CHANNELS[sensor], head=bool(head))


@pytest.mark.parametrize(
    ("architecture", "publish", "sensor", "channels"),
    [
        ("resnet50", published.torchgeo, "s1", 2),
        ("resnet50", published.torchgeo, "s2", 12),
        ("resnet50", published.of_module, "s2", 13),
        ("resnet50", published.moco_v2, "s2", 13),
        ("resnet50", published.dino, "s1", 2),
        ("vit_small_patch16_224", published.torchgeo, "s2", 12),
        ("vit_small_patch16_224", published.moco_v3, "s1", 2),
        ("vit_small_patch16_224", published.mae, "s2", 13),
        ("vit_small_patch16_224", published.dino, "s2", 13),
        ("vit_large_patch16_224", published.mae, "s2", 13),
    ],
)
@pytest.mark.filterwarnings("ignore:.*copying from a non-meta parameter")
def test_weights_of_self_supervised_training_load(
    tmp_path: Path, architecture: str, publish: Callable[[Tensors], Any], sensor: str, channels: int
) -> None:
    tensors, path = fill(read_layout(architecture, channels=channels, head=False)), tmp_path / "weights.pth"
    torch.save(publish(tensors), path)
    bands, large = "stored" if channels == 12 else "sentinel-2-l1c", architecture == "vit_large_patch16_224"
    tower = tower_of(architecture, sensor, "meta" if large else "cpu", bands=bands)
    load_tower(tower, path, key="image.weights.s2", preferred=f"{sensor}_encoder")
    if not large:
        assert_equal(tower, tensors)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_safetensors_load_in_the_dtype_of_the_tower(tmp_path: Path, dtype: torch.dtype) -> None:
    tensors, path = fill(shapes_of(tower_of("tiny")), dtype=dtype), tmp_path / "weights.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    tower = tower_of("tiny")
    load_tower(tower, path, key="image.weights.s2")
    assert_equal(tower, tensors)
    assert next(tower.parameters()).dtype == torch.float32


@pytest.mark.parametrize("sensor", CHANNELS)
@pytest.mark.parametrize("head", [0, 1000])
def test_towers_of_a_published_closp_are_chosen_by_sensor(tmp_path: Path, sensor: str, head: int) -> None:
    """Also where only the tower of the other sensor has a last layer, or the profile has none."""
    stored, path = fill(published.closp("vit_small_patch16_224", (False, True))), tmp_path / "closp.pth"
    torch.save(stored, path)
    tower = tower_of("vit_small_patch16_224", sensor, head=head)
    before = {name: tensor.clone() for name, tensor in tower.state_dict().items()}
    load_tower(tower, path, key=f"image.weights.{sensor}", preferred=f"{sensor}_encoder")
    prefix = f"{sensor}_encoder."
    own = {name.removeprefix(prefix): tensor for name, tensor in stored.items() if name.startswith(prefix)}
    if not head:
        own = {name: tensor for name, tensor in own.items() if not name.startswith("head")}
    elif "head.weight" not in own:
        own |= {name: tensor for name, tensor in before.items() if name.startswith("head")}
    assert own.keys() == before.keys()
    assert_equal(tower, own)


@pytest.mark.parametrize("source", ["satclip", "geoclosp"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_location_towers_of_satclip_and_geoclosp_load(tmp_path: Path, source: str, dtype: torch.dtype) -> None:
    tensors, path = fill(published.satclip(), dtype=dtype), tmp_path / "location.ckpt"
    geoclosp = fill(published.geoclosp("resnet50", (True, True))) | published.prefixed("location_encoder.", tensors)
    torch.save(published.lightning(tensors) if source == "satclip" else geoclosp, path)
    tower = LocationEncoder(LocationTower())
    assert shapes_of(tower) == published.satclip()
    load_tower(tower, path, key="location.weights")
    assert_equal(tower, tensors)


# -- refusals ----------------------------------------------------------------------------------------------------------


def without(name: str) -> Callable[[Tensors], Any]:
    return lambda tensors: {key: tensor for key, tensor in tensors.items() if key != name}


def nested(tensors: Tensors) -> Any:
    """A mapping that holds itself, without one tensor."""
    stored: dict[str, Any] = without("layer3.0.bn1.weight")(tensors)
    stored["again"] = stored
    return stored


@pytest.mark.parametrize(
    ("store", "value"),
    [
        (without("layer3.0.bn1.running_var"), "layer3.0.bn1.running_var"),
        (lambda tensors: tensors | {"layer2.0.conv2.weight": torch.zeros(64, 64, 1, 1)}, "layer2.0.conv2.weight"),
        (lambda tensors: tensors | {"fc.weight": torch.zeros(10, 96)}, "fc.bias"),
        (lambda tensors: {"proj.weight": torch.zeros(3)}, "conv1.weight"),
        (lambda tensors: list(tensors.values()), None),
        (lambda tensors: {"state_dict": 3, "epoch": 1}, None),
        (lambda tensors: tensors | {"path": Path("/")}, None),
        (lambda tensors: nested(tensors), "layer3.0.bn1.weight"),
        (lambda tensors: tensors | {"conv1.weight": tensors["conv1.weight"].to(torch.int8)}, "conv1.weight"),
        (lambda tensors: tensors | {"conv1.weight": tensors["conv1.weight"] * math.nan}, "conv1.weight"),
    ],
    ids=[
        "missing",
        "shape",
        "half of a head",
        "foreign",
        "list",
        "empty",
        "code",
        "in itself",
        "integers",
        "no number",
    ],
)
def test_other_files_are_refused(tmp_path: Path, store: Callable[[Tensors], Any], value: str | None) -> None:
    tower, path = tower_of("tiny", head=10), tmp_path / "weights.pth"
    tensors = {name: t for name, t in fill(shapes_of(tower)).items() if not name.startswith("fc")}
    torch.save(store(tensors), path)
    with raises(InputError, file=str(path), key="image.weights.s2", value=value):
        load_tower(tower, path, key="image.weights.s2")


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("content", [b"", b"nothing", None], ids=["empty", "damaged", "missing"])
def test_unreadable_files_are_refused(tmp_path: Path, suffix: str, content: bytes | None) -> None:
    path = tmp_path / f"weights{suffix}"
    if content is not None:
        path.write_bytes(content)
    with raises(InputError, file=str(path), key="image.weights.s1", value=None):
        load_tower(tower_of("tiny", "s1"), path, key="image.weights.s1")


@pytest.mark.parametrize("zipped", [True, False])
def test_damaged_pickles_are_refused_or_load(tmp_path: Path, zipped: bool) -> None:
    """The unpickler raises errors of many kinds."""
    tower, path, chance = tower_of("tiny", "s1"), tmp_path / "weights.pth", random.Random(3)
    torch.save(tower.state_dict(), path, _use_new_zipfile_serialization=zipped)
    data, refused = path.read_bytes(), 0
    for _ in range(60):
        damaged = bytearray(data)
        for _ in range(3):
            damaged[chance.randrange(4000)] = chance.randrange(256)
        path.write_bytes(damaged)
        try:
            load_tower(tower, path, key="image.weights.s1")
        except InputError:
            refused += 1
    assert refused > 20


@pytest.mark.parametrize("architecture", ["resnet50", "vit_small_patch16_224"])
@pytest.mark.parametrize(("bands", "channels"), [("stored", 13), ("sentinel-2-l1c", 12), ("stored", 3), ("stored", 2)])
def test_weights_of_other_channels_are_refused_with_a_remedy(
    tmp_path: Path, architecture: str, bands: str, channels: int
) -> None:
    path = tmp_path / "weights.pth"
    torch.save(fill(read_layout(architecture, channels=channels)), path)
    with pytest.raises(InputError) as caught:
        load_tower(tower_of(architecture, device="meta", bands=bands), path, key="image.weights.s2")
    assert caught.value.value in ("conv1.weight", "patch_embed.proj.weight") and caught.value.remedy is not None
    fitting = "stored" if bands == "sentinel-2-l1c" else "sentinel-2-l1c"
    assert (fitting in caught.value.remedy) == (channels > 3)
