"""Loss, embeddings and gradients of a net in bfloat16 against float64, on the same weights and batch."""

import copy
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from landmark.train.batches import Batch
from landmark.train.closp import Closp
from landmark.train.loss import closp_loss
from landmark.train.profile import Objective


class PassResult(NamedTuple):
    """Of one forward and backward pass, in float64 on the device."""

    loss: Tensor
    embeddings: dict[str, Tensor]
    gradients: dict[str, Tensor]


def measure_correctness(net: Closp, batch: Batch, objective: Objective) -> dict[str, dict[str, Any]]:
    """Compare bfloat16, as the net is trained, and float32 with float64.

    `rounding` is what remains if float64 starts from weights and images that are rounded to bfloat16 once: no network
    in bfloat16 can be expected to come closer. The text tower has no dropout here.
    """
    net.train()
    net.text_model.eval()
    rounded = copy.deepcopy(net).bfloat16()
    results = {
        "float64": _run(copy.deepcopy(net).double(), _to(batch, torch.float64), objective),
        "rounding": _run(rounded.double(), _to(_to(batch, torch.bfloat16), torch.float64), objective),
        "float32": _run(copy.deepcopy(net), batch, objective),
        "bfloat16": _run(net, batch, objective, torch.autocast(batch.token_ids.device.type, torch.bfloat16)),
    }
    net.zero_grad()
    net.train()
    reference = results.pop("float64")
    return {name: _differences(own, reference) for name, own in results.items()}


def _to(batch: Batch, dtype: torch.dtype) -> Batch:
    return batch.map(lambda tensor: tensor.to(dtype) if tensor.is_floating_point() else tensor)


def _run(
    net: Closp, batch: Batch, objective: Objective, context: AbstractContextManager[object] | None = None
) -> PassResult:
    net.zero_grad()
    with context or nullcontext():
        embeddings = net(batch.inputs, batch.token_ids, batch.attention_mask)
    loss = closp_loss(embeddings, batch.targets, net.scale, objective)
    loss.backward()  # type: ignore[no-untyped-call]
    groups: dict[str, list[Tensor]] = {}
    for name, parameter in net.named_parameters():
        if parameter.grad is not None:
            groups.setdefault(name.split(".")[0], []).append(parameter.grad.double().flatten())
    return PassResult(
        loss.detach().double(),
        {sensor: own.images.detach().double() for sensor, own in embeddings.items()},
        {name: torch.cat(parts) for name, parts in groups.items()},
    )


def _differences(result: PassResult, reference: PassResult) -> dict[str, Any]:
    gradients = {
        name: float((own - reference.gradients[name]).norm() / reference.gradients[name].norm().clamp(min=1e-30))
        for name, own in result.gradients.items()
    }
    return {
        "loss": float((result.loss - reference.loss).abs() / reference.loss.abs()),
        "min_cosine": min(_cosines(result.embeddings, reference.embeddings)),
        "gradient": _norm_of_difference(result.gradients, reference.gradients),
        "worst_gradient": max(gradients.values()),
        "worst_group": max(gradients, key=gradients.__getitem__),
    }


def _cosines(embeddings: Mapping[str, Tensor], reference: Mapping[str, Tensor]) -> list[float]:
    return [float(cosine_similarity(own, reference[sensor]).min()) for sensor, own in embeddings.items()]


def _norm_of_difference(gradients: Mapping[str, Tensor], reference: Mapping[str, Tensor]) -> float:
    """Norm of the difference of all gradients, relative to the norm of the reference."""
    joined, expected = (torch.cat([own[name] for name in reference]) for own in (gradients, reference))
    return float((joined - expected).norm() / expected.norm())
