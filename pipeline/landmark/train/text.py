"""Text towers and their tokenizers: pretrained (folder or hub), or a small BERT over a corpus's words."""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from landmark.core.errors import InputError
from landmark.train.profile import TextTower
from landmark.train.towers.bert import Bert, BertShape
from landmark.train.weights import load_tower, read_tensors

_SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
_WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")

# Texts → (token ids, attention mask), each (text, token) int64.
Tokenize = Callable[[Sequence[str]], tuple[Tensor, Tensor]]


@dataclass(frozen=True, slots=True)
class TextModel:
    """A text tower with its tokenizer."""

    tokenize: Tokenize
    tower: Bert


def build_vocabulary(texts: Iterable[str]) -> list[str]:
    """The four special tokens, then the words and punctuation marks of the texts, sorted."""
    return [*_SPECIAL_TOKENS, *sorted({word for text in texts for word in _split_words(text)})]


def scratch_text_model(profile: TextTower, vocabulary: Sequence[str]) -> TextModel:
    """A randomly initialised BERT with one token per word; unknown words are `[UNK]`."""
    shape = BertShape(
        vocabulary=len(vocabulary),
        width=profile.width,
        layers=profile.layers,
        heads=profile.heads,
        inner=4 * profile.width,
        positions=profile.max_tokens,
    )
    token_ids = {word: number for number, word in enumerate(vocabulary)}
    return TextModel(lambda texts: _encode(texts, token_ids, profile.max_tokens), Bert(shape))


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
        InputError: not a BERT, or unreadable.
    """
    model = untrained_text_model(profile, folder)
    tensors = {name.removeprefix("bert."): tensor for name, tensor in read_tensors(weights_file(folder)).items()}
    load_tower(model.tower, tensors, file=weights_file(folder), key="text.weights")
    return model


def untrained_text_model(profile: TextTower, folder: Path) -> TextModel:
    """Build tower and tokenizer from a folder that holds configuration and tokenizer; weights are loaded later."""
    config = json.loads((folder / "config.json").read_bytes())
    shape = BertShape(
        vocabulary=config["vocab_size"],
        width=config["hidden_size"],
        layers=config["num_hidden_layers"],
        heads=config["num_attention_heads"],
        inner=config["intermediate_size"],
        positions=config["max_position_embeddings"],
        dropout=config["hidden_dropout_prob"],
        eps=config["layer_norm_eps"],
    )
    return TextModel(_load_tokenizer(profile, folder), Bert(shape))


def _load_tokenizer(profile: TextTower, folder: Path) -> Tokenize:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(profile.max_tokens)
    pad = next(name for name in ("[PAD]", "<pad>") if tokenizer.token_to_id(name) is not None)
    tokenizer.enable_padding(pad_id=tokenizer.token_to_id(pad), pad_token=pad)

    def tokenize(texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        tokens: Any = tokenizer.encode_batch(list(texts))
        return torch.tensor([own.ids for own in tokens]), torch.tensor([own.attention_mask for own in tokens])

    return tokenize


def _download(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    try:
        return Path(snapshot_download(name, allow_patterns=["*.json", "*.txt", "model.safetensors"]))
    except (OSError, ValueError, HfHubHTTPError, LocalEntryNotFoundError) as error:
        problem = f"cannot be downloaded from the Hugging Face hub: {type(error).__name__}"
        raise InputError(problem, file="--text", value=name, remedy="give a local folder") from error


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
