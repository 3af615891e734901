"""Gradients of an optimizer step, of batches in chunks (GradCache, arXiv 2101.06983) and on several ranks.

Every image is compared with all texts of its batch, whatever the chunks and ranks: first come the embeddings of all,
then the loss and its gradients with respect to them, then, chunk by chunk, the gradients of the parameters.
"""

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import fields, replace
from itertools import count, pairwise
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed import ProcessGroup
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from landmark.train.batches import Batch, map_tensors
from landmark.train.closp import Closp, Embeddings
from landmark.train.distributed import gather_rows
from landmark.train.loss import SensorTargets, closp_loss
from landmark.train.net import autocast
from landmark.train.profile import ModelProfile, Objective

# Tensors by sensor and name of a field; the scale is of no sensor.
Tensors = dict[tuple[str, str], Tensor]
_SCALE = ("", "scale")


class Forward(nn.Module):
    """Embeddings of a batch and the scale: all that the loss needs of a net in one call, as DDP requires."""

    def __init__(self, net: Closp) -> None:
        super().__init__()
        self.net = net

    def forward(self, batch: Batch) -> Tensors:
        """Return embeddings, computed in bfloat16 where the hardware has it, and the factor of the cosines."""
        with autocast(batch.token_ids.device):
            embeddings = self.net(batch.inputs, batch.token_ids, batch.attention_mask)
        return {**_flatten(embeddings), _SCALE: self.net.scale}


def parallel(net: Closp, group: ProcessGroup | None, *, alternate_sensors: bool = False) -> nn.Module:
    """The net as `compute_gradients` takes it; on several ranks, DDP averages the gradients of the parameters.

    Call it again when other parameters are frozen. Each rank's BatchNorm has running statistics of its own images.
    """
    if group is None:
        return Forward(net)
    with warnings.catch_warnings():
        # Another name of `broadcast_buffers` came with PyTorch 2.13.
        warnings.simplefilter("ignore", FutureWarning)
        return DistributedDataParallel(
            Forward(net), process_group=group, broadcast_buffers=False, find_unused_parameters=alternate_sensors
        )


def compute_gradients(
    model: nn.Module,
    batches: Sequence[Batch],
    profile: ModelProfile,
    *,
    seeds: Callable[[int], int],
    group: ProcessGroup | None = None,
) -> Tensor:
    """Add the gradients of the mean loss of some batches to `.grad`; return this loss, a detached scalar.

    A batch of several chunks is embedded twice: first without a graph, for the loss, then with one, for the gradients.
    BatchNorm normalises by chunk and rank, and updates its running statistics the second time only.

    Args:
        model: From `parallel`.
        batches: This rank's parts of the batches, of equal size on all ranks.
        profile: Its objective, and its images of a chunk.
        seeds: Number of a chunk in this step → seed of dropout, the same both times.
        group: The ranks; None for one.
    """
    numbers, losses = count(), []
    for batch in batches:
        chunks = [(seeds(next(numbers)), chunk) for chunk in split_chunks(batch, profile.budget.chunk)]
        is_last, in_chunks = batch is batches[-1], len(chunks) > 1
        with _first_pass(model) if in_chunks else _averaging(model, is_last):
            outputs = [_embed(model, *chunk) for chunk in chunks]
        loss, gradients = _differentiate(outputs, batch.targets, profile.objective, 1 / len(batches), group)
        for chunk, output, gradient in zip(chunks, outputs, gradients, strict=True):
            with _averaging(model, is_last and chunk is chunks[-1]):
                graph = _embed(model, *chunk) if in_chunks else output
                keys = [key for key in gradient if graph[key].requires_grad]
                torch.autograd.backward([graph[key] for key in keys], [gradient[key] for key in keys])
        losses.append(loss)
    return torch.stack(losses).sum()


def _embed(model: nn.Module, seed: int, chunk: Batch) -> Tensors:
    torch.manual_seed(seed)
    output: Tensors = model(chunk.to(next(model.parameters()).device))
    return output


