"""Target classes, crosswalks into them, and the fold from pixel counts to facts.

The cover table holds, per cell and period, how many pixels show each combination of source codes. Everything a corpus
says of land cover (labels, shares, finer classes, agreement of sources) is a fold over that table, so that a changed
threshold or crosswalk reads no raster again.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from landmark.base.errors import InputError
from landmark.base.files import Strict, find, load
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
    to: str | None = Field(None, description="Target class key")
    drop: str | None = Field(None, description="Why it maps to no target class")

    @model_validator(mode="after")
    def _maps_or_drops(self) -> "SourceClass":
        if (self.to is None) == (self.drop is None):
            raise ValueError("give exactly one of `to` and `drop`")
        return self


class Crosswalk(Strict):
    """A label source: where its rasters are found and what its codes mean."""

    name: str
    title: str
    target: str = Field(description="Name of the target taxonomy")
    asset: str = Field(description="Asset key of the class raster in its STAC items")
    version_property: str | None = Field(None, description="STAC property that holds the product's version")
    nodata: tuple[int, ...] = Field((0,), description="Codes that mean no data")
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


@dataclass(frozen=True, slots=True)
class LabelVintage:
    """The edition of a source that serves a period: the interval its labels describe, in UTC."""

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
    """

    labels: tuple[str, ...]
    fractions: dict[str, float]
    finer: dict[str, float]
    label_valid_pct: float
    agreement: dict[str, float | None]


@dataclass(frozen=True, slots=True)
class Meaning:
    """A recipe's taxonomy with its sources' crosswalks and thresholds (in percent, per class key)."""

    taxonomy: Taxonomy
    crosswalks: tuple[Crosswalk, ...]
    thresholds: Mapping[str, float]

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the sources, in order of precedence."""
        return tuple(crosswalk.name for crosswalk in self.crosswalks)

    def fold(self, cover: pa.Table) -> dict[tuple[str, str], Fractions]:
        """What the labels say, per (cell, period) of a cover table.

        At a pixel the first source with a class wins. Agreement is the share of the pixels that a source and another
        one class where both name the same class (None where it meets no other source).
        """
        if cover.num_rows == 0:
            return {}
        target, winner, finer = self._winners(cover)
        pixels = cover["pixels"].to_numpy()
        keys = list(zip(cover["cell"].to_pylist(), cover["period"].to_pylist(), strict=True))
        return {
            keys[start]: self._fractions(target[:, start:end], winner[start:end], finer[start:end], pixels[start:end])
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
        self, target: NDArray[np.int64], winner: NDArray[np.int64], finer: list[str], pixels: NDArray[np.int64]
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
        fractions = _shares(counts, classed)
        # Compared in pixels, so that a share of exactly the threshold is not lost to rounding.
        labels = tuple(key for key in fractions if 100 * counts[key] >= self.thresholds[key] * classed)
        agreement = {name: _agreement(target, row, pixels) for row, name in enumerate(self.sources)}
        return Fractions(
            labels, fractions, _shares(finer_counts, classed), 100 * classed / int(pixels.sum()), agreement
        )


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
    return Meaning(taxonomy, crosswalks, thresholds)


def nearest_vintage(vintages: Iterable[LabelVintage], period: str) -> LabelVintage:
    """The edition whose interval lies nearest the middle of a period, the earlier of two equally near."""
    year, month = int(period[:4]), int(period[5:7] or 7)
    middle = dt.datetime(year, month, 15 if len(period) > 4 else 1, tzinfo=dt.UTC)
    return min(vintages, key=lambda vintage: (vintage.gap_days(middle), vintage.start))


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
