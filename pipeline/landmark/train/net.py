"""A CLOSP made ready: for a training, of random or pretrained weights, and again from the folder of a run."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import torch

from landmark.core.errors import InputError, InvalidRun
from landmark.train.checkpoint import Run, load_weights
from landmark.train.closp import Closp
from landmark.train.profile import Model
from landmark.train.text import Tokenize, from_words, pretrained, without_weights
from landmark.train.weights import load_image_weights

_TEXT_FILES = ("config.json", "tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab.*", "merges.txt")


def pick_device(name: str) -> torch.device:
    """A device by name; auto is the graphics processor where there is one.

    Raises:
        InputError: no such device here.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise InputError(f"--device {name}: give auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: PyTorch finds no CUDA device here; --device cpu works everywhere")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def new_net(
    model: Model, sensors: Sequence[str], *, vocabulary: Sequence[str], folder: Path | None
) -> tuple[Closp, Tokenize]:
    """A net before its first step: random by PyTorch's generator, pretrained where `model` names weights.

    The text tower is that of `folder`, or without one a BERT over `vocabulary`.

    Raises:
        InputError: weights that cannot be read, or are another tower's.
    """
    text = from_words(model.text, vocabulary) if folder is None else pretrained(model.text, folder)
    net = Closp(model, sensors, text.tower)
    for sensor, path in model.image.weights.items():
        if sensor in sensors:
            load_image_weights(Path(path).expanduser(), net.images[sensor])
    return net, text.tokenize


def stored_net(folder: Path, run: Run) -> tuple[Closp, Tokenize]:
    """The net of a run folder with the weights of its checkpoint, and its tokenizer.

    Raises:
        InvalidRun: the weights are gone, damaged or of another net.
    """
    model = run.identity.model
    scratch = model.text.weights is None
    try:
        text = from_words(model.text, run.vocabulary) if scratch else without_weights(model.text, folder / "text")
    except Exception as error:
        # Whatever a damaged folder makes `transformers` raise.
        reason = (str(error).splitlines() or [""])[0]
        raise InvalidRun(f"{folder / 'text'}: not the configuration and tokenizer of a text tower: {reason}") from error
    net = Closp(model, run.sensors, text.tower)
    load_weights(folder, run, net)
    return net, text.tokenize


def keep_text(source: Path, folder: Path) -> None:
    """Copy configuration and tokenizer of a text tower, so that the run is whole without the folder they lay in."""
    folder.mkdir(exist_ok=True)
    for path in sorted(found for pattern in _TEXT_FILES for found in source.glob(pattern)):
        shutil.copyfile(path, folder / path.name)
