"""Vision transformers (arXiv 2010.11929) with the parameter names of timm."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention

PATCH_PX = 16
IMAGE_PX = 224


@dataclass(frozen=True, slots=True)
class ViTShape:
    """Dimensions of a vision transformer: width of a token, number of blocks and of attention heads."""

    width: int
    depth: int
    heads: int


class ViT(nn.Module):
    """Features (n, `num_features`) of images (n, channel, 224, 224): the normalised class token."""

    def __init__(self, shape: ViTShape, channels: int, head: int = 0) -> None:
        """Initialise as timm does.

        Args:
            shape: Dimensions.
            channels: Channels of the images.
            head: Width of a last linear layer, `head`; 0 for none.
        """
        super().__init__()
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(channels, shape.width, PATCH_PX, PATCH_PX)})
        self.cls_token = nn.Parameter(torch.empty(1, 1, shape.width).normal_(std=1e-6))
        tokens = 1 + (IMAGE_PX // PATCH_PX) ** 2
        self.pos_embed = nn.Parameter(nn.init.trunc_normal_(torch.empty(1, tokens, shape.width), std=0.02))
        self.blocks = nn.Sequential(*(_Block(shape) for _ in range(shape.depth)))
        self.norm = nn.LayerNorm(shape.width, eps=1e-6)
        self.head = nn.Linear(shape.width, head) if head else nn.Identity()
        self.num_features = head or shape.width
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Return features (n, num_features)."""
        x = self.patch_embed["proj"](images).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.pos_embed
        features: Tensor = self.head(self.norm(self.blocks(x)[:, 0]))
        return features


class _Block(nn.Module):
    def __init__(self, shape: ViTShape) -> None:
        super().__init__()
        width = shape.width
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.attn = nn.ModuleDict({"qkv": nn.Linear(width, 3 * width), "proj": nn.Linear(width, width)})
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)})
        self._heads = shape.heads

    def forward(self, x: Tensor) -> Tensor:
        n, tokens, width = x.shape
        qkv = self.attn["qkv"](self.norm1(x)).view(n, tokens, 3, self._heads, width // self._heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        x = x + self.attn["proj"](scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        y: Tensor = x + self.mlp["fc2"](gelu(self.mlp["fc1"](self.norm2(x))))
        return y
