"""Change of pixels between images of a cell that floods or fires affected, or left alone."""

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from landmark.core.progress import Progress, silent
from landmark.corpus.reader import Corpus
from landmark.corpus.sample import Sample
from landmark.domain.event import EventType
from landmark.domain.traits import Trait
from landmark.quality.check_profile import Limits
from landmark.quality.chips.optical import BANDS, normalized_difference

Row = Mapping[str, Any]
Index = NDArray[np.float32]
# Slight and clear share of the pixels that changed, from an image to another.
Measure = Callable[[Index, Index, Limits], tuple[float, float]]

_WINDOW_PX = 5  # mean of radar pixels: less speckle


@dataclass(frozen=True, slots=True)
class Change:
    """Change of a sample's pixels since a reference, for the events of a type.

    Attributes:
        id: The sample.
        sensor: Its sensor.
        reference: Sample of the same cell and sensor that is compared.
        type: Type of the events.
        event: Id of the event that affects most of the cell.
        fraction: Fraction of the cell that the sample's label of the event covers; 0 without a label.
        slight: Share of the pixels with at least a slight change.
        clear: Share of the pixels with a clear change.
    """

    id: str
    sensor: str
    reference: str
    type: str
    event: str
    fraction: float
    slight: float
    clear: float


def measure_changes(
    corpus: Corpus, types: Mapping[str, EventType], limits: Limits, progress: Progress = silent
) -> Iterator[Change]:
    """Compare the samples of cells that have facts of floods or fires with another image of the cell and sensor.

    Each sensor measures the pixels that became water (events that look like water); Sentinel-2 also those that burned
    (events that look like bare ground). The pixels of one cell are in memory.

    Args:
        corpus: The corpus.
        types: Types of events.
        limits: Least slight and clear changes.
        progress: Receives the cells done.

    Raises:
        InvalidCorpus: index or shards are damaged.
    """
    cells: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in corpus.columns("id", "sensor", "cell", "datetime", "events").to_pylist():
        cells[row["cell"], row["sensor"]].append(row)
    for done, ((_, sensor), rows) in enumerate(sorted(cells.items()), start=1):
        progress("events", done, len(cells))
        measures = {
            type_: measure
            for type_ in sorted({fact["type"] for row in rows for fact in row["events"]})
            for trait in (types[type_].looks_like if type_ in types else ())
            if (measure := MEASURES.get((sensor, trait))) is not None
        }
        if measures and len(rows) > 1:
            yield from _compare(corpus, rows, measures, limits)


def _compare(corpus: Corpus, rows: Sequence[Row], measures: Mapping[str, Measure], limits: Limits) -> Iterator[Change]:
    samples = {row["id"]: _read_bands(corpus[row["id"]]) for row in rows}
    for type_, measure in measures.items():
        for row in rows:
            reference = _reference(row, rows, type_)
            if reference is None:
                continue
            slight, clear = measure(samples[reference["id"]], samples[row["id"]], limits)
            fact = max(_facts(row, type_), key=lambda fact: (fact["label"] is not None, fact["fraction"]), default=None)
            if fact is not None:
                event, fraction = fact["id"], _labelled(row, type_)
                yield Change(row["id"], row["sensor"], reference["id"], type_, event, fraction, slight, clear)


def _facts(row: Row, type_: str) -> list[Mapping[str, Any]]:
    return [fact for fact in row["events"] if fact["type"] == type_]


def _labelled(row: Row, type_: str) -> float:
    """Largest fraction of the cell that a label of an event of the type covers."""
    return max((fact["fraction"] for fact in _facts(row, type_) if fact["label"] is not None), default=0.0)


def _reference(row: Row, rows: Sequence[Row], type_: str) -> Row | None:
    """The image before without a label; else one after, without a label; for a sample without, any other."""
    images = [image for image in rows if image["id"] != row["id"]]
    plain = [image for image in images if not _labelled(image, type_)]
    candidates = plain or ([] if _labelled(row, type_) else images)

    def order(image: Row) -> tuple[bool, dt.timedelta, str]:
        return image["datetime"] > row["datetime"], abs(image["datetime"] - row["datetime"]), image["id"]

    return min(candidates, key=order, default=None)


def _read_bands(sample: Sample) -> Index:
    """(band, y, x): reflectance x 10000, or a mean of dB."""
    if sample.s2 is not None:
        return sample.s2.astype(np.float32)
    assert sample.s1 is not None
    bands: Index = uniform_filter(sample.s1, (0, _WINDOW_PX, _WINDOW_PX))
    return bands


def _share(changed: NDArray[np.bool_]) -> float:
    return float(changed.mean())


def _index(bands: Index, first: str, second: str) -> Index:
    return normalized_difference(bands[BANDS.index(first)], bands[BANDS.index(second)])


def _optical_water(before: Index, after: Index, limits: Limits) -> tuple[float, float]:
    """Pixels that became water: MNDWI (Xu 2006), which clouds, mud and plants in the water disturb less than NDWI."""
    first, second = (_index(bands, "B03", "B11") for bands in (before, after))
    gained = _share((second > limits["min_mndwi"]) & (first <= limits["min_mndwi"]))
    return gained, gained


def _radar_water(before: Index, after: Index, limits: Limits) -> tuple[float, float]:
    """Pixels whose VV fell to that of smooth water (Twele et al. 2016)."""
    drop, level = before[0] - after[0], after[0]
    slight, clear = ((drop > limits[f"min_{kind}_vv_drop_db"]) & (level < limits["max_vv_db"]) for kind in _KINDS)
    return _share(slight), _share(clear)


def _burn(before: Index, after: Index, limits: Limits) -> tuple[float, float]:
    """Pixels whose NBR fell (Key & Benson 2006: low severity from 0.1, moderate to high from 0.44)."""
    drop = _index(before, "B08", "B12") - _index(after, "B08", "B12")
    slight, clear = (drop > limits[f"min_{kind}_nbr_drop"] for kind in _KINDS)
    return _share(slight), _share(clear)


_KINDS = ("slight", "clear")
# (Sensor, how the ground looks after an event) → measure.
MEASURES: Mapping[tuple[str, Trait], Measure] = {
    ("s1", Trait.WATER): _radar_water,
    ("s2", Trait.WATER): _optical_water,
    ("s2", Trait.BARE): _burn,
}
