"""Load published weights into towers: names are theirs, but for a prefix."""

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
# Prefixes of self-supervised training frameworks.
_PREFIX = re.compile(r"^(state_dict\.|module\.|encoder_q\.|base_encoder\.|backbone\.|encoder\.|model\.)+")


def load_image_weights(path: Path, tower: nn.Module) -> None:
    """Load a file with timm's names into an image tower; a classification head of another width is skipped.

    Raises:
        InputError: unreadable, or of another architecture or number of channels.
    """
    tensors = {_PREFIX.sub("", name): tensor for name, tensor in read_tensors(path).items()}
    load_tower(tower, tensors, file=path, key=_KEY)


def load_tower(tower: nn.Module, tensors: Mapping[str, Tensor], *, file: Path, key: str) -> None:
    """Load tensors by name into a tower; tensors that it has no place for are left out.

    Raises:
        InputError: one is missing, or has another shape.
    """
    expected = tower.state_dict()
    absent = sorted(name for name in expected.keys() - tensors.keys() if not name.endswith("num_batches_tracked"))
    unequal = sorted(name for name in expected.keys() & tensors.keys() if expected[name].shape != tensors[name].shape)
    if absent or unequal:
        name = (absent or unequal)[0]
        present = "has none" if absent else f"has {tuple(tensors[name].shape)}"
        problem = f"not weights of this tower: it needs {name} {tuple(expected[name].shape)}, the file {present}"
        raise InputError(problem, file=file, key=key, value=name)
    tower.load_state_dict({name: tensors.get(name, tensor) for name, tensor in expected.items()})


def read_tensors(path: Path, key: str = _KEY) -> Mapping[str, Tensor]:
    """Read the named tensors of a file.

    Raises:
        InputError: unreadable, or without named tensors.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        # `weights_only`: unpickling must not run code of the file.
        stored: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise InputError(f"cannot be read: {error}", file=path, key=key) from error
    for name in ("state_dict", "model"):
        stored = stored.get(name, stored) if isinstance(stored, dict) else stored
    if not isinstance(stored, dict):
        raise InputError("holds no named tensors", file=path, key=key)
    return {name: tensor for name, tensor in stored.items() if isinstance(tensor, Tensor)}
