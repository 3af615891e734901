"""Models of the files in taxonomies/events/: how a kind of vector file is read as events."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field, field_validator, model_validator

from landmark.core.errors import InputError, invalid
from landmark.core.patterns import compile_pattern
from landmark.core.resources import available
from landmark.core.yaml_files import StrictModel, load_model
from landmark.domain.event import EventTypes
from landmark.domain.taxonomy import first_duplicate

FOLDER = "taxonomies/events"
# Numeric formats of times and their unit in seconds; all other formats but `iso` are patterns of strptime.
EPOCH_UNITS_S = {"epoch_ms": 1e-3, "epoch_s": 1.0}


class EmsMapping(StrictModel):
    """Layers and attributes of Copernicus EMS Rapid Mapping packages.

    Patterns are regular expressions for layer names without case and underscores. Of several attributes the first that
    a layer has is used.
    """

    vocabulary: str = Field(description="Name of the file in taxonomies/ that maps the packages' words")
    observed: tuple[str, ...] = Field(min_length=1, description="Patterns of layers with the extent of the event")
    points_lines: tuple[str, ...] = Field((), description="Patterns of layers that map the event as points or lines")
    damage: tuple[str, ...] = Field(min_length=1, description="Patterns of layers with graded features")
    aoi: tuple[str, ...] = Field(min_length=1, description="Patterns of layers with the area of interest")
    not_analysed: tuple[str, ...] = Field((), description="Patterns of layers with areas that could not be analysed")
    images: tuple[str, ...] = Field((), description="Patterns of tables of a product's source images")
    event_type: tuple[str, ...] = Field(min_length=1, description="Attributes with the type of event")
    kind: tuple[str, ...] = Field((), description="Attributes with the subtype")
    comment: tuple[str, ...] = Field((), description="Attributes with a comment")
    grade: tuple[str, ...] = Field(min_length=1, description="Attributes with the grade of damage")

    @field_validator("observed", "points_lines", "damage", "aoi", "not_analysed", "images")
    @classmethod
    def _compile(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            compile_pattern(pattern)
        return patterns


class TimeField(StrictModel):
    """Attributes with a time, and its formats. Times without a zone are UTC."""

    fields: tuple[str, ...] = Field(min_length=1, description="Attributes; the first with a value is used")
    formats: tuple[str, ...] = Field(
        ("iso",), min_length=1, description="`iso`, `epoch_ms`, `epoch_s` or a pattern of strptime, tried in this order"
    )

    @field_validator("formats")
    @classmethod
    def _check_formats(cls, formats: tuple[str, ...]) -> tuple[str, ...]:
        for name in formats:
            if name != "iso" and name not in EPOCH_UNITS_S and "%" not in name:
                raise invalid(
                    "unknown format", value=name, remedy="use iso, epoch_ms, epoch_s or a pattern as %Y/%m/%d"
                )
        return formats


class CategoryField(StrictModel):
    """Attributes with a category, and the mapping of its values."""

    fields: tuple[str, ...] = Field(min_length=1, description="Attributes; the first that the layer has is used")
    values: dict[str, str] = Field(min_length=1, description="Value, in any case → event type or grade of damage")
    unmapped: Literal["error", "drop"] = Field("error", description="What to do with features of other values")


class VectorMapping(StrictModel):
    """Attributes of a vector file, named in any case."""

    id: tuple[str, ...] = Field(min_length=1, description="Attributes that together identify an event")
    id_any_of: tuple[str, ...] = Field(
        (), description="Attributes of `id` of which at least one must have a value; by default all must"
    )
    prefix: str = Field("", pattern=r"^[a-z0-9-]*$", description="Prefix of ids, to keep those of two sources apart")
    group: tuple[str, ...] = Field(
        (), description="Attributes that together identify what belongs to one split; by default the event"
    )
    type: str | CategoryField = Field(description="Type of all events, or the attributes that hold it")
    start: TimeField | None = Field(None, description="By default the `dates` of the recipe's entry")
    end: TimeField | None = None
    observed: TimeField | None = Field(None, description="Acquisition time of the image the outline was drawn from")
    product: tuple[str, ...] = Field((), description="Attributes that together name the product; by default the id")
    magnitude: tuple[str, ...] = Field((), description="Attributes; the first that the layer has is used")
    grade: CategoryField | None = Field(None, description="Grade of damage of a polygon, which names its event part")

    @model_validator(mode="after")
    def _check_id_any_of(self) -> "VectorMapping":
        for name in self.id_any_of:
            if name not in self.id:
                raise invalid(
                    "not an attribute of `id`", key="id_any_of", value=name, remedy=f"use {', '.join(self.id)}"
                )
        return self


class MaskMapping(StrictModel):
    """Pixel values and names of rasters that map an event, one band each."""

    type: str | dict[str, str] = Field(
        description="Type of all events, or word of the group `type` in a file's name, in lower case → type"
    )
    affected: tuple[float, ...] = Field(min_length=1, description="Values of pixels that the event affects")
    unaffected: tuple[float, ...] = Field((), description="Values of pixels that were looked at, and are not affected")
    unknown: tuple[float, ...] = Field((), description="Values of other pixels, beside the file's own nodata value")
    prefix: str = Field("", pattern=r"^[a-z0-9-]*$", description="Prefix of ids, to keep those of two sources apart")
    names: tuple[str, ...] = Field(
        (),
        description="Regular expressions searched in a file's name, the first match is used; groups: `id` (by default"
        " the name; files of one id are one event), `group` (what belongs to one split), `type`, `start`, `end`,"
        " `observed` (20181029, 2018-10-29 or 20181029T101500, UTC)",
    )

    @field_validator("names")
    @classmethod
    def _check_names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in names:
            names_of_groups = compile_pattern(pattern).groupindex.keys()
            unknown = names_of_groups - {"id", "group", "type", "start", "end", "observed"}
            if unknown:
                raise invalid(f"unknown group {min(unknown)}", value=pattern)
        return names

    @model_validator(mode="after")
    def _check_values(self) -> "MaskMapping":
        if (duplicate := first_duplicate(self.values)) is not None:
            raise invalid("a value has two meanings", value=duplicate)
        return self

    @property
    def values(self) -> tuple[float, ...]:
        """All values."""
        return self.affected + self.unaffected + self.unknown


class EventSource(StrictModel):
    """A file in taxonomies/events/, except types.yaml."""

    name: str = Field(pattern=r"^[a-z0-9-]+$")
    title: str
    licence: str
    attribution: str
    ems: EmsMapping | None = None
    vectors: VectorMapping | None = None
    masks: MaskMapping | None = Field(None, exclude_if=lambda masks: masks is None)

    @model_validator(mode="after")
    def _check_mapping(self) -> "EventSource":
        if [self.ems, self.vectors, self.masks].count(None) != 2:
            raise invalid("needs exactly one of `ems`, `vectors` and `masks`")
        return self


def load_source(name: str) -> EventSource:
    """Load a source by its name or the path of its file.

    Raises:
        InputError: the file is missing or invalid.
    """
    return load_model(EventSource, FOLDER, name)


def source_problems(source: EventSource, types: EventTypes, *, stem: str) -> Iterator[InputError]:
    """Problems of a source that its model does not see.

    Args:
        source: The source.
        types: The event types that it may name.
        stem: Name of its file without the suffix.
    """
    if source.name != stem:
        remedy = f"rename it to the file's name {stem}, which recipes use"
        yield InputError("differs from the file's name", key="name", value=source.name, remedy=remedy)
    for key in ("title", "licence", "attribution"):
        if not str(getattr(source, key)).strip():
            yield InputError("is empty", key=key, remedy="fill it in")
    if source.ems is not None and source.ems.vocabulary not in available("taxonomies"):
        value, remedy = source.ems.vocabulary, "name a file of taxonomies/, as ems"
        yield InputError("no such vocabulary", key="ems.vocabulary", value=value, remedy=remedy)
    for key, name in _named_types(source):
        if name not in types.types:
            remedy = f"name one of taxonomies/events/types.yaml: {', '.join(types.types)}"
            yield InputError("unknown event type", key=key, value=name, remedy=remedy)


def _named_types(source: EventSource) -> Iterator[tuple[str, str]]:
    """The event types that a source names, with their keys."""
    for key, mapped in (("vectors.type", source.vectors), ("masks.type", source.masks)):
        if mapped is None:
            continue
        if isinstance(mapped.type, str):
            yield key, mapped.type
        elif isinstance(mapped.type, CategoryField):
            yield from ((f"{key}.values.{word}", name) for word, name in mapped.type.values.items())
        else:
            yield from ((f"{key}.{word}", name) for word, name in mapped.type.items())
