"""Read the events of a recipe entry from packages or vector files."""

from collections.abc import Sequence
from pathlib import Path

from landmark.core.yaml_files import load
from landmark.domain.event import Events, EventTypes
from landmark.domain.vocabulary import Notations
from landmark.events.ems import read_packages
from landmark.events.files import origins, unpacked
from landmark.events.read import Asked, Read, combined
from landmark.events.source import ROOM, EventSource
from landmark.events.vectors import read_vectors


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
