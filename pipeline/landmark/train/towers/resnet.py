"""ResNets (arXiv 1512.03385, v1.5) with the parameter names of timm and torchvision."""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.functional import max_pool2d, relu

# Pixels of an image for each of its features, with four stages.
STRIDE = 32


@dataclass(frozen=True, slots=True)
class ResNetShape:
    """Dimensions of a ResNet.

    Attributes:
        bottleneck: Blocks of three convolutions (1, 3, 1) rather than two (3, 3).
        stem: Channels after the first convolution.
        widths: Channels of each stage's output.
        depths: Blocks of each stage.
    """

    bottleneck: bool
    stem: int
    widths: tuple[int, ...]
    depths: tuple[int, ...]


class ResNet(nn.Module):
    """Pooled features (n, `num_features`) of images (n, channel, y, x)."""

    def __init__(self, shape: ResNetShape, channels: int, head: int = 0) -> None:
        """Initialise as timm does, but for the last normalisation of a block, which starts at one.

        Args:
            shape: Dimensions.
            channels: Channels of the images.
            head: Width of a last linear layer, `fc`; 0 for none.
        """
        super().__init__()
        self.conv1 = _conv(channels, shape.stem, 7, 2)
        self.bn1 = nn.BatchNorm2d(shape.stem)
        block, before = (_Bottleneck if shape.bottleneck else _Basic), shape.stem
        self._stages = [f"layer{number + 1}" for number in range(len(shape.widths))]
        for name, width, depth in zip(self._stages, shape.widths, shape.depths, strict=True):
            blocks = []
            for number in range(depth):
                stride = 2 if number == 0 and name != "layer1" else 1
                blocks.append(block(before, width, stride))
                before = width
            self.add_module(name, nn.Sequential(*blocks))
        self.fc = nn.Linear(before, head) if head else nn.Identity()
        self.num_features = head or before
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Return features (n, num_features)."""
        x = max_pool2d(relu(self.bn1(self.conv1(images)), inplace=True), 3, 2, 1)
        for name in self._stages:
            x = getattr(self, name)(x)
        features: Tensor = self.fc(x.mean((2, 3)))
        return features


class _Basic(nn.Module):
    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv(before, width, 3, stride), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = _conv(width, width, 3), nn.BatchNorm2d(width)
        self.downsample = _shortcut(before, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        out = relu(self.bn1(self.conv1(x)), inplace=True)
        return relu(self.bn2(self.conv2(out)) + self.downsample(x), inplace=True)


class _Bottleneck(nn.Module):
    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        inner = width // 4
        self.conv1, self.bn1 = _conv(before, inner, 1), nn.BatchNorm2d(inner)
        self.conv2, self.bn2 = _conv(inner, inner, 3, stride), nn.BatchNorm2d(inner)
        self.conv3, self.bn3 = _conv(inner, width, 1), nn.BatchNorm2d(width)
        self.downsample = _shortcut(before, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        out = relu(self.bn1(self.conv1(x)), inplace=True)
        out = relu(self.bn2(self.conv2(out)), inplace=True)
        return relu(self.bn3(self.conv3(out)) + self.downsample(x), inplace=True)


def _conv(before: int, width: int, size: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(before, width, size, stride, padding=size // 2, bias=False)


def _shortcut(before: int, width: int, stride: int) -> nn.Module:
    if before == width and stride == 1:
        return nn.Identity()
    return nn.Sequential(_conv(before, width, 1, stride), nn.BatchNorm2d(width))
