"""The optimizer: AdamW without decay of vectors, its schedule, and frozen towers."""

import math

import torch
from torch import nn

from landmark.train.closp import Closp
from landmark.train.net import towers
from landmark.train.profile import Budget

_BETAS = (0.9, 0.999)
# Beta1 at the lowest and at the highest learning rate, the defaults of PyTorch's OneCycleLR.
_CYCLED_BETA1 = (0.95, 0.85)
# Parameters of more dimensions that are not decayed either, as in timm.
_NOT_DECAYED = ("pos_embed", "cls_token")


def new_optimizer(net: Closp, budget: Budget) -> torch.optim.AdamW:
    """Fused AdamW; biases, norms, the scale, and class token and position embedding of a ViT are not decayed."""
    decays: dict[float, list[nn.Parameter]] = {budget.weight_decay: [], 0.0: []}
    for name, parameter in net.named_parameters():
        exempt = parameter.ndim < 2 or name.rpartition(".")[2] in _NOT_DECAYED
        decays[0.0 if exempt else budget.weight_decay].append(parameter)
    groups = [{"params": parameters, "weight_decay": decay} for decay, parameters in decays.items()]
    return torch.optim.AdamW(groups, lr=budget.learning_rate, betas=_BETAS, fused=True)


def set_rate(optimizer: torch.optim.AdamW, budget: Budget, step: int, steps: int) -> float:
    """Set learning rate, and beta1 with `cycle_beta1`, of a step (0 .. steps - 1); return the learning rate."""
    rate, (beta1, beta2) = learning_rate(budget, step, steps), _BETAS
    if budget.cycle_beta1:
        slow, fast = _CYCLED_BETA1
        beta1 = _cosine_cycle(step, steps, (slow, fast, slow), warmup=budget.warmup)
    for group in optimizer.param_groups:
        group.update(lr=rate, betas=(beta1, beta2))
    return rate


def learning_rate(budget: Budget, step: int, steps: int) -> float:
    """Learning rate of a step (0 .. steps - 1)."""
    start = budget.learning_rate / budget.start_divisor
    return _cosine_cycle(step, steps, (start, budget.learning_rate, start / budget.end_divisor), warmup=budget.warmup)


def _cosine_cycle(step: int, steps: int, values: tuple[float, float, float], *, warmup: float) -> float:
    """Value of a step between start, peak and end, with OneCycle's cosine annealing (arXiv 1708.07120), as in PyTorch.

    Args:
        step: 0 .. steps - 1.
        steps: Length of the training.
        values: Start, peak and end.
        warmup: Fraction of the steps until the peak.
    """
    start, peak, end = values
    peak_step, last_step = warmup * steps - 1, steps - 1
    if 0 < peak_step >= step:
        return _cosine(start, peak, step / peak_step)
    return _cosine(peak, end, (step - peak_step) / (last_step - peak_step))


def _cosine(start: float, end: float, fraction: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * fraction)) / 2


def freeze_towers(net: Closp, freeze: str, epoch: int) -> None:
    """Freeze or thaw the towers for an epoch (0, 1, …): frozen parameters have no gradients and are not decayed.

    As in the published code, BatchNorm of a frozen tower still normalises by the batch and updates its running
    statistics, and dropout is active.

    Args:
        net: Its projections and scale are never frozen.
        freeze: `budget.freeze`.
        epoch: Number of the epoch.
    """
    frozen = freeze == "always" or (freeze == "first-epoch" and epoch == 0)
    for tower in towers(net).values():
        tower.requires_grad_(not frozen)
        if frozen:
            tower.zero_grad()