def _differentiate(
    outputs: Sequence[Tensors],
    batch_targets: Mapping[str, SensorTargets],
    objective: Objective,
    weight: float,
    group: ProcessGroup | None,
) -> tuple[Tensor, list[Tensors]]:
    """Weighted loss of all ranks' chunks, and its gradients with respect to the outputs of each chunk of this rank.

    The gradient of the scale comes with the last chunk.
    """
    scale = outputs[-1][_SCALE].detach().requires_grad_()
    keys = dict.fromkeys(key for output in outputs for key in output if key != _SCALE)
    parts = {key: [output[key].detach() for output in outputs if key in output] for key in keys}
    embeddings = {key: torch.cat(tensors) for key, tensors in parts.items()}
    targets = {key: tensor.to(scale.device) for key, tensor in _flatten(batch_targets).items()}
    rank, ranks = 0, 1
    if group is not None:
        rank, ranks = group.rank(), group.size()
        rows = iter(gather_rows([*embeddings.values(), *targets.values()], group))
        embeddings, targets = ({key: next(rows) for key in tensors} for tensors in (embeddings, targets))
    leaves = [scale, *(tensor.requires_grad_() for tensor in embeddings.values())]
    places = _restore(Embeddings, embeddings), _restore(SensorTargets, targets)
    loss = weight * closp_loss(*places, scale, objective)
    of_scale, *gradients = torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True)
    # DDP averages over the ranks. That is right for the scale, whose gradient here is that of all ranks' images.
    pieces = {
        key: iter(torch.split(ranks * gradient.chunk(ranks)[rank], [len(part) for part in parts[key]]))
        for key, gradient in zip(keys, gradients, strict=True)
    }
    chunks = [{key: next(pieces[key]) for key in output if key != _SCALE} for output in outputs]
    chunks[-1][_SCALE] = of_scale
    return loss.detach(), chunks


def _averaging(model: nn.Module, active: bool) -> AbstractContextManager[None]:
    """Let DDP average gradients in this forward and backward pass, or not yet."""
    return nullcontext() if active or not isinstance(model, DistributedDataParallel) else model.no_sync()


@contextmanager
def _first_pass(model: nn.Module) -> Iterator[None]:
    """Without a graph; BatchNorm normalises by the batch, and its running statistics stay as they are."""
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    try:
        for norm in norms:
            norm.track_running_stats = False
        with torch.no_grad():
            yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


def split_chunks(batch: Batch, chunk: int | None) -> list[Batch]:
    """The fewest batches of at most `chunk` images of each sensor, about equally large, with the texts they need."""
    n_images = max(len(own.images) for own in batch.inputs.values())
    if chunk is None or chunk >= n_images:
        return [batch]
    n_chunks = math.ceil(n_images / chunk)
    edges = [math.ceil(n_images * number / n_chunks) for number in range(n_chunks + 1)]
    return [_take(batch, dict.fromkeys(batch.inputs, slice(*edge))) for edge in pairwise(edges)]


def split_sensors(batch: Batch) -> list[Batch]:
    """A batch of each sensor, the last one first: Sentinel-2 before Sentinel-1, as in the published code."""
    return [_take(batch, {sensor: slice(None)}) for sensor in reversed(batch.inputs)]


def _take(batch: Batch, rows: Mapping[str, slice]) -> Batch:
    """Some rows of some sensors, where there are any, and their texts."""
    inputs = {sensor: map_tensors(batch.inputs[sensor], itemgetter(own)) for sensor, own in rows.items()}
    inputs = {sensor: own for sensor, own in inputs.items() if len(own.images)}
    texts = torch.unique(torch.cat([own.text_index for own in inputs.values()]))
    return Batch(
        {sensor: replace(own, text_index=torch.searchsorted(texts, own.text_index)) for sensor, own in inputs.items()},
        {sensor: map_tensors(batch.targets[sensor], itemgetter(rows[sensor])) for sensor in inputs},
        batch.token_ids[texts],
        batch.attention_mask[texts],
    )


def _flatten(parts: Mapping[str, Any]) -> Tensors:
    """The tensors of a dataclass for each sensor."""
    return {
        (sensor, field.name): value
        for sensor, part in parts.items()
        for field in fields(part)
        if (value := getattr(part, field.name)) is not None
    }


def _restore(kind: type[Any], tensors: Tensors) -> dict[str, Any]:
    """A dataclass for each sensor, from its tensors."""
    sensors = dict.fromkeys(sensor for sensor, _ in tensors)
    return {
        sensor: kind(**{name: tensor for (owner, name), tensor in tensors.items() if owner == sensor})
        for sensor in sensors
    }
