"""Target classes, and the crosswalks of label sources into them."""

import datetime as dt
import re
from dataclasses import dataclass
from typing import Any

from pydantic import Field, field_validator, model_validator

from landmark.config.label_entries import LabelFiles
from landmark.core.yaml_files import Strict

_COLOUR = r"^#[0-9a-f]{6}$"


class Parent(Strict):
    """What several classes have in common."""

    name: dict[str, str] = Field(description="Language → name")
    parent: str | None = Field(None, description="Key of what it is a kind of")


class TargetClass(Strict):
    """A class captions may name."""

    name: dict[str, str] = Field(description="Language → name; the structured caption is its lower case")
    phrase: dict[str, str] = Field(description="Language → words inside a sentence")
    definition: str
    colour: str = Field(pattern=_COLOUR)
    event: bool = Field(False, description="True where only an event, never a land-cover code, may give it")
    parent: str | None = Field(None, description="Key among `parents`")
    synonyms: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="Language → other words for the class, and for no other class"
    )


class Taxonomy(Strict):
    """The target classes, in a fixed order."""

    name: str
    version: str
    languages: tuple[str, ...] = Field(("en",), min_length=1, description="Every name and phrase is said in these")
    parents: dict[str, Parent] = Field(default_factory=dict)
    classes: dict[str, TargetClass] = Field(min_length=1)

    def lineage(self, key: str) -> tuple[str, ...]:
        """Parents of a class, the nearest first."""
        found, parent = list[str](), self.classes[key].parent
        while parent is not None and parent in self.parents and parent not in found:
            found.append(parent)
            parent = self.parents[parent].parent
        return tuple(found)


class SourceClass(Strict):
    """One code of a label source."""

    key: str = Field(pattern=r"^[a-z0-9_]+$")
    name: str
    alias: int | None = Field(
        None, description="The class's other code, where a source has two kinds: CORINE's grid code"
    )
    words: tuple[str, ...] = Field((), description="Its codes in words, beside `key` and `name`")
    colour: str | None = Field(None, pattern=_COLOUR, description="As the source's own legend draws it")
    to: str | None = Field(None, description="Target class key")
    drop: str | None = Field(None, min_length=1, description="Why it maps to no target class")
    merges: tuple[int, ...] = Field((), description="Codes of the finer scheme the class joins")
    mixes: str | None = Field(None, min_length=1, description="Why one target holds where those lead to several")

    @model_validator(mode="after")
    def _maps_or_drops(self) -> "SourceClass":
        if (self.to is None) == (self.drop is None):
            raise ValueError("give exactly one of `to` and `drop`")
        return self


class Crosswalk(Strict):
    """A label source: where its maps are found and what their codes mean.

    A file that `extends` another may say `instead: {334: burned_area}` to lead a code elsewhere.
    """

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
    word_nodata: tuple[str, ...] = Field((), description="The same among the words")
    digits: int | None = Field(None, ge=1, description="Longer codes are finer ones, cut to this many: 1212 is a 121")
    undated: bool = Field(False, description="True where codes give classes of events, though nobody knows of when")
    licence: str
    attribution: str
    count: int | None = Field(None, ge=1, description="Classes the scheme has, where it is closed")
    groups: dict[int, str] = Field(
        default_factory=dict, description="Names of the coarser levels: the first digits of a code"
    )
    merge_of: str | None = Field(None, description="Name of the finer scheme whose classes this one joins")
    unmerged: tuple[int, ...] = Field((), description="Codes of the finer scheme that none of the classes joins")
    classes: dict[int, SourceClass] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _led_elsewhere(cls, value: Any) -> Any:
        return led_elsewhere(value)

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
        said = [(word, code) for code, entry in self.classes.items() for word in words_of(entry)]
        said += [(plain(word), -1) for word in self.word_nodata]
        words = [word for word, _ in set(said)]
        if twice_said := sorted({word for word in words if words.count(word) > 1}):
            raise ValueError(f"{twice_said[0]!r} is a word of two classes")
        return self

    @property
    def aliases(self) -> dict[int, int]:
        """Alias → code."""
        return {entry.alias: code for code, entry in self.classes.items() if entry.alias is not None}

    @property
    def words(self) -> dict[str, int]:
        """Word, as `plain` writes it → code."""
        return {word: code for code, entry in self.classes.items() for word in words_of(entry)}


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


def led_elsewhere(value: Any) -> Any:
    """A crosswalk's keys with the codes of `instead` led where that says.

    Raises:
        ValueError: there is no such code.
    """
    if not isinstance(value, dict) or not isinstance(value.get("instead"), dict):
        return value
    whole, classes = dict(value), dict(value.get("classes") or {})
    for code, target in whole.pop("instead").items():
        if not isinstance(classes.get(code), dict):
            raise ValueError(f"instead.{code}: the file it extends has no such code")
        classes[code] = {key: said for key, said in classes[code].items() if key != "drop"} | {"to": target}
    return whole | {"classes": classes}


def words_of(entry: SourceClass) -> set[str]:
    """The words that mean a class, as `plain` writes them."""
    return {plain(word) for word in (entry.key, entry.name, *entry.words)}


def plain(word: str) -> str:
    """A word as it is compared: case, spaces and punctuation do not count, so `farm_land` is `Farm land`."""
    return " ".join(re.sub(r"[\W_]+", " ", word.casefold()).split())
