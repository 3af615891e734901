"""Activation documents of the Copernicus EMS API, and the times in its packages."""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from landmark.core.errors import InputError
from landmark.core.json_text import parse_bounded
from landmark.core.time import parse_utc
from landmark.domain.vocabulary import Ignored, Vocabulary
from landmark.events.files import VectorFile
from landmark.events.packages import parse_layer_name
from landmark.events.rules import check_year


@dataclass(frozen=True, slots=True)
class Activation:
    """An activation as the service's API describes it.

    Attributes:
        start: Start of the event, UTC.
        category: Type of event in the service's words.
        kind: Subtype in the service's words.
        path: The document.
    """

    start: dt.datetime | None
    category: str | None
    kind: str | None
    path: Path

    def event_type(self, vocabulary: Vocabulary, *, kind: object, comment: object = None) -> str | Ignored:
        """The event type of its category, unless kind or comment give one.

        Raises:
            InputError: the category is unknown.
        """
        try:
            return vocabulary.event_type(self.category, kind, comment)
        except InputError as error:
            raise InputError(str(error), file=self.path.name, key="category", value=self.category) from error


def read_activations(files: Iterable[VectorFile]) -> dict[str, Activation]:
    """Read the API's JSON responses among some files, or beside them: code in lower case → activation.

    Raises:
        InputError: the start in a document is no time, or out of range.
    """
    paths = {path for file in files for path in (*file.origin.parent.glob("*.json"), file.path)}
    documents = sorted(path for path in paths if path.suffix.lower() == ".json" and parse_layer_name(path.stem) is None)
    return {str(entry["code"]).lower(): _activation(entry, path) for path in documents for entry in _entries(path)}


def parse_image_time(day: Any, hour: Any) -> dt.datetime | None:
    """Parse a time such as `06/08/2015` and `T09:02:36Z`, None if it is in no known format."""
    clock = str(hour or "").strip().removeprefix("T").removesuffix("Z") or "00:00:00"
    for day_format in ("%d/%m/%Y", "%Y-%m-%d", "%Y/%m/%d"):
        for clock_format in ("%H:%M:%S", "%H:%M"):
            try:
                return parse_utc(f"{str(day).strip()} {clock}", f"{day_format} {clock_format}")
            except ValueError:
                continue
    return None


def _entries(path: Path) -> Iterator[dict[str, Any]]:
    try:
        document = parse_bounded(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return  # an unrelated file
    results = document.get("results", [document]) if isinstance(document, dict) else []
    for entry in results if isinstance(results, list) else []:
        if isinstance(entry, dict) and str(entry.get("code", "")).upper().startswith("EMS"):
            yield entry


def _activation(entry: Mapping[str, Any], path: Path) -> Activation:
    time = entry.get("eventTime")
    try:
        start = parse_utc(str(time)) if time else None
    except ValueError as error:
        raise InputError("not an ISO 8601 time", file=path.name, key="eventTime", value=time) from error
    if start is not None:
        check_year(start, file=path.name, key="eventTime")
    return Activation(start, entry.get("category"), entry.get("subCategory"), path)
