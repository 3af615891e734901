"""Convert STAC items of any provider to acquisitions."""

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import replace

import pystac
import shapely
from shapely.errors import ShapelyError
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from landmark.config.profiles import Mirror, Sensor, SensorCollection
from landmark.core.crs import is_horizontal, normalize_lonlat
from landmark.core.errors import InputError
from landmark.core.hashing import digest
from landmark.core.hosts import TRUSTED, HostRules, is_url
from landmark.core.limits import EXACT_VERTICES, FOOTPRINT_VERTICES
from landmark.core.outlines import make_valid
from landmark.core.time import parse_utc
from landmark.domain.acquisition import Acquisition, Item
from landmark.domain.drops import DropRecord
from landmark.stac.band_numbers import band_numbers
from landmark.stac.catalog import Catalog
from landmark.stac.hrefs import local_path, unsigned_href
from landmark.stac.offset import declared_offset, radiometric_offset
from landmark.stac.properties import StacProperties, json_properties, parse_properties


def footprint(item: pystac.Item) -> BaseGeometry:
    """Area with data, EPSG:4326; split in two at the antimeridian.

    Raises:
        InputError: the item has no geometry with an area, or one that is not in degrees.
    """
    if not isinstance(item.geometry, dict):
        problem = "must be a Polygon or MultiPolygon"
        raise InputError(problem, file=f"item {item.id}", key="geometry", value=item.geometry)
    try:
        outline = shape(item.geometry)
        if (count := shapely.get_num_coordinates(outline)) > FOOTPRINT_VERTICES:
            raise ValueError(f"{count} vertices, more than {FOOTPRINT_VERTICES}")
        outline = normalize_lonlat(outline, file=f"item {item.id}", key="geometry")
        outline = make_valid(outline)
        polygons = [part for part in shapely.get_parts(outline) if part.area > 0]
        if not polygons:
            raise ValueError("no area")
        return shapely.union_all(polygons) if count <= EXACT_VERTICES else shapely.multipolygons(polygons)
    except (ShapelyError, AttributeError, KeyError, TypeError, ValueError) as error:
        problem = f"must be a Polygon or MultiPolygon: {error}"
        raise InputError(problem, file=f"item {item.id}", key="geometry") from error


def interval(item: pystac.Item) -> tuple[dt.datetime, dt.datetime]:
    """First and last moment the item describes, UTC.

    Raises:
        InputError: the item has no time.
    """
    properties = parse_properties(item)
    start, end = properties.start_datetime or properties.datetime, properties.end_datetime or properties.datetime
    if start is None or end is None:
        problem = "missing, and so are start_datetime and end_datetime"
        raise InputError(problem, file=f"item {item.id}", key="datetime")
    return start, end


