"""A training on disk: `run.json`, weights, and the optimizer's state as long as it is unfinished.

`run.json` is written last and names the other files, so a process killed at any moment leaves the checkpoint before.
There are no states of random generators: order, augmentation and dropout follow from seed and step.
"""

import errno
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from landmark.config.profiles import SensorName
from landmark.core.atomic import atomic_path, write_bytes
from landmark.core.errors import InvalidRun, RunMismatch
from landmark.core.hashing import digest, file_sha256
from landmark.core.yaml_files import StrictModel
from landmark.train.profile import Model, Stat

# What a training leaves in its folder, and may therefore remove from it.
_OURS = re.compile(r"\.?((model|state)(-\d{8})?\.safetensors|pixels-[0-9a-f]{12}\.npy|run\.json)(\.\d+\.partial)?")


class Identity(StrictModel):
    """What a training is: on one machine, two of the same identity give the same weights."""

    content: str = Field(description="Digest of the corpus")
    model: Model
    seed: int
    text_sha256: str | None = Field(description="Of the pretrained text tower's weights")
    image_sha256: dict[SensorName, str] = Field(description="Of the pretrained image towers' weights")
    arm: str = Field("real", description="Whose captions it learns: the corpus's own, or those of a control")

    @property
    def digest(self) -> str:
        """Names it; where the text tower's weights lie is no part of it."""
        said = self.model_dump(mode="json")
        said["model"]["text"]["weights"] = self.text_sha256
        said["model"]["image"]["weights"] = self.image_sha256
        return digest(said)


class Epoch(StrictModel):
    """How an epoch went: mean loss, and the rate and scale of its last step."""

    step: int
    loss: float
    rate: float
    scale: float


class File(StrictModel):
    """A file of tensors beside `run.json`."""

    path: str
    sha256: str


class Run(StrictModel):
    """`run.json`."""

    format: int = 1
    identity: Identity
    corpus: str = Field(description="Its name")
    sensors: list[SensorName]
    step: int = Field(description="Steps done")
    steps: int
    statistics: dict[SensorName, list[Stat]]
    vocabulary: list[str] = Field(description="Of a text tower from scratch")
    weights: File
    state: File | None = Field(description="The optimizer's; none once the training is finished")
    history: list[Epoch]
    losses: list[float] = Field(description="Of the steps since the last whole epoch")

    @property
    def finished(self) -> bool:
        """True once every step is done."""
        return self.step == self.steps


def read_run(folder: Path) -> Run:
    """The training in a folder.

    Raises:
        InvalidRun: there is none, or its document is damaged.
    """
    path = folder / "run.json"
    try:
        return Run.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InvalidRun(f"{path} is missing: {folder} holds no training; `landmark train` makes one") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidRun(
            f"{path}: not a training's document: {first['loc']}: {first['msg']}; delete {folder} to train anew"
        ) from error


def standing(folder: Path, wanted: Identity) -> Run | None:
    """The training of this identity in a folder, None where there is none.

    Raises:
        RunMismatch: it holds another training, or things that are no training.
    """
    if (folder / "run.json").exists():
        run = read_run(folder)
        if run.identity.digest != wanted.digest:
            raise RunMismatch(
                f"{folder} holds a training with other {_differing(run.identity, wanted)}; choose another --out, or"
                " delete the folder"
            )
        return run
    strange = [path.name for path in folder.iterdir() if not _ours(path.name)]
    if strange:
        raise RunMismatch(f"{folder} is no training, but holds {min(strange)}; name a new folder with --out")
    return None


def save(folder: Path, run: Run, net: nn.Module, optimizer: torch.optim.Optimizer | None) -> Run:
    """Write a checkpoint and forget the one before; without an optimizer the weights are called `model.safetensors`."""
    mark = "" if optimizer is None else f"-{run.step:08d}"
    weights = _write(folder / f"model{mark}.safetensors", net.state_dict())
    state = None if optimizer is None else _write(folder / f"state{mark}.safetensors", _state(net, optimizer))
    saved = run.model_copy(update={"weights": weights, "state": state})
    write_bytes(folder / "run.json", saved.model_dump_json(indent=1).encode())
    _forget(folder, saved)
    return saved


def load_weights(folder: Path, run: Run, net: nn.Module) -> None:
    """Fill a net.

    Raises:
        InvalidRun: the file is gone, damaged, or another net's.
    """
    try:
        net.load_state_dict(_read(folder, run.weights))
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise InvalidRun(f"{folder / run.weights.path}: not the weights of this model: {reason}") from error


def load_state(folder: Path, run: Run, net: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Fill an optimizer of a net.

    Raises:
        InvalidRun: the file is gone, damaged, or another net's.
    """
    assert run.state is not None
    stored: dict[str, dict[str, Tensor]] = {}
    for key, value in _read(folder, run.state).items():
        name, _, part = key.rpartition("/")
        stored.setdefault(name, {})[part] = value
    for name, parameter in net.named_parameters():
        if name in stored:
            # Where AdamW counts its steps on the processor, the moments live with the parameter.
            optimizer.state[parameter] = {
                part: value if part == "step" else value.to(parameter.device) for part, value in stored[name].items()
            }


def _ours(name: str) -> bool:
    return name in (".landmark.lock", "text") or _OURS.fullmatch(name) is not None


def _differing(theirs: Identity, ours: Identity) -> str:
    names = [name for name in Identity.model_fields if getattr(theirs, name) != getattr(ours, name)]
    said = {"content": "corpus content", "model": "settings of the model", "text_sha256": "text weights"}
    return ", ".join(said.get(name, name) for name in names)


def _state(net: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    return {
        f"{name}/{part}": value
        for name, parameter in net.named_parameters()
        for part, value in optimizer.state.get(parameter, {}).items()
    }


def _write(path: Path, tensors: Mapping[str, Tensor]) -> File:
    with atomic_path(path) as partial:
        try:
            save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, partial)
        except SafetensorError as error:
            # It words every error of the system itself; a full disk is one that passes.
            if os.strerror(errno.ENOSPC) in str(error):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
            raise
        # safetensors lets nobody but the owner read what it writes.
        partial.chmod(0o644)
    return File(path=path.name, sha256=file_sha256(path))


def _read(folder: Path, file: File) -> dict[str, Any]:
    path = folder / file.path
    try:
        if file_sha256(path) == file.sha256:
            return load_file(path)
        problem = "its bytes are not those run.json recorded"
    except (OSError, SafetensorError) as error:
        problem = str(error)
    raise InvalidRun(f"{path}: damaged checkpoint: {problem}; delete {folder} to train anew")


def _forget(folder: Path, run: Run) -> None:
    kept = {file.path for file in (run.weights, run.state) if file is not None}
    for path in folder.glob("*.safetensors"):
        if path.name not in kept and _OURS.fullmatch(path.name):
            path.unlink()
