"""Load published weights into towers by name: those of timm, torchgeo, SSL4EO-S12, SatCLIP, CLOSP and transformers.

Frameworks put a prefix before a tower's names (`module.encoder_q.`, `model.location.`, `s1_encoder.`). It is the one
after which the file has most of the tower's names.
"""

import argparse
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from landmark.core.errors import InputError

# Copies of an encoder that MoCo and DINO keep for their own training.
_COPIES = re.compile(r"(^|\.)(momentum_encoder|encoder_k|student)\.")
# A linear layer between a tower and its projection. Most published weights have none for it: it stays as initialised.
_HEAD = re.compile(r"(fc|head)\.(weight|bias)")
_FIRST_CONVOLUTION = re.compile(r"(conv1|patch_embed\.proj)\.weight")


def load_tower(
    tower: nn.Module, file: Path, *, key: str, preferred: str | None = None, optional: Collection[str] = ()
) -> None:
    """Load a file's tensors into a tower by name; tensors that the tower has no place for are left out.

    Args:
        tower: The tower; the tensors are converted to its dtype.
        file: A .safetensors file, or one of `torch.save`.
        key: Key of the profile that names the file, for errors.
        preferred: Of several towers in the file, the one after this name (`s1_encoder`).
        optional: Names that the file may lack.

    Raises:
        InputError: unreadable; or a tensor is missing, has another shape, or holds other than finite numbers.
    """
    expected, tensors = tower.state_dict(), _read_weights(file, key)
    prefix = _find_prefix(tensors, expected.keys(), preferred)
    own = {name: tensors[prefix + name] for name in expected if prefix + name in tensors}
    # BatchNorm's counter is missing in old files, and not used.
    may_lack = {name for name in expected if name.endswith("num_batches_tracked")}.union(optional)
    if not any(_HEAD.fullmatch(name) for name in own):
        may_lack |= {name for name in expected if _HEAD.fullmatch(name)}
    for name in expected:
        if name not in own and name not in may_lack:
            problem = f"not weights of this tower: it has no {prefix}{name} {tuple(expected[name].shape)}"
            raise InputError(problem, file=file, key=key, value=name)
        if name in own and own[name].shape != expected[name].shape:
            raise _unequal(name, own[name], expected[name], file=file, key=key)
        if name in own and expected[name].is_floating_point() and not _is_finite(own[name]):
            problem = f"{prefix}{name} holds {own[name].dtype} that are no finite numbers"
            raise InputError(problem, file=file, key=key, value=name)
    tower.load_state_dict(expected | own)


def _read_weights(file: Path, key: str) -> dict[str, Tensor]:
    """Read the tensors of a file; those of nested mappings have names joined by dots.

    Raises:
        InputError: unreadable, or without named tensors.
    """
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        # `weights_only`: unpickling must not run code of the file. MAE and DINO store their command line beside it.
        with torch.serialization.safe_globals([argparse.Namespace]):
            tensors = dict(_flatten(torch.load(file, map_location="cpu", weights_only=True), "", set()))
    except Exception as error:  # A damaged file makes the unpickler raise errors of many kinds.
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"cannot be read: {reason}", file=file, key=key) from error
    if not tensors:
        raise InputError("holds no named tensors", file=file, key=key)
    return tensors


def _flatten(stored: Any, prefix: str, seen: set[int]) -> Iterator[tuple[str, Tensor]]:
    """Tensors of nested mappings by dotted name; a mapping that is in others several times, or in itself, once."""
    if not isinstance(stored, Mapping) or id(stored) in seen:
        return
    seen.add(id(stored))
    for name, value in stored.items():
        if isinstance(value, Tensor):
            yield f"{prefix}{name}", value
        else:
            yield from _flatten(value, f"{prefix}{name}.", seen)


def _find_prefix(tensors: Mapping[str, Tensor], expected: Collection[str], preferred: str | None) -> str:
    """The prefix of most of the expected names; "" if the file has none of them."""
    counts: Counter[str] = Counter()
    for name in tensors:
        starts = [0, *(dot.end() for dot in re.finditer(r"\.", name))]
        counts.update(name[:start] for start in starts if name[start:] in expected)
    own = {prefix: count for prefix, count in counts.items() if preferred and f".{preferred}." in f".{prefix}"}
    originals = {prefix: count for prefix, count in counts.items() if not _COPIES.search(prefix)}
    candidates = own or originals
    return max(candidates, key=lambda prefix: (candidates[prefix], -len(prefix)), default="")


def _is_finite(tensor: Tensor) -> bool:
    is_dense = tensor.is_floating_point() and tensor.layout == torch.strided and not tensor.is_meta
    return is_dense and bool(tensor.float().isfinite().all())


def _unequal(name: str, tensor: Tensor, expected: Tensor, *, file: Path, key: str) -> InputError:
    remedy = None
    if _FIRST_CONVOLUTION.fullmatch(name) and tensor.shape[0] == expected.shape[0]:
        bands = {12: "stored", 13: "sentinel-2-l1c"}.get(tensor.shape[1])
        if bands is not None and expected.shape[1] in (12, 13):
            remedy = f"set `image.bands: {bands}`"
        else:
            remedy = f"name weights for images of {expected.shape[1]} channels, not {tensor.shape[1]}"
    problem = f"not weights of this tower: {name} is {tuple(tensor.shape)}, the tower's {tuple(expected.shape)}"
    return InputError(problem, file=file, key=key, value=name, remedy=remedy)
