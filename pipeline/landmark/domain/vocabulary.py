"""Words of a mapping service → kinds of events and grades of damage."""

import re
from collections.abc import Mapping
from typing import TypeVar

from pydantic import Field, model_validator

from landmark.core.errors import InputError
from landmark.core.yaml_files import Strict

# `5-Flood`, `5 - Flood`, and with the dash of a word processor.
_NUMBER = re.compile(r"^\d+\s*[-\N{EN DASH}]\s*")

Meant = TypeVar("Meant")


class Dropped(Strict):
    """A word that means no class."""

    drop: str = Field(min_length=1, description="Why")


class Grade(Strict):
    """A grade of damage."""

    key: str | None = Field(None, pattern=r"^[a-z_]+$", description="Name of the grade, and of the part of an event")
    to: str | None = Field(None, description="Target class of an earthquake's")
    drop: str | None = Field(None, min_length=1, description="Why it gives no class")

    @model_validator(mode="after")
    def _maps_or_drops(self) -> "Grade":
        if (self.to is None) == (self.drop is None):
            raise ValueError("give exactly one of `to` and `drop`")
        if self.key is None and self.to is not None:
            raise ValueError("a grade that leads to a class needs a `key`")
        return self


class Notations(Strict):
    """What a service writes in its packages; every table is read without case, number and spaces at either end."""

    name: str
    title: str
    target: str = Field(description="Name of the target taxonomy")
    unsaid: tuple[str, ...] = Field(("",), description="What stands where nothing is said")
    event_types: dict[str, str | Dropped] = Field(min_length=1, description="Type of event → key of the event types")
    kinds: dict[str, str | Dropped] = Field(default_factory=dict, description="Kind of event, which says more")
    notations: dict[str, str | Dropped] = Field(default_factory=dict, description="Comments that say most")
    gradings: dict[str, Grade] = Field(min_length=1, description="Grades of damage, worst first")

    @model_validator(mode="after")
    def _each_once(self) -> "Notations":
        for name in ("event_types", "kinds", "notations", "gradings"):
            words = [plain(word) for word in getattr(self, name)]
            if twice := sorted({word for word in words if words.count(word) > 1}):
                raise ValueError(f"{name}: {twice[0]!r} stands twice: case, number and spaces do not count")
        return self

    def event_type(self, event_type: object, kind: object = None, notation: object = None) -> str | Dropped:
        """Key of the event type, or why there is none: the comment counts, then the kind, then the type.

        Raises:
            InputError: the type of event is said, but unknown, and nothing else says what happened.
        """
        for said, table in ((notation, self.notations), (kind, self.kinds)):
            if (meant := _lookup(table, said)) is not None:
                return meant
        if self.is_unsaid(event_type):
            return Dropped(drop="does not say what happened")
        if (meant := _lookup(self.event_types, event_type)) is None:
            raise InputError(self._unknown("event_types", event_type))
        return meant

    def grade(self, grading: object) -> Grade:
        """What a grade of damage means.

        Raises:
            InputError: the grade is unknown.
        """
        if self.is_unsaid(grading):
            return Grade(drop="no statement")
        if (meant := _lookup(self.gradings, grading)) is None:
            raise InputError(self._unknown("gradings", grading))
        return meant

    def is_unsaid(self, value: object) -> bool:
        """Whether a value stands for no value."""
        return plain(value) in {plain(word) for word in self.unsaid}

    @property
    def grades(self) -> tuple[str, ...]:
        """Keys of the grades that lead to a class, worst first."""
        return tuple(dict.fromkeys(one.key for one in self.gradings.values() if one.key and one.to))

    def _unknown(self, table: str, value: object) -> str:
        words = ", ".join(getattr(self, table))
        return f"taxonomies/{self.name}.yaml: {table}: {str(value)!r} is not known, only {words}; add it there"


def plain(value: object) -> str:
    """A word as it is compared."""
    return _NUMBER.sub("", " ".join(str("" if value is None else value).split())).casefold()


def _lookup(table: Mapping[str, Meant], value: object) -> Meant | None:
    return next((meant for word, meant in table.items() if plain(word) == plain(value)), None)
