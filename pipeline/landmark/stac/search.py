"""Which acquisitions and label rasters a recipe has to choose from: filtered, de-duplicated, in one order."""

import datetime as dt
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from types import MappingProxyType

import pystac
import shapely
from shapely.geometry.base import BaseGeometry

from landmark.config.profiles import Provider, SensorCollection, SensorName, load_sensor
from landmark.config.recipe import Recipe
from landmark.core.errors import EmptySearch, InputError
from landmark.domain.acquisition import Acquisition, LabelRaster
from landmark.domain.drops import DropRecord, Reason
from landmark.domain.taxonomy import Crosswalk
from landmark.labels.files import LocalLabels, label_collection, local_label_rasters, of_item
from landmark.stac.catalog import Catalog, Query
from landmark.stac.item import acquisition, footprint, interval

log = logging.getLogger(__name__)

_SAME_GROUND = 0.9
# Providers' `datetime` of a scene lies a while after the start of the datatake that names it.
_MARGIN = dt.timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class SearchWindow:
    """Where and when images are looked for: a region in EPSG:4326; first and last day, both included."""

    region: BaseGeometry
    start: dt.date
    end: dt.date


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search came back with, sorted by id, and the items of imagery it had to leave out (stage `stac`)."""

    acquisitions: list[Acquisition]
    labels: list[LabelRaster]
    refused: list[DropRecord]


def search(
    document: Catalog,
    recipe: Recipe,
    *,
    provider: Provider,
    crosswalks: Sequence[Crosswalk],
    files: Mapping[str, LocalLabels] = MappingProxyType({}),
    windows: Sequence[SearchWindow] = (),
) -> SearchResult:
    """Acquisitions of the recipe's region, time, sensors and clouds; label maps of its region.

    With `windows` only what lies in one of them, in region and time. A source that has `files` is read from these, not
    from the catalogue.

    Raises:
        EmptySearch: nothing matches for a sensor or a label source.
        InputError: the provider has no such sensor or label source, or an item cannot be understood.
    """
    imagery = {_imagery(provider, name).collection: name for name in recipe.sensors}
    sources = {label_collection(provider, each): each for each in crosswalks if each.name not in files}
    windows = windows or [SearchWindow(recipe.region.geometry, recipe.time.start, recipe.time.end)]
    region = shapely.union_all([window.region for window in windows])
    # A cell's diagonal, generous in degrees up to the limit of UTM at 84 degrees.
    near = region.buffer(10 * recipe.cell_m / 111_000)
    shapely.prepare(near)
    places = shapely.STRtree([window.region for window in windows])
    found: list[Acquisition | DropRecord] = []
    labels: list[LabelRaster] = []
    asked = windows if document.selective else [_whole(windows, region)]
    queries = _queries(recipe, imagery, sources, windows=asked, near=near)
    for item in chain.from_iterable(document.items(query) for query in queries):
        collection = str(item.collection_id)
        try:
            if collection in sources:
                # A cell whose centre lies in the region may reach over its edge.
                if footprint(item).intersects(near):
                    labels.append(of_item(item, document, sources[collection], provider.mirror))
            else:
                numbers = places.query(footprint(item), predicate="intersects")
                meeting = [windows[number] for number in sorted(numbers.tolist())]
                found += _acquisitions(item, document, recipe, provider, imagery[collection], meeting)
        except InputError as error:
            raise InputError(f"{item.get_self_href() or document.href}: {error}") from error
    # Windows that overlap are asked one by one, and told of an item again.
    refused = list(dict.fromkeys(one for one in found if isinstance(one, DropRecord)))
    merged = merge(one for one in found if isinstance(one, Acquisition))
    for collection, name in imagery.items():
        if not any(one.sensor == name for one in merged):
            raise EmptySearch(_nothing(name, collection, recipe, document) + _because(refused))
    for collection, crosswalk in sources.items():
        if not any(raster.edition.name == crosswalk.name for raster in labels):
            raise EmptySearch(_nothing(crosswalk.name, collection, recipe, document))
    for one in refused:
        log.warning("%s is left out: %s (%s)", one.id, Reason[one.reason].text, one.detail)
    labels += _in_files(recipe, crosswalks, files, near)
    return SearchResult(merged, sorted(labels, key=lambda raster: (raster.item_id, raster.layer or "")), refused)


def _queries(
    recipe: Recipe,
    imagery: dict[str, SensorName],
    sources: dict[str, Crosswalk],
    *,
    windows: Sequence[SearchWindow],
    near: BaseGeometry,
) -> list[Query]:
    """What to ask for: images by region, time and cloud, each sensor by itself; labels by region alone."""
    clouds = {"s2": recipe.clouds.max_item_pct}
    images = [
        Query(frozenset({name}), window.region, _span(window), clouds.get(sensor))
        for window in windows
        for name, sensor in imagery.items()
    ]
    return [*images, Query(frozenset(sources), near)] if sources else images


def _span(window: SearchWindow) -> tuple[dt.datetime, dt.datetime]:
    start, end = (dt.datetime.combine(day, dt.time(), dt.UTC) for day in (window.start, window.end))
    return start - _MARGIN, end + dt.timedelta(days=1) + _MARGIN


def _whole(windows: Sequence[SearchWindow], region: BaseGeometry) -> SearchWindow:
    """One window that holds all others."""
    return SearchWindow(region, min(window.start for window in windows), max(window.end for window in windows))


def _in_files(
    recipe: Recipe, crosswalks: Sequence[Crosswalk], files: Mapping[str, LocalLabels], near: BaseGeometry
) -> list[LabelRaster]:
    """The maps on disk of the sources that have files."""
    labels: list[LabelRaster] = []
    for crosswalk in (each for each in crosswalks if each.name in files):
        found = local_label_rasters(files[crosswalk.name], crosswalk, near)
        if not found and not files[crosswalk.name].entry.optional:
            raise EmptySearch(f"labels: no file of {crosswalk.name} meets the region {_box(recipe)}")
        if not found:
            log.warning("NO %s: none of its files meets the region", crosswalk.name.upper())
        labels += found
    return labels


def merge(found: Iterable[Acquisition]) -> list[Acquisition]:
    """One acquisition per id.

    The newest baseline wins, halves of a split granule stand side by side, repeats count once.
    """
    groups: dict[str, list[Acquisition]] = {}
    for one in found:
        groups.setdefault(one.id, []).append(one)
    return [_merged(groups[key]) for key in sorted(groups)]


def _merged(same: list[Acquisition]) -> Acquisition:
    newest = max(one.baseline or "" for one in same)
    kept: list[Acquisition] = []
    # The last product of the same ground wins: product names end in the time of processing.
    for one in sorted(same, key=lambda one: one.items[0].id, reverse=True):
        if (one.baseline or "") == newest and not any(_same_ground(one, other) for other in kept):
            kept.append(one)
    kept.reverse()
    if len({(one.offset_dn, one.offset_rule) for one in kept}) > 1:
        names = " and ".join(one.items[0].id for one in kept)
        raise InputError(f"items {names} are halves of one image, but carry different offsets")
    clouds = [one.cloud_pct for one in kept if one.cloud_pct is not None]
    return replace(
        kept[0],
        items=tuple(item for one in kept for item in one.items),
        footprint=shapely.union_all([one.footprint for one in kept]),
        cloud_pct=max(clouds, default=None),
    )


def _same_ground(one: Acquisition, other: Acquisition) -> bool:
    shared = one.footprint.intersection(other.footprint).area
    return bool(shared > _SAME_GROUND * max(one.footprint.area, other.footprint.area))


def _imagery(provider: Provider, sensor: SensorName) -> SensorCollection:
    if sensor not in provider.sensors:
        raise InputError(f"provider {provider.name} has no sensor {sensor}; it has {', '.join(provider.sensors)}")
    return provider.sensors[sensor]


def _acquisitions(
    item: pystac.Item,
    document: Catalog,
    recipe: Recipe,
    provider: Provider,
    sensor: SensorName,
    windows: Sequence[SearchWindow],
) -> list[Acquisition | DropRecord]:
    """The item as an acquisition, or why it is none, if its time is a window's, its orbit and cloud the recipe's."""
    if not windows:
        return []
    profile = load_sensor(sensor)
    one = acquisition(item, document, sensor=profile, imagery=provider.sensors[sensor], mirror=provider.mirror)
    if isinstance(one, DropRecord):
        return [one] if _in_time(interval(item)[0], windows) else []
    if profile.mask is not None and profile.mask.band not in one.items[0].assets:
        log.warning("%s has no %s: clouds.max_chip_pct cannot be kept for its chips", item.id, profile.mask.band)
    if not _in_time(one.datetime, windows) or (one.cloud_pct or 0) > recipe.clouds.max_item_pct:
        return []
    if sensor != "s1" or recipe.orbit_direction in ("any", one.orbit_direction):
        return [one]
    return [DropRecord(item.id, "", "stac", "orbit_unknown", "")] if one.orbit_direction is None else []


def _in_time(moment: dt.datetime, windows: Sequence[SearchWindow]) -> bool:
    return any(window.start <= moment.date() <= window.end for window in windows)


def _because(refused: list[DropRecord]) -> str:
    counts = Counter(one.reason for one in refused)
    return "".join(f"; {number} left out: {Reason[reason].text}" for reason, number in sorted(counts.items()))


def _nothing(what: str, collection: str, recipe: Recipe, document: Catalog) -> str:
    if not document.holds(collection):
        return f"{document.href}: holds no item of collection {collection!r}, where {recipe.provider} keeps {what}"
    orbit = f", {recipe.orbit_direction}," if what == "s1" and recipe.orbit_direction != "any" else ""
    return (
        f"{document.href}: no {what} item{orbit} meets the region {_box(recipe)},"
        f" {recipe.time.start} to {recipe.time.end} and at most {recipe.clouds.max_item_pct:g} % cloud;"
        " widen region, time or clouds.max_item_pct"
    )


def _box(recipe: Recipe) -> str:
    return "[" + ", ".join(f"{edge:.3f}" for edge in recipe.region.geometry.bounds) + "]"
