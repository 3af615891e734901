"""Location tower: a sinusoidal network (SIREN, arXiv 2006.09661) with the parameter names of SatCLIP."""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, linear

from landmark.train.profile import LocationTower

# Frequency of the first layer's sine; 1 in the others.
_FIRST_FREQUENCY = 30.0


class LocationEncoder(nn.Module):
    """Features (n, `num_features`) of places, given as their spherical harmonics (n, degrees ** 2)."""

    def __init__(self, profile: LocationTower) -> None:
        """Initialise as the SIREN paper and SatCLIP do."""
        super().__init__()
        self.num_features = profile.features
        self.nnet = _SirenNet(profile)

    def forward(self, harmonics: Tensor) -> Tensor:
        """Return features (n, num_features). In full precision: the first sine multiplies rounding errors by 30."""
        with torch.autocast(harmonics.device.type, enabled=False):
            features: Tensor = self.nnet(harmonics.to(self.nnet.last_layer.weight.dtype))
        return features


class _SirenNet(nn.Module):
    def __init__(self, profile: LocationTower) -> None:
        super().__init__()
        widths = [profile.degrees**2, *[profile.width] * profile.layers]
        pairs = pairwise(widths)
        self.layers = nn.ModuleList(_Siren(*pair, first=number == 0) for number, pair in enumerate(pairs))
        self.last_layer = _Siren(profile.width, profile.features)
        self._dropout = profile.dropout

    def forward(self, x: Tensor) -> Tensor:
        frequency = _FIRST_FREQUENCY
        for layer in self.layers:
            x = torch.sin(frequency * dropout(layer(x), self._dropout, self.training))
            frequency = 1.0
        y: Tensor = self.last_layer(x)
        return y


class _Siren(nn.Module):
    """An affine layer with the initialisation of SIREN."""

    def __init__(self, before: int, width: int, *, first: bool = False) -> None:
        super().__init__()
        bound = 1 / before if first else math.sqrt(6 / before)
        self.weight = nn.Parameter(torch.empty(width, before).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(width).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)
