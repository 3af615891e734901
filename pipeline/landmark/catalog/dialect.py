"""One STAC item in landmark's words, whatever the provider calls things."""

import datetime as dt
import re

import pystac
from shapely.errors import ShapelyError
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from landmark.base.archive import Acquisition, Item
from landmark.base.errors import InputError
from landmark.base.hashing import digest
from landmark.base.profiles import Imagery, Sensor
from landmark.catalog.documents import Document
from landmark.catalog.said import Said, said

_OFFSET_SINCE = "04.00"
_OFFSET_DN = 1000


def footprint(item: pystac.Item) -> BaseGeometry:
    """Where the item has data, in EPSG:4326.

    Raises:
        InputError: the item has no geometry, or none that is an area.
    """
    try:
        return shape(item.geometry or {}).buffer(0)
    except (ShapelyError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"item {item.id}: `geometry` is no area: {error}") from error


def interval(item: pystac.Item) -> tuple[dt.datetime, dt.datetime]:
    """First and last moment the item describes, UTC.

    Raises:
        InputError: it names none.
    """
    words = said(item)
    start, end = words.start_datetime or words.datetime, words.end_datetime or words.datetime
    if start is None or end is None:
        raise InputError(f"item {item.id}: neither `datetime` nor `start_datetime` and `end_datetime` are set")
    return start, end


def acquisition(item: pystac.Item, document: Document, *, sensor: Sensor, imagery: Imagery) -> Acquisition | None:
    """The item as an acquisition of its own, or None where a band is missing.

    Raises:
        InputError: geometry, projection, time or baseline cannot be understood.
    """
    bands = {band: item.assets.get(key) for band, key in imagery.assets.items()}
    if any(bands[band] is None for band in sensor.order):
        return None
    assets = {band: document.relative(asset.href.split("?")[0]) for band, asset in bands.items() if asset is not None}
    words = said(item, imagery.assets[sensor.groups[0].bands[0]])
    moment, orbit, epsg = _moment(item, words), _orbit(item, words), _epsg(item, words)
    baseline, tile = (_baseline(item, words), _tile(item, words)) if sensor.name == "s2" else (None, None)
    offset_dn, offset_rule = _offset(item, imagery.offset, baseline)
    origin, size_px, pixel_m = _grid(item, words)
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
        platform=_slug(words.platform) if words.platform else None,
        orbit_direction=words.orbit_state,
        relative_orbit=orbit,
        baseline=baseline,
        cloud_pct=words.cloud_cover,
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


def _baseline(item: pystac.Item, words: Said) -> str | None:
    """Processing baseline as `04.00`, from its property or the product's name; None where neither says."""
    if words.baseline is not None:
        major, minor = words.baseline.split(".")
        return f"{int(major):02d}.{minor:0<2}"
    match = re.search(r"_N(\d\d)(\d\d)_", f"{words.product_uri} {item.id}")
    return f"{match[1]}.{match[2]}" if match else None


def _offset(item: pystac.Item, rule: str, baseline: str | None) -> tuple[int, str | None]:
    """What to subtract, and why."""
    if rule == "none":
        return 0, None
    if baseline is None:
        raise InputError(f"item {item.id}: its processing baseline is unknown, and so is the offset of its pixels")
    # Both have two digits on either side, so they compare as text.
    if baseline >= _OFFSET_SINCE:
        return _OFFSET_DN, f"baseline {baseline}: {_OFFSET_DN}"
    return 0, f"baseline {baseline}: none"


def _moment(item: pystac.Item, words: Said) -> dt.datetime:
    """UTC second: the datatake's start for S2 (providers disagree on `datetime`), the slice's start for S1."""
    named = re.search(r"_(\d{8}T\d{6})_", words.datatake or "") or re.match(r"S2[A-D]_MSIL\w\w_(\d{8}T\d{6})_", item.id)
    if named:
        return dt.datetime.strptime(named[1], "%Y%m%dT%H%M%S").replace(tzinfo=dt.UTC)
    moment = words.start_datetime or words.datetime
    if moment is None:
        raise InputError(f"item {item.id}: neither `datetime` nor `start_datetime` is set")
    return moment.replace(microsecond=0)


def _orbit(item: pystac.Item, words: Said) -> int | None:
    if words.relative_orbit is not None:
        return words.relative_orbit
    match = re.search(r"_R(\d{3})_", item.id)
    return int(match[1]) if match else None


def _tile(item: pystac.Item, words: Said) -> str:
    match = re.search(r"_T(\d\d[A-Z]{3})_", item.id)
    named = words.tile or (words.grid_code or "").removeprefix("MGRS-")
    return _slug(named or (match[1] if match else item.id))


def _epsg(item: pystac.Item, words: Said) -> int:
    if words.epsg is not None:
        return words.epsg
    if match := re.fullmatch(r"EPSG:(\d+)", words.code or ""):
        return int(match[1])
    raise InputError(f"item {item.id}: neither `proj:epsg` nor `proj:code` names a CRS")


def _grid(item: pystac.Item, words: Said) -> tuple[tuple[float, float], tuple[int, int], float]:
    """(left, top), (width, height) and pixel size of the raster."""
    if words.transform is None or words.shape is None:
        raise InputError(f"item {item.id}: `proj:transform` and `proj:shape` are not both set")
    pixel_m, _, left, _, _, top = words.transform[:6]
    height, width = words.shape
    return (left, top), (width, height), abs(pixel_m)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
