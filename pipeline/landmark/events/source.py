"""How a kind of file becomes events: what people write in taxonomies/events/."""

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from landmark.core.yaml_files import Strict, load

ROOM = "taxonomies/events"
# What a time may be written as, besides a pattern of strptime.
NUMBERS = {"epoch_ms": 1e-3, "epoch_s": 1.0}


class Packages(Strict):
    """Copernicus EMS Rapid Mapping packages. Layers' names are compared without case and underscores."""

    words: str = Field(description="Name of the file in taxonomies/ that says what the packages' words mean")
    observed: tuple[str, ...] = Field(min_length=1, description="Patterns of layers with the extent of the event")
    marks: tuple[str, ...] = Field((), description="Patterns of layers that mark the event by points and lines alone")
    damage: tuple[str, ...] = Field(min_length=1, description="Patterns of layers whose features are graded")
    aoi: tuple[str, ...] = Field(min_length=1, description="Patterns of layers with the ground that was looked at")
    blind: tuple[str, ...] = Field((), description="Patterns of layers with the ground nobody could see")
    images: tuple[str, ...] = Field((), description="Patterns of tables of the images a product was drawn from")
    event_type: tuple[str, ...] = Field(min_length=1, description="Attributes, the first that a layer has counts")
    kind: tuple[str, ...] = ()
    notation: tuple[str, ...] = ()
    grade: tuple[str, ...] = Field(min_length=1)

    @field_validator("observed", "marks", "damage", "aoi", "blind", "images")
    @classmethod
    def _patterns(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is no regular expression: {error}") from error
        return patterns


class Time(Strict):
    """Where a moment stands, and how it is written."""

    fields: tuple[str, ...] = Field(min_length=1, description="Attributes; the first with a value counts")
    formats: tuple[str, ...] = Field(
        ("iso",), min_length=1, description="`iso`, `epoch_ms`, `epoch_s` or a pattern of strptime, tried in this order"
    )

    @field_validator("formats")
    @classmethod
    def _known(cls, formats: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := [one for one in formats if one != "iso" and one not in NUMBERS and "%" not in one]:
            raise ValueError(f"{wrong[0]!r} is not iso, epoch_ms, epoch_s or a pattern such as %Y/%m/%d")
        return formats


class Word(Strict):
    """An attribute whose words mean something."""

    fields: tuple[str, ...] = Field(min_length=1, description="Attributes; the first with a value counts")
    values: dict[str, str] = Field(min_length=1, description="Word, in any case → what it means")
    others: Literal["error", "drop"] = Field("error", description="What becomes of features with other words")


class Vectors(Strict):
    """Files of vectors. Attributes are named in any case; times are UTC where they state no zone."""

    id: tuple[str, ...] = Field(min_length=1, description="Attributes that together name an event")
    telling: tuple[str, ...] = Field((), description="Those of `id` of which one must say something; else each must")
    prefix: str = Field("", pattern=r"^[a-z0-9-]*$", description="Of ids, so that two sources' numbers do not meet")
    group: tuple[str, ...] = Field((), description="Attributes that together name what goes to one split; else the id")
    type: str | Word = Field(description="The type of all events, or where it stands")
    start: Time | None = Field(None, description="None: the recipe's `dates` say it")
    end: Time | None = None
    observed: Time | None = Field(None, description="When the image was taken that the outline was drawn from")
    product: tuple[str, ...] = Field((), description="Attributes that together name the product; else the id")
    magnitude: tuple[str, ...] = Field((), description="Attributes; the first with a value counts")
    grade: Word | None = Field(None, description="Grade of damage of a polygon, which names its part of the event")

    @model_validator(mode="after")
    def _of_the_id(self) -> "Vectors":
        if wrong := [name for name in self.telling if name not in self.id]:
            raise ValueError(f"telling: {wrong[0]!r} is not among `id`, {', '.join(self.id)}")
        return self


class EventSource(Strict):
    """A file in taxonomies/events/ but for types.yaml."""

    name: str = Field(pattern=r"^[a-z0-9-]+$")
    title: str
    licence: str
    attribution: str
    ems: Packages | None = None
    vectors: Vectors | None = None

    @model_validator(mode="after")
    def _one(self) -> "EventSource":
        if (self.ems is None) == (self.vectors is None):
            raise ValueError("give exactly one of `ems` and `vectors`")
        return self


def load_source(name: str) -> EventSource:
    """A source by the name or path of its file.

    Raises:
        InputError: naming file, key, value and remedy.
    """
    return load(EventSource, ROOM, name)
