"""Checks for shortcuts: whether a class can be predicted from a circumstance instead of the image.

Measure: mutual information of a class with a circumstance (label source, sensor, place, event) as a share of the
class's entropy (Theil's U), less what chance explains in as many samples (Miller-Madow).
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from landmark.quality.check_input import Check, CheckInput
from landmark.quality.check_profile import Limits
from landmark.quality.findings import Flag, NotApplicable


def explained_pct(has_class: Sequence[bool], circumstance: Sequence[Hashable]) -> float:
    """Percentage of the entropy of a class that a circumstance explains, at least 0.

    Source: Theil (1970), uncertainty coefficient; Miller (1955) for the correction of its bias.
    """
    joint = Counter(zip(has_class, circumstance, strict=True))
    class_totals, level_totals = Counter(has_class), Counter(circumstance)
    total = len(has_class)
    counts = np.array(list(joint.values()), dtype=np.float64)
    expected = np.array([class_totals[value] * level_totals[level] / total for value, level in joint])
    information = float((counts / total * np.log(counts / expected)).sum())
    chance = (len(class_totals) - 1) * (len(level_totals) - 1) / (2 * total)
    entropy = -sum(number / total * np.log(number / total) for number in class_totals.values())
    return 100 * max(information - chance, 0.0) / entropy if entropy > 0 else 0.0


def _bias_check(name: str, levels_of: Callable[[pa.Table], list[Hashable]], *, events_only: bool = False) -> Check:
    """A check of one circumstance.

    Args:
        name: Of the circumstance.
        levels_of: Samples → level of the circumstance per sample.
        events_only: Check only event classes: land cover depends on the place, and so on the event, by nature.
    """

    def check(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
        labels, levels = inputs.samples["labels"].to_pylist(), levels_of(inputs.samples)
        if len(set(levels)) < 2:
            raise NotApplicable(f"all samples have the same {name}")
        if len(levels) < limits["min_corpus_samples"]:
            raise NotApplicable(f"fewer than {limits['min_corpus_samples']:.0f} samples")
        for key, number in sorted(Counter(key for row in labels for key in row).items()):
            if number < limits["min_class_samples"] or (events_only and not inputs.context.is_event_class(key)):
                continue
            has_class = [key in row for row in labels]
            share_pct = explained_pct(has_class, levels)
            if share_pct > limits["max_explained_pct"]:
                yield Flag(f"class can be predicted from the {name}", key, f"{name} explains {share_pct:.0f} % of it")
            yield from _single_level(name, key, has_class, levels, limits)

    return check


def _single_level(name: str, key: str, has_class: list[bool], levels: list[Hashable], limits: Limits) -> Iterator[Flag]:
    """Flag a class that comes almost only from one level with few samples."""
    per_level = Counter(level for level, present in zip(levels, has_class, strict=True) if present)
    level, number = per_level.most_common(1)[0]
    corpus_pct = 100 * levels.count(level) / len(levels)
    class_pct = 100 * number / per_level.total()
    if class_pct > limits["max_class_pct"] and corpus_pct < limits["min_corpus_pct"]:
        detail = f"{class_pct:.0f} % of it from {level}, which has {corpus_pct:.0f} % of the samples"
        yield Flag(f"class comes almost only from one {name}", key, detail)


def _label_sources(samples: pa.Table) -> list[Hashable]:
    """Per sample, the source of its largest subclass."""
    return [next((key.split("/")[0] for key, _ in row), None) for row in samples["subclasses"].to_pylist()]


def _sensors(samples: pa.Table) -> list[Hashable]:
    return list(samples["sensor"].to_pylist())


def _degree_squares(samples: pa.Table) -> list[Hashable]:
    """Per sample, the south-west corner of its square of one degree."""
    corners = (np.floor(samples[name].to_numpy()).astype(int).tolist() for name in ("lat", "lon"))
    return [f"{lat} {lon}" for lat, lon in zip(*corners, strict=True)]


def _events(samples: pa.Table) -> list[Hashable]:
    rows: list[list[dict[str, Any]]] = samples["events"].to_pylist()
    return [min((event["id"] for event in row), default=None) for row in rows]


CHECKS: dict[str, Check] = {
    "bias-source": _bias_check("label source", _label_sources),
    "bias-sensor": _bias_check("sensor", _sensors),
    "bias-place": _bias_check("place", _degree_squares),
    "bias-event": _bias_check("event", _events, events_only=True),
}
