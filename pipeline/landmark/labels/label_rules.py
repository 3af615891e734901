"""Derive labels, class fractions, agreement and event impacts of cells from their label counts.

Label counts hold, per cell and period, the pixels of each combination of source codes and events. Changing a threshold
or a crosswalk therefore needs no raster.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from landmark.config.recipe import Recipe
from landmark.core.errors import InputError
from landmark.core.yaml_files import Resources
from landmark.domain.class_counts import ClassCounts, count_classes
from landmark.domain.crosswalks import load_crosswalk, load_taxonomy
from landmark.domain.event import EventTypes
from landmark.domain.impact import EventImpact, EventIndex
from landmark.domain.taxonomy import Crosswalk, Taxonomy
from landmark.domain.traits import Trait

_SHIPPED = Resources()


@dataclass(frozen=True, slots=True)
class CellLabels:
    """Labels of one cell in one period.

    Fractions are of the pixels with a class, largest first, and sum to one.

    Attributes:
        labels: Target classes that reach their thresholds, largest first.
        fractions: Target class → fraction.
        subclasses: `<source>/<class key>` → fraction.
        label_valid_pct: Share of the cell's pixels with a class.
        agreement: Source → share of its comparable pixels where another source agrees; None without comparable pixels.
        class_agreement: Target class → share of its confirmable pixels that another source confirms.
        editions: Source with data in the cell → number of its edition in the lock.
        impacts: Event id → effect of an event that touches the cell.
    """

    labels: tuple[str, ...]
    fractions: dict[str, float]
    subclasses: dict[str, float]
    label_valid_pct: float
    agreement: dict[str, float | None]
    class_agreement: dict[str, float] = field(default_factory=dict)
    editions: dict[str, int] = field(default_factory=dict)
    impacts: dict[str, EventImpact] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LabelRules:
    """Taxonomy, crosswalks and thresholds of a recipe.

    Attributes:
        crosswalks: In order of precedence.
        thresholds: Target class → smallest share for a label, in percent of the pixels with a class.
        min_agreement_pct: Smallest share of a label's confirmable pixels that another source must confirm.
        event_index: Set if the last code in label counts is the number of an event combination.
    """

    taxonomy: Taxonomy
    crosswalks: tuple[Crosswalk, ...]
    thresholds: Mapping[str, float]
    min_agreement_pct: float = 0
    event_index: EventIndex | None = None

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the sources, in order of precedence."""
        return tuple(crosswalk.name for crosswalk in self.crosswalks)

    def apply(self, label_counts: pa.Table) -> "CellLabelTable":
        """Labels per (cell, period) of a label-count table.

        At a pixel, the first source with a class wins. A source's agreement is measured where another source has a
        class too; a class's agreement where another source that has the class in its crosswalk has any class.
        """
        return CellLabelTable(self, label_counts)

    def event_labels(self, impacts: Mapping[str, EventImpact], time: dt.datetime) -> list[str]:
        """Classes that an image at a time has because of the events that touch its cell."""
        if self.event_index is None:
            return []
        facts = self.event_index.facts(impacts, time, None, self.thresholds)
        return list(dict.fromkeys(fact.label for fact in facts if fact.label is not None))


