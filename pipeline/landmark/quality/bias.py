"""Whether a model could know a class by something other than how it looks.

Mutual information of a class with a circumstance (label source, sensor, place, event), as the share of the class's
entropy that the circumstance explains (Theil's U), less what chance explains in so many samples (Miller-Madow).
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from landmark.quality.check_profile import Limits
from landmark.quality.evidence import Evidence, Judge
from landmark.quality.findings import Flag, NotApplicable


def explained_pct(carries: Sequence[bool], circumstance: Sequence[Hashable]) -> float:
    """How much of the entropy of carrying a class a circumstance explains, in percent; never below 0.

    Source: Theil (1970), uncertainty coefficient; Miller (1955) for the correction of its bias.
    """
    joint = Counter(zip(carries, circumstance, strict=True))
    of_class, of_kind = Counter(carries), Counter(circumstance)
    total = len(carries)
    counts = np.array(list(joint.values()), dtype=np.float64)
    expected = np.array([of_class[value] * of_kind[kind] / total for value, kind in joint])
    information = float((counts / total * np.log(counts / expected)).sum())
    chance = (len(of_class) - 1) * (len(of_kind) - 1) / (2 * total)
    entropy = -sum(number / total * np.log(number / total) for number in of_class.values())
    return 100 * max(information - chance, 0.0) / entropy if entropy > 0 else 0.0


def _judge(name: str, circumstance: Callable[[pa.Table], list[Hashable]], *, crises: bool = False) -> Judge:
    """`crises`: only classes that events give; land cover follows from an event's place, which is no fault of it."""

    def judge(evidence: Evidence, limits: Limits) -> Iterator[Flag]:
        labels, kinds = evidence.samples["labels"].to_pylist(), circumstance(evidence.samples)
        if len(set(kinds)) < 2:
            raise NotApplicable(f"no two samples differ in {name}")
        if len(kinds) < limits["min_corpus"]:
            raise NotApplicable(f"fewer than {limits['min_corpus']:.0f} samples")
        for key, number in sorted(Counter(key for row in labels for key in row).items()):
            if number < limits["min_samples"] or (crises and not _of_events(evidence, key)):
                continue
            carries = [key in row for row in labels]
            share_pct = explained_pct(carries, kinds)
            if share_pct > limits["max_explained_pct"]:
                yield Flag(f"a class is known by its {name}", key, f"{name} explains {share_pct:.0f} % of it")
            yield from _alone(name, key, carries, kinds, limits)

    return judge


def _of_events(evidence: Evidence, key: str) -> bool:
    entry = evidence.known.taxonomy.classes.get(key)
    return entry is not None and entry.event


def _alone(name: str, key: str, carries: list[bool], kinds: list[Hashable], limits: Limits) -> Iterator[Flag]:
    """A class that one small part of the corpus alone gives."""
    giving = Counter(kind for kind, has in zip(kinds, carries, strict=True) if has)
    kind, number = giving.most_common(1)[0]
    of_all_pct = 100 * kinds.count(kind) / len(kinds)
    of_class_pct = 100 * number / giving.total()
    if of_class_pct > limits["most_of_class_pct"] and of_all_pct < limits["least_of_corpus_pct"]:
        seen = f"{of_class_pct:.0f} % of it from {kind}, which has {of_all_pct:.0f} % of the samples"
        yield Flag(f"nearly all of a class comes from one {name}", key, seen)


def _sources(samples: pa.Table) -> list[Hashable]:
    """The source that most of a sample's classes are of: shares stand in the order of their size."""
    return [next((key.split("/")[0] for key, _ in row), None) for row in samples["finer"].to_pylist()]


def _sensors(samples: pa.Table) -> list[Hashable]:
    return list(samples["sensor"].to_pylist())


def _places(samples: pa.Table) -> list[Hashable]:
    """Squares of a degree, named by their south-west corner."""
    corners = (np.floor(samples[name].to_numpy()).astype(int).tolist() for name in ("lat", "lon"))
    return [f"{lat} {lon}" for lat, lon in zip(*corners, strict=True)]


def _events(samples: pa.Table) -> list[Hashable]:
    rows: list[list[dict[str, Any]]] = samples["events"].to_pylist()
    return [min((one["id"] for one in row), default=None) for row in rows]


JUDGES: dict[str, Judge] = {
    "bias-source": _judge("label source", _sources),
    "bias-sensor": _judge("sensor", _sensors),
    "bias-place": _judge("place", _places),
    "bias-event": _judge("event", _events, crises=True),
}
