"""Text towers and their tokenizers: pretrained, from a folder or the hub, or a small BERT over a corpus's words."""

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

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")

# Texts → (token ids, attention mask), each (text, token) int64.
Tokenize = Callable[[Sequence[str]], tuple[Tensor, Tensor]]


@dataclass(frozen=True, slots=True)
class Text:
    """A tokenizer and the tower it belongs to."""

    tokenize: Tokenize
    tower: nn.Module


def vocabulary_of(texts: Iterable[str]) -> list[str]:
    """The words and marks of some texts, sorted, after the four special tokens."""
    return [*_SPECIAL, *sorted({word for text in texts for word in _words(text)})]


def from_words(profile: TextTower, vocabulary: Sequence[str]) -> Text:
    """A BERT of random weights, one token a word; an unknown word is `[UNK]`."""
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=profile.width,
        num_hidden_layers=profile.layers,
        num_attention_heads=profile.heads,
        intermediate_size=4 * profile.width,
        max_position_embeddings=profile.max_tokens,
    )
    number = {word: place for place, word in enumerate(vocabulary)}
    return Text(lambda texts: _encoded(texts, number, profile.max_tokens), BertModel(config, add_pooling_layer=False))


def weights_folder(weights: str) -> Path:
    """The folder of pretrained weights: the one named, or the copy of the hub's.

    Raises:
        InputError: it has no weights or tokenizer, or the hub does not hand them out.
    """
    folder = Path(weights).expanduser()
    if not folder.is_dir():
        if folder.is_absolute() or weights.startswith(".") or weights.count("/") != 1:
            raise InputError(f"--text {weights}: no such folder; give a folder with model.safetensors, or a hub name")
        folder = _fetched(weights)
    for wanted in (("config.json",), _WEIGHTS, ("tokenizer.json", "vocab.txt")):
        if not any((folder / name).is_file() for name in wanted):
            raise InputError(f"--text {weights}: {folder} has no {' or '.join(wanted)}, as save_pretrained writes it")
    return folder


def weights_file(folder: Path) -> Path:
    """The file of weights in a folder `weights_folder` has seen."""
    return next(folder / name for name in _WEIGHTS if (folder / name).is_file())


def pretrained(profile: TextTower, folder: Path) -> Text:
    """The tower and tokenizer of a folder.

    Raises:
        InputError: `transformers` cannot read it.
    """
    from transformers import AutoModel

    _hush()
    try:
        return Text(_tokenizer(profile, folder), AutoModel.from_pretrained(folder, local_files_only=True))
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise InputError(f"--text {folder}: not a text tower transformers can read: {error}") from error


def without_weights(profile: TextTower, folder: Path) -> Text:
    """The same, its weights still to be loaded: the folder holds configuration and tokenizer alone."""
    from transformers import AutoConfig, AutoModel

    _hush()
    tower = AutoModel.from_config(AutoConfig.from_pretrained(folder, local_files_only=True))
    return Text(_tokenizer(profile, folder), tower)


def pooled(states: Tensor, mask: Tensor, how: str) -> Tensor:
    """One vector a text, (text, d), from its tokens' (text, token, d): the first one's, or the mean of the unmasked."""
    if how == "cls":
        return states[:, 0]
    weight = mask[:, :, None].to(states.dtype)
    return (states * weight).sum(1) / weight.sum(1)


def _tokenizer(profile: TextTower, folder: Path) -> Tokenize:
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)

    def tokenize(texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        told = tokenizer(list(texts), padding=True, truncation=True, max_length=profile.max_tokens, return_tensors="pt")
        return told["input_ids"], told["attention_mask"]

    return tokenize


def _fetched(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    _hush()
    try:
        return Path(snapshot_download(name, allow_patterns=["*.json", "*.txt", "model.safetensors"]))
    except (OSError, ValueError, HfHubHTTPError, LocalEntryNotFoundError) as error:
        raise InputError(
            f"--text {name}: the hub did not hand it out ({type(error).__name__}); give a local folder with --text"
        ) from error


def _hush() -> None:
    """Neither bars nor reports: what matters is said by landmark."""
    from huggingface_hub.utils.tqdm import disable_progress_bars
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    disable_progress_bars()


def _words(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", text.lower())


def _encoded(texts: Sequence[str], number: dict[str, int], most: int) -> tuple[Tensor, Tensor]:
    pad, unknown, first, last = (number[name] for name in _SPECIAL)
    rows = [[first, *[number.get(word, unknown) for word in _words(text)][: most - 2], last] for text in texts]
    length = max(len(row) for row in rows)
    ids = torch.tensor([row + [pad] * (length - len(row)) for row in rows])
    return ids, (ids != pad).long()
