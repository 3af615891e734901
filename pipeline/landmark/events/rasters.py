"""Events of rasters with the values of affected, unaffected and unknown pixels, as polygons of their pixels."""

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio.features
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from landmark.core.errors import InputError
from landmark.core.ranges.errors import Unreadable
from landmark.core.time import parse_utc
from landmark.domain.event import AOI, Event, EventPart
from landmark.events.files import VectorFile
from landmark.events.geometry import polygons, union
from landmark.events.result import ReadResult
from landmark.events.rules import OBSERVED, EventRules, check_year, slug
from landmark.events.source import EventSource, MaskMapping
from landmark.raster.features import to_lonlat
from landmark.raster.reader import Raster, open_raster

# Rows that are read at once; edges are cut to this many pixels before they are reprojected, where straight lines bend.
_ROWS, _EDGE_PX = 1024, 16
_UNAFFECTED, _AFFECTED = 1, 2


@dataclass(frozen=True, slots=True)
class _Mask:
    """A file: its name in messages, the words of its name, its type, and areas in EPSG:4326, None if empty.

    `nodata` is the file's nodata value if that is also listed as affected or unaffected.
    """

    label: str
    words: Mapping[str, str]
    type: str
    affected: BaseGeometry | None
    aoi: BaseGeometry | None
    nodata: float | None


def read_masks(files: Sequence[VectorFile], source: EventSource, rules: EventRules) -> ReadResult:
    """Read the events of masks; those whose names hold the same id are one event.

    Raises:
        InputError: a mask is unreadable, has no CRS, type or start, or has a value that the source does not list.
    """
    assert source.masks is not None
    if not files:
        raise InputError("no raster", key=f"events.{source.name}.files", remedy="give GeoTIFFs")
    events: dict[str, list[_Mask]] = {}
    for file in files:
        words = _match_name(file.path.stem, source.masks)
        type_ = _event_type(file.label, words, source, rules)
        if rules.includes(type_):
            id_ = slug(source.masks.prefix, words.get("id") or file.path.stem)
            events.setdefault(id_, []).append(_Mask(file.label, words, type_, *_areas(file, source.masks)))
    by_id = [(id_, _event(id_, masks, source, rules)) for id_, masks in sorted(events.items())]
    notes = tuple(f"{id_}: no pixel was looked at; skipped" for id_, event in by_id if event is None)
    notes += tuple(
        f"{id_}: pixels of {mask.nodata:g} are unknown: it is the file's nodata value, although the source lists it"
        for id_, masks in sorted(events.items())
        for mask in masks[:1]
        if mask.nodata is not None
    )
    read = tuple(event for _, event in by_id if event is not None)
    return ReadResult(read, notes, names=frozenset({*events, *(event.group for event in read)}))


def _match_name(stem: str, mapping: MaskMapping) -> dict[str, str]:
    matches = (re.search(pattern, stem) for pattern in mapping.names)
    match = next((match for match in matches if match), None)
    return {} if match is None else {key: word for key, word in match.groupdict().items() if word}


def _event_type(label: str, words: Mapping[str, str], source: EventSource, rules: EventRules) -> str:
    """The source's type of event, or that of the word in a mask's name."""
    assert source.masks is not None
    types = source.masks.type
    type_ = types if isinstance(types, str) else types.get(words.get("type", "").lower())
    if type_ is None:
        value, remedy = words.get("type"), f"name it after one of {', '.join(types)}"
        raise InputError(
            "the file's name has no type of event", file=label, key="masks.type", value=value, remedy=remedy
        )
    if type_ not in rules.types:
        file, remedy = f"{source.name}.yaml", f"name one of taxonomies/events/types.yaml: {', '.join(rules.types)}"
        raise InputError("unknown event type", file=file, key="masks.type", value=type_, remedy=remedy)
    if rules.needs_grade(type_):
        problem = f"a mask of type {type_} has no grades of damage"
        raise InputError(problem, file=label, key="masks.type", value=type_, remedy="give polygons with grades")
    return type_


