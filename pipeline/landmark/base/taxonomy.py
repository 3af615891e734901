"""Target classes, and the crosswalks of label sources into them."""

import datetime as dt
from dataclasses import dataclass

from pydantic import Field, field_validator, model_validator

from landmark.base.files import Strict
from landmark.base.labels import LabelFiles


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
