"""Small nets in float64, and random batches for them."""

from typing import Any

import torch
from torch import Tensor

from landmark.core.yaml_files import parse_model
from landmark.train.batches import Batch
from landmark.train.closp import Closp, SensorInputs
from landmark.train.loss import SensorTargets
from landmark.train.profile import ModelProfile
from landmark.train.text import scratch_text_model
from landmark.train.towers.vit import ViT, ViTShape
from tests.train.toy import PROFILE

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "trees", "water", "built"]


def make_profile(**changes: Any) -> ModelProfile:
    """The toy's profile, parts of it changed by keyword."""
    parts = {key: {**PROFILE.get(key, {}), **change} for key, change in changes.items()}
    return parse_model(ModelProfile, PROFILE | parts, "test")


def make_net(profile: ModelProfile, *, vit: bool = False, seed: int = 0) -> Closp:
    """A net of both sensors in float64, in training; with `vit`, of vision transformers and without dropout."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = Closp(profile, ["s1", "s2"], scratch_text_model(profile.text, VOCABULARY).tower)
        if vit:
            # As wide as the features of the ResNet that they replace.
            net.s1_encoder, net.s2_encoder = (ViT(ViTShape(96, 1, 2), channels) for channels in (2, 12))
    net.double().train()
    if vit:
        net.text_model.eval()
    return net


def make_batch(profile: ModelProfile, *, n: tuple[int, int] = (8, 8), px: int = 32, seed: int = 0) -> Batch:
    """Random images of both sensors with three texts; with places and pairs where the profile needs them."""
    chance = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=chance, dtype=torch.float64)

    location, pairs = profile.location, torch.arange(max(n))
    inputs, targets = {}, {}
    for (sensor, channels), count in zip((("s1", 2), ("s2", 12)), n, strict=True):
        texts = torch.randint(0, 3, (count,), generator=chance)
        harmonics = None if location is None else draw(count, location.degrees**2)
        inputs[sensor] = SensorInputs(draw(count, channels, px, px), texts, harmonics)
        labels = torch.rand(count, 3, generator=chance) < 0.5
        places = None if location is None else draw(count, 2) / 50
        pair = pairs[:count].flip(0) if profile.objective.pair_weight else None
        targets[sensor] = SensorTargets(labels, places, pair)
    ids = torch.tensor([[2, 4, 3, 0], [2, 5, 3, 0], [2, 6, 4, 3]])
    return Batch(inputs, targets, ids, (ids > 0).long())
