"""Whether a budget is long enough to change a model's weights."""

import math
from collections import Counter, defaultdict

from landmark.train.closp import Closp
from landmark.train.optimizer import freeze_towers, learning_rate
from landmark.train.profile import Budget, ModelProfile

# Below it, a model scores like an untrained one: see `docs/train.md`.
MIN_CHANGE = 0.1


def relative_changes(net: Closp, budget: Budget, steps: int, per_epoch: int) -> dict[str, float]:
    """Trained part of the net → bound on the change of a weight, relative to their root mean square at the start.

    AdamW changes a weight by about its learning rate a step at most (Kingma & Ba 2015, section 2.1), hence in all by
    the sum of the rates. With `alternate_sensors` what sensors share is changed in the step of each.

    Args:
        net: At the start of the training.
        budget: Its schedule.
        steps: Of the training.
        per_epoch: Steps of an epoch.
    """
    total = sum_of_rates(budget, steps)
    freeze_towers(net, budget.freeze, (steps - 1) // per_epoch)
    squares, counts = defaultdict[str, float](float), Counter[str]()
    for name, parameter in net.named_parameters():
        if parameter.requires_grad and parameter.ndim > 1:
            part = name.split(".")[0]
            squares[part] += float(parameter.detach().square().sum())
            counts[part] += parameter.numel()
    shared = len(net.sensors) if budget.alternate_sensors else 1
    totals = {part: total * (1 if part.startswith(net.sensors) else shared) for part in counts if squares[part]}
    return {part: own / math.sqrt(squares[part] / counts[part]) for part, own in totals.items()}


def sum_of_rates(budget: Budget, steps: int) -> float:
    """Sum of the learning rates of all steps."""
    return math.fsum(learning_rate(budget, step, steps) for step in range(steps))


def budget_warnings(net: Closp, profile: ModelProfile, *, images: int) -> list[str]:
    """Warn of a budget in which no trained part of the net can change noticeably, and of frozen random towers.

    Args:
        net: At the start of the training.
        profile: Its model.
        images: Of the sensor with the most.
    """
    budget, warnings = profile.budget, []
    if budget.freeze == "always" and (random := sorted(set(net.sensors) - set(profile.image.weights))):
        warnings.append(
            f"the image towers of {' and '.join(random)} are random, and `budget.freeze: always` leaves them so. Name"
            " pretrained weights in `image.weights`"
        )
    batches = math.ceil(images / budget.batch) if budget.last_batch == "keep" else images // budget.batch
    per_epoch = math.ceil(batches / budget.accumulate)
    steps = budget.count_steps(per_epoch)
    part, change = max(relative_changes(net, budget, steps, per_epoch).items(), key=lambda item: item[1])
    if change < MIN_CHANGE:
        factor, percent = 1 / change, f"{100 * change:.2g} %"
        warnings.append(
            f"the model will hardly learn: {steps} steps at learning rates up to {budget.learning_rate:.2g} change its"
            f" weights by less than {percent} of their size (most in {part}). Train {factor:.0f} times as many"
            f" steps, or set `budget.learning_rate` to {budget.learning_rate * factor:.1g}, for a change of their size"
        )
    return warnings
