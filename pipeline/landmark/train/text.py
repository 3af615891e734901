"""Text towers and their tokenizers: pretrained (folder or hub), or a small BERT over a corpus's words."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from landmark.core.errors import InputError
from landmark.train.profile import TextTower

_SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
_WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
# A folder may come from a stranger: nothing is downloaded for it, and no code of it runs.
_LOCAL = {"local_files_only": True, "trust_remote_code": False}

# Texts → (token ids, attention mask), each (text, token) int64.
Tokenize = Callable[[Sequence[str]], tuple[Tensor, Tensor]]


@dataclass(frozen=True, slots=True)
class TextModel:
    """A text tower with its tokenizer."""

    tokenize: Tokenize
    tower: nn.Module


def build_vocabulary(texts: Iterable[str]) -> list[str]:
    """The four special tokens, then the words and punctuation marks of the texts, sorted."""
    return [*_SPECIAL_TOKENS, *sorted({word for text in texts for word in _split_words(text)})]


def scratch_text_model(profile: TextTower, vocabulary: Sequence[str]) -> TextModel:
    """A randomly initialised BERT with one token per word; unknown words are `[UNK]`."""
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=profile.width,
        num_hidden_layers=profile.layers,
        num_attention_heads=profile.heads,
        intermediate_size=4 * profile.width,
        max_position_embeddings=profile.max_tokens,
    )
    token_ids = {word: number for number, word in enumerate(vocabulary)}
    tower = BertModel(config, add_pooling_layer=False)
    return TextModel(lambda texts: _encode(texts, token_ids, profile.max_tokens), tower)


def resolve_weights(weights: str) -> Path:
    """Folder of pretrained weights: the given one, or the local copy of a hub repository.

    Raises:
        InputError: no such folder, files are missing, or the hub cannot be reached.
    """
    folder = Path(weights).expanduser()
    if not folder.is_dir():
        if folder.is_absolute() or weights.startswith(".") or weights.count("/") != 1:
            remedy = "give a folder with model.safetensors, or a hub name"
            raise InputError("no such folder", file="--text", value=weights, remedy=remedy)
        folder = _download(weights)
    for names in (("config.json",), _WEIGHT_FILES, ("tokenizer.json", "vocab.txt")):
        if not any((folder / name).is_file() for name in names):
            problem = f"{folder} has no {' or '.join(names)}"
            remedy = "write the folder with save_pretrained"
            raise InputError(problem, file="--text", key=names[0], value=weights, remedy=remedy)
    return folder


def weights_file(folder: Path) -> Path:
    """File of the weights in a folder of `resolve_weights`."""
    return next(folder / name for name in _WEIGHT_FILES if (folder / name).is_file())


def pretrained_text_model(profile: TextTower, folder: Path) -> TextModel:
    """Load tower and tokenizer of a folder.

    Raises:
        InputError: `transformers` cannot read it.
    """
    from transformers import AutoModel

    _silence_libraries()
    try:
        tower = AutoModel.from_pretrained(folder, **_LOCAL)
        return TextModel(_load_tokenizer(profile, folder), tower)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise InputError(f"transformers cannot read it: {error}", file="--text", value=folder) from error


def untrained_text_model(profile: TextTower, folder: Path) -> TextModel:
    """Build tower and tokenizer from a folder that holds configuration and tokenizer only; weights are loaded later."""
    from transformers import AutoConfig, AutoModel

    _silence_libraries()
    tower = AutoModel.from_config(AutoConfig.from_pretrained(folder, **_LOCAL), trust_remote_code=False)
    return TextModel(_load_tokenizer(profile, folder), tower)


def pool_tokens(states: Tensor, attention_mask: Tensor, pooling: str) -> Tensor:
    """Pool token states (text, token, d) to (text, d): the first token, or the mean of unmasked tokens."""
    if pooling == "cls":
        return states[:, 0]
    weight = attention_mask[:, :, None].to(states.dtype)
    return (states * weight).sum(1) / weight.sum(1)


def _load_tokenizer(profile: TextTower, folder: Path) -> Tokenize:
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(folder, **_LOCAL)

    def tokenize(texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        tokens = tokenizer(
            list(texts), padding=True, truncation=True, max_length=profile.max_tokens, return_tensors="pt"
        )
        return tokens["input_ids"], tokens["attention_mask"]

    return tokenize


def _download(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    _silence_libraries()
    try:
        return Path(snapshot_download(name, allow_patterns=["*.json", "*.txt", "model.safetensors"]))
    except (OSError, ValueError, HfHubHTTPError, LocalEntryNotFoundError) as error:
        problem = f"cannot be downloaded from the Hugging Face hub: {type(error).__name__}"
        raise InputError(problem, file="--text", value=name, remedy="give a local folder") from error


def _silence_libraries() -> None:
    """Disable progress bars and load reports of `transformers` and the hub."""
    from huggingface_hub.utils.tqdm import disable_progress_bars
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    disable_progress_bars()


def _split_words(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", text.lower())


def _encode(texts: Sequence[str], token_ids: dict[str, int], max_tokens: int) -> tuple[Tensor, Tensor]:
    pad, unknown, first, last = (token_ids[name] for name in _SPECIAL_TOKENS)
    rows = [
        [first, *[token_ids.get(word, unknown) for word in _split_words(text)][: max_tokens - 2], last]
        for text in texts
    ]
    length = max(len(row) for row in rows)
    ids = torch.tensor([row + [pad] * (length - len(row)) for row in rows])
    return ids, (ids != pad).long()