class CellLabelTable(Mapping[tuple[str, str], CellLabels]):
    """Labels by (cell, period); pixels are counted at once, `CellLabels` are built on access."""

    def __init__(self, rules: LabelRules, label_counts: pa.Table) -> None:
        self._rules, self._classes = rules, list(rules.taxonomy.classes)
        self._counts = counts = count_classes(label_counts, rules.crosswalks, self._classes)
        # The last one is that of class -1, no class.
        self._traits = [*(frozenset(entry.traits) for entry in rules.taxonomy.classes.values()), frozenset[Trait]()]
        starts = pa.array(counts.group_edges[:-1])
        cells, periods = (label_counts[name].take(starts).to_pylist() for name in ("cell", "period"))
        self._groups = {key: group for group, key in enumerate(zip(cells, periods, strict=True))}
        thresholds = np.array([rules.thresholds[key] for key in self._classes])
        # Compared in pixels, so that rounding does not lose a share of exactly the threshold.
        self._passes = 100 * counts.class_pixels >= thresholds * counts.class_pixels.sum(axis=1, keepdims=True)
        self._passes &= 100 * counts.n_confirmed >= rules.min_agreement_pct * counts.n_confirmable
        self._land_groups = _land_groups(cells, counts) if rules.event_index is not None else None
        self._impacts: dict[int, dict[str, EventImpact]] = {}

    def class_and_label_masks(self, keys: Sequence[tuple[str, str]]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which of the (cell, period) keys have any class, and which have a label."""
        groups = np.fromiter((self._groups[key] for key in keys), np.int64, len(keys))
        present = self._counts.class_pixels[groups] > 0
        return np.asarray(present.any(axis=1)), np.asarray((present & self._passes[groups]).any(axis=1))

    def label_mask(self, keys: Sequence[tuple[str, str]]) -> NDArray[np.bool_]:
        """(key, class of the taxonomy) mask of the land-cover labels; a key without label counts has none."""
        rows = np.fromiter((row for row, key in enumerate(keys) if key in self._groups), np.int64)
        groups = np.fromiter((self._groups[keys[row]] for row in rows.tolist()), np.int64, len(rows))
        mask = np.zeros((len(keys), len(self._classes)), dtype=bool)
        mask[rows] = (self._counts.class_pixels[groups] > 0) & self._passes[groups]
        return mask

    def keys_with_events(self) -> set[tuple[str, str]]:
        """The (cell, period) keys of the cells that events touch."""
        if self._land_groups is None or not self._groups:
            return set()
        touched = np.maximum.reduceat(self._counts.codes[:, -1], self._counts.group_edges[:-1]) >= 0
        return {key for key, group in self._groups.items() if touched[self._land_groups[group]]}

    def __len__(self) -> int:
        return len(self._groups)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._groups)

    def __contains__(self, key: object) -> bool:
        return key in self._groups

    def __getitem__(self, key: tuple[str, str]) -> CellLabels:
        group, counts, sources = self._groups[key], self._counts, self._rules.sources
        pixels = {number: count for number, count in enumerate(counts.class_pixels[group].tolist()) if count}
        n_classified = sum(pixels.values())
        fractions = _fractions({self._classes[number]: count for number, count in pixels.items()}, n_classified)
        passing = {self._classes[number] for number in pixels if self._passes[group, number]}
        confirmable = {self._classes[number]: number for number in pixels if counts.n_confirmable[group, number]}
        agreeing, comparable = counts.n_agreeing[group].tolist(), counts.n_comparable[group].tolist()
        return CellLabels(
            labels=tuple(name for name in fractions if name in passing),
            fractions=fractions,
            subclasses=self._subclasses(group, n_classified),
            label_valid_pct=100 * n_classified / int(counts.total[group]),
            agreement={
                source: n_agreeing / n_comparable if n_comparable else None
                for source, n_agreeing, n_comparable in zip(sources, agreeing, comparable, strict=True)
            },
            class_agreement={
                name: int(counts.n_confirmed[group, number]) / int(counts.n_confirmable[group, number])
                for name in fractions
                if (number := confirmable.get(name)) is not None
            },
            editions={
                source: edition
                # Label counts of events alone have one edition, -1, and no source.
                for source, edition in zip(sources, counts.editions[group].tolist(), strict=False)
                if edition >= 0
            },
            impacts=self.impacts(key),
        )

    def impacts(self, key: tuple[str, str]) -> dict[str, EventImpact]:
        """Effects of events, given the land cover of the cell's first period with labels: that before the event."""
        if self._land_groups is None or self._rules.event_index is None:
            return {}
        group = self._land_groups[self._groups[key]]
        if group not in self._impacts:
            counts, rows = self._counts, self._rows(group)
            land_cover = [self._traits[number] for number in counts.winning_class[rows].tolist()]
            impacts = self._rules.event_index.impacts(counts.codes[rows, -1], land_cover, counts.pixels[rows])
            self._impacts[group] = impacts
        return self._impacts[group]

    def _rows(self, group: int) -> slice:
        return slice(self._counts.group_edges[group], self._counts.group_edges[group + 1])

    def _subclasses(self, group: int, n_classified: int) -> dict[str, float]:
        counts, rows, pixels = self._counts, self._rows(group), dict[str, int]()
        for number, count in zip(counts.subclass[rows].tolist(), counts.pixels[rows].tolist(), strict=True):
            if number >= 0:
                name = counts.subclass_names[number]
                pixels[name] = pixels.get(name, 0) + count
        return _fractions(pixels, n_classified)


def _land_groups(cells: list[str], counts: ClassCounts) -> list[int]:
    """Per group, the first group of its cell that has a class, else the cell's first."""
    has_class, first = (counts.class_pixels.sum(axis=1) > 0).tolist(), dict[str, int]()
    for group, cell in enumerate(cells):
        if cell not in first or (has_class[group] and not has_class[first[cell]]):
            first[cell] = group
    return [first[cell] for cell in cells]


def _fractions(pixels: dict[str, int], total: int) -> dict[str, float]:
    largest_first = sorted(pixels.items(), key=lambda item: (-item[1], item[0]))
    return {key: count / total for key, count in largest_first}


def load_label_rules(recipe: Recipe, resources: Resources = _SHIPPED) -> LabelRules:
    """Load the taxonomy, crosswalks and thresholds that a recipe names.

    Raises:
        InputError: an unknown source, one without a crosswalk to the taxonomy, or an unknown class.
    """
    taxonomy = load_taxonomy(recipe.taxonomy, resources, recipe.name)
    crosswalks = []
    for entry in recipe.labels:
        crosswalk = load_crosswalk(entry.source, taxonomy.name, resources, recipe.name)
        _raise_first(crosswalk_problems(crosswalk, taxonomy, resources.source("taxonomies", entry.source)))
        crosswalks.append(crosswalk)
    _check_targets(crosswalks, recipe.name)
    unknown = [
        f"thresholds.classes.{key}" for key in sorted(recipe.thresholds.classes.keys() - taxonomy.classes.keys())
    ]
    if recipe.sampling.class_balancing is not None:
        keys = recipe.sampling.class_balancing.unknown_keys(taxonomy.classes)
        unknown += [f"sampling.class_balancing.{key}" for key in keys]
    _raise_first(_unknown_class(recipe.name, key, taxonomy) for key in unknown)
    thresholds = {key: recipe.thresholds.classes.get(key, recipe.thresholds.default) for key in taxonomy.classes}
    return LabelRules(taxonomy, tuple(crosswalks), thresholds, recipe.thresholds.min_agreement_pct)


def _check_targets(crosswalks: Sequence[Crosswalk], recipe: str) -> None:
    """Refuse sources of one class in total: fractions count classified pixels, so that it fills every cell."""
    targets = {entry.to for crosswalk in crosswalks for entry in crosswalk.classes.values() if entry.to is not None}
    if len(targets) == 1:
        remedy = "map other codes too, add a source of the other land cover, or give masks of events under `events`"
        problem = "the only class of all label sources, so that every labelled cell shows it alone"
        raise InputError(problem, file=recipe, key="labels", value=targets.pop(), remedy=remedy)


def load_event_types(taxonomy: Taxonomy, resources: Resources = _SHIPPED) -> EventTypes:
    """Load the types of events.

    Raises:
        InputError: a type names a class that the taxonomy lacks, or gives a class of land cover.
    """
    types = resources.load(EventTypes, "taxonomies/events", "types")
    _raise_first(event_type_problems(types, taxonomy, resources.source("taxonomies/events", "types")))
    return types


def crosswalk_problems(crosswalk: Crosswalk, taxonomy: Taxonomy, file: str) -> Iterator[InputError]:
    """Codes of a crosswalk whose target the taxonomy does not allow."""
    if crosswalk.target != taxonomy.name:
        remedy = f"use a crosswalk to the recipe's taxonomy, {taxonomy.name}"
        yield InputError(
            "another taxonomy than the recipe's", file=file, key="target", value=crosswalk.target, remedy=remedy
        )
        return
    for code, entry in crosswalk.classes.items():
        key = f"classes.{code}.to"
        if entry.to is None:
            continue
        if entry.to not in taxonomy.classes:
            yield _unknown_class(file, key, taxonomy, entry.to)
        elif taxonomy.classes[entry.to].event and not crosswalk.undated:
            remedy = "drop the class, or set `undated: true` if labels without a date are intended"
            yield InputError("only events may give this class", file=file, key=key, value=entry.to, remedy=remedy)


def event_type_problems(types: EventTypes, taxonomy: Taxonomy, file: str) -> Iterator[InputError]:
    """Types of events whose class the taxonomy lacks or has for land cover."""
    for name, type_ in types.types.items():
        target = taxonomy.classes.get(type_.to)
        if target is None or not target.event:
            remedy = f"add it to {taxonomy.name} with `event: true`, or use one of its event classes"
            yield InputError("not an event class", file=file, key=f"types.{name}.to", value=type_.to, remedy=remedy)


def _unknown_class(file: str, key: str, taxonomy: Taxonomy, value: str | None = None) -> InputError:
    remedy = f"use a class of {taxonomy.name}: {', '.join(taxonomy.classes)}"
    return InputError("unknown class", file=file, key=key, value=value, remedy=remedy)


def _raise_first(problems: Iterator[InputError]) -> None:
    for problem in problems:
        raise problem
