"""A small tower that pools texture: statistics of bands and of feature maps at several scales.

Where labels follow from the shares of surfaces in an image and from their texture, such statistics need fewer images
than a ResNet, which pools the means of its last maps alone. Means and deviations of feature maps describe the style of
an image (AdaIN, arXiv 1703.06868); quantiles of the first maps also tell of surfaces that cover a small share.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

# Of every second pixel of the first maps, in both directions: sorting all would take longer than the convolutions.
QUANTILES = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98)
# Added to variances, as the slope of a root is infinite at 0.
_MIN_VARIANCE = 1e-4


@dataclass(frozen=True, slots=True)
class TextureShape:
    """Dimensions of a texture tower.

    Attributes:
        widths: Channels of each convolution, which halves the resolution.
        hidden: Width of the layer behind the statistics.
        dropout: Dropout of the statistics and of the hidden layer.
    """

    widths: tuple[int, ...]
    hidden: int
    dropout: float


class TextureNet(nn.Module):
    """Features (n, `num_features`) of images (n, channel, y, x), of at least 2 ** len(widths) px."""

    def __init__(self, shape: TextureShape, channels: int, head: int = 0) -> None:
        """Initialise convolutions as timm's ResNets.

        Args:
            shape: Dimensions.
            channels: Channels of the images.
            head: Width of a last linear layer, `fc`; 0 for none.
        """
        super().__init__()
        widths = (channels, *shape.widths)
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, 2, padding=1, bias=False) for a, b in pairwise(widths))
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in shape.widths)
        n_statistics = 2 * sum(widths) + len(QUANTILES) * shape.widths[0]
        self.statistics_norm = nn.BatchNorm1d(n_statistics)
        self.hidden = nn.Linear(n_statistics, shape.hidden)
        self.dropout = nn.Dropout(shape.dropout)
        self.fc = nn.Linear(shape.hidden, head) if head else nn.Identity()
        self.num_features = head or shape.hidden
        for conv in self.convs:
            nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> Tensor:
        """Return features (n, num_features)."""
        x, parts = images, [mean_and_deviation(images)]
        for number, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            maps = norm(conv(x))
            if number == 0:
                parts.append(quantiles(maps[:, :, ::2, ::2]))
            x = relu(maps)
            parts.append(mean_and_deviation(x))
        statistics = self.dropout(self.statistics_norm(torch.cat(parts, dim=1)))
        features: Tensor = self.fc(self.dropout(relu(self.hidden(statistics))))
        return features


def mean_and_deviation(maps: Tensor) -> Tensor:
    """Mean and deviation (n, 2 x channel) over the pixels of maps (n, channel, y, x), at least float32."""
    pixels = maps.permute(0, 2, 3, 1).flatten(1, 2)
    pixels = pixels.to(torch.promote_types(pixels.dtype, torch.float32))
    mean = pixels.mean(1)
    # Means of squares keep the layout channels_last, where centred pixels would take twice as long.
    variance = (pixels.square().mean(1) - mean.square()).clamp(min=0)
    return torch.cat([mean, (variance + _MIN_VARIANCE).sqrt()], dim=1)


def quantiles(maps: Tensor) -> Tensor:
    """Quantiles (n, channel x level) over the pixels of maps (n, channel, y, x), each a value."""
    pixels = maps.flatten(2).sort(dim=2).values
    places = [round(level * (pixels.shape[2] - 1)) for level in QUANTILES]
    return pixels[:, :, places].flatten(1)
