"""CLOSP: an image tower a sensor, one text tower, and the space they share (arXiv 2507.10403)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from landmark.config.profiles import load_sensor
from landmark.train.dataset import channels
from landmark.train.profile import ImageTower, Model
from landmark.train.text import pooled


class Closp(nn.Module):
    """Embeds images and texts as unit vectors of `model.dimensions` numbers; the cosine says how well they match."""

    def __init__(self, model: Model, sensors: Sequence[str], text: nn.Module) -> None:
        super().__init__()
        self.images = nn.ModuleDict({sensor: image_tower(model.image, sensor) for sensor in sensors})
        self.projections = nn.ModuleDict(
            {sensor: nn.Linear(model.image.widths[-1], model.dimensions) for sensor in sensors}
        )
        self.text = text
        width = int(text.config.hidden_size)  # type: ignore[union-attr,arg-type]
        same = width == model.dimensions
        self.text_projection = nn.Identity() if same else nn.Linear(width, model.dimensions)
        self._pooling, self._most = model.text.pooling, math.log(model.objective.max_scale)
        start = torch.tensor(math.log(model.objective.scale))
        self.log_scale: Tensor
        if model.objective.learned:
            self.log_scale = nn.Parameter(start)
        else:
            self.register_buffer("log_scale", start)

    def embed_images(self, sensor: str, pixels: Tensor) -> Tensor:
        """(n, dimensions) of `feed.inputs` of one sensor, (n, channel, y, x)."""
        states = self.images[sensor](pixels).pooler_output.flatten(1)
        return normalize(self.projections[sensor](states), dim=1)

    def embed_texts(self, ids: Tensor, mask: Tensor) -> Tensor:
        """(n, dimensions) of tokenized texts, each (n, token)."""
        states = self.text(input_ids=ids, attention_mask=mask).last_hidden_state
        return normalize(self.text_projection(pooled(states, mask, self._pooling)), dim=1)

    @property
    def scale(self) -> Tensor:
        """Multiplies the cosines."""
        return self.log_scale.exp()

    @torch.no_grad()
    def hold_scale(self) -> None:
        """Keep a learned scale within [1, max_scale], as CLIP does after each step."""
        if isinstance(self.log_scale, nn.Parameter):
            self.log_scale.clamp_(0.0, self._most)


def image_tower(profile: ImageTower, sensor: str) -> nn.Module:
    """A ResNet of random weights that takes a sensor's channels."""
    from transformers import ResNetConfig, ResNetModel

    tower: nn.Module = ResNetModel(
        ResNetConfig(
            num_channels=channels(load_sensor(sensor), profile),
            embedding_size=profile.stem_width,
            hidden_sizes=list(profile.widths),
            depths=list(profile.depths),
            layer_type=profile.layer,
        )
    )
    return tower
