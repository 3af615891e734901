"""BERT (arXiv 1810.04805) with the parameter names of `transformers`, without its pooler."""

from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention

from landmark.core.errors import invalid


class BertConfig(BaseModel):
    """Dimensions of a BERT, named as in the `config.json` of `transformers`; other keys there are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    model_type: Literal["bert"] = Field(description="Others have other layers or positions")
    vocab_size: int = Field(ge=1)
    hidden_size: int = Field(ge=1)
    num_hidden_layers: int = Field(ge=1, le=100)
    num_attention_heads: int = Field(ge=1)
    intermediate_size: int = Field(ge=1)
    max_position_embeddings: int = Field(512, ge=3)
    type_vocab_size: int = Field(2, ge=1)
    hidden_act: Literal["gelu"] = "gelu"
    position_embedding_type: Literal["absolute"] = "absolute"
    hidden_dropout_prob: float = Field(0.1, ge=0, lt=1)
    attention_probs_dropout_prob: float = Field(0.1, ge=0, lt=1)
    layer_norm_eps: float = Field(1e-12, gt=0)

    @model_validator(mode="after")
    def _check_heads(self) -> "BertConfig":
        if self.hidden_size % self.num_attention_heads:
            problem = f"must divide `hidden_size`, {self.hidden_size}"
            raise invalid(problem, key="num_attention_heads", value=self.num_attention_heads)
        return self


class Bert(nn.Module):
    """Token states (text, token, hidden_size) of tokenized texts."""

    def __init__(self, config: BertConfig) -> None:
        """Initialise as `transformers` does."""
        super().__init__()
        self.config, width = config, config.hidden_size
        self.embeddings = nn.ModuleDict(
            {
                "word_embeddings": nn.Embedding(config.vocab_size, width),
                "position_embeddings": nn.Embedding(config.max_position_embeddings, width),
                "token_type_embeddings": nn.Embedding(config.type_vocab_size, width),
                "LayerNorm": nn.LayerNorm(width, eps=config.layer_norm_eps),
            }
        )
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(_Layer(config) for _ in range(config.num_hidden_layers))})
        self._dropout = nn.Dropout(config.hidden_dropout_prob)
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
    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        width = config.hidden_size
        projections = {name: nn.Linear(width, width) for name in ("query", "key", "value")}
        self.attention = nn.ModuleDict({"self": nn.ModuleDict(projections), "output": _output(width, config)})
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(width, config.intermediate_size)})
        self.output = _output(config.intermediate_size, config)
        self._heads, self._dropout = config.num_attention_heads, nn.Dropout(config.hidden_dropout_prob)
        self._attention_dropout = config.attention_probs_dropout_prob

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        n, tokens, width = x.shape
        attention: Any = self.attention["self"]
        q, k, v = (
            attention[name](x).view(n, tokens, self._heads, width // self._heads).transpose(1, 2)
            for name in ("query", "key", "value")
        )
        dropout = self._attention_dropout if self.training else 0.0
        states = scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout).transpose(1, 2).flatten(2)
        x = self._add(self.attention["output"], states, x)
        return self._add(self.output, gelu(self.intermediate["dense"](x)), x)

    def _add(self, output: nn.Module, states: Tensor, x: Tensor) -> Tensor:
        y: Tensor = output["LayerNorm"](x + self._dropout(output["dense"](states)))  # type: ignore[index]
        return y


def _output(width: int, config: BertConfig) -> nn.ModuleDict:
    norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
    return nn.ModuleDict({"dense": nn.Linear(width, config.hidden_size), "LayerNorm": norm})
