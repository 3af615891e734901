"""Whether the words of a whole corpus tell its images apart, and its pixels agree with them."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from landmark.config.recipe import SPLITS
from landmark.quality.check_profile import Limits
from landmark.quality.evidence import Evidence, Judge
from landmark.quality.findings import Flag, NotApplicable
from landmark.quality.flagging import columns, each


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
    yield from _contradicted(evidence, limits)
    for what, groups in (("a label source agrees with no other", found), ("a class is confirmed too seldom", classes)):
        for name, shares in sorted(groups.items()):
            mean_pct = 100 * float(np.mean(shares))
            if len(shares) >= limits["min_samples"] and mean_pct < limits["min_mean_pct"]:
                yield Flag(what, name, f"{mean_pct:.0f} % of the pixels, over {len(shares)} samples")


def _contradicted(evidence: Evidence, limits: Limits) -> Iterator[Flag]:
    """Samples no two of whose sources see the same."""
    columns = (evidence.samples[name].to_pylist() for name in ("id", "sources"))
    for id, sources in zip(*columns, strict=True):
        shares_pct = [100 * one["agreement"] for one in sources if one["agreement"] is not None]
        if shares_pct and max(shares_pct) < limits["least_sample_pct"]:
            yield Flag("no two label sources of a sample agree", id, f"{max(shares_pct):.0f} % at most")


def water_index(evidence: Evidence, limits: Limits) -> Iterator[Flag]:
    """Where labels say water the pixels do (NDWI > 0), and where most pixels do the labels say water, marsh or snow."""
    table = _labelled(evidence, "water_pct", limits)
    (seen_pct,) = columns(table, "water_pct")
    water_pct = _share_pct(table, "water")
    wet_pct = water_pct + _share_pct(table, "flooded_vegetation", "snow_and_ice") + _events_pct(table, "flooded_area")
    dry = (water_pct >= limits["min_labelled_pct"]) & (100 * seen_pct < limits["least_seen_share_pct"] * water_pct)
    wet = seen_pct - wet_pct > limits["max_excess_pct"]
    told = lambda row: f"labelled {wet_pct[row]:.0f} %, seen {seen_pct[row]:.0f} %"  # noqa: E731
    yield from each(table, dry, "labels say water, but few of its pixels look like it", told)
    yield from each(table, wet, "many pixels look like water, but labels say otherwise", told)


def vegetation_index(evidence: Evidence, limits: Limits) -> Iterator[Flag]:
    """Where labels say trees the ground is not bare (NDVI), and where they say water, bare or snow it is not green."""
    table = _labelled(evidence, "ndvi_mean", limits)
    (ndvi,) = columns(table, "ndvi_mean")
    # Forest that burned, or stands in a flood, is not green, and its map is older.
    trees_pct = _share_pct(table, "trees") - _events_pct(table, "burned_area", "flooded_area")
    barren_pct = _share_pct(table, "water", "bare", "snow_and_ice")
    bald = (trees_pct >= limits["min_labelled_pct"]) & (ndvi < limits["least_ndvi_of_trees"])
    lush = (barren_pct >= limits["min_labelled_pct"]) & (ndvi > limits["most_ndvi_of_barren"])
    told = lambda row: f"mean NDVI {ndvi[row]:.2f}"  # noqa: E731
    yield from each(table, bald, "labels say trees, but the ground is bare", told)
    yield from each(table, lush, "labels say water, bare ground or snow, but the ground is green", told)


def _labelled(evidence: Evidence, measure: str, limits: Limits) -> pa.Table:
    """Clear samples with shares of classes whose pixels gave a measure."""
    table = evidence.samples
    has = np.array([bool(row) for row in table["fractions"].to_pylist()], dtype=bool)
    value, cloud_pct, snow_pct = columns(table, measure, "cloud_pct", "snow_pct")
    clear = np.nan_to_num(cloud_pct) + np.nan_to_num(snow_pct) <= limits["max_cloud_pct"]
    chosen = table.filter(has & clear & np.isfinite(value))
    if chosen.num_rows == 0:
        raise NotApplicable(f"no clear sample with labels has a {measure}")
    return chosen


def _share_pct(table: pa.Table, *classes: str) -> NDArray[np.float64]:
    """Share of the labelled pixels that are of any of the classes, in percent."""
    rows = table["fractions"].to_pylist()
    return np.array([100 * sum(share for key, share in row if key in classes) for row in rows])


def _events_pct(table: pa.Table, *classes: str) -> NDArray[np.float64]:
    """Share of the pixels that events gave any of the classes, in percent."""
    rows = table["events"].to_pylist()
    return np.array([100 * sum(one["fraction"] for one in row if one["label"] in classes) for row in rows])


JUDGES: dict[str, Judge] = {
    "repetition": repetition,
    "entropy": entropy,
    "balance": balance,
    "agreement": agreement,
    "water-index": water_index,
    "vegetation-index": vegetation_index,
}
