"""Read the events of a recipe entry from packages, vector files or masks."""

from collections.abc import Sequence
from pathlib import Path

from landmark.config.event_entries import EventEntry
from landmark.core.yaml_files import load_model
from landmark.domain.event import EventTypes
from landmark.domain.vocabulary import Vocabulary
from landmark.events.ems import read_packages
from landmark.events.files import RASTER_SUFFIXES, SUFFIXES, source_files, unpack_files
from landmark.events.rasters import read_masks
from landmark.events.result import ReadResult, merge_results
from landmark.events.rules import EventRules
from landmark.events.source import FOLDER, EventSource
from landmark.events.vectors import read_vectors


def read_events(entry: EventEntry, source: EventSource, paths: Sequence[Path]) -> ReadResult:
    """Read the events that an entry selects from files and folders.

    Raises:
        InputError: a file, an attribute or the entry is invalid.
    """
    vocabulary = load_model(Vocabulary, "taxonomies", "ems" if source.ems is None else source.ems.vocabulary)
    rules = EventRules(entry, load_model(EventTypes, FOLDER, "types").types, vocabulary)
    read = read_packages if source.ems else read_vectors if source.vectors else read_masks
    with unpack_files(paths, RASTER_SUFFIXES if source.masks else SUFFIXES) as files:
        result = read(files, source, rules)
        rules.check_dates(result.names)
        return merge_results([result, ReadResult(files=source_files(files))])
