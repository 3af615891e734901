"""Text towers and their tokenizers: pretrained (folder or hub), or a small BERT over a corpus's words."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tokenizers
import torch
from tokenizers import models, normalizers, pre_tokenizers, processors
from torch import Tensor

from landmark.core.atomic import write_bytes
from landmark.core.errors import InputError
from landmark.core.yaml_files import parse_model
from landmark.train.profile import TextTower
from landmark.train.towers.bert import Bert, BertConfig
from landmark.train.weights import load_tower

_SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
_PAD_TOKENS = ("[PAD]", "<pad>")
_WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
_KEY = "text.weights"

# Texts → (token ids, attention mask), each (text, token) int64.
Tokenize = Callable[[Sequence[str]], tuple[Tensor, Tensor]]


class Tokenizer:
    """Tokenizes texts for a BERT; a batch has the length of its longest text."""

    def __init__(self, tokenizer: Any, config: BertConfig, max_tokens: int) -> None:
        """Wrap a tokenizer of the library `tokenizers`.

        Raises:
            ValueError: it has no token for padding, or a token that the BERT has not.
        """
        pad = next((name for name in _PAD_TOKENS if tokenizer.token_to_id(name) is not None), None)
        if pad is None:
            raise ValueError(f"has none of the tokens {' '.join(_PAD_TOKENS)}")
        if (last := max(tokenizer.get_vocab().values())) >= config.vocab_size:
            raise ValueError(f"has a token of number {last}, the BERT numbers below {config.vocab_size}")
        tokenizer.enable_truncation(min(max_tokens, config.max_position_embeddings))
        tokenizer.enable_padding(pad_id=tokenizer.token_to_id(pad), pad_token=pad)
        # An unknown word fails where a tokenizer has no token for it.
        tokenizer.encode("\ue000")
        self._tokenizer = tokenizer

    def __call__(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Token ids and attention mask (1 where there is a token), each (text, token) int64; longer texts are cut."""
        tokens = self._tokenizer.encode_batch(list(texts))
        return torch.tensor([own.ids for own in tokens]), torch.tensor([own.attention_mask for own in tokens])

    def save(self, path: Path) -> None:
        """Write `tokenizer.json`, atomically."""
        write_bytes(path, self._tokenizer.to_str().encode())


@dataclass(frozen=True, slots=True)
class TextModel:
    """A text tower with its tokenizer."""

    tokenize: Tokenizer
    tower: Bert


def build_vocabulary(texts: Iterable[str]) -> list[str]:
    """The four special tokens, then the words and punctuation marks of the texts, sorted."""
    splitter = _word_tokenizer(_SPECIAL_TOKENS)
    words = {
        word
        for text in set(texts)
        for word, _ in splitter.pre_tokenizer.pre_tokenize_str(splitter.normalizer.normalize_str(text))
    }
    return [*_SPECIAL_TOKENS, *sorted(words)]


def scratch_text_model(profile: TextTower, vocabulary: Sequence[str]) -> TextModel:
    """A randomly initialised BERT with one token per word; unknown words are `[UNK]`."""
    config = BertConfig(
        model_type="bert",
        vocab_size=len(vocabulary),
        hidden_size=profile.width,
        num_hidden_layers=profile.layers,
        num_attention_heads=profile.heads,
        intermediate_size=4 * profile.width,
        max_position_embeddings=profile.max_tokens,
    )
    return TextModel(Tokenizer(_word_tokenizer(vocabulary), config, profile.max_tokens), Bert(config))


def pretrained_text_model(profile: TextTower, folder: Path) -> TextModel:
    """Load tower and tokenizer from a folder of `transformers` or `sentence-transformers`.

    Raises:
        InputError: not a BERT, or a file is malformed.
    """
    config = parse_model(BertConfig, read_json(folder / "config.json"), folder / "config.json")
    tokenize = read_tokenizer(folder, config, profile.max_tokens)
    tower = Bert(config)
    load_tower(tower, weights_file(folder), key=_KEY)
    return TextModel(tokenize, tower)


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


def read_tokenizer(folder: Path, config: BertConfig, max_tokens: int) -> Tokenizer:
    """Read `tokenizer.json`, or else the WordPieces of `vocab.txt`.

    Raises:
        InputError: malformed, or of another BERT.
    """
    path = next((folder / name for name in ("tokenizer.json", "vocab.txt") if (folder / name).is_file()), None)
    if path is None:
        raise InputError("is missing", file=folder / "tokenizer.json", key=_KEY)
    try:
        tokenizer = _word_pieces(folder) if path.suffix == ".txt" else tokenizers.Tokenizer.from_file(str(path))
        return Tokenizer(tokenizer, config, max_tokens)
    except InputError:
        raise
    except Exception as error:  # The library raises plain exceptions.
        raise InputError(f"not a tokenizer: {error}", file=path, key=_KEY) from error


def _word_pieces(folder: Path) -> Any:
    """The tokenizer of a BERT from `vocab.txt`; `tokenizer_config.json` may say that case matters."""
    path = folder / "tokenizer_config.json"
    options = read_json(path) if path.is_file() else {}
    tokenizer = tokenizers.Tokenizer(models.WordPiece.from_file(str(folder / "vocab.txt"), unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=options.get("do_lower_case", True) is True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return _enclose(tokenizer)


def _word_tokenizer(vocabulary: Sequence[str]) -> Any:
    """A tokenizer with one token per lower-case word or punctuation mark."""
    token_ids = {word: number for number, word in enumerate(vocabulary)}
    tokenizer = tokenizers.Tokenizer(models.WordLevel(token_ids, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    words = tokenizers.Regex(r"\w+|[^\w\s]")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(words, behavior="removed", invert=True)
    return _enclose(tokenizer)


def _enclose(tokenizer: Any) -> Any:
    """Put `[CLS]` before each text and `[SEP]` after it."""
    missing = [name for name in _SPECIAL_TOKENS if tokenizer.token_to_id(name) is None]
    if missing:
        raise ValueError(f"has no token {missing[0]}")
    first, last = ((name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]"))
    tokenizer.post_processor = processors.BertProcessing(last, first)
    return tokenizer


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON mapping.

    Raises:
        InputError: missing, or malformed.
    """
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"cannot be read: {error}", file=path) from error
    if not isinstance(value, dict):
        raise InputError("must be a mapping", file=path)
    return value


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
