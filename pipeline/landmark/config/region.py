"""Region and time of a recipe."""

import datetime as dt
import json
from pathlib import Path
from typing import Any, Literal

import shapely
from pydantic import Field, field_validator, model_validator
from shapely.geometry.base import BaseGeometry

from landmark.core.errors import InputError, invalid
from landmark.core.yaml_files import StrictModel
from landmark.core.yaml_text import parse_json

_FIRST, _LAST = dt.date(1970, 1, 1), dt.date(2999, 12, 31)


class Region(StrictModel):
    """Area of the corpus, EPSG:4326: one of `bbox` and `geojson`."""

    bbox: tuple[tuple[float, float, float, float], ...] | None = Field(
        None,
        min_length=1,
        description="[west, south, east, north] in degrees, or a list of boxes; west > east crosses the antimeridian",
    )
    geojson: str | dict[str, Any] | None = Field(None, description="GeoJSON geometry, or path of a GeoJSON file")

    @field_validator("bbox", mode="before")
    @classmethod
    def _wrap_single_box(cls, value: Any) -> Any:
        return [value] if isinstance(value, list | tuple) and value and isinstance(value[0], int | float) else value

    @field_validator("bbox")
    @classmethod
    def _check_boxes(cls, boxes: tuple[tuple[float, float, float, float], ...] | None) -> Any:
        for west, south, east, north in boxes or ():
            if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south < north <= 90 and west != east):
                raise invalid("a box is [west, south, east, north] in degrees with south < north")
        return boxes

    @model_validator(mode="after")
    def _check_keys(self) -> "Region":
        if (self.bbox is None) == (self.geojson is None):
            raise invalid("give exactly one of `bbox` and `geojson`")
        return self

    @property
    def geometry(self) -> BaseGeometry:
        """The region in EPSG:4326.

        Raises:
            InputError: the GeoJSON is invalid, empty or not a polygon.
        """
        if self.bbox is not None:
            return shapely.union_all([part for box in self.bbox for part in _boxes(*box)])
        return _parse_area(self.geojson if self.geojson is not None else {}, key="region.geojson")


class TimeRange(StrictModel):
    """Time of the images. One sample per cell, sensor and period."""

    start: dt.date = Field(ge=_FIRST, le=_LAST, description="First day")
    end: dt.date = Field(ge=_FIRST, le=_LAST, description="Last day, included")
    period: Literal["year", "month"] = Field("year", description="Calendar unit of which one acquisition is selected")

    @model_validator(mode="after")
    def _check_order(self) -> "TimeRange":
        if self.end < self.start:
            raise invalid("`end` is before `start`", value=f"{self.start}..{self.end}")
        return self

    def overlaps(self, start: dt.datetime, end: dt.datetime) -> bool:
        """Whether an interval has a day in it."""
        return start.date() <= self.end and end.date() >= self.start

    def period_of(self, day: dt.date) -> str:
        """Name of a day's period: `2021` or `2021-06`."""
        return f"{day:%Y}" if self.period == "year" else f"{day:%Y-%m}"

    def span(self, period: str) -> tuple[dt.datetime, dt.datetime]:
        """First and last microsecond of a period within the recipe's time, UTC."""
        year, month = int(period[:4]), int(period[5:] or 0)
        first = dt.date(year, month or 1, 1)
        after = dt.date(year + 1, 1, 1) if month in (0, 12) else dt.date(year, month + 1, 1)
        start = dt.datetime.combine(max(first, self.start), dt.time.min, dt.UTC)
        return start, dt.datetime.combine(min(after - dt.timedelta(days=1), self.end), dt.time.max, dt.UTC)


def resolve_region(region: Region, path: Path) -> Region:
    """The region of a recipe file, with its GeoJSON file read.

    Raises:
        InputError: the file is unreadable or holds no polygon.
    """
    if isinstance(region.geojson, dict):
        _parse_area(region.geojson, file=path, key="region.geojson")
    if not isinstance(region.geojson, str):
        return region
    file = path.parent / region.geojson
    try:
        document = parse_json(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        problem = f"cannot be read as JSON: {error}"
        raise InputError(problem, file=path, key="region.geojson", value=str(file)) from error
    return Region(bbox=None, geojson=json.loads(shapely.to_geojson(_parse_area(document, file=file))))


def _parse_area(document: str | dict[str, Any], file: Path | None = None, key: str | None = None) -> BaseGeometry:
    try:
        geometry = shapely.force_2d(shapely.union_all(shapely.get_parts(shapely.from_geojson(json.dumps(document)))))
    except (shapely.errors.GEOSException, TypeError) as error:
        raise InputError(f"not a GeoJSON geometry in EPSG:4326: {error}", file=file, key=key) from error
    if geometry.is_empty or geometry.area == 0:
        raise InputError("must be a polygon", file=file, key=key, value=geometry.geom_type)
    west, south, east, north = geometry.bounds
    if west < -180 or east > 180 or south < -90 or north > 90:
        raise InputError("bounds are not degrees of EPSG:4326", file=file, key=key, value=geometry.bounds)
    return geometry


def _boxes(west: float, south: float, east: float, north: float) -> list[BaseGeometry]:
    if west < east:
        return [shapely.box(west, south, east, north)]
    return [shapely.box(west, south, 180, north), shapely.box(-180, south, east, north)]
