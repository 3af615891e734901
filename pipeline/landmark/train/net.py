"""Build a CLOSP net with its tokenizer: newly initialised, or from a run folder."""

from collections.abc import Sequence
from pathlib import Path

import torch

from landmark.core.atomic import make_folders, write_bytes
from landmark.core.errors import InputError, InvalidRun
from landmark.train.checkpoint import Run, load_weights
from landmark.train.closp import Closp
from landmark.train.profile import ModelProfile
from landmark.train.text import Tokenize, pretrained_text_model, scratch_text_model, untrained_text_model
from landmark.train.weights import load_image_weights

_TOKENIZER_FILES = (
    "config.json", "tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab.*", "merges.txt",
)  # fmt: skip


def pick_device(name: str) -> torch.device:
    """Device by name; auto is CUDA where available.

    Raises:
        InputError: unknown or unavailable device.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise InputError("unknown device", file="--device", value=name, remedy="give auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("PyTorch finds no CUDA device", file="--device", value=name, remedy="use --device cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def new_net(
    profile: ModelProfile, sensors: Sequence[str], *, vocabulary: Sequence[str], text_folder: Path | None
) -> tuple[Closp, Tokenize]:
    """Initialise a net with PyTorch's generator, and with the pretrained weights that the profile names.

    Args:
        profile: The model.
        sensors: Sensors to build image towers for.
        vocabulary: Of a text tower from scratch, where `text_folder` is None.
        text_folder: Folder of a pretrained text tower.

    Raises:
        InputError: weights are unreadable or of another architecture.
    """
    if text_folder is None:
        text = scratch_text_model(profile.text, vocabulary)
    else:
        text = pretrained_text_model(profile.text, text_folder)
    net = Closp(profile, sensors, text.tower)
    for sensor, path in profile.image.weights.items():
        if sensor in sensors:
            load_image_weights(Path(path).expanduser(), getattr(net, f"{sensor}_encoder"))
    return net, text.tokenize


def load_net(folder: Path, run: Run) -> tuple[Closp, Tokenize]:
    """Load net and tokenizer of a run's checkpoint.

    Raises:
        InvalidRun: files are missing, damaged, or of another architecture.
    """
    profile = run.identity.model
    try:
        if profile.text.weights is None:
            text = scratch_text_model(profile.text, run.vocabulary)
        else:
            text = untrained_text_model(profile.text, folder / "text")
    except Exception as error:  # Errors of a damaged folder have no common class.
        reason = (str(error).splitlines() or [""])[0]
        problem = f"not the configuration and tokenizer of a text tower: {reason}"
        raise InvalidRun(problem, file=folder / "text") from error
    net = Closp(profile, run.sensors, text.tower)
    load_weights(folder, run.weights, net)
    return net, text.tokenize


def copy_tokenizer(source: Path, folder: Path) -> None:
    """Copy a text tower's configuration and tokenizer, so that a run does not depend on the source folder."""
    make_folders(folder)
    for path in sorted(path for pattern in _TOKENIZER_FILES for path in source.glob(pattern)):
        write_bytes(folder / path.name, path.read_bytes())
