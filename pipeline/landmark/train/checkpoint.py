"""Run folders: `run.json`, weights, and the optimizer's state while a training is unfinished.

`run.json` is written last and names the files of tensors, so a process killed at any moment leaves the previous
checkpoint intact. No state of random generators is stored: augmentation and dropout follow from seed, epoch and step.
"""

import errno
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from landmark.config.profiles import SensorName
from landmark.core.atomic import atomic_path, write_bytes
from landmark.core.corpus_paths import PlainName, readable
from landmark.core.errors import InvalidRun, RunMismatch
from landmark.core.hashing import file_sha256
from landmark.core.yaml_files import StrictModel
from landmark.train.profile import BandStatistics, ModelProfile

# Files that a training writes to its folder and may therefore delete.
_RUN_FILE = re.compile(
    r"\.?((model|state)(-\d{8})?\.safetensors|(run|config|tokenizer)\.json|metrics\.jsonl|curve\.png)(\.\d+\.partial)?"
)


class Identity(StrictModel):
    """All inputs of a training: on one machine, equal identities give equal weights."""

    content_digest: str = Field(description="Digest of the corpus")
    model: ModelProfile
    seed: int
    sensors: list[SensorName] = Field(description="Sensors trained on")
    weights_sha256: dict[str, str] = Field(description="SHA-256 of pretrained weights, by key of the profile")

    def differences(self, identity: "Identity") -> list[str]:
        """Keys in which two identities differ, `model.budget.epochs`; the same weights may have other paths."""
        return sorted(_differing_keys(self._comparable(), identity._comparable()))

    def _comparable(self) -> dict[str, Any]:
        document = self.model_dump(mode="json")
        for tower in ("image", "text", "location"):
            (document["model"][tower] or {}).pop("weights", None)
        return document


class EpochRecord(StrictModel):
    """Mean loss of an epoch, with learning rate and logit scale of its last step."""

    epoch: int = Field(description="Number from 1 on")
    step: int = Field(description="Steps done at its end")
    loss: float
    validation_loss: float | None = Field(description="Loss on the val split; null without one")
    learning_rate: float
    scale: float


class TensorFile(StrictModel):
    """A file of tensors beside `run.json`."""

    path: PlainName
    sha256: str


class Run(StrictModel):
    """`run.json`."""

    format: int = 1
    identity: Identity
    corpus: str = Field(description="Name of the corpus")
    step: int = Field(description="Steps done")
    statistics: dict[SensorName, list[BandStatistics]]
    warnings: list[str] = Field([], description="Why the model may not learn")
    weights: TensorFile
    best: TensorFile | None = Field(None, description="Weights of the best epoch, with `select: best`")
    optimizer: TensorFile | None = Field(None, description="State of the optimizer; null once the training is finished")
    loader: dict[str, Any] | None = Field(None, description="State of the loader; null before the first step")
    history: list[EpochRecord]

    @property
    def sensors(self) -> list[SensorName]:
        """Sensors trained on."""
        return self.identity.sensors

    @property
    def finished(self) -> bool:
        """True once `weights` are the result."""
        return self.optimizer is None

    @property
    def selected_epoch(self) -> EpochRecord:
        """Epoch of the weights of a finished run."""
        best = best_epoch(self.history) if self.identity.model.budget.select == "best" else None
        return self.history[-1 if best is None else best]


def best_epoch(history: Sequence[EpochRecord]) -> int | None:
    """Index of the first epoch of least validation loss; None without validation."""
    losses = [record.validation_loss for record in history if record.validation_loss is not None]
    return losses.index(min(losses)) if losses else None


def out_of_patience(history: Sequence[EpochRecord], patience: int | None) -> bool:
    """Whether the validation loss has had no new minimum for `patience` epochs."""
    best = best_epoch(history)
    return patience is not None and best is not None and len(history) - 1 - best >= patience


