"""CLOSP's loss (arXiv 2507.10403): symmetric cross-entropy between the images of a sensor and their texts.

CLOSP uses identity targets as CLIP does, which make samples with equal captions each other's negatives. Soft targets
graded by label overlap avoid that (SoftCon, arXiv 2405.20462). Where all samples of a label set have the same text,
`equal` has the loss of `identity`, as attraction and repulsion cancel within the group; only `overlap` differs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from landmark.train.closp import Embeddings
from landmark.train.profile import Objective

Targets = Literal["identity", "equal", "overlap"]


@dataclass(frozen=True, slots=True)
class SensorTargets:
    """What makes images of one sensor positives of each other.

    Attributes:
        labels: (n, class) bool.
    """

    labels: Tensor


def closp_loss(
    embeddings: Mapping[str, Embeddings], targets: Mapping[str, SensorTargets], scale: Tensor, objective: Objective
) -> Tensor:
    """Mean of the sensors' losses, a scalar; negatives are of the same sensor only."""
    losses = []
    for sensor, own in embeddings.items():
        similarity = target_similarity(targets[sensor].labels, objective.targets, objective.overlap_power)
        losses.append(contrastive_loss(own.images, own.texts, similarity, scale))
    return torch.stack(losses).mean()


def target_similarity(labels: Tensor, targets: Targets, power: float) -> Tensor:
    """Similarity of each two samples by their labels, (n, n) float32 in [0, 1], 1 on the diagonal.

    Args:
        labels: (n, class) bool.
        targets: identity: 1 on the diagonal only; equal: 1 for equal label sets; overlap: Jaccard index of the
            label sets.
        power: Exponent of the Jaccard index; large values approach `equal`.
    """
    if targets == "identity":
        return torch.eye(len(labels), device=labels.device)
    present = labels.float()
    intersection = present @ present.T
    union = present.sum(1)[:, None] + present.sum(1)[None, :] - intersection
    # Two samples without labels are equal.
    jaccard = torch.where(union > 0, intersection / union.clamp(min=1), 1.0)
    return (jaccard == 1).float() if targets == "equal" else jaccard**power


def contrastive_loss(images: Tensor, texts: Tensor, similarity: Tensor, scale: Tensor) -> Tensor:
    """Mean over both directions of the cross-entropy against row-normalised `similarity`; a scalar.

    Args:
        images: (n, d), L2-normalised, of one sensor.
        texts: (n, d), L2-normalised, the text of each image.
        similarity: (n, n), symmetric.
        scale: Factor of the cosines; the inverse of the temperature.
    """
    targets = similarity / similarity.sum(1, keepdim=True)
    logits = scale * images @ texts.T
    directions = ((targets * log_softmax(scores, dim=1)).sum(1).mean() for scores in (logits, logits.T))
    return -sum(directions, torch.zeros((), device=images.device)) / 2
