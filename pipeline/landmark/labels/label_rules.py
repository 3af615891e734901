"""What a recipe's labels and events say of a cell: the fold from pixel counts to facts.

The cover table holds, per cell and period, how many pixels show each combination of source codes and event mark.
Everything a corpus says of its ground (labels, shares, finer classes, agreement of sources, what events did) is a fold
over that table, so that a changed threshold or crosswalk reads no raster again.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from landmark.config.recipe import Recipe
from landmark.core.errors import InputError
from landmark.core.yaml_files import find, load
from landmark.domain.class_counts import Counted, counted
from landmark.domain.event import EventTypes
from landmark.domain.impact import Ground, Happenings
from landmark.domain.taxonomy import Crosswalk, Taxonomy


@dataclass(frozen=True, slots=True)
class Fractions:
    """What the labels say of one cell in one period.

    Shares are of the pixels with a class, largest first, and sum to one.

    Attributes:
        agreement: Per source, None where it meets no other source.
        class_agreement: Per target class that another source could confirm.
        editions: Per source with data in the cell: the number of its edition in the lock.
        grounds: Per event that meets the cell: what it did there.
    """

    labels: tuple[str, ...]
    fractions: dict[str, float]
    finer: dict[str, float]
    label_valid_pct: float
    agreement: dict[str, float | None]
    class_agreement: dict[str, float] = field(default_factory=dict)
    editions: dict[str, int] = field(default_factory=dict)
    grounds: dict[str, Ground] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Meaning:
    """A recipe's taxonomy with its sources' crosswalks and thresholds (in percent, per class key).

    `min_agreement_pct` is what a label needs of a second source, where there is one. With `happenings` the last code of
    a cover table is the number of a mark.
    """

    taxonomy: Taxonomy
    crosswalks: tuple[Crosswalk, ...]
    thresholds: Mapping[str, float]
    min_agreement_pct: float = 0
    happenings: Happenings | None = None

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the sources, in order of precedence."""
        return tuple(crosswalk.name for crosswalk in self.crosswalks)

    def fold(self, cover: pa.Table) -> "Folded":
        """What the labels say, per (cell, period) of a cover table.

        At a pixel the first source with a class wins. A source's agreement is the share of the pixels that it and
        another one class where both name the same class; a class's is the share of the pixels where the winner names
        it and another source that knows the class has one, where the first such other names it, too.
        """
        return Folded(self, cover)

    def event_labels(self, said: Fractions, moment: dt.datetime) -> list[str]:
        """The classes an image of a moment carries because of events."""
        if self.happenings is None:
            return []
        facts = self.happenings.facts(said.grounds, moment, None, self.thresholds)
        return list(dict.fromkeys(fact.label for fact in facts if fact.label is not None))


