"""STAC items of a folder of rasters: from item documents beside the files, or from file names and headers."""

import datetime as dt
import json
import os
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import shapely
from pyproj import CRS

from landmark.core.crs import LONLAT, reproject
from landmark.core.errors import InputError
from landmark.core.json_text import parse_bounded
from landmark.core.ranges.errors import Unreadable
from landmark.core.resources import available
from landmark.core.yaml_files import load_model
from landmark.domain.taxonomy import Crosswalk
from landmark.raster.reader import Header, open_raster
from landmark.stac.asset_bands import SensorBand, find_band, shipped_providers, without_band

_SUFFIXES = (".tif", ".tiff", ".jp2")
# Folders inside a product: its files are of one image.
_PRODUCT_FOLDERS = re.compile(r"R\d+m|IMG_DATA|GRANULE|measurement", re.IGNORECASE)
_PRODUCT = re.compile(r"S2[A-D]_MSIL2A_\d{8}T\d{6}_N\d{4}_")
_TIME = re.compile(r"(?<!\d)((?:19|20)\d\d)-?(\d\d)-?(\d\d)(?:[T_ ]?(\d\d)[:-]?(\d\d)[:-]?(\d\d))?(?!\d)")
_YEAR = re.compile(r"(?<!\d)((?:19|20)\d\d)(?!\d)")


@dataclass(frozen=True, slots=True)
class FolderItems:
    """Items of a folder.

    Attributes:
        features: STAC items, with hrefs relative to the folder they will be written to.
        notes: What was left out or assumed.
    """

    features: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Band:
    path: Path
    header: Header
    names: tuple[str | None, ...]


def relocated_items(features: Iterable[tuple[Path, dict[str, Any]]], out: Path) -> list[dict[str, Any]]:
    """Items (folder, JSON) for a document in the folder `out`; those that name no collection are of one."""
    return [{"collection": "images", **_relocated(item, folder, out)} for folder, item in features]


