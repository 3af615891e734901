"""Target classes, and crosswalks from the codes of label sources to them."""

import datetime as dt
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from landmark.core.errors import InputError, invalid
from landmark.core.patterns import compile_pattern
from landmark.core.yaml_files import StrictModel
from landmark.domain.codes import MAX_CODE, Code, CodeKeys, check_unique_codes
from landmark.domain.traits import Trait

_COLOUR = r"^#[0-9a-f]{6}$"


class Parent(StrictModel):
    """A group of classes."""

    name: dict[str, str] = Field(description="Language → name")
    parent: str | None = Field(None, description="Key of the group that contains it")


class TargetClass(StrictModel):
    """A class that captions may name."""

    name: dict[str, str] = Field(description="Language → name; the structured caption is its lower case")
    phrase: dict[str, str] = Field(description="Language → words inside a sentence")
    definition: str
    colour: str = Field(pattern=_COLOUR)
    event: bool = Field(False, description="Whether only an event may give the class, never a land-cover code")
    traits: tuple[Trait, ...] = Field(
        (),
        description="How its land looks: `water`, `green` (leaves or needles in most of the year, as forest), `bare`"
        " (hardly any plants), `snow`, `built`; several if it may look like each",
    )
    parent: str | None = Field(None, description="Key in `parents`")
    synonyms: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="Language → synonyms, each of this class only"
    )


class Taxonomy(StrictModel):
    """The target classes, in a fixed order; of a label source that is also a taxonomy, its key `as_target`."""

    name: str
    version: str
    languages: tuple[str, ...] = Field(("en",), min_length=1, description="Languages of every name and phrase")
    parents: dict[str, Parent] = Field(default_factory=dict)
    classes: dict[str, TargetClass] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _read_section(cls, value: Any) -> Any:
        return value.get("as_target", value) if isinstance(value, dict) else value

    @property
    def has_traits(self) -> bool:
        """Whether any class has a trait."""
        return any(entry.traits for entry in self.classes.values())

    def classes_like(self, *traits: Trait, event: bool) -> frozenset[str]:
        """Event or land-cover classes that may look like one of these traits."""
        classes = ((key, entry) for key, entry in self.classes.items() if entry.event == event)
        return frozenset(key for key, entry in classes if set(traits) & set(entry.traits))

    def classes_only_like(self, *traits: Trait) -> frozenset[str]:
        """Land-cover classes that look like one of these traits and like no other."""
        classes = self.classes_like(*traits, event=False)
        return frozenset(key for key in classes if set(self.classes[key].traits) <= set(traits))

    def lineage(self, key: str) -> tuple[str, ...]:
        """Keys of the parents of a class, nearest first."""
        keys, parent = list[str](), self.classes[key].parent
        while parent is not None and parent in self.parents and parent not in keys:
            keys.append(parent)
            parent = self.parents[parent].parent
        return tuple(keys)


class SourceClass(StrictModel):
    """A code of a label source."""

    key: str = Field(pattern=r"^[a-z0-9_]+$")
    name: str
    alias: Code | None = Field(None, description="Second code of the class, such as CORINE's grid code")
    words: tuple[str, ...] = Field((), description="Codes as text, beside `key` and `name`")
    colour: str | None = Field(None, pattern=_COLOUR, description="Colour in the source's own legend")
    to: str | None = Field(None, description="Key of the target class")
    drop: str | None = Field(None, min_length=1, description="Why it has no target class")
    merges: tuple[Code, ...] = Field((), description="Codes of the more detailed source that it merges")
    mixes: str | None = Field(None, min_length=1, description="Why it has one target although those have several")

    @model_validator(mode="after")
    def _check_target(self) -> "SourceClass":
        if (self.to is None) == (self.drop is None):
            raise invalid("give exactly one of `to` and `drop`")
        return self


