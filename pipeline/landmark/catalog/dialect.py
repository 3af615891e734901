"""One STAC item in landmark's words, whatever the provider calls things."""

import datetime as dt
import math
import re
from typing import Any

import pystac
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from landmark.base.archive import Acquisition, Item
from landmark.base.errors import InputError
from landmark.base.hashing import digest
from landmark.base.profiles import Imagery, Sensor
from landmark.catalog.documents import Document

_OFFSET_SINCE = "04.00"
_OFFSET_DN = 1000


def footprint(item: pystac.Item) -> BaseGeometry:
    """Where the item has data, in EPSG:4326.

    Raises:
        InputError: the item has no geometry.
    """
    if item.geometry is None:
        raise InputError(f"{item.get_self_href() or item.id}: item {item.id} has no geometry")
    return shape(item.geometry).buffer(0)


def interval(item: pystac.Item) -> tuple[dt.datetime, dt.datetime]:
    """First and last moment the item describes, UTC."""
    said = item.properties
    start, end = said.get("start_datetime"), said.get("end_datetime")
    if start and end:
        return _utc(start), _utc(end)
    moment = _utc(said["datetime"])
    return moment, moment


def acquisition(item: pystac.Item, document: Document, *, sensor: Sensor, imagery: Imagery) -> Acquisition | None:
    """The item as an acquisition of its own, or None where a band is missing.

    Raises:
        InputError: geometry, projection or time cannot be understood.
    """
    bands = {band: item.assets.get(key) for band, key in imagery.assets.items()}
    if any(bands[band] is None for band in sensor.order):
        return None
    assets = {band: document.relative(asset.href.split("?")[0]) for band, asset in bands.items() if asset is not None}
    origin, size_px, pixel_m = _grid(item, imagery.assets[sensor.groups[0].bands[0]])
    said, moment, orbit = item.properties, _moment(item), _orbit(item)
    epsg = _epsg(item, imagery.assets[sensor.groups[0].bands[0]])
    baseline, tile = (_baseline(item), _tile(item)) if sensor.name == "s2" else (None, None)
    offset_dn, offset_rule = _offset(imagery.offset, baseline)
    return Acquisition(
        id=f"{sensor.name}_{tile or epsg}_{moment:%Y%m%dt%H%M%S}_r{orbit or 0:03d}",
        sensor=sensor.name,
        moment=moment,
        epsg=epsg,
        origin=origin,
        size_px=size_px,
        pixel_m=pixel_m,
        items=(Item(item.id, assets, _digest(item, assets, bands)),),
        footprint=footprint(item),
        tile=tile,
        platform=_slug(said["platform"]) if said.get("platform") else None,
        orbit_direction=said.get("sat:orbit_state"),
        relative_orbit=orbit,
        baseline=baseline,
        cloud_pct=said.get("eo:cloud_cover"),
        offset_dn=offset_dn,
        offset_rule=offset_rule,
    )


def item_digest(item: pystac.Item, asset: str, document: Document) -> str:
    """Digest of what an item says of itself and of one of its assets."""
    return _digest(item, {asset: document.relative(item.assets[asset].href.split("?")[0])}, {asset: item.assets[asset]})


def _digest(item: pystac.Item, assets: dict[str, str], said: dict[str, pystac.Asset | None]) -> str:
    files = {
        band: {key: value for key, value in asset.extra_fields.items() if key.startswith("file:")}
        for band, asset in said.items()
        if asset is not None
    }
    return digest(
        {"id": item.id, "properties": item.to_dict(False, False)["properties"], "assets": assets, "files": files}
    )


def _baseline(item: pystac.Item) -> str | None:
    """Processing baseline as `04.00`, from its property or the product's name; None where neither says."""
    said = item.properties.get("s2:processing_baseline")
    if said is None:
        match = re.search(r"_N(\d\d)(\d\d)_", f"{item.properties.get('s2:product_uri', '')} {item.id}")
        return f"{match[1]}.{match[2]}" if match else None
    match = re.fullmatch(r"(\d+)\.(\d+)", str(said))
    if match is None:
        raise InputError(f"{item.id}: `s2:processing_baseline` is {said!r}, not like 04.00")
    return f"{int(match[1]):02d}.{match[2]:0<2}"


def _offset(rule: str, baseline: str | None) -> tuple[int, str | None]:
    """What to subtract, and why."""
    if rule == "none":
        return 0, None
    if baseline is None:
        raise ValueError("its processing baseline is unknown, and so is the offset of its pixels")
    # Both have two digits on either side, so they compare as text.
    if baseline >= _OFFSET_SINCE:
        return _OFFSET_DN, f"baseline {baseline}: {_OFFSET_DN}"
    return 0, f"baseline {baseline}: none"


def _moment(item: pystac.Item) -> dt.datetime:
    """UTC second: the datatake's start for S2 (providers disagree on `datetime`), the slice's start for S1."""
    said = item.properties
    if match := re.search(r"_(\d{8}T\d{6})_", str(said.get("s2:datatake_id", ""))):
        return dt.datetime.strptime(match[1], "%Y%m%dT%H%M%S").replace(tzinfo=dt.UTC)
    if match := re.match(r"S2[A-D]_MSIL\w\w_(\d{8}T\d{6})_", item.id):
        return dt.datetime.strptime(match[1], "%Y%m%dT%H%M%S").replace(tzinfo=dt.UTC)
    text = said.get("start_datetime") or said.get("datetime")
    if not text:
        raise InputError(f"{item.id}: neither `datetime` nor `start_datetime` is set")
    return _utc(text).replace(microsecond=0)


def _orbit(item: pystac.Item) -> int | None:
    if (orbit := item.properties.get("sat:relative_orbit")) is not None:
        return int(orbit)
    match = re.search(r"_R(\d{3})_", item.id)
    return int(match[1]) if match else None


def _tile(item: pystac.Item) -> str:
    said = item.properties
    named = said.get("s2:mgrs_tile") or str(said.get("grid:code", "")).removeprefix("MGRS-")
    match = re.search(r"_T(\d\d[A-Z]{3})_", item.id)
    return _slug(named or (match[1] if match else item.id))


def _epsg(item: pystac.Item, key: str) -> int:
    said: dict[str, Any] = {**item.properties, **item.assets[key].extra_fields}
    code = said.get("proj:epsg") or str(said.get("proj:code", "")).removeprefix("EPSG:")
    try:
        return int(code)
    except ValueError as error:
        raise InputError(f"{item.id}: neither `proj:epsg` nor `proj:code` names a CRS") from error


def _grid(item: pystac.Item, key: str) -> tuple[tuple[float, float], tuple[int, int], float]:
    """(left, top), (width, height) and pixel size of an asset."""
    said: dict[str, Any] = {**item.properties, **item.assets[key].extra_fields}
    transform, size = said.get("proj:transform"), said.get("proj:shape")
    if transform is None or size is None:
        raise InputError(f"{item.id}: asset {key} has no `proj:transform` and `proj:shape`")
    if len(transform) < 6 or len(size) != 2:
        raise InputError(f"{item.id}: asset {key}: `proj:transform` needs 6 or 9 numbers and `proj:shape` 2")
    return (float(transform[2]), float(transform[5])), (int(size[1]), int(size[0])), math.fabs(transform[0])


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _utc(text: str) -> dt.datetime:
    moment = dt.datetime.fromisoformat(text)
    return moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)
