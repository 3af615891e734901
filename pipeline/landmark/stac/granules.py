"""Merge the items of one acquisition: reprocessed, published in parts, or found twice."""

from collections.abc import Iterable
from dataclasses import replace

import shapely

from landmark.core.errors import InputError
from landmark.domain.acquisition import Acquisition

# Two footprints that share more than this fraction of the larger one are of the same granule.
_SAME_GRANULE = 0.9


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
