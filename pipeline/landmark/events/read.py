"""What reading gives, and the rules every source's events keep."""

import datetime as dt
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from landmark.core.errors import InputError
from landmark.domain.event import Event, Events, EventType
from landmark.domain.vocabulary import Notations

# Part of an event that was mapped as affected, without a grade.
OBSERVED = "observed"


@dataclass(frozen=True, slots=True)
class Read:
    """Events, in the order of their ids.

    Attributes:
        notes: Lines for people, free of paths: what was repaired, replaced or left out.
        files: Every file on disk that was looked into, sorted.
        repaired: Event → polygons that were invalid in its files.
    """

    events: tuple[Event, ...] = ()
    notes: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    repaired: Mapping[str, int] = field(default_factory=dict)


class Asked:
    """A recipe's entry, and what it decides of an event."""

    def __init__(self, entry: Events, types: Mapping[str, EventType], words: Notations) -> None:
        if unknown := [name for name in entry.types if name not in types]:
            known = ", ".join(types)
            raise InputError(f"events: {entry.name}: types: {unknown[0]!r} is none of those in types.yaml, {known}")
        self.entry, self.types, self.words = entry, types, words
        self._graded = {grade.to for grade in words.gradings.values()} - {None}
        self._dates = {name.lower(): span for name, span in entry.dates.items()}
        for name, moments in entry.dates.items():
            for one in filter(None, moments):
                sane(one, f"{entry.name}: dates: {name}")

    def keeps(self, type_: str) -> bool:
        """Whether the recipe wants events of a type."""
        return not self.entry.types or type_ in self.entry.types

    def by_grade(self, type_: str) -> bool:
        """Whether gradings give the class of a type; then they alone do: where it shook is not where it broke."""
        return self.types[type_].to in self._graded

    def stated(self, id_: str, group: str) -> tuple[dt.datetime, dt.datetime | None] | None:
        """Start and end the recipe states for an event, or for its group."""
        return self._dates.get(id_, self._dates.get(group))

    def end(
        self, type_: str, start: dt.datetime, *, stated: dt.datetime | None, seen: dt.datetime | None
    ) -> dt.datetime:
        """The stated end; else as long after the start as such events last, but not before it was seen last.

        What lasts no time leaves its trace at once: seeing that later makes it no longer.
        """
        lasts = dt.timedelta(days=self.types[type_].lasts_days)
        if stated is not None:
            return stated
        return max(start + lasts, seen) if seen is not None and lasts else start + lasts

    def check_dates(self, events: Sequence[Event]) -> None:
        """Refuse dates of nothing that was read, where nothing was left out on purpose.

        Raises:
            InputError: a name in `dates` is no event's and no group's.
        """
        if self.entry.types or self.entry.min_magnitude is not None:
            return
        names = {name for event in events for name in (event.id, event.group)}
        if idle := sorted(set(self._dates) - names):
            known = ", ".join(sorted(names)[:6]) or "none"
            raise InputError(f"events: {self.entry.name}: dates: {idle[0]!r} is no event or group read here: {known}")


def sane(when: dt.datetime, where: str) -> dt.datetime:
    """A moment that events may have: what is added to it later stays a date.

    Raises:
        InputError: before 1000 or after 2999, with where it stands.
    """
    if not 1000 <= when.year <= 2999:
        raise InputError(
            f"events: {where}: {when.date()} lies outside 1000-01-01 to 2999-12-31; correct it, or leave it empty"
        )
    return when


def slug(*words: str) -> str:
    """Words as an id: lower case ASCII letters and digits, all else `-`, `_` kept."""
    plain = unicodedata.normalize("NFKD", "-".join(words)).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9_]+", "-", plain).strip("-")


def combined(reads: Sequence[Read]) -> Read:
    """Several sources' events as one; an event two of them tell alike is one event.

    Raises:
        InputError: two of one id differ.
    """
    events: dict[str, Event] = {}
    for event in (event for read in reads for event in read.events):
        if (other := events.setdefault(event.id, event)) != event:
            raise InputError(
                f"events: {event.id} is told twice and differently, by {other.product} ({other.source}) and by"
                f" {event.product} ({event.source}): keep one of the two files"
            )
    return Read(
        events=tuple(events[id_] for id_ in sorted(events)),
        notes=tuple(dict.fromkeys(note for read in reads for note in read.notes)),
        files=tuple(sorted({path for read in reads for path in read.files})),
        repaired={id_: count for read in reads for id_, count in read.repaired.items()},
    )