def read_acquisition(
    item: pystac.Item,
    area: BaseGeometry,
    catalog: Catalog,
    *,
    sensor: Sensor,
    imagery: SensorCollection,
    mirror: Mirror | None = None,
) -> Acquisition | DropRecord:
    """The acquisition of one item and its `footprint`, or the reason why it cannot be used.

    If the provider's profile has headers probed and the item has no grid or no CRS, the grid is left empty: `pixel_m`
    is 0, and so is `epsg` without a CRS.

    Raises:
        InputError: projection, time or offset is missing or invalid.
    """
    bands = {band: key for band, keys in imagery.assets.items() if (key := _first_asset(keys, item)) is not None}
    if missing := [band for band in sensor.order if band not in bands]:
        return _missing_bands(item, sensor, missing)
    assets = {band: catalog.relative_href(href_of(item, key, mirror, catalog.rules)) for band, key in bands.items()}
    numbers = band_numbers(item, bands, assets, imagery)
    properties = parse_properties(item, bands[sensor.groups[0].bands[0]])
    grid = _grid(properties)
    if grid is None and imagery.header == "trust":
        return DropRecord(item.id, "", "stac", "not_geocoded", _describe_no_grid(properties))
    time, orbit = _time(item, properties), _relative_orbit(item, properties)
    epsg = _epsg(item, properties, required=imagery.header == "trust")
    origin, size_px, pixel_m = grid if grid and epsg else ((0.0, 0.0), (0, 0), 0.0)
    is_s2 = sensor.name == "s2"
    baseline, tile = (_baseline(item, properties), _tile(item, properties)) if is_s2 else (None, None)
    offset_dn, offset_rule = _offset(item, properties, imagery, baseline, [bands[band] for band in sensor.order])
    return Acquisition(
        id=f"{sensor.name}_{tile or epsg or _slug(item.id)}_{time:%Y%m%dt%H%M%S}_r{orbit or 0:03d}",
        sensor=sensor.name,
        datetime=time,
        epsg=epsg,
        origin=origin,
        size_px=size_px,
        pixel_m=pixel_m,
        items=(Item(item.id, assets, _digest(item, assets, bands), numbers),),
        footprint=area,
        tile=tile,
        platform=_slug(properties.platform) if properties.platform else None,
        orbit_direction=properties.orbit_state,
        relative_orbit=orbit,
        baseline=baseline,
        cloud_pct=properties.cloud_cover,
        offset_dn=offset_dn,
        offset_rule=offset_rule,
    )


def href_of(item: pystac.Item, asset: str, mirror: Mirror | None = None, rules: HostRules = TRUSTED) -> str:
    """Absolute unsigned href of an asset, on the provider's mirror if one is configured.

    Raises:
        InputError: the rules of its catalogue do not allow it.
    """
    href = named = unsigned_href(item.assets[asset].href)
    document = item.get_self_href() or ""
    is_local = False
    if mirror is not None and (match := re.match(mirror.pattern, href)) is not None:
        href = match.expand(mirror.to) + href[match.end() :]
        is_local = rules.local_mirror and ".." not in re.split(r"[/\\]", named)
        if href.startswith("/"):
            href = f"file://{href}" if is_url(document) else href
        else:
            href = pystac.utils.make_absolute_href(href, item.get_self_href(), start_is_dir=False)
    rules = rules.for_document(document)
    try:
        (rules if rules.local_mirror == is_local else replace(rules, local_mirror=is_local)).check_href(href)
    except InputError as error:
        error.file = f"item {item.id}"
        raise
    return href if is_url(href) else local_path(href)


def named_href(item: pystac.Item, asset: str) -> str:
    """Unsigned href of an asset as its item names it, whether it may be read or not."""
    href = unsigned_href(item.assets[asset].href)
    return href if is_url(href) else local_path(href)


def item_digest(item: pystac.Item, asset: str, catalog: Catalog) -> str:
    """Digest of an item's properties and one of its assets."""
    return _digest(item, {asset: catalog.relative_href(named_href(item, asset))}, {asset: asset})


def _digest(item: pystac.Item, assets: Mapping[str, str], keys: Mapping[str, str]) -> str:
    files = {
        band: {name: value for name, value in item.assets[key].extra_fields.items() if name.startswith("file:")}
        for band, key in keys.items()
    }
    properties = json_properties(item.to_dict(include_self_link=False, transform_hrefs=False)["properties"])
    return digest({"id": item.id, "properties": properties, "assets": assets, "files": files})


def _first_asset(keys: tuple[str, ...], item: pystac.Item) -> str | None:
    return next((key for key in keys if key in item.assets), None)


def _missing_bands(item: pystac.Item, sensor: Sensor, missing: list[str]) -> DropRecord:
    if sensor.name == "s1":
        polarizations = ", ".join(parse_properties(item).polarizations) or "not stated"
        detail = f"no {', '.join(missing)}; polarizations: {polarizations}"
        return DropRecord(item.id, "", "stac", "polarisation", detail)
    return DropRecord(item.id, "", "stac", "band_missing", f"no {', '.join(missing)}")


