"""Which acquisitions and label rasters a recipe has to choose from: filtered, de-duplicated, in one order."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace

import pystac
import shapely

from landmark.base.archive import Acquisition, LabelRaster
from landmark.base.errors import EmptySearch, InputError
from landmark.base.profiles import Imagery, Provider, SensorName, load_sensors
from landmark.base.recipe import Recipe
from landmark.base.taxonomy import Crosswalk, LabelVintage
from landmark.catalog.dialect import acquisition, footprint, interval, item_digest
from landmark.catalog.documents import Document

log = logging.getLogger(__name__)

_SAME_GROUND = 0.9


@dataclass(frozen=True, slots=True)
class Found:
    """What a search came back with, sorted by id."""

    acquisitions: list[Acquisition]
    labels: list[LabelRaster]


def search(document: Document, recipe: Recipe, *, provider: Provider, crosswalks: Iterable[Crosswalk]) -> Found:
    """Acquisitions of the recipe's region, time, sensors and clouds; label rasters of its region.

    Raises:
        EmptySearch: nothing matches for a sensor or a label source.
        InputError: the provider has no such sensor or label source, or an item cannot be understood.
    """
    imagery = {name: _imagery(provider, name) for name in recipe.sensors}
    sources = {_label_collection(provider, crosswalk.name): crosswalk for crosswalk in crosswalks}
    wanted = {entry.collection: name for name, entry in imagery.items()}
    region, sensors = recipe.region.geometry, load_sensors(recipe.sensors)
    shapely.prepare(region)
    found: list[Acquisition] = []
    labels: list[LabelRaster] = []
    for item in document.items({*wanted, *sources}):
        if not footprint(item).intersects(region):
            continue
        if (crosswalk := sources.get(str(item.collection_id))) is not None:
            labels.append(_label(item, document, crosswalk))
            continue
        sensor = wanted[str(item.collection_id)]
        one = acquisition(item, document, sensor=sensors[sensor], imagery=imagery[sensor])
        if one is None:
            log.warning("%s is passed over: it lacks a band of %s", item.id, sensor)
        elif recipe.time.start <= one.moment.date() <= recipe.time.end:
            found.append(one)
    clear = [one for one in merge(found) if (one.cloud_pct or 0) <= recipe.clouds.max_item_pct]
    _refuse_empty(clear, labels, recipe, document, {crosswalk.name for crosswalk in sources.values()})
    return Found(clear, sorted(labels, key=lambda raster: raster.item))


def merge(found: Iterable[Acquisition]) -> list[Acquisition]:
    """One acquisition per id.

    The newest baseline wins, halves of a split granule stand side by side, repeats count once.
    """
    groups: dict[str, list[Acquisition]] = {}
    for one in found:
        groups.setdefault(one.id, []).append(one)
    return [_merged(groups[key]) for key in sorted(groups)]


def _merged(same: list[Acquisition]) -> Acquisition:
    newest = max(_version(one.baseline) for one in same)
    kept: list[Acquisition] = []
    # The last product of the same ground wins: product names end in the time of processing.
    for one in sorted(same, key=lambda one: one.items[0].id, reverse=True):
        if _version(one.baseline) == newest and not any(_same_ground(one, other) for other in kept):
            kept.append(one)
    kept.reverse()
    clouds = [one.cloud_pct for one in kept if one.cloud_pct is not None]
    return replace(
        kept[0],
        items=tuple(item for one in kept for item in one.items),
        footprint=shapely.union_all([one.footprint for one in kept]),
        cloud_pct=max(clouds, default=None),
    )


def _same_ground(one: Acquisition, other: Acquisition) -> bool:
    shared = one.footprint.intersection(other.footprint).area
    return bool(shared > _SAME_GROUND * min(one.footprint.area, other.footprint.area))


def _version(baseline: str | None) -> tuple[int, ...]:
    return tuple(int(part) for part in baseline.split(".")) if baseline else ()


def _label(item: pystac.Item, document: Document, crosswalk: Crosswalk) -> LabelRaster:
    if crosswalk.asset not in item.assets:
        raise InputError(f"{item.id}: has no asset {crosswalk.asset!r}, where {crosswalk.name} keeps its classes")
    start, end = interval(item)
    version = str(item.properties.get(crosswalk.version_property or "", "")) or "unknown"
    href = item.assets[crosswalk.asset].href.split("?")[0]
    return LabelRaster(
        vintage=LabelVintage(crosswalk.name, version, start, end),
        item=item.id,
        href=href,
        recorded_href=document.relative(href),
        digest=item_digest(item, crosswalk.asset, document),
        footprint=footprint(item),
    )


def _imagery(provider: Provider, sensor: SensorName) -> Imagery:
    if sensor not in provider.sensors:
        raise InputError(f"provider {provider.name} has no sensor {sensor}; it has {', '.join(provider.sensors)}")
    return provider.sensors[sensor]


def _label_collection(provider: Provider, source: str) -> str:
    if source not in provider.labels:
        known = ", ".join(provider.labels) or "none"
        raise InputError(f"labels: provider {provider.name} publishes no {source!r}; it publishes {known}")
    return provider.labels[source]


def _refuse_empty(
    found: list[Acquisition], labels: list[LabelRaster], recipe: Recipe, document: Document, sources: set[str]
) -> None:
    span = f"{recipe.time.start} to {recipe.time.end}"
    for sensor in recipe.sensors:
        if not any(one.sensor == sensor for one in found):
            raise EmptySearch(
                f"{document.href}: no {sensor} item meets the region {_box(recipe)}, {span}"
                f" and at most {recipe.clouds.max_item_pct:g} % cloud; widen region, time or clouds.max_item_pct"
            )
    for source in sorted(sources - {raster.vintage.name for raster in labels}):
        raise EmptySearch(
            f"{document.href}: no {source} item meets the region {_box(recipe)}; drop it from `labels` or widen"
        )


def _box(recipe: Recipe) -> str:
    return "[" + ", ".join(f"{edge:.3f}" for edge in recipe.region.geometry.bounds) + "]"
