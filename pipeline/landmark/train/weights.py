"""Pretrained ResNets of others, named as torchvision names them, for the towers `transformers` builds."""

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from landmark.core.errors import InputError

_HEAD = re.compile(r"(fc|head|classifier|projector|queue.*)\b")
# What frameworks of self-supervision put in front of the names.
_FRONT = re.compile(r"^(state_dict\.|module\.|encoder_q\.|base_encoder\.|backbone\.|encoder\.|model\.)+")


def load_image_weights(path: Path, tower: nn.Module) -> None:
    """Fill a ResNet from a file with torchvision's names.

    Raises:
        InputError: unreadable, or of another architecture or number of channels.
    """
    wanted = tower.state_dict()
    found = {renamed(name): tensor for name, tensor in _read(path).items() if not _HEAD.match(_bare(name))}
    lacking = sorted(name for name in wanted.keys() - found.keys() if not name.endswith("num_batches_tracked"))
    unequal = sorted(name for name in wanted.keys() & found.keys() if wanted[name].shape != found[name].shape)
    if lacking or unequal:
        name = (lacking or unequal)[0]
        ours = tuple(wanted[name].shape)
        theirs = "has none" if lacking else f"has {tuple(found[name].shape)}"
        raise InputError(f"`image.weights`: {path}: not of this tower: {name} is {ours}, the file {theirs}")
    tower.load_state_dict({name: found.get(name, tensor) for name, tensor in wanted.items()})


def renamed(name: str) -> str:
    """The name `transformers` gives to what torchvision calls `name`; others stay."""
    name = _bare(name)
    for norm, place in (("conv1", "convolution"), ("bn1", "normalization")):
        if name.startswith(f"{norm}."):
            return f"embedder.embedder.{place}.{name.split('.', 1)[1]}"
    found = re.fullmatch(r"layer(\d)\.(\d+)\.(conv|bn|downsample\.)(\d)\.(\w+)", name)
    if found is None:
        return name
    stage, layer, kind, number, what = found.groups()
    where = f"encoder.stages.{int(stage) - 1}.layers.{layer}"
    if kind == "downsample.":
        return f"{where}.shortcut.{('convolution', 'normalization')[int(number)]}.{what}"
    return f"{where}.layer.{int(number) - 1}.{'convolution' if kind == 'conv' else 'normalization'}.{what}"


def _bare(name: str) -> str:
    return _FRONT.sub("", name)


def _read(path: Path) -> Mapping[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        # `weights_only`: a file of numbers must not run code.
        stored: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise InputError(f"`image.weights`: {path}: cannot be read: {error}") from error
    for key in ("state_dict", "model"):
        stored = stored.get(key, stored) if isinstance(stored, dict) else stored
    if not isinstance(stored, dict):
        raise InputError(f"`image.weights`: {path}: holds no names and tensors")
    return {name: tensor for name, tensor in stored.items() if isinstance(tensor, Tensor)}
