"""How well the images of single events are retrieved, and whether a ranking follows the event or the place."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from landmark.corpus.metrics import Ranking, above_chance, chance_ap
from landmark.corpus.reader import Corpus
from landmark.domain.event import PHASES


@dataclass(frozen=True, slots=True)
class EventMetrics:
    """Retrieval of the images that an event labels, among those and all images without the class.

    Attributes:
        id: Id of the event.
        type: Its type.
        label: Key of the class.
        relevant: Images that have the class because of the event.
        ap: Average precision of the class's query.
        chance_ap: Expected average precision of a random order.
        above_chance: (ap - chance_ap) / (1 - chance_ap).
    """

    id: str
    type: str
    label: str
    relevant: int
    ap: float
    chance_ap: float
    above_chance: float


@dataclass(frozen=True, slots=True)
class PhaseMetrics:
    """Where the images of events of one type and phase are in the ranking of the type's class.

    Attributes:
        phase: before, during, after or unrelated.
        images: Number of images.
        labelled: Fraction of them that has the class because of the event.
        percentile: Mean over the images of the fraction of all other images that are ranked below: 0.5 by chance.
        labelled_percentile: The same over the labelled images; None without one.
        place_auroc: Probability that a labelled image is ranked above an image of the same cell and sensor from before
            the event, mean over the cells of events: 0.5 for a ranking by place. None without such a pair.
        place_cells: Number of these cells, of each sensor and event.
    """

    phase: str
    images: int
    labelled: float
    percentile: float
    labelled_percentile: float | None
    place_auroc: float | None
    place_cells: int


@dataclass(frozen=True, slots=True)
class EventTypeMetrics:
    """Means over the events of one type that label an image with a class.

    Attributes:
        type: Event type.
        label: Key of the class.
        events: Number of events.
        map: Mean of their average precisions.
        chance_map: Mean of those of a random order.
        above_chance: (map - chance_map) / (1 - chance_map).
        phases: Of all events of the type, by phase.
    """

    type: str
    label: str
    events: int
    map: float
    chance_map: float
    above_chance: float
    phases: tuple[PhaseMetrics, ...]


@dataclass(frozen=True, slots=True)
class EventReport:
    """Metrics of each event and class, and of each type and class.

    Attributes:
        types: By type.
        events: By id.
    """

    types: tuple[EventTypeMetrics, ...]
    events: tuple[EventMetrics, ...]


@dataclass(frozen=True, slots=True)
class EventFacts:
    """The column `events` of some images: a fact is an image and an event.

    Attributes:
        image: (fact,) row of the image.
        id: (fact,) id of the event.
        type: (fact,) type of the event.
        phase: (fact,) phase of the event in the image.
        label: (fact,) class that the image has because of the event, "" for none.
        place: (image,) number of the image's cell and sensor.
    """

    image: NDArray[np.int64]
    id: NDArray[np.str_]
    type: NDArray[np.str_]
    phase: NDArray[np.str_]
    label: NDArray[np.str_]
    place: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.image)


def read_event_facts(selection: Corpus) -> EventFacts:
    """Read the events of the images of a selection, in its order.

    Raises:
        InvalidCorpus: the index is damaged.
    """
    fields = ("id", "type", "phase", "label")
    images, values, start = [np.empty(0, dtype=np.int64)], [[np.empty(0, dtype=np.str_)] for _ in fields], 0
    for part in selection.list_batches("events", *fields):
        images.append(start + pc.list_parent_indices(part).to_numpy())
        facts, start = pc.list_flatten(part), start + len(part)
        for name, own in zip(fields, values, strict=True):
            own.append(_to_text(pc.struct_field(facts, name)))
    id, type_, phase, label = (np.concatenate(own) for own in values)
    table = selection.columns("cell", "sensor")
    place = pc.binary_join_element_wise(table["cell"].cast(pa.string()), table["sensor"].cast(pa.string()), " ")
    return EventFacts(np.concatenate(images), id, type_, phase, label, _encode(place.combine_chunks()))


def _to_text(column: pa.Array) -> NDArray[np.str_]:
    # Few values recur: strings of fixed width are made of the distinct ones.
    encoded = column.cast(pa.string()).fill_null("").dictionary_encode()
    names = np.array(["", *encoded.dictionary.to_pylist()], dtype=np.str_)
    text: NDArray[np.str_] = names[encoded.indices.to_numpy() + 1]
    return text


def _encode(column: pa.Array) -> NDArray[np.int64]:
    codes: NDArray[np.int64] = column.dictionary_encode().indices.to_numpy().astype(np.int64)
    return codes


def measure_events(
    facts: EventFacts, label: str, ranking: Ranking, relevant: NDArray[np.integer], mask: NDArray[np.bool_]
) -> EventReport:
    """Measure the ranking of a class, restricted to some images, by event and by event type.

    Args:
        facts: Events of all images.
        label: Key of the class.
        ranking: Ranking of the class's query; images may be missing.
        relevant: Rows of all images that have the class.
        mask: (image,) true for the images to measure.
    """
    chosen = mask[facts.image]
    is_labelled = chosen & (facts.label == label)
    irrelevant = mask.copy()
    irrelevant[relevant] = False
    ranked = ranking[mask[ranking]]
    events = tuple(_measure_each(facts, label, ranked, irrelevant, is_labelled))
    positions = np.full(len(mask), (len(ranked) + mask.sum() - 1) / 2)
    positions[ranked] = np.arange(len(ranked))
    types = []
    for name in sorted({event.type for event in events}):
        own = [event for event in events if event.type == name]
        mean, chance = (float(np.mean([getattr(event, key) for event in own])) for key in ("ap", "chance_ap"))
        of_type = chosen & (facts.type == name)
        phases = tuple(_measure_phases(facts, of_type, of_type & is_labelled, positions, int(mask.sum())))
        types.append(EventTypeMetrics(name, label, len(own), mean, chance, above_chance(mean, chance), phases))
    return EventReport(tuple(types), events)


def join_reports(reports: Iterable[EventReport]) -> EventReport:
    """Join the reports of several classes."""
    every = list(reports)
    return EventReport(
        tuple(metrics for report in every for metrics in report.types),
        tuple(metrics for report in every for metrics in report.events),
    )


def _measure_each(
    facts: EventFacts, label: str, ranked: Ranking, irrelevant: NDArray[np.bool_], is_labelled: NDArray[np.bool_]
) -> Iterator[EventMetrics]:
    """Yield the metrics of each event that labels an image."""
    position = np.full(len(irrelevant), -1)
    position[ranked] = np.arange(len(ranked))
    irrelevant_above, n_irrelevant = np.cumsum(irrelevant[ranked]), int(irrelevant.sum())
    rows = np.flatnonzero(is_labelled)
    rows = rows[np.argsort(facts.id[rows], kind="stable")]
    ids, starts = np.unique(facts.id[rows], return_index=True)
    for id, own in zip(ids.tolist(), np.split(rows, starts[1:]), strict=True):
        positions = position[facts.image[own]]
        positions = np.sort(positions[positions >= 0])
        numbers = np.arange(1, len(positions) + 1)
        ap = float((numbers / (irrelevant_above[positions] + numbers)).sum() / len(own))
        chance = chance_ap(len(own), n_irrelevant + len(own))
        yield EventMetrics(id, str(facts.type[own[0]]), label, len(own), ap, chance, above_chance(ap, chance))


def _measure_phases(
    facts: EventFacts,
    of_type: NDArray[np.bool_],
    is_labelled: NDArray[np.bool_],
    positions: NDArray[np.float64],
    n_images: int,
) -> Iterator[PhaseMetrics]:
    """Yield the metrics of each phase that has an image; unranked images share the mean of the last positions."""

    def percentile(images: NDArray[np.int64]) -> float:
        return float(1 - positions[images].mean() / max(n_images - 1, 1))

    before = np.flatnonzero(of_type & (facts.phase == "before"))
    for phase in PHASES:
        in_phase = of_type & (facts.phase == phase)
        images, labelled = (np.unique(facts.image[own]) for own in (in_phase, in_phase & is_labelled))
        if len(images):
            wins = _wins_by_place(facts, np.flatnonzero(in_phase & is_labelled), before, positions)
            yield PhaseMetrics(
                phase,
                len(images),
                len(labelled) / len(images),
                percentile(images),
                percentile(labelled) if len(labelled) else None,
                float(wins.mean()) if len(wins) else None,
                len(wins),
            )


def _wins_by_place(
    facts: EventFacts, labelled: NDArray[np.int64], before: NDArray[np.int64], positions: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Share of the pairs in which the labelled image is ranked above the earlier one, by event, cell and sensor.

    Equal positions, those of images that are not ranked, count half.
    """
    facts_of_pairs = np.concatenate([labelled, before])
    event = np.unique(facts.id[facts_of_pairs], return_inverse=True)[1]
    keys = event * (facts.place.max(initial=0) + 1) + facts.place[facts.image[facts_of_pairs]]
    own, earlier = keys[: len(labelled)], keys[len(labelled) :]
    order = np.argsort(earlier, kind="stable")
    first, end = (np.searchsorted(earlier[order], own, side=side) for side in ("left", "right"))
    pairs = np.repeat(np.arange(len(own)), end - first)
    offsets = np.arange(len(pairs)) - np.repeat(np.cumsum(end - first) - (end - first), end - first)
    partners = before[order[first[pairs] + offsets]]
    above, below = positions[facts.image[labelled[pairs]]], positions[facts.image[partners]]
    wins = (above < below) + (above == below) / 2
    _, group = np.unique(own[pairs], return_inverse=True)
    shares: NDArray[np.float64] = np.bincount(group, wins) / np.maximum(np.bincount(group), 1)
    return shares
