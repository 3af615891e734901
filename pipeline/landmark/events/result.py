"""Events read from files, and merging those of several sources."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from landmark.core.errors import InputError
from landmark.domain.event import Event


@dataclass(frozen=True, slots=True)
class ReadResult:
    """Events sorted by id.

    Attributes:
        notes: Messages without paths: what was repaired, replaced or skipped.
        files: All files on disk that were read, sorted.
        repaired: Event id → number of invalid polygons in its files.
        names: Ids and groups in the files, also of events that were skipped.
    """

    events: tuple[Event, ...] = ()
    notes: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    repaired: Mapping[str, int] = field(default_factory=dict)
    names: frozenset[str] = frozenset()


def merge_results(results: Sequence[ReadResult]) -> ReadResult:
    """Merge events of several sources; equal events of one id become one.

    Raises:
        InputError: two events of one id differ.
    """
    events: dict[str, Event] = {}
    for event in (event for result in results for event in result.events):
        if (first := events.setdefault(event.id, event)) != event:
            raise InputError(
                f"two different events of one id, in {first.product} ({first.source}) and {event.product}"
                f" ({event.source})",
                key="events",
                value=event.id,
                remedy="keep one of the two files",
            )
    return ReadResult(
        events=tuple(events[id_] for id_ in sorted(events)),
        notes=tuple(dict.fromkeys(note for result in results for note in result.notes)),
        files=tuple(sorted({path for result in results for path in result.files})),
        repaired={id_: count for result in results for id_, count in result.repaired.items()},
        names=frozenset(name for result in results for name in result.names),
    )
