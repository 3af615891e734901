"""Search a catalogue for the acquisitions and label maps of a recipe: filtered, de-duplicated, sorted by id."""

import datetime as dt
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import pystac
import shapely
from shapely.geometry.base import BaseGeometry

from landmark.config.profiles import Provider, SensorCollection, SensorName, load_sensor
from landmark.config.recipe import Recipe
from landmark.core.errors import EmptySearch, InputError
from landmark.domain.acquisition import Acquisition, LabelRaster
from landmark.domain.drops import DropRecord, Reason
from landmark.domain.taxonomy import Crosswalk
from landmark.stac.catalog import Catalog, Query
from landmark.stac.item import footprint, interval, read_acquisition
from landmark.stac.label_items import label_collection, label_raster

log = logging.getLogger(__name__)

# Two footprints that share more than this fraction of the larger one are of the same granule.
_SAME_GRANULE = 0.9
# Providers' `datetime` of a scene is some time after the start of the datatake that it is named after.
_MARGIN = dt.timedelta(hours=1)
_M_PER_DEGREE = 111_000


@dataclass(frozen=True, slots=True)
class SearchWindow:
    """Region (EPSG:4326) and first and last day, both included, in which images are searched."""

    region: BaseGeometry
    start: dt.date
    end: dt.date


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Result of a search.

    Attributes:
        acquisitions: Sorted by id.
        labels: Sorted by item id.
        refused: Items of imagery that cannot be used, stage `stac`.
    """

    acquisitions: list[Acquisition]
    labels: list[LabelRaster]
    refused: list[DropRecord]


def search(
    catalog: Catalog,
    recipe: Recipe,
    *,
    provider: Provider,
    crosswalks: Sequence[Crosswalk],
    windows: Sequence[SearchWindow] = (),
) -> SearchResult:
    """Search acquisitions by region, time, sensor, orbit and cloud cover, and label maps by region.

    Args:
        catalog: The catalogue.
        recipe: The recipe.
        provider: Names the collections and assets.
        crosswalks: Label sources to search; not those that are read from files.
        windows: By default the recipe's region and time. An acquisition must match one of them.

    Raises:
        EmptySearch: nothing matches for a sensor or a label source.
        InputError: the provider does not have a sensor or label source, or an item is invalid.
    """
    imagery = {_imagery(provider, name).collection: name for name in recipe.sensors}
    sources = {label_collection(provider, crosswalk): crosswalk for crosswalk in crosswalks}
    windows = windows or [_recipe_window(recipe)]
    label_area = label_search_area(recipe, windows)
    shapely.prepare(label_area)
    window_tree = shapely.STRtree([window.region for window in windows])
    results: list[Acquisition | DropRecord] = []
    labels: list[LabelRaster] = []
    queried = windows if catalog.supports_filter else [_enclosing_window(windows)]
    for item in chain.from_iterable(map(catalog.items, _queries(recipe, imagery, sources, queried, label_area))):
        collection = str(item.collection_id)
        try:
            if collection in sources:
                if footprint(item).intersects(label_area):
                    labels.append(label_raster(item, catalog, sources[collection], provider.mirror))
            else:
                numbers = window_tree.query(footprint(item), predicate="intersects")
                touched = [windows[number] for number in sorted(numbers.tolist())]
                results += _acquisitions(item, catalog, recipe, provider, imagery[collection], touched)
        except InputError as error:
            for mistake in error.problems:
                if mistake.file == f"item {item.id}":
                    mistake.file = f"{item.get_self_href() or catalog.href}: {mistake.file}"
            raise
    # Overlapping windows are queried separately, so that an item may be refused twice.
    refused = list(dict.fromkeys(result for result in results if isinstance(result, DropRecord)))
    acquisitions = merge(result for result in results if isinstance(result, Acquisition))
    for collection, sensor in imagery.items():
        if not any(acquisition.sensor == sensor for acquisition in acquisitions):
            raise _empty_search(sensor, collection, recipe, catalog, refused)
    for collection, crosswalk in sources.items():
        if not any(label.edition.name == crosswalk.name for label in labels):
            raise _empty_search(crosswalk.name, collection, recipe, catalog)
    for record in refused:
        log.warning("item %s skipped: %s (%s)", record.id, Reason[record.reason].text, record.detail)
    return SearchResult(acquisitions, sorted(labels, key=lambda label: label.item_id), refused)


def label_search_area(recipe: Recipe, windows: Sequence[SearchWindow] = ()) -> BaseGeometry:
    """Area in which label maps are searched, EPSG:4326: the windows' regions, buffered by more than a cell.

    A cell whose centre is in the region may extend over its edge.
    """
    region = shapely.union_all([window.region for window in windows or [_recipe_window(recipe)]])
    # Longer than a cell's diagonal in degrees of longitude up to the limit of UTM, 84 degrees.
    return region.buffer(10 * recipe.cell_m / _M_PER_DEGREE)


def merge(acquisitions: Iterable[Acquisition]) -> list[Acquisition]:
    """Merge acquisitions of the same id, and sort by id.

    Of several processings the newest baseline is kept, granules that were published in parts are joined, and duplicates
    are dropped.

    Raises:
        InputError: parts of a granule have different offsets.
    """
    groups: dict[str, list[Acquisition]] = {}
    for acquisition in acquisitions:
        groups.setdefault(acquisition.id, []).append(acquisition)
    return [_merge_group(groups[id]) for id in sorted(groups)]


def _merge_group(group: list[Acquisition]) -> Acquisition:
    baseline = max(acquisition.baseline or "" for acquisition in group)
    parts: list[Acquisition] = []
    # Product names end in the processing time: the last one of a granule is kept.
    for acquisition in sorted(group, key=lambda acquisition: acquisition.items[0].id, reverse=True):
        if (acquisition.baseline or "") == baseline and not any(_same_granule(acquisition, part) for part in parts):
            parts.append(acquisition)
    parts.reverse()
    if len({(part.offset_dn, part.offset_rule) for part in parts}) > 1:
        names = [part.items[0].id for part in parts]
        raise InputError("parts of one granule have different offsets", key="items", value=names)
    clouds = [part.cloud_pct for part in parts if part.cloud_pct is not None]
    return replace(
        parts[0],
        items=tuple(item for part in parts for item in part.items),
        footprint=shapely.union_all([part.footprint for part in parts]),
        cloud_pct=max(clouds, default=None),
    )


def _same_granule(first: Acquisition, second: Acquisition) -> bool:
    shared = first.footprint.intersection(second.footprint).area
    return bool(shared > _SAME_GRANULE * max(first.footprint.area, second.footprint.area))


def _queries(
    recipe: Recipe,
    imagery: dict[str, SensorName],
    sources: dict[str, Crosswalk],
    windows: Sequence[SearchWindow],
    label_area: BaseGeometry,
) -> list[Query]:
    """Queries for images by region, time and cloud cover, one per window and sensor; for labels by region only."""
    max_cloud_pct = {"s2": recipe.clouds.max_item_pct}
    images = [
        Query(frozenset({collection}), window.region, _interval(window), max_cloud_pct.get(sensor))
        for window in windows
        for collection, sensor in imagery.items()
    ]
    return [*images, Query(frozenset(sources), label_area)] if sources else images


def _recipe_window(recipe: Recipe) -> SearchWindow:
    return SearchWindow(recipe.region.geometry, recipe.time.start, recipe.time.end)


def _enclosing_window(windows: Sequence[SearchWindow]) -> SearchWindow:
    region = shapely.union_all([window.region for window in windows])
    return SearchWindow(region, min(window.start for window in windows), max(window.end for window in windows))


def _interval(window: SearchWindow) -> tuple[dt.datetime, dt.datetime]:
    start, end = (dt.datetime.combine(day, dt.time(), dt.UTC) for day in (window.start, window.end))
    return start - _MARGIN, end + dt.timedelta(days=1) + _MARGIN


def _imagery(provider: Provider, sensor: SensorName) -> SensorCollection:
    if sensor not in provider.sensors:
        available = ", ".join(provider.sensors)
        raise InputError(f"provider {provider.name} has only {available}", key="sensors", value=sensor)
    return provider.sensors[sensor]


def _acquisitions(
    item: pystac.Item,
    catalog: Catalog,
    recipe: Recipe,
    provider: Provider,
    sensor: SensorName,
    windows: Sequence[SearchWindow],
) -> list[Acquisition | DropRecord]:
    """The item's acquisition, or the reason why it cannot be used; nothing if it does not match windows and recipe."""
    if not windows:
        return []
    profile = load_sensor(sensor)
    result = read_acquisition(item, catalog, sensor=profile, imagery=provider.sensors[sensor], mirror=provider.mirror)
    if isinstance(result, DropRecord):
        return [result] if _in_time(interval(item)[0], windows) else []
    if profile.mask is not None and profile.mask.band not in result.items[0].assets:
        log.warning("item %s has no asset %s: clouds.max_chip_pct cannot be applied", item.id, profile.mask.band)
    if not _in_time(result.datetime, windows) or (result.cloud_pct or 0) > recipe.clouds.max_item_pct:
        return []
    if sensor != "s1" or recipe.orbit_direction in ("any", result.orbit_direction):
        return [result]
    return [DropRecord(item.id, "", "stac", "orbit_unknown", "")] if result.orbit_direction is None else []


