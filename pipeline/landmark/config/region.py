"""Where and when a recipe looks: boxes or a polygon, in degrees of EPSG:4326; first and last day."""

import datetime as dt
import json
from pathlib import Path
from typing import Any, Literal

import shapely
from pydantic import Field, field_validator, model_validator
from shapely.geometry.base import BaseGeometry

from landmark.core.errors import InputError
from landmark.core.yaml_files import Strict

_FIRST, _LAST = dt.date(1970, 1, 1), dt.date(2999, 12, 31)


class Region(Strict):
    """Where. One of `bbox`, `geojson`."""

    bbox: tuple[tuple[float, float, float, float], ...] | None = Field(
        None,
        min_length=1,
        description="[west, south, east, north] in degrees, or a list of such; west > east crosses the antimeridian",
    )
    geojson: str | dict[str, Any] | None = Field(None, description="Path of a GeoJSON file (EPSG:4326), or a geometry")

    @field_validator("bbox", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, list | tuple) and value and isinstance(value[0], int | float) else value

    @field_validator("bbox")
    @classmethod
    def _on_earth(cls, boxes: tuple[tuple[float, float, float, float], ...] | None) -> Any:
        for west, south, east, north in boxes or ():
            if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south < north <= 90 and west != east):
                raise ValueError("a box is [west, south, east, north] in degrees with south < north")
        return boxes

    @model_validator(mode="after")
    def _exactly_one(self) -> "Region":
        if (self.bbox is None) == (self.geojson is None):
            raise ValueError("give exactly one of `bbox` and `geojson`")
        return self

    @property
    def geometry(self) -> BaseGeometry:
        """The region in EPSG:4326.

        Raises:
            InputError: the GeoJSON is unreadable, empty or not an area.
        """
        if self.bbox is not None:
            return shapely.union_all([part for box in self.bbox for part in _boxes(*box)])
        return _area(self.geojson if self.geojson is not None else {}, "region")


class TimeRange(Strict):
    """When. A sample is chosen per cell and period."""

    start: dt.date = Field(ge=_FIRST, le=_LAST, description="First day")
    end: dt.date = Field(ge=_FIRST, le=_LAST, description="Last day, included")
    period: Literal["year", "month"] = Field("year", description="Calendar unit within which one acquisition is chosen")

    @model_validator(mode="after")
    def _ordered(self) -> "TimeRange":
        if self.end < self.start:
            raise ValueError(f"end {self.end} is before start {self.start}")
        return self

    def meets(self, start: dt.datetime, end: dt.datetime) -> bool:
        """Whether a span of moments has a day in it."""
        return start.date() <= self.end and end.date() >= self.start

    def period_of(self, moment: dt.date) -> str:
        """`2021` or `2021-06`."""
        return f"{moment:%Y}" if self.period == "year" else f"{moment:%Y-%m}"

    def span(self, period: str) -> tuple[dt.datetime, dt.datetime]:
        """First and last moment of a period that lie in the recipe's time, UTC."""
        year, month = int(period[:4]), int(period[5:] or 0)
        first = dt.date(year, month or 1, 1)
        after = dt.date(year + 1, 1, 1) if month in (0, 12) else dt.date(year, month + 1, 1)
        start = dt.datetime.combine(max(first, self.start), dt.time.min, dt.UTC)
        return start, dt.datetime.combine(min(after - dt.timedelta(days=1), self.end), dt.time.max, dt.UTC)


def resolved(region: Region, path: Path) -> Region:
    """The region of a recipe at a path, its GeoJSON file read.

    Raises:
        InputError: the file cannot be read, or holds no area.
    """
    if isinstance(region.geojson, dict):
        _area(region.geojson, f"{path}: region.geojson")
    if not isinstance(region.geojson, str):
        return region
    file = path.parent / region.geojson
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: region.geojson: {file} cannot be read as JSON: {error}") from error
    return Region(bbox=None, geojson=json.loads(shapely.to_geojson(_area(document, str(file)))))


def _area(document: str | dict[str, Any], source: str) -> BaseGeometry:
    try:
        geometry = shapely.force_2d(shapely.union_all(shapely.get_parts(shapely.from_geojson(json.dumps(document)))))
    except (shapely.errors.GEOSException, TypeError) as error:
        raise InputError(f"{source}: not a GeoJSON geometry in EPSG:4326: {error}") from error
    if geometry.is_empty or geometry.area == 0:
        raise InputError(f"{source}: must be a polygon, not {geometry.geom_type or 'nothing'}")
    west, south, east, north = geometry.bounds
    if west < -180 or east > 180 or south < -90 or north > 90:
        raise InputError(f"{source}: coordinates are not degrees of EPSG:4326: {geometry.bounds}")
    return geometry


def _boxes(west: float, south: float, east: float, north: float) -> list[BaseGeometry]:
    if west < east:
        return [shapely.box(west, south, east, north)]
    return [shapely.box(west, south, 180, north), shapely.box(-180, south, east, north)]
