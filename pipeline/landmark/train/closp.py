"""CLOSP and GeoCLOSP (arXiv 2507.10403): an image tower per sensor, a text tower, and a location tower.

Parameters have the names of the published checkpoints, so that those load as they are; methods those of open_clip.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize

from landmark.config.profiles import load_sensor
from landmark.core.errors import InputError
from landmark.train.dataset import count_channels
from landmark.train.profile import ImageTower, ModelProfile
from landmark.train.towers.bert import Bert
from landmark.train.towers.resnet import STRIDE, ResNet, ResNetShape
from landmark.train.towers.siren import LocationEncoder
from landmark.train.towers.texture import TextureNet, TextureShape
from landmark.train.towers.vit import IMAGE_PX, ViT, ViTShape

_SHAPES: dict[str, ResNetShape | TextureShape | ViTShape] = {
    "tiny": ResNetShape(False, 16, (16, 32, 64, 96), (1, 1, 1, 1)),
    "texture": TextureShape((32, 32, 48, 64), 256, 0.2),
    "resnet50": ResNetShape(True, 64, (256, 512, 1024, 2048), (3, 4, 6, 3)),
    "vit_small_patch16_224": ViTShape(384, 12, 6),
    "vit_large_patch16_224": ViTShape(1024, 24, 16),
}


@dataclass(frozen=True, slots=True)
class SensorInputs:
    """Images of one sensor, and what belongs to them.

    Attributes:
        images: (n, channel, y, x) float32, as `model_input` makes them.
        text_index: (n,) int64, row of each image's text in the token ids.
        harmonics: (n, degrees ** 2), spherical harmonics of each image's place; None without a location tower.
    """

    images: Tensor
    text_index: Tensor
    harmonics: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Unit vectors (n, d) of the images of one sensor, of their texts, and of their places.

    Attributes:
        images: Of the images.
        texts: Of the text of each image.
        locations: Of the place of each image; None without a location tower.
    """

    images: Tensor
    texts: Tensor
    locations: Tensor | None = None


class Closp(nn.Module):
    """Embeds images, texts and places as unit vectors of `profile.dimensions` numbers, to be compared by cosine."""

    def __init__(self, profile: ModelProfile, sensors: Sequence[str], text: Bert) -> None:
        """Initialise image and location towers with PyTorch's generator; the text tower is given."""
        super().__init__()
        self.sensors, self._pooling = tuple(sensors), profile.text.pooling
        self._image_px = IMAGE_PX if isinstance(_SHAPES[profile.image.architecture], ViTShape) else None
        for sensor in sensors:
            tower = image_tower(profile.image, sensor)
            self.add_module(f"{sensor}_encoder", tower)
            self.add_module(f"{sensor}_projection", nn.Linear(tower.num_features, profile.dimensions))
        self.text_model = text
        width = text.config.hidden_size
        self.text_projection = nn.Identity() if width == profile.dimensions else nn.Linear(width, profile.dimensions)
        if profile.location is not None:
            self.location_encoder = LocationEncoder(profile.location)
            self.location_projection = nn.Linear(profile.location.features, profile.dimensions)
        self._max_logit_scale = math.log(profile.objective.max_scale)
        start = torch.tensor(math.log(profile.objective.scale))
        self.logit_scale: Tensor
        if profile.objective.learn_scale:
            self.logit_scale = nn.Parameter(start)
        else:
            self.register_buffer("logit_scale", start)

    def forward(
        self, inputs: Mapping[str, SensorInputs], token_ids: Tensor, attention_mask: Tensor
    ) -> dict[str, Embeddings]:
        """Embed a batch: sensor → embeddings. A text that several images share is embedded once."""
        texts = self.encode_text(token_ids, attention_mask)
        return {
            sensor: Embeddings(
                self.encode_image(sensor, own.images),
                texts[own.text_index],
                None if own.harmonics is None else self.encode_location(own.harmonics),
            )
            for sensor, own in inputs.items()
        }

    def encode_image(self, sensor: str, images: Tensor) -> Tensor:
        """Unit vectors (n, d) of one sensor's `model_input`, (n, channel, y, x).

        Raises:
            InputError: a training with one image at a time, of which nothing is left to normalise.
        """
        if self._image_px is not None:
            images = interpolate(images, size=(self._image_px, self._image_px), mode="bilinear", align_corners=True)
        tower, projection = getattr(self, f"{sensor}_encoder"), getattr(self, f"{sensor}_projection")
        small = isinstance(tower, ResNet) and max(images.shape[2:]) <= STRIDE
        if self.training and len(images) == 1 and (small or isinstance(tower, TextureNet)):
            problem = "BatchNorm cannot normalise the features of one image" + small * f" of up to {STRIDE} px"
            raise InputError(problem, key="budget.chunk", remedy="train with more images at once")
        return unit_vectors(projection(tower(images)))

    def encode_text(self, token_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Unit vectors (text, d) of tokenized texts, each (text, token)."""
        states = self.text_model(token_ids, attention_mask)
        return unit_vectors(self.text_projection(pool_tokens(states, attention_mask, self._pooling)))

    def encode_location(self, harmonics: Tensor) -> Tensor:
        """Unit vectors (n, d) of places, given as spherical harmonics (n, degrees ** 2). Queries never use them."""
        return unit_vectors(self.location_projection(self.location_encoder(harmonics)))

    @property
    def scale(self) -> Tensor:
        """Factor of the cosines; the inverse of the temperature."""
        return self.logit_scale.exp()

    @torch.no_grad()
    def clamp_scale(self) -> None:
        """Clamp a learned scale to [1, max_scale], as CLIP does after each step."""
        if isinstance(self.logit_scale, nn.Parameter):
            self.logit_scale.clamp_(0.0, self._max_logit_scale)


def image_tower(profile: ImageTower, sensor: str) -> ResNet | TextureNet | ViT:
    """A randomly initialised image tower for a sensor's channels."""
    shape, channels = _SHAPES[profile.architecture], count_channels(load_sensor(sensor), profile)
    head = {str(name): width for name, width in profile.head.items()}.get(sensor, 0)
    if isinstance(shape, TextureShape):
        return TextureNet(shape, channels, head)
    return ResNet(shape, channels, head) if isinstance(shape, ResNetShape) else ViT(shape, channels, head)


def unit_vectors(features: Tensor) -> Tensor:
    """Features (n, d) divided by their norms; at least float32, whatever the features are."""
    return normalize(features.to(torch.promote_types(features.dtype, torch.float32)), dim=1)


def pool_tokens(states: Tensor, attention_mask: Tensor, pooling: str) -> Tensor:
    """Pool token states (text, token, d) to (text, d): the first token, or the mean of unmasked tokens."""
    if pooling == "cls":
        return states[:, 0]
    weight = attention_mask[:, :, None].to(states.dtype)
    return (states * weight).sum(1) / weight.sum(1)
