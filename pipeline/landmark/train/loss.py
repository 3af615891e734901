"""CLOSP's loss: symmetric cross-entropy between the images of a sensor and their texts, against soft targets.

Samples of one label set say the same, and samples that share classes say similar things; CLIP's identity targets call
them each other's negatives. SoftCon (arXiv 2405.20462) grades the targets by the overlap of labels instead. Where equal
label sets have one and the same text, `equal` is `identity` (pushes and pulls within the group cancel), and only
`overlap` says more.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

Targets = Literal["identity", "equal", "overlap"]


def similarity(labels: Tensor, targets: Targets, power: float) -> Tensor:
    """How much two samples say the same, (n, n) float32 in [0, 1], 1 on the diagonal.

    Args:
        labels: (n, class) bool, which classes a sample carries.
        targets: identity: a sample is like itself alone; equal: like all of its label set; overlap: like others by the
            Jaccard index of the label sets.
        power: Exponent of the Jaccard index; the greater, the nearer to `equal`.
    """
    if targets == "identity":
        return torch.eye(len(labels), device=labels.device)
    carried = labels.float()
    both = carried @ carried.T
    either = carried.sum(1)[:, None] + carried.sum(1)[None, :] - both
    # Two samples without any label are alike.
    jaccard = torch.where(either > 0, both / either.clamp(min=1), 1.0)
    return (jaccard == 1).float() if targets == "equal" else jaccard**power


def contrast(images: Tensor, texts: Tensor, likeness: Tensor, scale: Tensor) -> Tensor:
    """Mean over both directions of the cross-entropy against `likeness`, its rows normalised; a scalar.

    Args:
        images: (n, d), L2-normalised, of one sensor.
        texts: (n, d), L2-normalised, the text of each image.
        likeness: (n, n), symmetric.
        scale: Multiplies the cosines; the inverse of the temperature.
    """
    wanted = likeness / likeness.sum(1, keepdim=True)
    logits = scale * images @ texts.T
    both = ((wanted * log_softmax(one, dim=1)).sum(1).mean() for one in (logits, logits.T))
    return -sum(both, torch.zeros((), device=images.device)) / 2
