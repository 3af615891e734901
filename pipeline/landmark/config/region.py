"""Region and time of a recipe."""

import datetime as dt
import json
import re
from pathlib import Path
from typing import Any, Literal

import numpy as np
import shapely
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError
from shapely.geometry.base import BaseGeometry

from landmark.core.crs import LONLAT, lonlat_problem, split_antimeridian, wrap_longitudes
from landmark.core.errors import InputError, invalid
from landmark.core.limits import REGION_VERTICES
from landmark.core.yaml_files import StrictModel
from landmark.core.yaml_text import parse_json

# Edges are cut into this many segments before they are reprojected, where straight edges bend.
_SEGMENTS = 100
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
        for box in boxes or ():
            if (problem := lonlat_problem(box)) is not None:
                raise invalid(problem[0], remedy=f"a box is [west, south, east, north]: {problem[1]}")
            west, south, east, north = box
            if south >= north or west == east or (west > east and max(west, -east) > 180) or east - west > 360:
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

    @field_validator("start", "end", mode="before")
    @classmethod
    def _parse_day(cls, value: Any) -> Any:
        if isinstance(value, dt.date):
            return value
        try:
            return dt.date.fromisoformat(str(value))
        except ValueError as error:
            remedy = "write year, month and day: 2021-06-01"
            raise invalid("not a day", value=value, remedy=remedy) from error

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


def parse_region(text: str) -> dict[str, Any] | None:
    """The region of `west,south,east,north` or of a GeoJSON file's name; None for any other text.

    Raises:
        InputError: numbers that are no box.
    """
    if re.fullmatch(r"[-+\d.eE,\s]+", text) and "," in text:
        try:
            west, south, east, north = (float(part) for part in text.split(","))
        except ValueError as error:
            raise InputError("a box is west,south,east,north in degrees", file="--region", value=text) from error
        return {"bbox": [west, south, east, north]}
    return {"geojson": str(Path(text).absolute())} if text.endswith((".geojson", ".json")) else None


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
        document = parse_json(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        problem = f"cannot be read as JSON: {error}"
        raise InputError(problem, file=path, key="region.geojson", value=str(file)) from error
    return Region(bbox=None, geojson=json.loads(shapely.to_geojson(_parse_area(document, file=file))))


def _parse_area(document: str | dict[str, Any], file: Path | None = None, key: str | None = None) -> BaseGeometry:
    try:
        parts = shapely.force_2d(shapely.get_parts(shapely.from_geojson(json.dumps(document))))
        if (count := int(shapely.get_num_coordinates(parts).sum())) > REGION_VERTICES:
            raise TypeError(f"{count} vertices, more than {REGION_VERTICES}; simplify it")
        parts = _to_lonlat(parts, document.get("crs") if isinstance(document, dict) else None)
        geometry = shapely.union_all(parts)
    except (shapely.errors.GEOSException, ProjError, TypeError, KeyError) as error:
        raise InputError(f"not a GeoJSON geometry in EPSG:4326 or its `crs`: {error}", file=file, key=key) from error
    if geometry.is_empty or geometry.area == 0:
        raise InputError("must be a polygon", file=file, key=key, value=geometry.geom_type)
    west, _, east, _ = bounds = list(geometry.bounds)
    if (problem := lonlat_problem(bounds)) is not None:
        raise InputError(problem[0], file=file, key=key, value=bounds, remedy=problem[1])
    points, ring = shapely.get_coordinates(shapely.get_rings(shapely.get_parts(geometry)), return_index=True)
    longest_deg = np.abs(np.diff(points[:, 0]))[np.diff(ring) == 0].max()
    if 180 < longest_deg < 360:
        remedy = "split polygons that cross the antimeridian there, or count their longitudes beyond 180"
        raise InputError("an edge is longer than 180 degrees", file=file, key=key, value=bounds, remedy=remedy)
    return geometry if west >= -180 and east <= 180 else wrap_longitudes(shapely.get_parts(geometry))


def _to_lonlat(parts: NDArray[Any], crs: Any) -> NDArray[Any]:
    """Geometries in EPSG:4326 of a GeoJSON document, which before RFC 7946 could have another `crs`."""
    if crs is None:
        return parts
    source = CRS.from_user_input(crs["properties"]["name"])
    if source in (CRS.from_epsg(LONLAT), CRS.from_user_input("OGC:CRS84")):
        return parts
    transform = Transformer.from_crs(source, LONLAT, always_xy=True).transform
    segment = max(np.ptp(shapely.get_coordinates(parts), axis=0).max() / _SEGMENTS, 1)
    parts = shapely.transform(
        shapely.segmentize(parts, segment), lambda xy: np.stack(transform(xy[:, 0], xy[:, 1]), axis=1)
    )
    return np.array([split_antimeridian(part) for part in parts], dtype=object)


def _boxes(west: float, south: float, east: float, north: float) -> list[BaseGeometry]:
    if west < east:
        area = shapely.box(west, south, east, north)
        return [area if west >= -180 and east <= 180 else wrap_longitudes([area])]
    return [shapely.box(west, south, 180, north), shapely.box(-180, south, east, north)]
