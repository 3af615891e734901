"""Build a newly initialised CLOSP net with its tokenizer, and prepare a net for a device."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from landmark.core.errors import InputError
from landmark.train.closp import Closp
from landmark.train.profile import ModelProfile
from landmark.train.text import Tokenizer, pretrained_text_model, scratch_text_model
from landmark.train.towers.resnet import ResNet
from landmark.train.towers.texture import TextureNet
from landmark.train.towers.vit import ViT
from landmark.train.weights import load_tower


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


def towers(net: Closp) -> dict[str, nn.Module]:
    """Encoders of a net by name, without projections."""
    return {name: module for name, module in net.named_children() if name.endswith(("_encoder", "text_model"))}


def prepare_net(net: Closp, device: torch.device) -> Closp:
    """Move a net to a device, its image towers in channels-last layout and, on CUDA, compiled under their names.

    Of a ViT each block is compiled: all blocks of both sensors share one graph, which takes a fraction of the time.
    Text and location towers are not compiled: their dropout has to be the same with a graph and without.
    """
    net.to(device)
    for tower in towers(net).values():
        if isinstance(tower, ResNet | TextureNet | ViT):
            tower.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            if device.type == "cuda" and not isinstance(tower, TextureNet):
                for part in tower.blocks if isinstance(tower, ViT) else [tower]:
                    part.compile()
    return net


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


@contextmanager
def limit_threads(count: int | None) -> Iterator[None]:
    """Compute with at most this many threads of the CPU in the block; None changes nothing."""
    before = torch.get_num_threads()
    torch.set_num_threads(before if count is None else min(before, count))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def autocast(device: torch.device) -> torch.autocast:
    """Context of a forward pass: bfloat16 matrix products and convolutions where a GPU has them, not by emulation.

    Never on CPUs, with or without such instructions: there, PyTorch 2.13 leaves a part of the gradient of convolutions
    over one pixel uninitialised, and embeddings would depend on the batch and on the processor.
    """
    enabled = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)
