"""How a device computes a net: number format, memory layout, compilation."""

import torch
from torch import nn

from landmark.train.closp import Closp
from landmark.train.towers.resnet import ResNet
from landmark.train.towers.vit import ViT


def has_bfloat16(device: torch.device) -> bool:
    """Whether a device multiplies matrices of bfloat16; where it only emulates that, it is slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())


def autocast(device: torch.device) -> torch.autocast:
    """Context of a forward pass: bfloat16 matrix products and convolutions where `has_bfloat16`."""
    return torch.autocast(device.type, torch.bfloat16, enabled=has_bfloat16(device))


def prepare_net(net: Closp, device: torch.device) -> Closp:
    """Move a net to a device, its image towers in channels-last layout and, on CUDA, compiled under their names.

    Text and location towers are not compiled: their dropout has to be the same with a graph and without.
    """
    net.to(device)
    for tower in towers(net).values():
        if isinstance(tower, ResNet | ViT):
            tower.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            if device.type == "cuda":
                tower.compile()
    return net


def towers(net: Closp) -> dict[str, nn.Module]:
    """Encoders of a net by name, without projections."""
    return {name: module for name, module in net.named_children() if name.endswith(("_encoder", "text_model"))}