def _baseline(item: pystac.Item, properties: StacProperties) -> str | None:
    """Processing baseline as `04.00`, from its property or the product's name; None if unknown."""
    if properties.baseline is not None:
        major, minor = properties.baseline.split(".")
        return f"{int(major):02d}.{minor:0<2}"
    match = re.search(r"_N(\d\d)(\d\d)_", f"{properties.product} {item.id}")
    return f"{match[1]}.{match[2]}" if match else None


def _offset(
    item: pystac.Item, properties: StacProperties, imagery: SensorCollection, baseline: str | None, keys: list[str]
) -> tuple[int, str | None]:
    """(offset in digital numbers, rule that it follows from)."""
    if imagery.offset == "none":
        return 0, None
    declared = declared_offset(item, {key: item.assets[key] for key in keys})
    try:
        return radiometric_offset(
            imagery.offset, baseline=baseline, applied=properties.offset_applied, declared=declared
        )
    except InputError as error:
        error.file = f"item {item.id}"
        raise


def _time(item: pystac.Item, properties: StacProperties) -> dt.datetime:
    """UTC second: the datatake's start for S2 (providers disagree on `datetime`), the slice's start for S1."""
    match = re.search(r"_(\d{8}T\d{6})_", properties.datatake or "") or re.search(
        r"\bS2[A-D]_MSIL\w\w_(\d{8}T\d{6})_", f"{item.id} {properties.product}"
    )
    if match:
        return parse_utc(match[1], "%Y%m%dT%H%M%S")
    time = properties.start_datetime or properties.datetime
    if time is None:
        raise InputError("missing, and so is start_datetime", file=f"item {item.id}", key="datetime")
    return time.replace(microsecond=0)


def _relative_orbit(item: pystac.Item, properties: StacProperties) -> int | None:
    if properties.relative_orbit is not None:
        return properties.relative_orbit
    match = re.search(r"_R(\d{3})_", f"{item.id} {properties.product}")
    return int(match[1]) if match else None


def _tile(item: pystac.Item, properties: StacProperties) -> str:
    """MGRS tile; the item's id if unknown."""
    match = re.search(r"_T(\d\d[A-Z]{3})_", f"{item.id} {properties.product}")
    tile = properties.tile or (properties.grid_code or "").removeprefix("MGRS-")
    return _slug(tile or (match[1] if match else item.id))


def _epsg(item: pystac.Item, properties: StacProperties, *, required: bool) -> int:
    """EPSG code; 0 if the item has none and none is required."""
    match = re.fullmatch(r"EPSG:(\d+)", properties.code or "")
    epsg = int(match[1]) if match and properties.epsg is None else properties.epsg
    if epsg is None:
        if properties.code is None and not required:
            return 0
        problem = "no EPSG code, in `proj:epsg` neither"
        raise InputError(problem, file=f"item {item.id}", key="proj:code", value=properties.code)
    if not is_horizontal(epsg):
        problem, key = "no known CRS of images", "proj:code" if properties.epsg is None else "proj:epsg"
        raise InputError(problem, file=f"item {item.id}", key=key, value=epsg)
    return epsg


def _grid(properties: StacProperties) -> tuple[tuple[float, float], tuple[int, int], float] | None:
    """(left, top), (width, height) and pixel size of the raster; None if the item has no grid."""
    if properties.transform is None or properties.shape is None:
        return None
    pixel_m, _, left, _, _, top = properties.transform[:6]
    height, width = properties.shape
    return (left, top), (width, height), abs(pixel_m)


def _describe_no_grid(properties: StacProperties) -> str:
    """What an item lacks of a grid, where its files' headers are not read."""
    values = {"proj:transform": properties.transform, "proj:shape": properties.shape}
    missing = " and ".join(f"`{key}`" for key, value in values.items() if value is None)
    return f"the item has no {missing}; `header: probe` in the provider's profile reads the grid from its file"


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
