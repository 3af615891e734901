"""What a recipe's labels and events say of a cell: the fold from pixel counts to facts.

The cover table holds, per cell and period, how many pixels show each combination of source codes and event mark.
Everything a corpus says of its ground (labels, shares, finer classes, agreement of sources, what events did) is a fold
over that table, so that a changed threshold or crosswalk reads no raster again.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from landmark.base.errors import InputError
from landmark.base.events import EventTypes
from landmark.base.files import find, load
from landmark.base.ground import Ground, Happenings
from landmark.base.recipe import Recipe
from landmark.base.schemas import runs
from landmark.base.taxonomy import Crosswalk, Taxonomy


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

    def fold(self, cover: pa.Table) -> dict[tuple[str, str], Fractions]:
        """What the labels say, per (cell, period) of a cover table.

        At a pixel the first source with a class wins. A source's agreement is the share of the pixels that it and
        another one class where both name the same class; a class's is the share of the pixels where the winner names
        it and another source that knows the class has one, where the first such other names it, too.
        """
        if cover.num_rows == 0:
            return {}
        pixels, codes = cover["pixels"].to_numpy(), _matrix(cover["codes"])
        editions = _matrix(cover["editions"])
        target, winner, finer = self._winners(codes)
        keys = list(zip(cover["cell"].to_pylist(), cover["period"].to_pylist(), strict=True))
        grounds = self._grounds(keys, codes, target, winner, pixels)
        return {
            keys[start]: self._fractions(
                target[:, start:end],
                winner[start:end],
                finer[start:end],
                pixels[start:end],
                editions[start],
                grounds.get(keys[start][0], {}),
            )
            for start, end in runs(keys)
        }

    def event_labels(self, said: Fractions, moment: dt.datetime) -> list[str]:
        """The classes an image of a moment carries because of events."""
        if self.happenings is None:
            return []
        facts = self.happenings.facts(said.grounds, moment, None, self.thresholds)
        return list(dict.fromkeys(fact.label for fact in facts if fact.label is not None))

    def _grounds(
        self,
        keys: list[tuple[str, str]],
        codes: NDArray[np.int32],
        target: NDArray[np.int64],
        winner: NDArray[np.int64],
        pixels: NDArray[np.int64],
    ) -> dict[str, dict[str, Ground]]:
        """Per cell what events did, by the land cover of its first period that has any: what was there before."""
        if self.happenings is None:
            return {}
        names = [*self.taxonomy.classes, None]
        won = target[winner, np.arange(len(winner))]
        first: dict[str, tuple[int, int]] = {}
        for start, end in runs(keys):
            cell = keys[start][0]
            if cell not in first or ((won[slice(*first[cell])] < 0).all() and (won[start:end] >= 0).any()):
                first[cell] = start, end
        return {
            cell: self.happenings.grounds(
                codes[start:end, -1], [names[place] for place in won[start:end].tolist()], pixels[start:end]
            )
            for cell, (start, end) in first.items()
        }

    def _winners(self, codes: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64], list[str]]:
        """Per row: each source's target class (source, row), -1 where none; the source that wins; its finer class."""
        order = {key: place for place, key in enumerate(self.taxonomy.classes)}
        # A recipe of events alone has no source: one that is silent stands for it.
        target = np.full((max(1, len(self.crosswalks)), len(codes)), -1, dtype=np.int64)
        for row, crosswalk in enumerate(self.crosswalks):
            for code, entry in crosswalk.classes.items():
                if entry.to is not None:
                    target[row, codes[:, row] == code] = order[entry.to]
        winner = (target >= 0).argmax(axis=0)
        chosen = codes[np.arange(len(codes)), winner]
        classed = target.max(axis=0) >= 0
        finer = [
            f"{self.crosswalks[source].name}/{self.crosswalks[source].classes[code].key}" if known else ""
            for source, code, known in zip(winner.tolist(), chosen.tolist(), classed.tolist(), strict=True)
        ]
        return target, winner, finer

    def _fractions(
        self,
        target: NDArray[np.int64],
        winner: NDArray[np.int64],
        finer: list[str],
        pixels: NDArray[np.int64],
        editions: NDArray[np.int32],
        grounds: dict[str, Ground],
    ) -> Fractions:
        won = target[winner, np.arange(target.shape[1])]
        classed = int(pixels[won >= 0].sum())
        names = list(self.taxonomy.classes)
        counts: dict[str, int] = {}
        finer_counts: dict[str, int] = {}
        for place, source_class, count in zip(won.tolist(), finer, pixels.tolist(), strict=True):
            if place >= 0:
                counts[names[place]] = counts.get(names[place], 0) + count
                finer_counts[source_class] = finer_counts.get(source_class, 0) + count
        fractions, confirmed = _shares(counts, classed), self._confirmed(target, winner, pixels)
        # Compared in pixels, so that a share of exactly the threshold is not lost to rounding.
        labels = tuple(
            key
            for key in fractions
            if 100 * counts[key] >= self.thresholds[key] * classed
            and 100 * confirmed.get(key, (0, 0))[0] >= self.min_agreement_pct * confirmed.get(key, (0, 0))[1]
        )
        return Fractions(
            labels,
            fractions,
            _shares(finer_counts, classed),
            100 * classed / int(pixels.sum()),
            {name: _agreement(target, row, pixels) for row, name in enumerate(self.sources)},
            {key: confirmed[key][0] / confirmed[key][1] for key in fractions if key in confirmed},
            {name: number for name, number in zip(self.sources, editions.tolist(), strict=False) if number >= 0},
            grounds,
        )

    def _confirmed(
        self, target: NDArray[np.int64], winner: NDArray[np.int64], pixels: NDArray[np.int64]
    ) -> dict[str, tuple[int, int]]:
        """Per class: the pixels where the first other source names it, too, of those where another has a class.

        A source whose scheme has no such class is no witness of it.
        """
        at, names, counts = np.arange(target.shape[1]), list(self.taxonomy.classes), {}
        won, others = target[winner, at], target.copy()
        others[winner, at] = -1
        for place in np.unique(won[won >= 0]).tolist():
            knows = [any(entry.to == names[place] for entry in each.classes.values()) for each in self.crosswalks]
            heard = np.where(np.array(knows)[:, None], others, -1)
            first_other = heard[(heard >= 0).argmax(axis=0), at]
            met = (won == place) & (first_other >= 0)
            if met.any():
                counts[names[place]] = int(pixels[met & (first_other == place)].sum()), int(pixels[met].sum())
        return counts


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


def _matrix(column: pa.ChunkedArray) -> NDArray[np.int32]:
    """A column of lists of one length, (row, place)."""
    lists = column.combine_chunks()
    flat: NDArray[np.int32] = lists.flatten().to_numpy()
    return flat.reshape(len(lists), lists.type.list_size)


def _shares(counts: dict[str, int], total: int) -> dict[str, float]:
    largest_first = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return {key: count / total for key, count in largest_first}


def _agreement(target: NDArray[np.int64], row: int, pixels: NDArray[np.int64]) -> float | None:
    others = np.delete(target, row, axis=0)
    met = (target[row] >= 0) & (others >= 0).any(axis=0)
    if not met.any():
        return None
    first_other = others[(others >= 0).argmax(axis=0), np.arange(others.shape[1])]
    return float(pixels[met & (first_other == target[row])].sum() / pixels[met].sum())