def _event(id_: str, masks: Sequence[_Mask], source: EventSource, rules: EventRules) -> Event | None:
    first = masks[0]
    if len(types := {mask.type for mask in masks}) > 1:
        raise InputError("masks of one id have several types", file=first.label, key="masks.type", value=sorted(types))
    areas = {OBSERVED: [mask.affected for mask in masks], AOI: [mask.aoi for mask in masks]}
    parts = {name: tiles[0] if len(tiles) == 1 else union(np.array(tiles)) for name, tiles in areas.items()}
    if parts[AOI] is None:
        return None
    group = slug(source.masks.prefix if source.masks else "", first.words.get("group", "")) or id_
    times = {key: [time for mask in masks if (time := _time(mask, key))] for key in ("start", "end", "observed")}
    start, stated = rules.stated_dates(id_, group) or (
        min(times["start"], default=None),
        max(times["end"], default=None),
    )
    if start is None:
        remedy = f"state it in the recipe's entry, `dates: {{{group}: 2018-10-29}}`, or write it into the file's name"
        raise InputError(
            "unknown start of the event", file=first.label, key=f"events.{source.name}.dates", remedy=remedy
        )
    observed = max(times["observed"], default=None)
    return Event(
        id=id_,
        group=group,
        type=first.type,
        source=source.name,
        product=id_,
        start=start,
        end=rules.resolve_end(first.type, start, stated=stated, observed=observed),
        observed=observed,
        parts=tuple(EventPart(name, area) for name, area in parts.items() if area is not None),
    )


def _time(mask: _Mask, key: str) -> dt.datetime | None:
    """A time in a mask's name: the first moment of a day, or as `end` the last one."""
    if (text := mask.words.get(key)) is None:
        return None
    try:
        time = parse_utc(text)
    except ValueError as error:
        remedy = "write it as 20181029, 2018-10-29 or 20181029T101500"
        raise InputError(
            "not a time in the file's name", file=mask.label, key=key, value=text, remedy=remedy
        ) from error
    is_day = key == "end" and time.time() == dt.time()
    return check_year(time + dt.timedelta(days=1, microseconds=-1) if is_day else time, file=mask.label, key=key)


def _areas(file: VectorFile, mapping: MaskMapping) -> tuple[BaseGeometry | None, BaseGeometry | None, float | None]:
    """The area of the affected pixels, that of all that were looked at, and a nodata value that is listed as either."""
    try:
        with open_raster(str(file.path)) as raster:
            if raster.crs_wkt is None:
                raise InputError("no CRS", file=file.label, remedy="assign one (gdal_edit -a_srs)")
            classes = _classify(raster, file.label, mapping)
            nodata = raster.header.nodata
            listed = nodata if nodata in mapping.affected + mapping.unaffected else None
            return _area(raster, classes == _AFFECTED, file), _area(raster, classes > 0, file), listed
    except Unreadable as error:
        raise InputError(f"cannot be read as a raster: {error}", file=file.label) from error


def _classify(raster: Raster, label: str, mapping: MaskMapping) -> NDArray[np.uint8]:
    """Per pixel `_AFFECTED`, `_UNAFFECTED`, or 0 where it is unknown.

    Raises:
        InputError: the file has several bands, or a value that the mapping does not list.
    """
    if raster.header.n_bands > 1:
        raise InputError("several bands", file=label, value=raster.header.n_bands, remedy="give masks of one band")
    height, width = raster.header.shape
    classes = np.zeros((height, width), np.uint8)
    for top in range(0, height, _ROWS):
        pixels = np.ma.masked_invalid(raster.read_window(top, 0, min(_ROWS, height - top), width))
        unlisted = ~(np.ma.getmaskarray(pixels) | np.isin(pixels.data, mapping.values))
        if unlisted.any():
            value, problem = pixels.data[unlisted][0].item(), f"{unlisted.sum()} pixels have a value that is not listed"
            remedy = "add it to `affected`, `unaffected` or `unknown` of `masks`, in a file that extends the source"
            raise InputError(problem, file=label, key="masks", value=value, remedy=remedy)
        rows = classes[top : top + _ROWS]
        rows[np.isin(pixels.data, mapping.unaffected) & ~np.ma.getmaskarray(pixels)] = _UNAFFECTED
        rows[np.isin(pixels.data, mapping.affected) & ~np.ma.getmaskarray(pixels)] = _AFFECTED
    return classes


def _area(raster: Raster, mask: NDArray[np.bool_], file: VectorFile) -> BaseGeometry | None:
    """The pixels of a mask as a valid area in EPSG:4326, None if there are none."""
    shapes = rasterio.features.shapes(mask.view(np.uint8), mask=mask, transform=raster.transform)
    outlines = np.array([shape(outline) for outline, _ in shapes], dtype=object)
    edge = _EDGE_PX * abs(raster.header.pixel_size)
    parts = polygons(to_lonlat(shapely.segmentize(outlines, edge), CRS.from_wkt(str(raster.crs_wkt)), Path(file.label)))
    # They do not overlap; their union would take long.
    area = shapely.MultiPolygon(list(parts))
    return (shapely.normalize(area) if shapely.is_valid(area) else union(parts)) if len(parts) else None