class LabelFiles(StrictModel):
    """Layout of the files of a label source: times, versions, bands and attributes."""

    dates: tuple[str, ...] = Field(
        (r"(?<!\d)(?P<year>(?:19|20)\d{2})(?!\d)",),
        min_length=1,
        description="Regular expressions searched in names of files and layers, the first that matches is used; groups:"
        " `datetime` (20210612 or 20210612T101031, UTC) or `year` (of 2 or 4 digits), and optionally `version`",
    )
    version: str = Field("unknown", description="Version where the file's name has none")
    band: str | None = Field(None, description="Description of the band of codes in files with several bands")
    fields: tuple[str, ...] = Field(
        (),
        description="Attributes that may hold a polygon's code, in any case; the first that a layer has is used. They"
        " may be regular expressions; a group `year` (2 or 4 digits) is the year of its codes",
    )
    changes: str | None = Field(
        None,
        description="Regular expression searched in names of files and layers: these hold changes between two years and"
        " are left out",
    )

    @field_validator("fields", "changes")
    @classmethod
    def _check_expressions(cls, value: tuple[str, ...] | str | None) -> Any:
        for pattern in (value,) if isinstance(value, str) else value or ():
            compile_pattern(pattern)
        return value

    @field_validator("dates")
    @classmethod
    def _check_patterns(cls, dates: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in dates:
            groups = compile_pattern(pattern).groupindex.keys()
            if ("year" in groups) == ("datetime" in groups):
                raise invalid("must have exactly one of the groups `year` and `datetime`", value=pattern)
        return dates


class Crosswalk(StrictModel):
    """A label source: where its maps are and which target class each code maps to.

    A file that `extends` another may map some codes to other classes, or to none: `remap: {334: burned_area}`,
    `remap: {334: {drop: undated}}`.
    """

    name: str
    title: str
    target: str = Field(description="Name of the target taxonomy")
    asset: str | None = Field(None, description="Asset key of the class raster in its STAC items")
    version_property: str | None = Field(None, description="STAC property with the product's version")
    exclusive_end: bool = Field(False, description="Whether the end of an item's interval is not part of it")
    files: LabelFiles = Field(LabelFiles(), description="How files on disk are read")
    max_gap_days: int = Field(
        1100,
        ge=0,
        description="Maximum age of labels at an image's time, unless the recipe sets one; 1100 is about three years",
    )
    nodata: tuple[Code, ...] = Field((0,), description="Codes of no data, beside the file's own nodata value")
    alias_nodata: tuple[Code, ...] = Field((), description="Aliases of no data")
    word_nodata: tuple[str, ...] = Field((), description="Words of no data")
    digits: int | None = Field(
        None, ge=1, description="Number of digits of a code; longer codes are cut: with 3, 1212 is read as 121"
    )
    undated: bool = Field(False, description="Whether codes give event classes although the event's time is unknown")
    licence: str
    attribution: str
    count: int | None = Field(None, ge=1, description="Number of classes, if the list is complete")
    groups: Annotated[dict[Code, str], CodeKeys] = Field(
        default_factory=dict, description="Names of the coarser levels: the first digits of a code"
    )
    merge_of: str | None = Field(None, description="Name of the more detailed source whose classes this one merges")
    unmerged: tuple[Code, ...] = Field((), description="Codes of the more detailed source that no class merges")
    classes: Annotated[dict[Code, SourceClass], CodeKeys] = Field(min_length=1)
    as_target: Taxonomy | None = Field(None, exclude=True, description="The same classes as a taxonomy")

    @model_validator(mode="before")
    @classmethod
    def _apply_remap(cls, value: Any) -> Any:
        return apply_remap(value)

    @model_validator(mode="after")
    def _check_codes(self) -> "Crosswalk":
        for code in self.classes:
            if not 0 <= code <= MAX_CODE:
                remedy = f"give a number of 0 to {MAX_CODE}, and convert the files"
                raise invalid("out of the range of codes", key=f"classes.{code}", value=code, remedy=remedy)
        for problem in ambiguous_codes(self):
            raise invalid(problem.problem, key=problem.key, value=problem.value, remedy=problem.remedy)
        return self

    @cached_property
    def subclasses(self) -> dict[str, str]:
        """`<source>/<class key>` → target class, of the classes that are more specific than it."""
        names = {f"{self.name}/{entry.key}": entry for entry in self.classes.values()}
        return {name: entry.to for name, entry in names.items() if entry.to not in (None, entry.key)}

    @cached_property
    def targets(self) -> frozenset[str | None]:
        """The target classes, None if some class has none."""
        return frozenset(entry.to for entry in self.classes.values())

    @property
    def aliases(self) -> dict[int, int]:
        """Alias → code."""
        return {entry.alias: code for code, entry in self.classes.items() if entry.alias is not None}

    @property
    def words(self) -> dict[str, int]:
        """Normalized word → code."""
        return {word: code for code, entry in self.classes.items() for word in class_words(entry)}


@dataclass(frozen=True, slots=True)
class LabelEdition:
    """An edition of a label source.

    Attributes:
        name: Name of the source.
        version: Version of the product.
        start: Start of the interval its labels describe, UTC.
        end: End of that interval, included, UTC.
    """

    name: str
    version: str
    start: dt.datetime
    end: dt.datetime

    def gap_days(self, time: dt.datetime) -> int:
        """Full days between an image's time and the labelled interval, 0 inside it."""
        return max((self.start - time).days, (time - self.end).days, 0)


def apply_remap(value: Any) -> Any:
    """Keys of a crosswalk with the codes in `remap` mapped to their new classes.

    Raises:
        ValueError: `remap` names a code that is not in `classes`.
    """
    if not isinstance(value, dict) or not isinstance(value.get("remap"), dict):
        return value
    keys, classes = dict(value), dict(value.get("classes") or {})
    codes = {str(code): code for code in classes}
    for name, target in check_unique_codes(keys.pop("remap"), "remap.").items():
        code = codes.get(str(name))
        if not isinstance(classes.get(code), dict):
            raise invalid(f"the extended file has no code {name}", key=f"remap.{name}", value=target)
        if isinstance(target, dict) and not target.keys() <= {"to", "drop", "mixes"}:
            raise invalid("must be a class or have the keys `to`, `drop` and `mixes`", key=f"remap.{name}")
        remaining = {key: item for key, item in classes[code].items() if key not in ("to", "drop", "mixes")}
        classes[code] = remaining | (target if isinstance(target, dict) else {"to": target})
    return keys | {"classes": classes}


def ambiguous_codes(crosswalk: Crosswalk) -> Iterator[InputError]:
    """Codes, aliases, keys and words that occur twice, so that a map's value would mean two classes."""
    classes = crosswalk.classes
    codes: list[tuple[str, Any]] = [(f"classes.{code}", code) for code in classes]
    codes += [(f"classes.{code}.alias", entry.alias) for code, entry in classes.items()]
    codes += [(key, code) for key in ("nodata", "alias_nodata") for code in getattr(crosswalk, key)]
    yield from duplicates(codes)
    yield from duplicates((f"classes.{code}.key", entry.key) for code, entry in classes.items())
    words = [(f"classes.{code}.words", word) for code, entry in classes.items() for word in sorted(class_words(entry))]
    words += [("word_nodata", word) for word in sorted(set(map(normalize_word, crosswalk.word_nodata)))]
    yield from duplicates(words)


def class_words(entry: SourceClass) -> set[str]:
    """Normalized words of a class."""
    return {normalize_word(word) for word in (entry.key, entry.name, *entry.words)}


def normalize_word(word: str) -> str:
    """A word without case and punctuation: `farm_land` and `Farm land` are equal."""
    return " ".join(re.sub(r"[\W_]+", " ", word.casefold()).split())


def duplicates(entries: Iterable[tuple[str, Any]]) -> Iterator[InputError]:
    """Problems of (key, value) pairs whose value occurs under an earlier key; None and empty values are ignored."""
    keys = dict[Any, str]()
    for key, value in entries:
        if value in (None, ""):
            continue
        if value in keys:
            yield InputError(f"is also at `{keys[value]}`", key=key, value=value, remedy="make them different")
        keys.setdefault(value, key)


def first_duplicate(values: Iterable[Any]) -> Any:
    """The smallest value that occurs more than once, None if there is none."""
    unique, repeated = set[Any](), set[Any]()
    for value in values:
        (repeated if value in unique else unique).add(value)
    return min(repeated, default=None)
