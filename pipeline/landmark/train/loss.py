"""The losses of CLOSP and GeoCLOSP (arXiv 2507.10403): symmetric cross-entropy of images against texts and places.

CLOSP uses identity targets as CLIP does, which make samples with equal captions each other's negatives. Soft targets
graded by label overlap avoid that (SoftCon, arXiv 2405.20462). Where all samples of a label set have the same text,
`equal` has the loss of `identity`, as attraction and repulsion cancel within the group; only `overlap` differs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from landmark.train.closp import Embeddings
from landmark.train.profile import Objective, Targets

_EARTH_RADIUS_KM = 6371.0088


@dataclass(frozen=True, slots=True)
class SensorTargets:
    """What makes images of one sensor positives of each other's texts and places, and of the other sensor's images.

    Attributes:
        labels: (n, class) bool.
        coordinates: (n, 2) float64 longitude and latitude in degrees; None without a location tower.
        pair: (n,) int64 number that an image shares with its pair of the other sensor, -1 without one; None if no
            term of the loss compares pairs.
        text_labels: (n, class) bool classes that the text of each image names; None where they are those of the image.
    """

    labels: Tensor
    coordinates: Tensor | None = None
    pair: Tensor | None = None
    text_labels: Tensor | None = None


def closp_loss(
    embeddings: Mapping[str, Embeddings], targets: Mapping[str, SensorTargets], scale: Tensor, objective: Objective
) -> Tensor:
    """Loss of a batch, a scalar: (mean of the sensors' losses + pair_weight * loss of pairs) / (1 + pair_weight).

    A sensor's loss is (image-text + location_weight * image-location) / (1 + location_weight), and image-text alone
    without a location tower; negatives are of the same sensor. Without a pair in the batch, the mean is the loss.
    """
    loss = torch.stack([_sensor_loss(own, targets[name], scale, objective) for name, own in embeddings.items()]).mean()
    pairs = _pair_losses(embeddings, targets, scale) if objective.pair_weight else []
    if not pairs:
        return loss
    return (loss + objective.pair_weight * torch.stack(pairs).mean()) / (1 + objective.pair_weight)


def _sensor_loss(own: Embeddings, targets: SensorTargets, scale: Tensor, objective: Objective) -> Tensor:
    kind, power = objective.targets, objective.overlap_power
    similarity = target_similarity(targets.labels, kind, power, text_labels=targets.text_labels)
    loss, weight = contrastive_loss(own.images, own.texts, similarity, scale), objective.location_weight
    if own.locations is None or targets.coordinates is None or not weight:
        return loss
    closeness = torch.exp(-distances_km(targets.coordinates) / objective.location_km)
    return (loss + weight * contrastive_loss(own.images, own.locations, closeness, scale)) / (1 + weight)


def _pair_losses(
    embeddings: Mapping[str, Embeddings], targets: Mapping[str, SensorTargets], scale: Tensor
) -> list[Tensor]:
    """Loss of the paired images of each two sensors; images without their pair in the batch take no part."""
    losses = []
    for first, second in combinations(embeddings, 2):
        pair, pair_of_second = targets[first].pair, targets[second].pair
        if pair is None or pair_of_second is None:
            continue
        same = (pair[:, None] == pair_of_second[None, :]) & (pair[:, None] >= 0)
        rows, columns = same.any(1), same.any(0)
        if rows.any():
            images, matches = embeddings[first].images[rows], embeddings[second].images[columns]
            losses.append(contrastive_loss(images, matches, same[rows][:, columns], scale))
    return losses


def distances_km(coordinates: Tensor) -> Tensor:
    """Great-circle distances (n, n) in km of places (n, 2) float64, longitude and latitude in degrees (haversine)."""
    lon, lat = torch.deg2rad(coordinates).T
    half = (torch.sin((values[:, None] - values[None, :]) / 2) ** 2 for values in (lat, lon))
    square = next(half) + torch.cos(lat)[:, None] * torch.cos(lat)[None, :] * next(half)
    return 2 * _EARTH_RADIUS_KM * torch.asin(square.clamp(max=1).sqrt())


def target_similarity(labels: Tensor, targets: Targets, power: float, *, text_labels: Tensor | None = None) -> Tensor:
    """Similarity of each image and each text by their labels, (n, n) float64 in [0, 1], 1 on the diagonal.

    Args:
        labels: (n, class) bool.
        targets: identity: 1 on the diagonal only; equal: 1 for equal label sets; overlap: Jaccard index of the
            label sets; subset: 1 where the image has all classes that the text names.
        power: Exponent of the Jaccard index; large values approach `equal`.
        text_labels: (n, class) bool classes that the texts name; None where they are those of the images.
    """
    if targets == "identity":
        return torch.eye(len(labels), dtype=torch.float64, device=labels.device)
    present = labels.double()
    if targets == "subset":
        named = present if text_labels is None else text_labels.double()
        return (present @ named.T == named.sum(1)).double()
    intersection = present @ present.T
    union = present.sum(1)[:, None] + present.sum(1)[None, :] - intersection
    # Two samples without labels are equal.
    jaccard = torch.where(union > 0, intersection / union.clamp(min=1), 1.0)
    return (jaccard == 1).double() if targets == "equal" else jaccard**power


def contrastive_loss(images: Tensor, matches: Tensor, similarity: Tensor, scale: Tensor) -> Tensor:
    """Mean over both directions of the cross-entropy against `similarity`, normalised over rows and over columns.

    Args:
        images: (n, d), L2-normalised, of one sensor.
        matches: (k, d), L2-normalised: texts, places, or images of another sensor.
        similarity: (n, k), not negative, with a positive in each row and each column.
        scale: Factor of the cosines; the inverse of the temperature.
    """
    logits, similarity = scale * images @ matches.T, similarity.to(images.dtype)
    directions = (
        (targets / targets.sum(1, keepdim=True) * log_softmax(scores, dim=1)).sum(1).mean()
        for scores, targets in ((logits, similarity), (logits.T, similarity.T))
    )
    return -sum(directions, torch.zeros((), device=images.device)) / 2
