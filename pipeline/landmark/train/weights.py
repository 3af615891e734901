"""Load pretrained ResNets with torchvision's parameter names into the ResNets of `transformers`."""

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

_KEY = "image.weights"
_HEAD = re.compile(r"(fc|head|classifier|projector|queue.*)\b")
# Prefixes of self-supervised training frameworks.
_PREFIX = re.compile(r"^(state_dict\.|module\.|encoder_q\.|base_encoder\.|backbone\.|encoder\.|model\.)+")


def load_image_weights(path: Path, tower: nn.Module) -> None:
    """Load a file with torchvision's names into a ResNet; classification heads are skipped.

    Raises:
        InputError: unreadable, or of another architecture or number of channels.
    """
    expected = tower.state_dict()
    tensors = {
        transformers_name(name): tensor
        for name, tensor in _read_tensors(path).items()
        if not _HEAD.match(_PREFIX.sub("", name))
    }
    absent = sorted(name for name in expected.keys() - tensors.keys() if not name.endswith("num_batches_tracked"))
    unequal = sorted(name for name in expected.keys() & tensors.keys() if expected[name].shape != tensors[name].shape)
    if absent or unequal:
        name = (absent or unequal)[0]
        present = "has none" if absent else f"has {tuple(tensors[name].shape)}"
        problem = f"not weights of this tower: it needs {name} {tuple(expected[name].shape)}, the file {present}"
        raise InputError(problem, file=path, key=_KEY, value=name)
    tower.load_state_dict({name: tensors.get(name, tensor) for name, tensor in expected.items()})


def transformers_name(name: str) -> str:
    """Translate a ResNet parameter name from torchvision to `transformers`; other names lose their prefix only."""
    name = _PREFIX.sub("", name)
    for layer, module in (("conv1", "convolution"), ("bn1", "normalization")):
        if name.startswith(f"{layer}."):
            return f"embedder.embedder.{module}.{name.split('.', 1)[1]}"
    match = re.fullmatch(r"layer(\d)\.(\d+)\.(conv|bn|downsample\.)(\d)\.(\w+)", name)
    if match is None:
        return name
    stage, block, kind, number, parameter = match.groups()
    prefix = f"encoder.stages.{int(stage) - 1}.layers.{block}"
    if kind == "downsample.":
        return f"{prefix}.shortcut.{('convolution', 'normalization')[int(number)]}.{parameter}"
    return f"{prefix}.layer.{int(number) - 1}.{'convolution' if kind == 'conv' else 'normalization'}.{parameter}"


def _read_tensors(path: Path) -> Mapping[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        # `weights_only`: unpickling must not run code of the file.
        stored: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise InputError(f"cannot be read: {error}", file=path, key=_KEY) from error
    for key in ("state_dict", "model"):
        stored = stored.get(key, stored) if isinstance(stored, dict) else stored
    if not isinstance(stored, dict):
        raise InputError("holds no named tensors", file=path, key=_KEY)
    return {name: tensor for name, tensor in stored.items() if isinstance(tensor, Tensor)}
