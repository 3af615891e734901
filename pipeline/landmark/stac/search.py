"""Search a catalogue for the acquisitions and label maps of a recipe: filtered, de-duplicated, sorted by id."""

import datetime as dt
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import pystac
import shapely
from shapely.geometry.base import BaseGeometry

from landmark.config.profiles import Provider, SensorCollection, SensorName, load_sensor
from landmark.config.recipe import Recipe
from landmark.core.errors import EmptySearch, InputError
from landmark.core.outlines import enlarge
from landmark.domain.acquisition import Acquisition, LabelRaster
from landmark.domain.drops import DropRecord, Reason
from landmark.domain.taxonomy import Crosswalk
from landmark.stac.catalog import Catalog, Query
from landmark.stac.catalog_errors import CatalogErrors, in_region, in_time
from landmark.stac.documents import UNEXPECTED, InvalidItem, describe
from landmark.stac.granules import merge
from landmark.stac.item import footprint, interval, read_acquisition
from landmark.stac.label_items import label_collection, label_raster

log = logging.getLogger(__name__)

Read = TypeVar("Read")

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
        InputError: the provider does not have a sensor or label source, or too many items are invalid.
    """
    imagery = {_imagery(provider, name, recipe.provider).collection: name for name in recipe.sensors}
    sources = {label_collection(provider, crosswalk): crosswalk for crosswalk in crosswalks}
    windows = windows or [_recipe_window(recipe)]
    reader = _Reader(catalog, recipe, provider, windows, label_search_area(recipe, windows))
    results: list[Acquisition | DropRecord] = []
    labels: list[LabelRaster] = []
    queried = windows if catalog.supports_filter else [_enclosing_window(windows)]
    for query in _queries(recipe, imagery, sources, queried, reader.label_area):
        for item in catalog.items(query):
            # An invalid item without a collection may be of any.
            for collection in sorted(query.collections) if item.collection_id is None else [item.collection_id]:
                if collection in sources:
                    labels += reader.read_labels(item, sources[collection])
                else:
                    results += reader.read_image(item, imagery[collection])
    reader.errors.check(catalog.href, recipe.catalog_errors.max_pct)
    results += reader.errors.records()
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
    return enlarge(region, 10 * recipe.cell_m / _M_PER_DEGREE)


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


def _imagery(provider: Provider, sensor: SensorName, file: str) -> SensorCollection:
    if sensor not in provider.sensors:
        available = ", ".join(provider.sensors) or "no sensor"
        remedy = "add it to the provider, or leave it out of the recipe's `sensors`"
        raise InputError(f"the provider has only {available}", file=file, key="sensors", value=sensor, remedy=remedy)
    return provider.sensors[sensor]


class _Reader:
    """Reads the items that meet region and time, and counts the invalid ones among them."""

    def __init__(
        self,
        catalog: Catalog,
        recipe: Recipe,
        provider: Provider,
        windows: Sequence[SearchWindow],
        label_area: BaseGeometry,
    ) -> None:
        self.label_area, self.errors = label_area, CatalogErrors()
        self._catalog, self._recipe, self._provider = catalog, recipe, provider
        self._windows, self._tree = windows, shapely.STRtree([window.region for window in windows])
        shapely.prepare(label_area)

    def read_image(self, item: pystac.Item | InvalidItem, sensor: SensorName) -> list[Acquisition | DropRecord]:
        """The item's acquisition, or the reason why it cannot be used; nothing if it does not match."""
        result = self._attempt(item, partial(self._image, sensor=sensor))
        if isinstance(result, InvalidItem):
            days = [(window.start, window.end) for window in self._windows if in_region(result, window.region)]
            if days and in_time(result, days):
                self.errors.add(sensor, result)
            return []
        if result is not None:
            self.errors.count(sensor, item.id)
        return result or []

    def read_labels(self, item: pystac.Item | InvalidItem, crosswalk: Crosswalk) -> list[LabelRaster]:
        """The label map of the item; nothing if it is outside the region."""
        result = self._attempt(item, partial(self._label, crosswalk=crosswalk))
        if isinstance(result, InvalidItem):
            if in_region(result, self.label_area):
                self.errors.add(crosswalk.name, result)
            return []
        if result:
            self.errors.count(crosswalk.name, item.id)
        return result

    def _attempt(self, item: pystac.Item | InvalidItem, read: Callable[[pystac.Item], Read]) -> Read | InvalidItem:
        """What is read of an item; the item as invalid, with errors that name its document, if it cannot be read."""
        if isinstance(item, InvalidItem):
            return self._located(item, self._catalog.href)
        try:
            return read(item)
        except InputError as error:
            if error.file != f"item {item.id}":
                raise
            invalid = InvalidItem.from_item(item, error)
        except UNEXPECTED as error:
            problem = InputError(f"cannot be read: {describe(error)}", file=f"item {item.id}")
            invalid = InvalidItem.from_item(item, problem)
        return self._located(invalid, item.get_self_href() or self._catalog.href)

    @staticmethod
    def _located(item: InvalidItem, document: str) -> InvalidItem:
        for mistake in item.error.problems:
            if mistake.file == f"item {item.id}":
                mistake.file = f"{document}: {mistake.file}"
        return item

    def _image(self, item: pystac.Item, sensor: SensorName) -> list[Acquisition | DropRecord] | None:
        """As `read_image`; None outside region and time."""
        area = footprint(item)
        numbers = self._tree.query(area, predicate="intersects")
        windows = [self._windows[number] for number in sorted(numbers.tolist())]
        if not windows:
            return None
        profile, imagery, recipe = load_sensor(sensor), self._provider.sensors[sensor], self._recipe
        mirror = self._provider.mirror
        result = read_acquisition(item, area, self._catalog, sensor=profile, imagery=imagery, mirror=mirror)
        if isinstance(result, DropRecord):
            return [result] if _in_time(interval(item)[0], windows) else None
        if not _in_time(result.datetime, windows):
            return None
        if profile.mask is not None and profile.mask.band not in result.items[0].assets:
            log.warning("item %s has no asset %s: clouds.max_chip_pct cannot be applied", item.id, profile.mask.band)
        if (result.cloud_pct or 0) > recipe.clouds.max_item_pct:
            return []
        if sensor != "s1" or recipe.orbit_direction in ("any", result.orbit_direction):
            return [result]
        return [DropRecord(item.id, "", "stac", "orbit_unknown", "")] if result.orbit_direction is None else []

    def _label(self, item: pystac.Item, crosswalk: Crosswalk) -> list[LabelRaster]:
        if not footprint(item).intersects(self.label_area):
            return []
        return [label_raster(item, self._catalog, crosswalk, self._provider.mirror)]


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
