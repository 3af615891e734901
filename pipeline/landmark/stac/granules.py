"""Merge the items of one acquisition: reprocessed, published in parts, or found twice."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import shapely

from landmark.core.errors import InputError
from landmark.domain.acquisition import Acquisition

# Two footprints that share more than this fraction of the larger one are of the same granule.
_SAME_GRANULE = 0.9


def merge(acquisitions: Iterable[Acquisition]) -> list[Acquisition]:
    """Merge acquisitions of the same id, and sort by id.

    Of several processings the newest baseline is kept, granules that were published in parts are joined, and duplicates
    are dropped. Rasters that do not overlap, such as patches of one product, stay apart, with their corner in the id.

    Raises:
        InputError: parts of a granule have different offsets.
    """
    groups: dict[str, list[Acquisition]] = {}
    for acquisition in acquisitions:
        groups.setdefault(acquisition.id, []).append(acquisition)
    merged: list[Acquisition] = []
    for group in groups.values():
        places = [_merge_group(place) for place in _group_by_place(group)]
        merged += places if len(places) == 1 else map(_with_corner, places)
    return sorted(merged, key=lambda acquisition: acquisition.id)


def _group_by_place(group: list[Acquisition]) -> list[list[Acquisition]]:
    """Group acquisitions of one id by the place of their rasters; all are one group if the grid of one is unknown."""
    if len(group) == 1 or len({part.epsg for part in group}) > 1 or not all(all(part.size_px) for part in group):
        return [group]
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    frames = np.array([_frame(part) for part in group])
    first, second = shapely.STRtree(frames).query(frames, predicate="intersects")
    # Rasters with a common edge or corner do not overlap.
    overlap = shapely.area(shapely.intersection(frames[first], frames[second])) > 0
    pairs = first[overlap], second[overlap]
    graph = coo_array((np.ones(len(pairs[0])), pairs), shape=(len(group), len(group)))
    n_places, place = connected_components(graph, directed=False)
    return [[group[row] for row in np.flatnonzero(place == number)] for number in range(n_places)]


def _frame(acquisition: Acquisition) -> shapely.Polygon:
    (left, top), (width, height), pixel_m = acquisition.origin, acquisition.size_px, acquisition.pixel_m
    return shapely.box(left, top - height * pixel_m, left + width * pixel_m, top)


def _with_corner(acquisition: Acquisition) -> Acquisition:
    left, top = acquisition.origin
    return replace(acquisition, id=f"{acquisition.id}_{left:.0f}_{top:.0f}")


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
