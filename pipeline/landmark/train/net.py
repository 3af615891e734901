"""Build a newly initialised CLOSP net with its tokenizer."""

from collections.abc import Sequence
from pathlib import Path

import torch

from landmark.core.errors import InputError
from landmark.train.closp import Closp
from landmark.train.profile import ModelProfile
from landmark.train.text import Tokenizer, pretrained_text_model, scratch_text_model
from landmark.train.weights import load_tower


def pick_device(name: str) -> torch.device:
    """Device by name; auto is CUDA where available.

    Raises:
        InputError: unknown or unavailable device.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise InputError("unknown device", file="--device", value=name, remedy="give auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("PyTorch finds no CUDA device", file="--device", value=name, remedy="use --device cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def new_net(
    profile: ModelProfile, sensors: Sequence[str], *, vocabulary: Sequence[str], text_folder: Path | None
) -> tuple[Closp, Tokenizer]:
    """Initialise a net with PyTorch's generator, and with the pretrained weights that the profile names.

    Args:
        profile: The model.
        sensors: Sensors to build image towers for.
        vocabulary: Of a text tower from scratch, where `text_folder` is None.
        text_folder: Folder of a pretrained text tower.

    Raises:
        InputError: weights are unreadable or of another architecture.
    """
    if text_folder is None:
        text = scratch_text_model(profile.text, vocabulary)
    else:
        text = pretrained_text_model(profile.text, text_folder)
    net = Closp(profile, sensors, text.tower)
    for sensor, path in profile.image.weights.items():
        if sensor in sensors:
            name = f"{sensor}_encoder"
            load_tower(getattr(net, name), Path(path).expanduser(), key=f"image.weights.{sensor}", preferred=name)
    if profile.location is not None and profile.location.weights is not None:
        load_tower(net.location_encoder, Path(profile.location.weights).expanduser(), key="location.weights")
    return net, text.tokenize
