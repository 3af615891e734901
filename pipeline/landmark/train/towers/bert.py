"""BERT (arXiv 1810.04805) with the parameter names of `transformers`, without its pooler."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention


@dataclass(frozen=True, slots=True)
class BertShape:
    """Dimensions of a BERT; defaults are those of the published models."""

    vocabulary: int
    width: int
    layers: int
    heads: int
    inner: int
    positions: int = 512
    dropout: float = 0.1
    eps: float = 1e-12


class Bert(nn.Module):
    """Token states (text, token, `width`) of tokenized texts."""

    def __init__(self, shape: BertShape) -> None:
        """Initialise as `transformers` does."""
        super().__init__()
        self.width = shape.width
        self.embeddings = nn.ModuleDict(
            {
                "word_embeddings": nn.Embedding(shape.vocabulary, shape.width),
                "position_embeddings": nn.Embedding(shape.positions, shape.width),
                "token_type_embeddings": nn.Embedding(2, shape.width),
                "LayerNorm": nn.LayerNorm(shape.width, eps=shape.eps),
            }
        )
        self.encoder = nn.ModuleDict({"layer": nn.Sequential(*(_Layer(shape) for _ in range(shape.layers)))})
        self._dropout = nn.Dropout(shape.dropout)
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)

    def forward(self, token_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return token states.

        Args:
            token_ids: (text, token) int64.
            attention_mask: (text, token), 1 where there is a token.
        """
        positions = torch.arange(token_ids.shape[1], device=token_ids.device)
        x = self.embeddings["word_embeddings"](token_ids) + self.embeddings["position_embeddings"](positions)
        x = x + self.embeddings["token_type_embeddings"](torch.zeros_like(token_ids))
        x = self._dropout(self.embeddings["LayerNorm"](x))
        mask = attention_mask[:, None, None, :].bool()
        layers: Any = self.encoder["layer"]
        for layer in layers:
            x = layer(x, mask)
        states: Tensor = x
        return states


class _Layer(nn.Module):
    def __init__(self, shape: BertShape) -> None:
        super().__init__()
        width = shape.width
        projections = {name: nn.Linear(width, width) for name in ("query", "key", "value")}
        self.attention = nn.ModuleDict({"self": nn.ModuleDict(projections), "output": _output(width, shape)})
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(width, shape.inner)})
        self.output = _output(shape.inner, shape)
        self._heads, self._dropout = shape.heads, nn.Dropout(shape.dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        n, tokens, width = x.shape
        attention: Any = self.attention["self"]
        q, k, v = (
            attention[name](x).view(n, tokens, self._heads, width // self._heads).transpose(1, 2)
            for name in ("query", "key", "value")
        )
        dropout = self._dropout.p if self.training else 0.0
        states = scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout).transpose(1, 2).flatten(2)
        x = self._add(self.attention["output"], states, x)
        return self._add(self.output, gelu(self.intermediate["dense"](x)), x)

    def _add(self, output: nn.Module, states: Tensor, x: Tensor) -> Tensor:
        y: Tensor = output["LayerNorm"](x + self._dropout(output["dense"](states)))  # type: ignore[index]
        return y


def _output(width: int, shape: BertShape) -> nn.ModuleDict:
    return nn.ModuleDict(
        {"dense": nn.Linear(width, shape.width), "LayerNorm": nn.LayerNorm(shape.width, eps=shape.eps)}
    )
