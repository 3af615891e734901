"""Count invalid items among those that meet region and time; refuse a catalogue with too many of them."""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import shapely
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from landmark.core.crs import lonlat_problem, split_antimeridian
from landmark.core.errors import InputError
from landmark.core.limits import FOOTPRINT_VERTICES
from landmark.core.outlines import make_valid
from landmark.core.time import parse_utc
from landmark.domain.drops import DropRecord
from landmark.stac.documents import InvalidItem


@dataclass(slots=True)
class CatalogErrors:
    """Items that meet region and time, and the invalid ones among them, by sensor or label source.

    Attributes:
        matching: Source -> ids.
        errors: Source -> id -> what is wrong.
    """

    matching: dict[str, set[str]] = field(default_factory=dict)
    errors: dict[str, dict[str, InputError]] = field(default_factory=dict)

    def count(self, source: str, id: str) -> None:
        """Count an item that meets region and time."""
        self.matching.setdefault(source, set()).add(id)

    def add(self, source: str, item: InvalidItem) -> None:
        """Count an invalid item that meets region and time."""
        self.count(source, item.id)
        self.errors.setdefault(source, {})[item.id] = item.error

    def check(self, href: str, max_pct: float) -> None:
        """Require that at most `max_pct` percent of the items of each source are invalid; `href` is the catalogue.

        Raises:
            InputError: more are; it lists each kind with its number and one example.
        """
        problems: list[InputError] = []
        for source, errors in sorted(self.errors.items()):
            total = len(self.matching[source])
            if 100 * len(errors) > max_pct * total:
                problems.append(
                    InputError(
                        f"{len(errors)} of {total} items of {source} in region and time are invalid, more than"
                        f" {max_pct:g} %: {', '.join(self._kinds(errors))}",
                        file=href,
                        key="catalog_errors.max_pct",
                        value=round(100 * len(errors) / total, 1),
                        remedy="mend these items, or raise `catalog_errors.max_pct` in the recipe to leave them out",
                    )
                )
                problems += _examples(errors).values()
        if problems:
            raise InputError.combined(problems)

    def records(self) -> Iterator[DropRecord]:
        """A ledger row for each invalid item."""
        for errors in self.errors.values():
            for id, error in errors.items():
                detail = ": ".join(part for part in (error.key, error.problem) if part)
                yield DropRecord(id, "", "stac", "item_invalid", " ".join(detail.split()))

    @staticmethod
    def _kinds(errors: dict[str, InputError]) -> Iterator[str]:
        for kind in _examples(errors):
            yield f"{sum(_kind(error) == kind for error in errors.values())} {kind}"


def in_region(item: InvalidItem, region: BaseGeometry) -> bool:
    """Whether an invalid item may intersect a region: by its geometry, else its bounding box, else yes."""
    outline = _outline(item)
    return outline is None or bool(region.intersects(outline))


def in_time(item: InvalidItem, days: Sequence[tuple[dt.date, dt.date]]) -> bool:
    """Whether an invalid item may be of some days, given as (first, last): yes if its time is unreadable."""
    properties = item.properties if isinstance(item.properties, dict) else {}
    time = _day(properties.get("datetime"))
    start, end = (_day(properties.get(key)) or time for key in ("start_datetime", "end_datetime"))
    if start is None or end is None:
        return True
    return any(start <= last and end >= first for first, last in days)


def _examples(errors: dict[str, InputError]) -> dict[str, InputError]:
    """The first error of each kind, the most frequent kind first."""
    kinds = [_kind(error) for error in errors.values()]
    first = {_kind(error): error for error in reversed(list(errors.values()))}
    return {kind: first[kind] for kind in sorted(first, key=lambda kind: (-kinds.count(kind), kind))}


def _kind(error: InputError) -> str:
    return error.key.split(".")[0] if error.key else "unreadable"


def _outline(item: InvalidItem) -> BaseGeometry | None:
    """Area of an invalid item by its geometry or, where that is no area in degrees, its bounding box; else None."""
    for read, value in ((_shape, item.geometry), (_box, item.bbox)):
        try:
            outline = read(value)
        except Exception:  # any value can stand there, and shapely has no common error class
            continue
        if lonlat_problem(outline.bounds) is None:
            return outline
    return None


def _shape(geometry: Any) -> BaseGeometry:
    polygons = shape(geometry)
    if shapely.get_num_coordinates(polygons) > FOOTPRINT_VERTICES:
        raise ValueError("too many vertices")
    if lonlat_problem(polygons.bounds) is not None:
        raise ValueError(geometry)
    outline: BaseGeometry = make_valid(split_antimeridian(polygons))
    return outline


def _box(bbox: Any) -> BaseGeometry:
    west, south, east, north = bounds = bbox if len(bbox) == 4 else (*bbox[:2], *bbox[3:5])
    if lonlat_problem(bounds) is not None:
        raise ValueError(bbox)
    spans = [(west, east)] if west <= east else [(west, 180), (-180, east)]
    outline: BaseGeometry = shapely.union_all([shapely.box(start, south, end, north) for start, end in spans])
    return outline


def _day(value: Any) -> dt.date | None:
    try:
        return parse_utc(value).date()
    except (AttributeError, TypeError, ValueError):
        return None
