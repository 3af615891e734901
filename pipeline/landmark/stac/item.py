"""One STAC item in landmark's words, whatever the provider calls things."""

import datetime as dt
import re
from collections.abc import Mapping

import pystac
import shapely
from shapely.errors import ShapelyError
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from landmark.config.profiles import Mirror, Sensor, SensorCollection
from landmark.core.crs import split_antimeridian
from landmark.core.errors import InputError
from landmark.core.hashing import digest
from landmark.core.time import parse_utc
from landmark.domain.acquisition import Acquisition, Item
from landmark.domain.drops import DropRecord
from landmark.stac.catalog import Catalog
from landmark.stac.offset import declared_offset, radiometric_offset
from landmark.stac.properties import StacProperties, plain, said


def footprint(item: pystac.Item) -> BaseGeometry:
    """Where the item has data, in EPSG:4326; cut in two where it crosses the antimeridian, however it says so.

    Raises:
        InputError: the item has no geometry, or none that is an area.
    """
    try:
        outline = shapely.make_valid(split_antimeridian(shape(item.geometry or {})))
        areas = [part for part in shapely.get_parts(outline) if part.area > 0]
        if not areas:
            raise ValueError("it covers nothing")
        return shapely.union_all(areas)
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


def acquisition(
    item: pystac.Item, document: Catalog, *, sensor: Sensor, imagery: SensorCollection, mirror: Mirror | None = None
) -> Acquisition | DropRecord:
    """The item as an acquisition of its own, or why it cannot be one.

    Where the profile asks headers and the item does not place its raster, the grid is left empty (`pixel_m` 0).

    Raises:
        InputError: geometry, projection, time or offset cannot be understood.
    """
    bands = {band: key for band, keys in imagery.assets.items() if (key := _first(keys, item)) is not None}
    if missing := [band for band in sensor.order if band not in bands]:
        return _refused(item, sensor, missing)
    assets = {band: document.relative_href(href_of(item, key, mirror)) for band, key in bands.items()}
    words = said(item, bands[sensor.groups[0].bands[0]])
    grid = _grid(item, words)
    if grid is None and imagery.header == "trust":
        return DropRecord(item.id, "", "stac", "not_geocoded", "no `proj:transform` and `proj:shape`")
    origin, size_px, pixel_m = grid or ((0.0, 0.0), (0, 0), 0.0)
    moment, orbit, epsg = _moment(item, words), _orbit(item, words), _epsg(item, words)
    baseline, tile = (_baseline(item, words), _tile(item, words)) if sensor.name == "s2" else (None, None)
    offset_dn, offset_rule = _offset(item, words, imagery, baseline, [bands[band] for band in sensor.order])
    return Acquisition(
        id=f"{sensor.name}_{tile or epsg}_{moment:%Y%m%dt%H%M%S}_r{orbit or 0:03d}",
        sensor=sensor.name,
        datetime=moment,
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


def _first(keys: tuple[str, ...], item: pystac.Item) -> str | None:
    return next((key for key in keys if key in item.assets), None)


def _refused(item: pystac.Item, sensor: Sensor, missing: list[str]) -> DropRecord:
    if sensor.name == "s1":
        there = ", ".join(said(item).polarizations) or "none said"
        return DropRecord(item.id, "", "stac", "polarisation", f"no {', '.join(missing)}; it has {there}")
    return DropRecord(item.id, "", "stac", "band_missing", f"no {', '.join(missing)}")


def href_of(item: pystac.Item, asset: str, mirror: Mirror | None = None) -> str:
    """Where an asset lies: unsigned, absolute, on the provider's mirror if it has one."""
    href = item.assets[asset].href.split("?")[0]
    if mirror is None or (match := re.match(mirror.pattern, href)) is None:
        return href
    moved = match.expand(mirror.to) + href[match.end() :]
    if moved.startswith("/"):
        return f"file://{moved}" if "://" in (item.get_self_href() or "") else moved
    return pystac.utils.make_absolute_href(moved, item.get_self_href(), start_is_dir=False)


def item_digest(item: pystac.Item, asset: str, document: Catalog) -> str:
    """Digest of what an item says of itself and of one of its assets."""
    return _digest(item, {asset: document.relative_href(href_of(item, asset))}, {asset: asset})


def _digest(item: pystac.Item, assets: Mapping[str, str], keys: Mapping[str, str]) -> str:
    files = {
        band: {name: value for name, value in item.assets[key].extra_fields.items() if name.startswith("file:")}
        for band, key in keys.items()
    }
    return digest(
        {"id": item.id, "properties": plain(item.to_dict(False, False)["properties"]), "assets": assets, "files": files}
    )


def _baseline(item: pystac.Item, words: StacProperties) -> str | None:
    """Processing baseline as `04.00`, from its property or the product's name; None where neither says."""
    if words.baseline is not None:
        major, minor = words.baseline.split(".")
        return f"{int(major):02d}.{minor:0<2}"
    match = re.search(r"_N(\d\d)(\d\d)_", f"{words.product} {item.id}")
    return f"{match[1]}.{match[2]}" if match else None


def _offset(
    item: pystac.Item, words: StacProperties, imagery: SensorCollection, baseline: str | None, keys: list[str]
) -> tuple[int, str | None]:
    if imagery.offset == "none":
        return 0, None
    declared = declared_offset(item, {key: item.assets[key] for key in keys})
    try:
        return radiometric_offset(imagery.offset, baseline=baseline, applied=words.offset_applied, declared=declared)
    except InputError as error:
        raise InputError(f"item {item.id}: {error}") from error


def _moment(item: pystac.Item, words: StacProperties) -> dt.datetime:
    """UTC second: the datatake's start for S2 (providers disagree on `datetime`), the slice's start for S1."""
    named = re.search(r"_(\d{8}T\d{6})_", words.datatake or "") or re.search(
        r"\bS2[A-D]_MSIL\w\w_(\d{8}T\d{6})_", f"{item.id} {words.product}"
    )
    if named:
        return parse_utc(named[1], "%Y%m%dT%H%M%S")
    moment = words.start_datetime or words.datetime
    if moment is None:
        raise InputError(f"item {item.id}: neither `datetime` nor `start_datetime` is set")
    return moment.replace(microsecond=0)


def _orbit(item: pystac.Item, words: StacProperties) -> int | None:
    if words.relative_orbit is not None:
        return words.relative_orbit
    match = re.search(r"_R(\d{3})_", f"{item.id} {words.product}")
    return int(match[1]) if match else None


def _tile(item: pystac.Item, words: StacProperties) -> str:
    match = re.search(r"_T(\d\d[A-Z]{3})_", f"{item.id} {words.product}")
    named = words.tile or (words.grid_code or "").removeprefix("MGRS-")
    return _slug(named or (match[1] if match else item.id))


def _epsg(item: pystac.Item, words: StacProperties) -> int:
    if words.epsg is not None:
        return words.epsg
    if match := re.fullmatch(r"EPSG:(\d+)", words.code or ""):
        return int(match[1])
    raise InputError(f"item {item.id}: neither `proj:epsg` nor `proj:code` names a CRS")


def _grid(item: pystac.Item, words: StacProperties) -> tuple[tuple[float, float], tuple[int, int], float] | None:
    """(left, top), (width, height) and pixel size of the raster; None where the item does not place it."""
    if words.transform is None or words.shape is None:
        return None
    pixel_m, _, left, _, _, top = words.transform[:6]
    height, width = words.shape
    return (left, top), (width, height), abs(pixel_m)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
