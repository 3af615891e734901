"""Mapping of the words of a mapping service to types of events and grades of damage."""

import re
from collections.abc import Iterator, Mapping
from typing import TypeVar

from pydantic import Field, model_validator

from landmark.core.errors import InputError, invalid
from landmark.core.yaml_files import StrictModel
from landmark.domain.taxonomy import duplicates

# `5-Flood`, `5 - Flood`, also with an en dash.
_NUMBER = re.compile(r"^\d+\s*[-\N{EN DASH}]\s*")

Target = TypeVar("Target")


class Ignored(StrictModel):
    """A word without an event type."""

    drop: str = Field(min_length=1, description="Why")


class Grade(StrictModel):
    """A grade of damage."""

    key: str | None = Field(None, pattern=r"^[a-z_]+$", description="Name of the grade, and of the part of an event")
    to: str | None = Field(None, description="Target class, for earthquakes")
    drop: str | None = Field(None, min_length=1, description="Why it has no target class")

    @model_validator(mode="after")
    def _check_target(self) -> "Grade":
        if (self.to is None) == (self.drop is None):
            raise invalid("give exactly one of `to` and `drop`")
        if self.key is None and self.to is not None:
            raise invalid("a grade with a target class needs a `key`")
        return self


class Vocabulary(StrictModel):
    """Words of a service's packages. Case, a leading number and outer spaces are ignored in all tables."""

    name: str
    title: str
    target: str = Field(description="Name of the target taxonomy")
    missing_values: tuple[str, ...] = Field(("",), description="Words that stand for a missing value")
    event_types: dict[str, str | Ignored] = Field(min_length=1, description="Type of event → key in types.yaml")
    kinds: dict[str, str | Ignored] = Field(
        default_factory=dict, description="Kind of event → key; overrides the type of event"
    )
    comments: dict[str, str | Ignored] = Field(default_factory=dict, description="Comment → key; overrides both")
    gradings: dict[str, Grade] = Field(min_length=1, description="Grades of damage, worst first")

    @model_validator(mode="after")
    def _check_words(self) -> "Vocabulary":
        for problem in ambiguous_terms(self):
            raise invalid(problem.problem, key=problem.key, value=problem.value, remedy=problem.remedy)
        return self

    def event_type(self, event_type: object, kind: object = None, comment: object = None) -> str | Ignored:
        """Key of the event type, or why there is none; the comment overrides the kind, and the kind the type.

        Raises:
            InputError: the type is unknown, and neither comment nor kind is known.
        """
        for value, table in ((comment, self.comments), (kind, self.kinds)):
            if (target := _lookup(table, value)) is not None:
                return target
        if self.is_missing(event_type):
            return Ignored(drop="no type of event is given")
        if (target := _lookup(self.event_types, event_type)) is None:
            raise self._unknown("event_types", event_type)
        return target

    def grade(self, grading: object) -> Grade:
        """The grade of a word.

        Raises:
            InputError: the word is unknown.
        """
        if self.is_missing(grading):
            return Grade(drop="no grade is given")
        if (grade := _lookup(self.gradings, grading)) is None:
            raise self._unknown("gradings", grading)
        return grade

    def is_missing(self, value: object) -> bool:
        """Whether a value means that no value is given."""
        return normalize_term(value) in {normalize_term(word) for word in self.missing_values}

    @property
    def grades(self) -> tuple[str, ...]:
        """Keys of the grades that have a target class, worst first."""
        return tuple(dict.fromkeys(grade.key for grade in self.gradings.values() if grade.key and grade.to))

    def _unknown(self, table: str, value: object) -> InputError:
        return InputError(
            f"unknown word; known are {', '.join(getattr(self, table))}",
            file=f"taxonomies/{self.name}.yaml",
            key=table,
            value=str(value),
            remedy="add it there",
        )


def ambiguous_terms(vocabulary: Vocabulary) -> Iterator[InputError]:
    """Words that occur twice in a table if case, leading number and outer spaces are ignored."""
    for table in ("event_types", "kinds", "comments", "gradings"):
        yield from duplicates((f"{table}.{word}", normalize_term(word)) for word in getattr(vocabulary, table))


def normalize_term(value: object) -> str:
    """A word in lower case, without leading number and extra spaces."""
    return _NUMBER.sub("", " ".join(str("" if value is None else value).split())).casefold()


def _lookup(table: Mapping[str, Target], value: object) -> Target | None:
    return next((target for word, target in table.items() if normalize_term(word) == normalize_term(value)), None)
