"""CLOSP (arXiv 2507.10403): an image tower per sensor and one text tower, projected to a shared space."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from landmark.config.profiles import load_sensor
from landmark.train.dataset import count_channels
from landmark.train.profile import ImageTower, ModelProfile
from landmark.train.text import pool_tokens


class Closp(nn.Module):
    """Embeds images and texts as unit vectors of `profile.dimensions` numbers, to be compared by cosine."""

    def __init__(self, profile: ModelProfile, sensors: Sequence[str], text: nn.Module) -> None:
        super().__init__()
        self.images = nn.ModuleDict({sensor: image_tower(profile.image, sensor) for sensor in sensors})
        self.projections = nn.ModuleDict(
            {sensor: nn.Linear(profile.image.widths[-1], profile.dimensions) for sensor in sensors}
        )
        self.text = text
        width = int(text.config.hidden_size)  # type: ignore[union-attr,arg-type]
        same_width = width == profile.dimensions
        self.text_projection = nn.Identity() if same_width else nn.Linear(width, profile.dimensions)
        self._pooling, self._max_log_scale = profile.text.pooling, math.log(profile.objective.max_scale)
        start = torch.tensor(math.log(profile.objective.scale))
        self.log_scale: Tensor
        if profile.objective.learn_scale:
            self.log_scale = nn.Parameter(start)
        else:
            self.register_buffer("log_scale", start)

    def embed_images(self, sensor: str, pixels: Tensor) -> Tensor:
        """Unit vectors (n, dimensions) of one sensor's `model_input`, (n, channel, y, x)."""
        states = self.images[sensor](pixels).pooler_output.flatten(1)
        return normalize(self.projections[sensor](states), dim=1)

    def embed_texts(self, token_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Unit vectors (n, dimensions) of tokenized texts, each (n, token)."""
        states = self.text(input_ids=token_ids, attention_mask=attention_mask).last_hidden_state
        return normalize(self.text_projection(pool_tokens(states, attention_mask, self._pooling)), dim=1)

    @property
    def scale(self) -> Tensor:
        """Factor of the cosines; the inverse of the temperature."""
        return self.log_scale.exp()

    @torch.no_grad()
    def clamp_scale(self) -> None:
        """Clamp a learned scale to [1, max_scale], as CLIP does after each step."""
        if isinstance(self.log_scale, nn.Parameter):
            self.log_scale.clamp_(0.0, self._max_log_scale)


def image_tower(profile: ImageTower, sensor: str) -> nn.Module:
    """A randomly initialised ResNet for a sensor's channels."""
    from transformers import ResNetConfig, ResNetModel

    tower: nn.Module = ResNetModel(
        ResNetConfig(
            num_channels=count_channels(load_sensor(sensor), profile),
            embedding_size=profile.stem_width,
            hidden_sizes=list(profile.widths),
            depths=list(profile.depths),
            layer_type=profile.layer,
        )
    )
    return tower
