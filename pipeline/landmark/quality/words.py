"""Whether the words of a whole corpus tell its images apart, and its pixels agree with them."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from landmark.base.recipe import SPLITS
from landmark.quality.evidence import Evidence, Judge, numbers
from landmark.quality.findings import Flag, NotApplicable
from landmark.quality.rules import Limits


def repetition(evidence: Evidence, limits: Limits) -> Iterator[Flag]:
    """No caption stands on so many samples that a batch would hardly hold another."""
    for sensor, texts in _captions(evidence, limits):
        text, times = Counter(texts).most_common(1)[0]
        if (share_pct := 100 * times / len(texts)) > limits["max_share_pct"]:
            yield Flag(
                "one caption stands on too many samples", f"{sensor} {text!r}", f"{share_pct:.0f} % of {len(texts)}"
            )


def entropy(evidence: Evidence, limits: Limits) -> Iterator[Flag]:
    """The captions carry enough information to search by."""
    for sensor, texts in _captions(evidence, limits):
        bits = entropy_bits(np.array(list(Counter(texts).values())))
        if bits < limits["min_bits"]:
            yield Flag("captions hardly differ", sensor, f"{bits:.2f} bits over {len(set(texts))} captions")


def _captions(evidence: Evidence, limits: Limits) -> Iterator[tuple[str, list[str]]]:
    """The structured captions per sensor that has enough of them to say something of their distribution."""
    found = False
    for sensor in evidence.manifest.sensors:
        texts = [text for text in evidence.of(sensor)["caption"].to_pylist() if text is not None]
        if len(texts) >= limits["min_samples"]:
            found = True
            yield sensor, texts
    if not found:
        raise NotApplicable(f"no sensor has {limits['min_samples']:.0f} captions")


def entropy_bits(counts: NDArray[np.int64]) -> float:
    """Shannon entropy of counts, in bits."""
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum())


def balance(evidence: Evidence, limits: Limits) -> Iterator[Flag]:
    """Every class that occurs has samples to learn from and to be judged on, and none is on nearly all."""
    rows = list(zip(evidence.samples["split"].to_pylist(), evidence.samples["labels"].to_pylist(), strict=True))
    total = sum(bool(labels) for _, labels in rows)
    if total < limits["min_samples"]:
        raise NotApplicable(f"fewer than {limits['min_samples']:.0f} samples have a label")
    sizes = Counter(split for split, labels in rows if labels)
    counts = Counter((split, key) for split, labels in rows for key in labels)
    for key in sorted({key for _, key in counts}):
        number = sum(counts[split, key] for split in SPLITS)
        share_pct = 100 * number / total
        if share_pct < limits["min_share_pct"]:
            yield Flag("a class is on hardly any sample", key, f"{number} of {total}")
        if share_pct > limits["max_share_pct"]:
            yield Flag("a class is on nearly every sample", key, f"{share_pct:.0f} % of {total}")
        for split in SPLITS:
            if sizes[split] and not counts[split, key]:
                yield Flag(f"a class has no sample in {split}", key, f"0 of {sizes[split]}, of {number} in all")


def agreement(evidence: Evidence, limits: Limits) -> Iterator[Flag]:
    """Where several label sources see a place, they see much the same."""
    found: dict[str, list[float]] = {}
    classes: dict[str, list[float]] = {}
    for sources, per_class in zip(
        evidence.samples["sources"].to_pylist(), evidence.samples["agreement"].to_pylist(), strict=True
    ):
        for one in sources:
            if one["agreement"] is not None:
                found.setdefault(one["name"], []).append(one["agreement"])
        for key, share in dict(per_class).items():
            classes.setdefault(key, []).append(share)
    if not found:
        raise NotApplicable("no place is seen by two label sources")
    for what, groups in (("a label source agrees with no other", found), ("a class is confirmed too seldom", classes)):
        for name, shares in sorted(groups.items()):
            mean_pct = 100 * float(np.mean(shares))
            if len(shares) >= limits["min_samples"] and mean_pct < limits["min_mean_pct"]:
                yield Flag(what, name, f"{mean_pct:.0f} % of the pixels, over {len(shares)} samples")


def water_index(evidence: Evidence, limits: Limits) -> Iterator[Flag]:
    """Where labels say water the pixels do, and where they say dry land they do not (NDWI; dark radar)."""
    yield from _against(evidence, limits, "water", ("water",), ("water", "flooded_vegetation", "snow_and_ice"))


def vegetation_index(evidence: Evidence, limits: Limits) -> Iterator[Flag]:
    """Where labels say trees some of the pixels are green, and where they say water or snow few are (NDVI)."""
    yield from _against(evidence, limits, "green", ("trees",), _GREEN)


_GREEN = ("trees", "crops", "grass", "shrub_and_scrub", "flooded_vegetation", "built", "bare")


def _against(
    evidence: Evidence, limits: Limits, index: str, sure: tuple[str, ...], possible: tuple[str, ...]
) -> Iterator[Flag]:
    """Samples whose index contradicts their labels.

    Of a sample nearly all of which is of the classes `sure`, some pixels must show the index; of one that has hardly a
    pixel of the classes `possible`, not many may.
    """
    table = _labelled(evidence, f"{index}_pct")
    seen_pct = numbers(table, f"{index}_pct")
    clear = ~(numbers(table, "cloud_pct") + numbers(table, "snow_pct") > limits["max_cloud_pct"])
    certain, may = (_share_pct(table, classes) for classes in (sure, possible))
    lacking = clear & (certain >= limits["min_labelled_pct"]) & (seen_pct < limits["least_seen_pct"])
    excess = clear & (may <= limits["max_unlabelled_pct"]) & (seen_pct > limits["most_seen_pct"])
    ids = table["id"].to_pylist()
    for rows, share_pct, what in (
        (lacking, certain, f"labels say {' or '.join(sure)}, but hardly a pixel looks like it"),
        (excess, may, f"most pixels look {'like water' if index == 'water' else 'green'}, but labels say otherwise"),
    ):
        for row in np.flatnonzero(rows).tolist():
            yield Flag(what, ids[row], f"labelled {share_pct[row]:.0f} %, seen {seen_pct[row]:.0f} %")


def _labelled(evidence: Evidence, measure: str) -> pa.Table:
    """Samples with shares of classes whose pixels gave a measure."""
    has = np.array([bool(row) for row in evidence.samples["fractions"].to_pylist()], dtype=bool)
    table = evidence.samples.filter(has & np.isfinite(numbers(evidence.samples, measure)))
    if table.num_rows == 0:
        raise NotApplicable(f"no labelled sample has a {measure}")
    return table


def _share_pct(table: pa.Table, classes: tuple[str, ...]) -> NDArray[np.float64]:
    """Share of the labelled pixels that are of any of the classes, in percent."""
    rows = table["fractions"].to_pylist()
    return np.array([100 * sum(share for key, share in row if key in classes) for row in rows])


JUDGES: dict[str, Judge] = {
    "repetition": repetition,
    "entropy": entropy,
    "balance": balance,
    "agreement": agreement,
    "water-index": water_index,
    "vegetation-index": vegetation_index,
}