def _in_time(time: dt.datetime, windows: Sequence[SearchWindow]) -> bool:
    return any(window.start <= time.date() <= window.end for window in windows)


def _empty_search(
    name: str, collection: str, recipe: Recipe, catalog: Catalog, refused: Sequence[DropRecord] = ()
) -> EmptySearch:
    """Error for a sensor or label source without items."""
    counts = Counter(record.reason for record in refused)
    skipped = "".join(f"; {count} skipped: {Reason[reason].text}" for reason, count in sorted(counts.items()))
    if not catalog.has_collection(collection):
        problem = f"the catalogue has no items of this collection, in which {recipe.provider} has {name}"
        return EmptySearch(problem + skipped, file=catalog.href, key="collection", value=collection)
    orbit = f", {recipe.orbit_direction}," if name == "s1" and recipe.orbit_direction != "any" else ""
    bounds = ", ".join(f"{edge:.3f}" for edge in recipe.region.geometry.bounds)
    return EmptySearch(
        f"no {name} item{orbit} intersects the region [{bounds}], {recipe.time.start} to {recipe.time.end},"
        f" with at most {recipe.clouds.max_item_pct:g} % cloud" + skipped,
        file=catalog.href,
        key="collection",
        value=collection,
        remedy="widen region, time or clouds.max_item_pct",
    )