class Folded(Mapping[tuple[str, str], Fractions]):
    """What the labels say of the cells of a cover table, put into words as it is asked for."""

    def __init__(self, meaning: Meaning, cover: pa.Table) -> None:
        self._meaning, self._keys = meaning, list(meaning.taxonomy.classes)
        self._counted = it = counted(cover, meaning.crosswalks, self._keys)
        starts = pa.array(it.edges[:-1])
        cells, periods = (cover[name].take(starts).to_pylist() for name in ("cell", "period"))
        self._place = {key: place for place, key in enumerate(zip(cells, periods, strict=True))}
        thresholds = np.array([meaning.thresholds[key] for key in self._keys])
        # Compared in pixels, so that a share of exactly the threshold is not lost to rounding.
        self._reached = 100 * it.classes >= thresholds * it.classes.sum(axis=1, keepdims=True)
        self._reached &= 100 * it.confirmed >= meaning.min_agreement_pct * it.heard
        self._first = _first_with_land(cells, it) if meaning.happenings is not None else None

    def labelled(self, keys: Sequence[tuple[str, str]]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which of some (cell, period) have a class at all, and which a label."""
        places = np.fromiter((self._place[key] for key in keys), np.int64, len(keys))
        classed = self._counted.classes[places] > 0
        return np.asarray(classed.any(axis=1)), np.asarray((classed & self._reached[places]).any(axis=1))

    def __len__(self) -> int:
        return len(self._place)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._place)

    def __contains__(self, key: object) -> bool:
        return key in self._place

    def __getitem__(self, key: tuple[str, str]) -> Fractions:
        place, it, sources = self._place[key], self._counted, self._meaning.sources
        rows = slice(it.edges[place], it.edges[place + 1])
        counts = {number: count for number, count in enumerate(it.classes[place].tolist()) if count}
        finer: dict[str, int] = {}
        for number, count in zip(it.finer[rows].tolist(), it.pixels[rows].tolist(), strict=True):
            if number >= 0:
                finer[it.names[number]] = finer.get(it.names[number], 0) + count
        classed = sum(counts.values())
        fractions = _shares({self._keys[number]: count for number, count in counts.items()}, classed)
        reached = {self._keys[number] for number in counts if self._reached[place, number]}
        heard = {self._keys[number]: number for number in counts if it.heard[place, number]}
        return Fractions(
            tuple(key for key in fractions if key in reached),
            fractions,
            _shares(finer, classed),
            100 * classed / int(it.total[place]),
            {
                name: agreed / met if met else None
                for name, agreed, met in zip(sources, it.agreed[place].tolist(), it.met[place].tolist(), strict=True)
            },
            {
                key: int(it.confirmed[place, heard[key]]) / int(it.heard[place, heard[key]])
                for key in fractions
                if key in heard
            },
            {
                name: edition
                for name, edition in zip(sources, it.editions[place].tolist(), strict=False)
                if edition >= 0
            },
            self._grounds(place),
        )

    def _grounds(self, place: int) -> dict[str, Ground]:
        """What events did to a cell, by the land cover of its first period that has any: what was there before."""
        if self._first is None or self._meaning.happenings is None:
            return {}
        it, first, names = self._counted, self._first[place], [*self._keys, None]
        rows = slice(it.edges[first], it.edges[first + 1])
        land = [names[number] for number in it.won[rows].tolist()]
        return self._meaning.happenings.grounds(it.codes[rows, -1], land, it.pixels[rows])


def _first_with_land(cells: list[str], it: Counted) -> list[int]:
    """Per stretch the first stretch of its cell that has a class, else the first of all."""
    classed, first = (it.classes.sum(axis=1) > 0).tolist(), dict[str, int]()
    for place, cell in enumerate(cells):
        if cell not in first or (classed[place] and not classed[first[cell]]):
            first[cell] = place
    return [first[cell] for cell in cells]


def load_meaning(recipe: Recipe) -> Meaning:
    """The taxonomy, crosswalks and thresholds a recipe names.

    Raises:
        InputError: an unknown source, a crosswalk into another taxonomy, or a class nobody defined.
    """
    taxonomy = load(Taxonomy, "taxonomies", recipe.taxonomy)
    crosswalks = tuple(_crosswalk(entry.source, taxonomy) for entry in recipe.labels)
    if unknown := sorted(recipe.thresholds.classes.keys() - taxonomy.classes.keys()):
        known = ", ".join(taxonomy.classes)
        raise InputError(f"{recipe.name}: thresholds.classes.{unknown[0]}: no such class; {taxonomy.name} has {known}")
    wanted = recipe.sampling.by_meaning
    if wanted is not None and (foreign := wanted.unknown(taxonomy.classes)):
        known = ", ".join(taxonomy.classes)
        raise InputError(f"{recipe.name}: sampling.by_meaning.{foreign[0]}: no such class; {taxonomy.name} has {known}")
    thresholds = {key: recipe.thresholds.classes.get(key, recipe.thresholds.default) for key in taxonomy.classes}
    return Meaning(taxonomy, crosswalks, thresholds, recipe.thresholds.min_agreement_pct)


def load_types(taxonomy: Taxonomy) -> EventTypes:
    """The kinds of events, once their classes are known to be a taxonomy's.

    Raises:
        InputError: a class nobody defined, or one of land cover.
    """
    types = load(EventTypes, "taxonomies/events", "types")
    for name, kind in types.types.items():
        target = taxonomy.classes.get(kind.to)
        if target is None or not target.event:
            path = find("taxonomies/events", "types")
            raise InputError(f"{path}: types.{name}.to: {taxonomy.name} has no class of events {kind.to!r}")
        for entry, keys in (("minus", kind.minus), ("looks_like", kind.looks_like)):
            if unknown := [key for key in keys if key not in taxonomy.classes]:
                path = find("taxonomies/events", "types")
                raise InputError(f"{path}: types.{name}.{entry}: {taxonomy.name} has no class {unknown[0]!r}")
    return types


def _crosswalk(name: str, taxonomy: Taxonomy) -> Crosswalk:
    crosswalk = load(Crosswalk, "taxonomies", name)
    path = find("taxonomies", name)
    if crosswalk.target != taxonomy.name:
        raise InputError(f"{path}: target {crosswalk.target!r} is not the recipe's taxonomy {taxonomy.name!r}")
    for code, entry in crosswalk.classes.items():
        target = taxonomy.classes.get(entry.to) if entry.to is not None else None
        if entry.to is not None and target is None:
            raise InputError(f"{path}: classes.{code}.to: {taxonomy.name} has no class {entry.to!r}")
        if target is not None and target.event and not crosswalk.undated:
            raise InputError(f"{path}: classes.{code}.to: {entry.to!r} comes from events only, unless `undated: true`")
    return crosswalk


def _shares(counts: dict[str, int], total: int) -> dict[str, float]:
    largest_first = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return {key: count / total for key, count in largest_first}
