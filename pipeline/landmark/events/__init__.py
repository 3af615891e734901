"""Crisis events: what mapping services and catalogues publish, as `Event`s; and their public feeds."""

from collections.abc import Sequence
from pathlib import Path

from landmark.base.events import Events, EventTypes
from landmark.base.files import load
from landmark.base.notations import Notations
from landmark.events.ems import read_packages
from landmark.events.feed import Feed, Wanted
from landmark.events.fetch import fetch
from landmark.events.files import event_files, origins, unpacked
from landmark.events.read import Asked, Read, combined
from landmark.events.shapes import affected_km2, area_km2
from landmark.events.source import ROOM, EventSource, load_source
from landmark.events.vectors import read_vectors

__all__ = [
    "EventSource",
    "Feed",
    "Read",
    "Wanted",
    "affected_km2",
    "area_km2",
    "combined",
    "event_files",
    "fetch",
    "load_source",
    "read_events",
]


def read_events(entry: Events, source: EventSource, paths: Sequence[Path]) -> Read:
    """The events an entry asks for, from files and folders.

    Raises:
        InputError: naming file, key, value and remedy.
    """
    words = load(Notations, "taxonomies", "ems" if source.ems is None else source.ems.words)
    asked = Asked(entry, load(EventTypes, ROOM, "types").types, words)
    with unpacked(paths) as found:
        read = read_vectors(found, source, asked) if source.ems is None else read_packages(found, source, asked)
        asked.check_dates(read.events)
        return combined([read, Read(files=origins(found))])
