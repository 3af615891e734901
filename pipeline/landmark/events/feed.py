"""A public feed: where it is, what may be asked of it, and how its answers are fetched."""

import datetime as dt
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfileobj
from typing import Any, Literal, TypeVar

import requests
from pydantic import Field
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from landmark.core.atomic import appearing
from landmark.core.errors import DownloadPending, InputError
from landmark.core.http import PATIENCE, TIMEOUT_S
from landmark.core.yaml_files import Strict

Told = TypeVar("Told")
Box = tuple[float, float, float, float]
_AGAIN = "run the same command again to go on"


class Feed(Strict):
    """A file in profiles/events/."""

    name: str = Field(pattern=r"^[a-z0-9-]+$", description="Also of the file in taxonomies/events/ that reads it")
    service: Literal["fdsn", "ems", "wfs"]
    api: str = Field(pattern=r"^https?://.*[^/]$", description="Root of the service, without a slash at its end")
    page: int = Field(1000, ge=1, description="Entries asked for at once")
    layer: str = Field("", description="Of a feature service")
    dates: tuple[str, ...] = Field((), description="Attributes of a feature service with an event's start, ISO 8601")
    extent: Box | None = Field(None, description="West, south, east, north of all there can be, degrees")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of a feed. `bbox`: west, south, east, north in degrees; `codes`: activations."""

    since: dt.datetime | None = None
    until: dt.datetime | None = None
    min_magnitude: float | None = None
    bbox: Box | None = None
    codes: tuple[str, ...] = ()

    def covers(self, start: dt.datetime | None) -> bool:
        """Whether an event that begins then is wanted; one of unknown start is where no time is asked for."""
        if start is None:
            return self.since is None and self.until is None
        return (self.since is None or start >= self.since) and (self.until is None or start <= self.until)


class Line:
    """A session with a server, patient with a busy one.

    Raises, in every method:
        InputError: the server refuses what is asked.
        DownloadPending: no answer, or not a whole one.
    """

    def __init__(self) -> None:
        self._session = requests.Session()
        self._session.headers["User-Agent"] = "landmark"
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=PATIENCE))

    def json(self, url: str, query: Mapping[str, Any]) -> dict[str, Any]:
        """An answer that is a JSON object."""
        try:
            with self._session.get(url, params=dict(query), timeout=TIMEOUT_S) as answer:
                _accept(answer)
                value = answer.json()
        except requests.JSONDecodeError as error:
            raise DownloadPending(f"{url} answers without whole JSON ({error}); {_AGAIN}") from error
        except requests.RequestException as error:
            raise DownloadPending(f"{url} cannot be reached: {error}; {_AGAIN}") from error
        if not isinstance(value, dict):
            raise DownloadPending(f"{url} answers with a {type(value).__name__}, not with an object; {_AGAIN}")
        return value

    def package(self, url: str, path: Path) -> None:
        """A zip, written whole or not at all."""
        with appearing(path) as partial:
            try:
                with self._session.get(url, stream=True, timeout=TIMEOUT_S) as answer, partial.open("wb") as file:
                    _accept(answer)
                    copyfileobj(answer.raw, file, 1 << 20)
                    came, expected = file.tell(), int(answer.headers.get("Content-Length", file.tell()))
            except (requests.RequestException, HTTPError) as error:
                raise DownloadPending(f"{url}: the download was cut short: {error}; {_AGAIN}") from error
            if came != expected or not zipfile.is_zipfile(partial):
                raise DownloadPending(f"{url}: {came} of {expected} bytes came, no whole zip; {_AGAIN}")


def told(answer: object, key: str, kind: type[Told], url: str) -> Told:
    """What an answer, or an object in it, says under a key.

    Raises:
        DownloadPending: nothing, or nothing of that kind.
    """
    said = answer.get(key) if isinstance(answer, dict) else None
    if not isinstance(said, kind):
        raise DownloadPending(f"{url} answers without `{key}` as a {kind.__name__}; {_AGAIN}")
    return said


def _accept(answer: requests.Response) -> None:
    if answer.status_code >= 400:
        said = " ".join(answer.text.split())[:200] or answer.reason
        raise InputError(f"{answer.url} refuses what was asked: {answer.status_code} {said}")
