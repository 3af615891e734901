"""Rules that events of all sources follow: types, dates, years and ids."""

import datetime as dt
import re
import unicodedata
from collections.abc import Mapping, Set

from landmark.config.event_entries import EventEntry
from landmark.core.errors import InputError
from landmark.domain.event import EventType
from landmark.domain.vocabulary import Vocabulary

# Part of an event that is mapped as affected, without a grade of damage.
OBSERVED = "observed"


class EventRules:
    """Selection, dates and damage classes of the events of one recipe entry.

    Attributes:
        entry: The recipe's entry.
        types: The event types by key.
        vocabulary: Names of event types and grades of damage.
    """

    def __init__(self, entry: EventEntry, types: Mapping[str, EventType], vocabulary: Vocabulary) -> None:
        for name in entry.types:
            if name not in types:
                key, remedy = f"events.{entry.name}.types", f"name one of {', '.join(types)}"
                raise InputError("unknown event type", key=key, value=name, remedy=remedy)
        self.entry, self.types, self.vocabulary = entry, types, vocabulary
        self._graded_classes = {grade.to for grade in vocabulary.gradings.values()} - {None}
        self._dates = {name.lower(): span for name, span in entry.dates.items()}
        for name, span in entry.dates.items():
            for time in filter(None, span):
                check_year(time, key=f"events.{entry.name}.dates.{name}")

    def includes(self, type_: str) -> bool:
        """Whether the entry includes events of a type."""
        return not self.entry.types or type_ in self.entry.types

    def needs_grade(self, type_: str) -> bool:
        """Whether only graded damage gives the class of a type: shaken ground is not damaged ground."""
        return self.types[type_].to in self._graded_classes

    def stated_dates(self, id_: str, group: str) -> tuple[dt.datetime, dt.datetime | None] | None:
        """Start and end that the entry states for an event, or else for its group."""
        return self._dates.get(id_, self._dates.get(group))

    def resolve_end(
        self, type_: str, start: dt.datetime, *, stated: dt.datetime | None, observed: dt.datetime | None
    ) -> dt.datetime:
        """The stated end, or else the start plus the duration of the type, but not before the event was observed.

        Types without a duration leave a lasting trace, so that a late observation does not extend them.
        """
        if stated is not None:
            return stated
        duration = dt.timedelta(days=self.types[type_].lasts_days)
        return max(start + duration, observed) if observed is not None and duration else start + duration

    def check_dates(self, names: Set[str]) -> None:
        """Refuse `dates` of names that are neither an event nor a group, unless the entry selects events.

        Raises:
            InputError: a key of `dates` is neither an event nor a group.
        """
        if self.entry.types or self.entry.min_magnitude is not None:
            return
        if unused := sorted(set(self._dates) - names):
            raise InputError(
                "no such event or group in the files",
                key=f"events.{self.entry.name}.dates",
                value=unused[0],
                remedy=f"the files hold {', '.join(sorted(names)[:6]) or 'none'}",
            )


def check_year(time: dt.datetime, *, file: str | None = None, key: str | None = None) -> dt.datetime:
    """Return a time, refusing years to which durations cannot be added safely.

    Raises:
        InputError: the time is before 1000 or after 2999.
    """
    if not 1000 <= time.year <= 2999:
        remedy = "correct it, or leave it empty"
        raise InputError("not in 1000-01-01 to 2999-12-31", file=file, key=key, value=str(time.date()), remedy=remedy)
    return time


def slug(*words: str) -> str:
    """Join words to an id of lower-case ASCII letters, digits and `_`; all else becomes `-`."""
    plain = unicodedata.normalize("NFKD", "-".join(words)).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9_]+", "-", plain).strip("-")
