"""Checks of captions and labels over the whole corpus, and of labels against the pixels."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from landmark.config.recipe import SPLITS
from landmark.core.plural import plural
from landmark.domain.taxonomy import Taxonomy
from landmark.domain.traits import Trait
from landmark.quality.check_input import Check, CheckInput
from landmark.quality.check_profile import Limits
from landmark.quality.checks.flagging import by_sample, columns
from landmark.quality.findings import Flag, NotApplicable


def repetition(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """No caption is so frequent that a training batch would hold it several times."""
    for sensor, texts in _captions(inputs, limits):
        text, times = Counter(texts).most_common(1)[0]
        if (share_pct := 100 * times / len(texts)) > limits["max_share_pct"]:
            detail = f"{share_pct:.0f} % of {len(texts)}"
            yield Flag("one caption describes too many samples", f"{sensor} {text!r}", detail)


def entropy(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """The captions differ enough for retrieval."""
    for sensor, texts in _captions(inputs, limits):
        bits = entropy_bits(np.array(list(Counter(texts).values())))
        if bits < limits["min_bits"]:
            yield Flag(
                "entropy of the captions is low", sensor, f"{bits:.2f} bits over {plural(len(set(texts)), 'caption')}"
            )


def _captions(inputs: CheckInput, limits: Limits) -> Iterator[tuple[str, list[str]]]:
    """Sensor and structured captions, of the sensors with enough of them."""
    applicable = False
    for sensor in inputs.manifest.sensors:
        texts = [text for text in inputs.samples_of(sensor)["caption"].to_pylist() if text is not None]
        if len(texts) >= limits["min_samples"]:
            applicable = True
            yield sensor, texts
    if not applicable:
        raise NotApplicable(f"no sensor has {limits['min_samples']:.0f} captions")


def entropy_bits(counts: NDArray[np.int64]) -> float:
    """Shannon entropy of counts, in bits."""
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum())


def balance(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """Every class that occurs is in all splits, neither rare nor on nearly all samples."""
    rows = list(zip(inputs.samples["split"].to_pylist(), inputs.samples["labels"].to_pylist(), strict=True))
    total = sum(bool(labels) for _, labels in rows)
    if total < limits["min_samples"]:
        raise NotApplicable(f"fewer than {limits['min_samples']:.0f} samples have a label")
    sizes = Counter(split for split, labels in rows if labels)
    counts = Counter((split, key) for split, labels in rows for key in labels)
    for key in sorted({key for _, key in counts}):
        number = sum(counts[split, key] for split in SPLITS)
        share_pct = 100 * number / total
        if share_pct < limits["min_share_pct"]:
            yield Flag("class is on hardly any sample", key, f"{number} of {total}")
        if share_pct > limits["max_share_pct"]:
            yield Flag("class is on nearly every sample", key, f"{share_pct:.0f} % of {total}")
        for split in SPLITS:
            if sizes[split] and not counts[split, key]:
                yield Flag(f"class has no sample in {split}", key, f"0 of {sizes[split]}, of {number} in all")


def agreement(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """Label sources that cover the same cell agree."""
    per_source: dict[str, list[float]] = {}
    per_class: dict[str, list[float]] = {}
    contradicted: list[Flag] = []
    names = ("id", "sources", "agreement")
    for id, sources, classes in zip(*(inputs.samples[name].to_pylist() for name in names), strict=True):
        shares = [(source["name"], source["agreement"]) for source in sources if source["agreement"] is not None]
        for name, share in shares:
            per_source.setdefault(name, []).append(share)
        for key, share in dict(classes).items():
            per_class.setdefault(key, []).append(share)
        max_pct = max((100 * share for _, share in shares), default=None)
        if max_pct is not None and max_pct < limits["min_sample_pct"]:
            contradicted.append(Flag("no two label sources of a sample agree", id, f"at most {max_pct:.0f} %"))
    if not per_source:
        raise NotApplicable("no cell is covered by two label sources")
    yield from contradicted
    for problem, groups in (
        ("label source agrees with no other", per_source),
        ("class is rarely confirmed by another source", per_class),
    ):
        for name, values in sorted(groups.items()):
            mean_pct = 100 * float(np.mean(values))
            if len(values) >= limits["min_samples"] and mean_pct < limits["min_mean_pct"]:
                yield Flag(problem, name, f"{mean_pct:.0f} % of the pixels, over {plural(len(values), 'sample')}")


def water_index(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """Pixels with NDWI > 0 and water labels agree; marsh, snow and floods may count as either."""
    taxonomy = inputs.context.taxonomy
    water = _require_classes(taxonomy, Trait.WATER)
    table = _clear_samples(inputs, "water_pct", limits)
    (observed_pct,) = columns(table, "water_pct")
    water_pct = _fractions_pct(table, water)
    wet_pct = _fractions_pct(table, taxonomy.classes_like(Trait.WATER, Trait.SNOW, event=False))
    wet_pct += _events_pct(table, taxonomy.classes_like(Trait.WATER, event=True))
    dry = water_pct >= limits["min_labelled_pct"]
    dry &= 100 * observed_pct < limits["min_observed_share_pct"] * water_pct
    wet = observed_pct - wet_pct > limits["max_excess_pct"]
    detail: Callable[[int], str] = lambda row: f"labelled {wet_pct[row]:.0f} %, observed {observed_pct[row]:.0f} %"  # noqa: E731
    yield from by_sample(table, dry, "labels say water, but few of its pixels look like water", detail)
    yield from by_sample(table, wet, "many pixels look like water, but labels say otherwise", detail)


def vegetation_index(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """Forest has a high NDVI; water, bare ground and snow have a low one."""
    taxonomy, barren = inputs.context.taxonomy, (Trait.WATER, Trait.BARE, Trait.SNOW)
    _require_classes(taxonomy, Trait.GREEN, *barren)
    table = _clear_samples(inputs, "ndvi_mean", limits)
    (ndvi,) = columns(table, "ndvi_mean")
    # Burnt or flooded forest is not green, and its label map can be older than the event.
    loss = taxonomy.classes_like(Trait.BARE, Trait.WATER, event=True)
    forest_pct = _fractions_pct(table, taxonomy.classes_only_like(Trait.GREEN)) - _events_pct(table, loss)
    barren_pct = _fractions_pct(table, taxonomy.classes_only_like(*barren))
    bare = (forest_pct >= limits["min_labelled_pct"]) & (ndvi < limits["min_ndvi_of_forest"])
    green = (barren_pct >= limits["min_labelled_pct"]) & (ndvi > limits["max_ndvi_of_barren"])
    detail: Callable[[int], str] = lambda row: f"mean NDVI {ndvi[row]:.2f}"  # noqa: E731
    yield from by_sample(table, bare, "labels say trees, but the ground is bare", detail)
    yield from by_sample(table, green, "labels say water, bare ground or snow, but the ground is green", detail)


def _require_classes(taxonomy: Taxonomy, *traits: Trait) -> frozenset[str]:
    """The land-cover classes that look like these traits only."""
    if not (classes := taxonomy.classes_only_like(*traits)):
        raise NotApplicable(f"no class of taxonomy {taxonomy.name} has only the trait {' or '.join(traits)}")
    return classes


def _clear_samples(inputs: CheckInput, measure: str, limits: Limits) -> pa.Table:
    """Samples with class fractions, little cloud and snow, and a measure."""
    table = inputs.samples
    labelled = np.array([bool(row) for row in table["fractions"].to_pylist()], dtype=bool)
    value, cloud_pct, snow_pct = columns(table, measure, "cloud_pct", "snow_pct")
    clear = np.nan_to_num(cloud_pct) + np.nan_to_num(snow_pct) <= limits["max_cloud_pct"]
    chosen = table.filter(labelled & clear & np.isfinite(value))
    if chosen.num_rows == 0:
        raise NotApplicable(f"no clear sample with labels has a {measure}")
    return chosen


def _fractions_pct(table: pa.Table, classes: Collection[str]) -> NDArray[np.float64]:
    """Percentage of a sample's labelled pixels that have one of the classes."""
    rows = table["fractions"].to_pylist()
    return np.array([100 * sum(share for key, share in row if key in classes) for row in rows])


def _events_pct(table: pa.Table, classes: Collection[str]) -> NDArray[np.float64]:
    """Percentage of a sample's pixels to which events give one of the classes."""
    rows = table["events"].to_pylist()
    return np.array([100 * sum(event["fraction"] for event in row if event["label"] in classes) for row in rows])


CHECKS: dict[str, Check] = {
    "repetition": repetition,
    "entropy": entropy,
    "balance": balance,
    "agreement": agreement,
    "water-index": water_index,
    "vegetation-index": vegetation_index,
}
