"""A recipe's event sources."""

import datetime as dt
from typing import Any

from pydantic import Field, field_validator

from landmark.config.paths import FileEntry
from landmark.core.errors import invalid
from landmark.core.time import parse_utc


class EventEntry(FileEntry):
    """An event source and the files it is read from."""

    source: str = Field(description="Name of a file in taxonomies/events/, or path of such a file")
    files: tuple[str, ...] = Field(
        min_length=1,
        description="Files, folders or globs relative to the recipe; `world:` for the embedded world's folder",
    )
    dates: dict[str, tuple[dt.datetime, dt.datetime | None]] = Field(
        default_factory=dict,
        description="Event or group: its start, or [start, end], overriding the files; a date alone is the full day",
    )
    within_km: float | None = Field(None, gt=0, le=1000, description="Radius around a point that counts as `near` it")
    min_magnitude: float | None = Field(None, description="Skip weaker events, and those of unknown magnitude")
    types: tuple[str, ...] = Field((), description="Keep only events of these types")

    @field_validator("dates", mode="before")
    @classmethod
    def _parse_dates(cls, dates: Any) -> Any:
        return {str(key): _interval(key, value) for key, value in dates.items()} if isinstance(dates, dict) else dates


def _interval(key: object, value: object) -> tuple[dt.datetime, dt.datetime | None]:
    first, last = value if isinstance(value, list | tuple) and len(value) == 2 else (value, None)
    try:
        start, end = parse_utc(str(first)), None if last is None else parse_utc(str(last), last=True)
    except ValueError as error:
        raise invalid("not a date such as 2018-10-29, nor [start, end]", key=str(key), value=value) from error
    if end is not None and end < start:
        raise invalid("end is before start", key=str(key), value=value)
    return start, end