def read_folder(folder: Path, out: Path) -> FolderItems:
    """Items of all rasters below a folder, to be written to a document in the folder `out`.

    Raises:
        InputError: the folder holds no raster whose sensor and time can be recognised.
    """
    documents = [
        (path, content)
        for path in sorted(folder.rglob("*.json"))
        if (content := _read_item(path)) is not None and not _is_hidden(path, folder)
    ]
    if documents:
        return FolderItems(relocated_items(((path.parent, content) for path, content in documents), out))
    items = FolderItems([])
    images: dict[tuple[str, str], dict[str, _Band]] = {}
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES):
        if not _is_hidden(path, folder):
            _add_file(path, folder, out, images, items)
    for (sensor, name), bands in images.items():
        try:
            items.features.append(_image_item(sensor, name, bands, out))
        except InputError as error:
            items.notes.append(f"{name} left out: {error.problem}")
    _separate_days(items)
    return items


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _read_item(path: Path) -> dict[str, Any] | None:
    """A STAC item's JSON; None if the file holds none."""
    try:
        content = parse_bounded(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    is_item = isinstance(content, dict) and content.get("type") == "Feature" and "stac_version" in content
    return content if is_item and isinstance(content.get("assets"), dict) else None


def _relocated(item: dict[str, Any], folder: Path, out: Path) -> dict[str, Any]:
    """The item with hrefs of files on disk relative to another folder; a file beside the item replaces a URL."""
    assets = {}
    for key, asset in item["assets"].items():
        href = str(asset.get("href", "")).removeprefix("file://")
        local = folder / (Path(href.split("?")[0]).name if "://" in href else href)
        assets[key] = {**asset, "href": os.path.relpath(local, out) if local.is_file() else href}
    named = {key: value for key, value in item.items() if value is not None}
    return {**named, "assets": assets, "links": []}


def _add_file(
    path: Path, folder: Path, out: Path, images: dict[tuple[str, str], dict[str, _Band]], items: FolderItems
) -> None:
    """Add a raster to its image, or to the items if it is a label map."""
    try:
        with open_raster(str(path)) as raster:
            file = _Band(path, raster.header, raster.band_names)
    except Unreadable as error:
        items.notes.append(f"{path} left out: {error}")
        return
    place = path.relative_to(folder)
    bands = _bands_of(file)
    for band in bands:
        image = images.setdefault((band.sensor, _image_name(place, folder, single=len(bands) == 1)), {})
        if band.band not in image or file.header.pixel_size < image[band.band].header.pixel_size:
            image[band.band] = file
    if not bands:
        label = _label_item(file, f"{folder.name}/{place.with_suffix('')}", out)
        items.features.extend([] if label is None else [label])
        if label is None:
            items.notes.append(f"{path} left out: its name gives neither a band nor a label source with a year")


def _bands_of(file: _Band) -> list[SensorBand]:
    """Bands of a file: by its name, or of several bands by their descriptions."""
    if len(file.names) == 1:
        band = find_band(file.path.stem) or find_band(file.names[0] or "")
        return [] if band is None else [band]
    return [band for name in file.names if (band := find_band(name or "")) is not None]


def _image_name(place: Path, folder: Path, *, single: bool) -> str:
    """What the names of all files of an image share."""
    folders = [part for part in place.parent.parts if not _PRODUCT_FOLDERS.fullmatch(part)] or [folder.name]
    stem = without_band(place.stem) if single else place.stem
    return stem if stem and _find_time(stem) else "_".join([*folders, *([stem] if stem else [])])


def _find_time(text: str) -> dt.datetime | None:
    """The first time in a text; midnight of a day without one."""
    for match in _TIME.finditer(text):
        year, month, day, hour, minute, second = (int(part or 0) for part in match.groups())
        try:
            return dt.datetime(year, month, day, hour, minute, second, tzinfo=dt.UTC)
        except ValueError:
            continue
    return None


def _text(time: dt.datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")


def _image_item(sensor: str, name: str, bands: dict[str, _Band], out: Path) -> dict[str, Any]:
    """Item of an image.

    Raises:
        InputError: its names give no date, or its file no grid in metres.
    """
    time = _find_time(name)
    if time is None:
        raise InputError("no date, as 20210701 or 20210701T101559, in the names of its files and folder")
    finest = min(bands.values(), key=lambda band: band.header.pixel_size)
    if finest.header.epsg is None or CRS(finest.header.epsg).is_geographic:
        crs = f"EPSG:{finest.header.epsg}, in degrees" if finest.header.epsg else "no CRS with an EPSG code"
        raise InputError(f"{finest.path.name} has {crs}; warp it to a UTM zone with gdalwarp")
    # The folder of an ESA product names tile, orbit and processing baseline.
    products = [part for part in finest.path.parts if _PRODUCT.match(part)]
    properties = {"datetime": _text(time), **({"s2:product_uri": products[-1]} if products else {})}
    return _item(name, sensor, finest.header, properties, {key: _asset(band, out) for key, band in bands.items()})


def _asset(file: _Band, out: Path) -> dict[str, Any]:
    names = [band.band if (band := find_band(name or "")) else name or "" for name in file.names]
    bands = {"bands": [{"name": name} for name in names]} if len(names) > 1 else {}
    return {"href": os.path.relpath(file.path, out), "roles": ["data"], **bands}


def _item(
    id: str, collection: str, header: Header, properties: dict[str, Any], assets: dict[str, Any]
) -> dict[str, Any]:
    (left, top), (height, width), pixel = header.origin, header.shape, header.pixel_size
    outline = shapely.segmentize(shapely.box(left, top - height * pixel, left + width * pixel, top), 20 * pixel)
    footprint = reproject(outline, header.epsg or LONLAT, LONLAT)
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": id,
        "collection": collection,
        "geometry": json.loads(shapely.to_geojson(footprint)),
        "bbox": list(footprint.bounds),
        "properties": {
            **properties,
            "proj:epsg": header.epsg,
            "proj:shape": [height, width],
            "proj:transform": [pixel, 0, left, 0, -pixel, top],
        },
        "assets": assets,
        "links": [],
    }


def _label_item(file: _Band, place: str, out: Path) -> dict[str, Any] | None:
    """Item of a label map whose path names its source and year; None if it names none."""
    words = re.sub(r"[^a-z0-9]", "", place.lower())
    sources = [source for source in _label_sources() if source.name.replace("-", "") in words]
    years = _YEAR.findall(file.path.stem) or _YEAR.findall(place)
    if not sources or not years or file.header.epsg is None or file.header.dtype.startswith("float"):
        return None
    source, year = max(sources, key=lambda source: len(source.name)), int(years[-1])
    last = f"{year + 1}-01-01T00:00:00Z" if source.exclusive_end else f"{year}-12-31T23:59:59Z"
    properties = {"datetime": None, "start_datetime": f"{year}-01-01T00:00:00Z", "end_datetime": last}
    name = re.sub(r"[^A-Za-z0-9]+", "_", place).strip("_")
    return _item(name, source.name, file.header, properties, {str(source.asset): _asset(file, out)})


def _label_sources() -> Iterator[Crosswalk]:
    """Shipped label sources that are published as STAC items."""
    for name in available("taxonomies"):
        try:
            source = load_model(Crosswalk, "taxonomies", name)
        except InputError:  # another kind of file
            continue
        if source.asset is not None:
            yield source


def _separate_days(items: FolderItems) -> None:
    """Give images of one sensor and day without a time of day different seconds, by which samples are told apart."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for feature in items.features:
        time = feature["properties"]["datetime"]
        if time is not None and time.endswith("T00:00:00Z"):
            groups.setdefault((feature["collection"], time), []).append(feature)
    for (_, time), features in groups.items():
        for number, feature in enumerate(sorted(features, key=lambda feature: str(feature["id"]))):
            moment = dt.datetime.fromisoformat(time) + dt.timedelta(seconds=number)
            feature["properties"]["datetime"] = _text(moment)
    if groups:
        items.notes.append("names without a time of day: images are dated to the first seconds of their days")


def label_source(collection: str, keys: Collection[str]) -> str | None:
    """The label source whose items have an asset of one of some keys, in a collection of its name or a provider's."""
    names = {name: source for provider in shipped_providers() for source, name in provider.labels.items()}
    sources = {source.name: source for source in _label_sources()}
    source = sources.get(names.get(collection, collection))
    return source.name if source is not None and source.asset in keys else None
