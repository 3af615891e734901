"""What the mapping service's own documents say of an activation, and how its packages write times."""

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from landmark.core.errors import InputError
from landmark.domain.event import moment
from landmark.domain.vocabulary import Dropped, Notations
from landmark.events.files import Found
from landmark.events.packages import parse
from landmark.events.read import sane


@dataclass(frozen=True, slots=True)
class Activation:
    """An activation as the service's API tells it.

    Attributes:
        start: When the event began, UTC.
        path: The document.
    """

    start: dt.datetime | None
    category: str | None
    kind: str | None
    path: Path

    def means(self, words: Notations, *, kind: object, notation: object = None) -> str | Dropped:
        """What its category means, where kind and notation say no more.

        Raises:
            InputError: the category is unknown; with the document.
        """
        try:
            return words.event_type(self.category, kind, notation)
        except InputError as error:
            raise InputError(f"events: {self.path.name}: `category`: {error}") from error


def activations(found: Iterable[Found]) -> dict[str, Activation]:
    """Code in lower case → what answers of the service's API say that are among the files, or lie beside them.

    Raises:
        InputError: such a document has a start that is no moment, or is out of all time.
    """
    paths = {path for one in found for path in (*one.origin.parent.glob("*.json"), one.path)}
    named = sorted(path for path in paths if path.suffix.lower() == ".json" and parse(path.stem) is None)
    return {str(one["code"]).lower(): _activation(one, path) for path in named for one in _answers(path)}


def taken(day: Any, hour: Any) -> dt.datetime | None:
    """A moment from `06/08/2015` and `T09:02:36Z`; None where they are written in no known way."""
    clock = str(hour or "").strip().removeprefix("T").removesuffix("Z") or "00:00:00"
    for form in ("%d/%m/%Y", "%Y-%m-%d", "%Y/%m/%d"):
        for time in ("%H:%M:%S", "%H:%M"):
            try:
                return dt.datetime.strptime(f"{str(day).strip()} {clock}", f"{form} {time}").replace(tzinfo=dt.UTC)
            except ValueError:
                continue
    return None


def _answers(path: Path) -> Iterator[dict[str, Any]]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return  # some other file that lies there
    results = document.get("results", [document]) if isinstance(document, dict) else []
    for one in results if isinstance(results, list) else []:
        if isinstance(one, dict) and str(one.get("code", "")).upper().startswith("EMS"):
            yield one


def _activation(said: Mapping[str, Any], path: Path) -> Activation:
    try:
        start = moment(str(said["eventTime"])) if said.get("eventTime") else None
    except ValueError as error:
        raise InputError(f"events: {path.name}: `eventTime` is no moment: {said['eventTime']!r}") from error
    if start is not None:
        sane(start, f"{path.name}: `eventTime`")
    return Activation(start, said.get("category"), said.get("subCategory"), path)
