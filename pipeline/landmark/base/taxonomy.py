"""Target classes, crosswalks into them, and the fold from pixel counts to facts.

The cover table holds, per cell and period, how many pixels show each combination of source codes. Everything a corpus
says of land cover (labels, shares, finer classes, agreement of sources) is a fold over that table, so that a changed
threshold or crosswalk reads no raster again.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from landmark.base.errors import InputError
from landmark.base.files import Strict, find, load
from landmark.base.labels import LabelFiles
from landmark.base.recipe import Recipe
from landmark.base.schemas import runs


class TargetClass(Strict):
    """A class captions may name."""

    name: dict[str, str] = Field(description="Language → name; the structured caption is its lower case")
    phrase: dict[str, str] = Field(description="Language → words inside a sentence")
    definition: str
    colour: str = Field(pattern=r"^#[0-9a-f]{6}$")
    event: bool = Field(False, description="True where only an event, never a land-cover code, may give it")


class Taxonomy(Strict):
    """The target classes, in a fixed order."""

    name: str
    version: str
    classes: dict[str, TargetClass] = Field(min_length=1)


class SourceClass(Strict):
    """One code of a label source."""

    key: str = Field(pattern=r"^[a-z0-9_]+$")
    name: str
    alias: int | None = Field(
        None, description="The class's other code, where a source has two kinds: CORINE's grid code"
    )
    to: str | None = Field(None, description="Target class key")
    drop: str | None = Field(None, description="Why it maps to no target class")

    @model_validator(mode="after")
    def _maps_or_drops(self) -> "SourceClass":
        if (self.to is None) == (self.drop is None):
            raise ValueError("give exactly one of `to` and `drop`")
        return self


class Crosswalk(Strict):
    """A label source: where its maps are found and what their codes mean."""

    name: str
    title: str
    target: str = Field(description="Name of the target taxonomy")
    asset: str | None = Field(None, description="Asset key of the class raster in its STAC items")
    version_property: str | None = Field(None, description="STAC property that holds the product's version")
    exclusive_end: bool = Field(False, description="True where an item's interval ends with the first moment after it")
    files: LabelFiles = Field(LabelFiles(), description="How files on disk are read")
    max_gap_days: int = Field(
        1100, ge=0, description="Oldest labels an image may take, unless the recipe says; 1100: about three years"
    )
    nodata: tuple[int, ...] = Field((0,), description="Codes that mean no data, beside what the file itself masks")
    alias_nodata: tuple[int, ...] = Field((), description="The same among the aliases")
    digits: int | None = Field(None, ge=1, description="Longer codes are finer ones, cut to this many: 1212 is a 121")
    licence: str
    attribution: str
    classes: dict[int, SourceClass] = Field(min_length=1)

    @field_validator("classes")
    @classmethod
    def _unique_keys(cls, classes: dict[int, SourceClass]) -> dict[int, SourceClass]:
        keys = [entry.key for entry in classes.values()]
        if twice := sorted({key for key in keys if keys.count(key) > 1}):
            raise ValueError(f"key {twice[0]} stands twice")
        return classes

    @model_validator(mode="after")
    def _one_meaning_a_code(self) -> "Crosswalk":
        codes = [*self.classes, *self.nodata, *self.aliases, *self.alias_nodata]
        if twice := sorted({code for code in codes if codes.count(code) > 1}):
            raise ValueError(f"code {twice[0]} stands twice among classes, aliases and no data")
        return self

    @property
    def aliases(self) -> dict[int, int]:
        """Alias → code."""
        return {entry.alias: code for code, entry in self.classes.items() if entry.alias is not None}


@dataclass(frozen=True, slots=True)
class LabelVintage:
    """An edition of a source: the interval its labels describe, in UTC, both ends included."""

    name: str
    version: str
    start: dt.datetime
    end: dt.datetime

    def gap_days(self, moment: dt.datetime) -> int:
        """Whole days between an image and the labelled interval, 0 inside it."""
        return max((self.start - moment).days, (moment - self.end).days, 0)


@dataclass(frozen=True, slots=True)
class Fractions:
    """What the labels say of one cell in one period.

    Shares are of the pixels with a class, largest first, and sum to one.

    Attributes:
        agreement: Per source, None where it meets no other source.
        class_agreement: Per target class that another source could confirm.
        editions: Per source with data in the cell: the number of its edition in the lock.
    """

    labels: tuple[str, ...]
    fractions: dict[str, float]
    finer: dict[str, float]
    label_valid_pct: float
    agreement: dict[str, float | None]
    class_agreement: dict[str, float] = field(default_factory=dict)
    editions: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Meaning:
    """A recipe's taxonomy with its sources' crosswalks and thresholds (in percent, per class key).

    `min_agreement_pct` is what a label needs of a second source, where there is one.
    """

    taxonomy: Taxonomy
    crosswalks: tuple[Crosswalk, ...]
    thresholds: Mapping[str, float]
    min_agreement_pct: float = 0

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
        target, winner, finer = self._winners(cover)
        pixels = cover["pixels"].to_numpy()
        editions = cover["editions"].combine_chunks().flatten().to_numpy().reshape(-1, len(self.crosswalks))
        keys = list(zip(cover["cell"].to_pylist(), cover["period"].to_pylist(), strict=True))
        return {
            keys[start]: self._fractions(
                target[:, start:end], winner[start:end], finer[start:end], pixels[start:end], editions[start]
            )
            for start, end in runs(keys)
        }

    def _winners(self, cover: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.int64], list[str]]:
        """Per row: each source's target class (source, row), -1 where none; the source that wins; its finer class."""
        codes = cover["codes"].combine_chunks().flatten().to_numpy().reshape(-1, len(self.crosswalks))
        order = {key: place for place, key in enumerate(self.taxonomy.classes)}
        target = np.full(codes.T.shape, -1, dtype=np.int64)
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
            {name: number for name, number in zip(self.sources, editions.tolist(), strict=True) if number >= 0},
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
    thresholds = {key: recipe.thresholds.classes.get(key, recipe.thresholds.default) for key in taxonomy.classes}
    return Meaning(taxonomy, crosswalks, thresholds, recipe.thresholds.min_agreement_pct)


def _crosswalk(name: str, taxonomy: Taxonomy) -> Crosswalk:
    crosswalk = load(Crosswalk, "taxonomies", name)
    path = find("taxonomies", name)
    if crosswalk.target != taxonomy.name:
        raise InputError(f"{path}: target {crosswalk.target!r} is not the recipe's taxonomy {taxonomy.name!r}")
    for code, entry in crosswalk.classes.items():
        target = taxonomy.classes.get(entry.to) if entry.to is not None else None
        if entry.to is not None and target is None:
            raise InputError(f"{path}: classes.{code}.to: {taxonomy.name} has no class {entry.to!r}")
        if target is not None and target.event:
            raise InputError(f"{path}: classes.{code}.to: {entry.to!r} comes from events only")
    return crosswalk


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