def _differing_keys(first: Mapping[str, Any], second: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Dotted keys of nested mappings whose values differ."""
    for name in first.keys() | second.keys():
        before, after = first.get(name), second.get(name)
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _differing_keys(before, after, f"{prefix}{name}.")
        elif before != after:
            yield f"{prefix}{name}"


def read_run(folder: Path) -> Run:
    """Read the `run.json` of a folder.

    Raises:
        InvalidRun: missing or damaged.
    """
    path = folder / "run.json"
    try:
        return Run.model_validate_json(readable(folder, path.name).read_bytes())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InvalidRun("is missing", file=path, remedy="`landmark train` makes a run") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidRun(
            f"not a valid run document: {first['msg']}",
            file=path,
            key=".".join(str(part) for part in first["loc"]) or None,
            remedy=f"delete {folder} to train from the start",
        ) from error


def find_run(folder: Path, identity: Identity) -> Run | None:
    """Find the training of this identity in a folder; None where the folder is empty.

    Raises:
        RunMismatch: the folder holds another training, or foreign files.
    """
    if (folder / "run.json").exists():
        run = read_run(folder)
        if keys := run.identity.differences(identity):
            raise RunMismatch(
                "not as in the training that the folder holds",
                file=folder,
                key=", ".join(keys),
                remedy="choose another --out, or delete the folder",
            )
        return run
    # A model without a run is somebody's: a training writes `run.json` before it.
    names = {path.name for path in folder.iterdir()}
    foreign = {name for name in names if not _is_run_file(name)} | names & {"model.safetensors"}
    if foreign:
        problem = "not a run folder: it holds other files"
        raise RunMismatch(problem, file=folder, value=min(foreign), remedy="name a new folder with --out")
    return None


def save_checkpoint(
    folder: Path, run: Run, net: nn.Module, optimizer: torch.optim.Optimizer | None, *, is_best: bool = False
) -> Run:
    """Write a checkpoint of an unfinished training, and delete the previous one.

    Args:
        folder: Run folder.
        run: With the step to save.
        net: Its weights.
        optimizer: Its state; None before the first step.
        is_best: Keep these weights until the end or a better epoch; otherwise `run.best` stays.
    """
    weights = write_tensors(folder / f"model-{run.step:08d}.safetensors", net.state_dict())
    tensors = {} if optimizer is None else _optimizer_tensors(net, optimizer)
    state = write_tensors(folder / f"state-{run.step:08d}.safetensors", tensors)
    best = weights if is_best else run.best
    return _write_run(folder, run.model_copy(update={"weights": weights, "best": best, "optimizer": state}))


def save_result(folder: Path, run: Run, net: nn.Module) -> Run:
    """Write the weights of a finished training, and delete its checkpoints."""
    weights = write_tensors(folder / "model.safetensors", net.state_dict())
    return _write_run(folder, run.model_copy(update={"weights": weights, "best": None, "optimizer": None}))


def _write_run(folder: Path, run: Run) -> Run:
    write_bytes(folder / "run.json", run.model_dump_json(indent=1).encode())
    remove_superseded(folder, run)
    return run


def remove_superseded(folder: Path, run: Run) -> None:
    """Delete the checkpoints that `run.json` no longer names."""
    current = {file.path for file in (run.weights, run.best, run.optimizer) if file is not None}
    for path in folder.glob("*.safetensors"):
        if path.name not in current and _RUN_FILE.fullmatch(path.name):
            path.unlink()


def load_weights(folder: Path, file: TensorFile, net: nn.Module) -> None:
    """Load weights that `run.json` names into a net.

    Raises:
        InvalidRun: the file is missing, damaged, or of another architecture.
    """
    try:
        net.load_state_dict(read_tensors(folder, file))
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise InvalidRun(f"not the weights of this model: {reason}", file=folder / file.path) from error


def load_optimizer(folder: Path, run: Run, net: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Load a checkpoint's optimizer state.

    Raises:
        InvalidRun: the file is missing or damaged.
    """
    assert run.optimizer is not None, "a finished run has none"
    stored: dict[str, dict[str, Tensor]] = {}
    for key, tensor in read_tensors(folder, run.optimizer).items():
        name, _, part = key.rpartition("/")
        stored.setdefault(name, {})[part] = tensor
    for name, parameter in net.named_parameters():
        if name in stored:
            # Fused AdamW needs moments in the parameter's memory layout, and the step counter on its device.
            optimizer.state[parameter] = {
                part: tensor.to(parameter.device) if part == "step" else torch.empty_like(parameter).copy_(tensor)
                for part, tensor in stored[name].items()
            }


def _is_run_file(name: str) -> bool:
    return name == ".landmark.lock" or _RUN_FILE.fullmatch(name) is not None


def _optimizer_tensors(net: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    return {
        f"{name}/{part}": tensor
        for name, parameter in net.named_parameters()
        for part, tensor in optimizer.state.get(parameter, {}).items()
    }


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> TensorFile:
    """Write tensors, atomically."""
    with atomic_path(path) as partial:
        try:
            save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, partial)
        except SafetensorError as error:
            # safetensors hides OSError; a full disk must stay recognisable, as retrying can succeed.
            if os.strerror(errno.ENOSPC) in str(error):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
            raise
        # safetensors creates files that only the owner can read.
        partial.chmod(0o644)
    return TensorFile(path=path.name, sha256=file_sha256(path))


def read_tensors(folder: Path, file: TensorFile | str) -> dict[str, Tensor]:
    """Read tensors of a file in a folder, given by name or with its checksum.

    Raises:
        InvalidRun: missing, or damaged.
    """
    name, sha256 = (file, None) if isinstance(file, str) else (file.path, file.sha256)
    path = readable(folder, name)
    try:
        if sha256 in (None, file_sha256(path)):
            return load_file(path)
        problem = "its checksum differs from run.json"
    except (OSError, SafetensorError) as error:
        problem = str(error)
    remedy = f"delete {folder} to train from the start" if sha256 else None
    raise InvalidRun(f"damaged checkpoint: {problem}", file=path, remedy=remedy)
