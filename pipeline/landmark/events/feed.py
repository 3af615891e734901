"""Public event feeds: their profiles, queries and HTTP client."""

import datetime as dt
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import requests
from pydantic import Field

from landmark.core.atomic import atomic_path
from landmark.core.errors import DownloadPending, InputError
from landmark.core.http import RESUME_HINT, IncompleteDownload, download, open_session
from landmark.core.yaml_files import StrictModel

Value = TypeVar("Value")
Box = tuple[float, float, float, float]


class Feed(StrictModel):
    """A file in profiles/events/."""

    name: str = Field(pattern=r"^[a-z0-9-]+$", description="Also the name of the source in taxonomies/events/")
    service: Literal["fdsn", "ems", "wfs"] = Field(description="Protocol of the service")
    api: str = Field(pattern=r"^https?://.*[^/]$", description="Root URL of the service, without a trailing slash")
    page: int = Field(1000, ge=1, description="Entries per request")
    layer: str = Field("", description="Layer of a web feature service")
    dates: tuple[str, ...] = Field((), description="Attributes of a layer with the start of an event, ISO 8601")
    extent: Box | None = Field(None, description="West, south, east, north of all features, degrees")


@dataclass(frozen=True, slots=True)
class FeedQuery:
    """Filters of a feed.

    Attributes:
        since: Earliest start, UTC.
        until: Latest start, UTC.
        min_magnitude: Of earthquakes.
        bbox: West, south, east, north in degrees.
        codes: Activations.
    """

    since: dt.datetime | None = None
    until: dt.datetime | None = None
    min_magnitude: float | None = None
    bbox: Box | None = None
    codes: tuple[str, ...] = ()

    def includes(self, start: dt.datetime | None) -> bool:
        """Whether a start is in the time range; an unknown start is only if there is no range."""
        if start is None:
            return self.since is None and self.until is None
        return (self.since is None or start >= self.since) and (self.until is None or start <= self.until)


class FeedClient:
    """HTTP client of a feed.

    Raises, in every method:
        InputError: the server refuses the request.
        DownloadPending: no response, or an incomplete one.
    """

    def __init__(self) -> None:
        self._session = open_session()

    def get_json(self, url: str, query: Mapping[str, Any]) -> dict[str, Any]:
        """Request a JSON object."""
        try:
            with self._session.get(url, params=dict(query)) as response:
                response.raise_for_status()
                value = response.json()
        except requests.HTTPError as error:
            raise _refusal(error.response) from error
        except requests.JSONDecodeError as error:
            raise DownloadPending(f"response is no complete JSON: {error}", file=url, remedy=RESUME_HINT) from error
        except requests.RequestException as error:
            raise DownloadPending(f"cannot be reached: {error}", file=url, remedy=RESUME_HINT) from error
        if not isinstance(value, dict):
            problem = f"response is a {type(value).__name__}, not an object"
            raise DownloadPending(problem, file=url, remedy=RESUME_HINT)
        return value

    def download_zip(self, url: str, path: Path) -> None:
        """Download a zip atomically."""
        with atomic_path(path) as partial:
            try:
                with partial.open("wb") as file:
                    download(self._session, url, file)
            except requests.HTTPError as error:
                raise _refusal(error.response) from error
            except IncompleteDownload as error:
                raise DownloadPending(f"incomplete download: {error}", file=url, remedy=RESUME_HINT) from error
            if not zipfile.is_zipfile(partial):
                raise DownloadPending("the download is no complete zip", file=url, remedy=RESUME_HINT)


def require(response: object, key: str, kind: type[Value], url: str) -> Value:
    """The value under a key of a response, or of an object in it.

    Raises:
        DownloadPending: the key is missing, or its value is of another type.
    """
    value = response.get(key) if isinstance(response, dict) else None
    if not isinstance(value, kind):
        problem = f"response has no value of type {kind.__name__}"
        raise DownloadPending(problem, file=url, key=key, value=value, remedy=RESUME_HINT)
    return value


def _refusal(response: requests.Response) -> InputError:
    reason = " ".join(response.text.split())[:200] or response.reason
    return InputError(f"the server refuses the request: {response.status_code} {reason}", file=response.url)
