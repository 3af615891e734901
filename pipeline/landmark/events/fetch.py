"""Public feeds → files that `read_events` reads."""

import datetime as dt
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import numpy as np
import shapely

from landmark.core.atomic import sweep, write_bytes
from landmark.core.errors import DownloadPending, InputError
from landmark.domain.event import moment
from landmark.events.feed import Box, Feed, Line, Wanted, told

# What each service can be asked.
_ASKABLE = {
    "fdsn": ("since", "until", "min_magnitude", "bbox"),
    "ems": ("since", "until", "bbox", "codes"),
    "wfs": ("since", "until", "bbox"),
}
# A reference product shows the ground before the event.
_AFTER_THE_EVENT = ("FEP", "DEL", "GRA", "GRM")

Say = Callable[[str], None]


def fetch(feed: Feed, wanted: Wanted, out: Path, *, progress: Say = lambda _: None) -> list[Path]:
    """The files of a feed in `out`; packages that are there already are not fetched again.

    Raises:
        InputError: the feed cannot be asked so, or `out` cannot be made.
        DownloadPending: no answer, or not a whole one; the same command goes on.
    """
    for name in ("since", "until", "min_magnitude", "bbox", "codes"):
        if getattr(wanted, name) not in (None, ()) and name not in _ASKABLE[feed.service]:
            option = {"codes": "code"}.get(name, name).replace("_", "-")
            raise InputError(f"--{option}: {feed.name} cannot be asked for that")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {out}: cannot be made: {error.strerror}") from error
    sweep(out)
    service = {"fdsn": _earthquakes, "ems": _packages, "wfs": _features}[feed.service]
    return list(service(feed, wanted, out, progress))


def _earthquakes(feed: Feed, wanted: Wanted, out: Path, progress: Say) -> Iterator[Path]:
    if wanted.since is None:
        raise InputError(f"--since: {feed.name} needs the day from which on; without one it gives the last 30 days")
    query: dict[str, Any] = {"format": "geojson", "starttime": wanted.since.strftime("%Y-%m-%dT%H:%M:%S")}
    if wanted.until is not None:
        query["endtime"] = wanted.until.strftime("%Y-%m-%dT%H:%M:%S")
    if wanted.min_magnitude is not None:
        query["minmagnitude"] = wanted.min_magnitude
    if wanted.bbox is not None:
        query |= dict(zip(("minlongitude", "minlatitude", "maxlongitude", "maxlatitude"), wanted.bbox, strict=True))
    line = Line()
    count = told(line.json(f"{feed.api}/count", query), "count", int, f"{feed.api}/count")
    found: dict[str, Any] = {}
    for first in range(1, count + 1, feed.page):
        page = {"limit": feed.page, "offset": first, "orderby": "time-asc"}
        features = told(line.json(f"{feed.api}/query", query | page), "features", list, f"{feed.api}/query")
        found |= {told(one, "id", str, f"{feed.api}/query"): one for one in features}
        progress(f"{len(found)} of {count} earthquakes")
    if len(found) < count:
        raise DownloadPending(f"{feed.api} counts {count} earthquakes, but gave {len(found)}; run it again")
    yield _written(out / _name(feed, wanted), found.values())


def _packages(feed: Feed, wanted: Wanted, out: Path, progress: Say) -> Iterator[Path]:
    line = Line()
    for code in wanted.codes or _codes(feed, wanted, line, progress):
        url = f"{feed.api}/public-activations/"
        answer = line.json(url, {"code": code.upper()})
        if not (results := told(answer, "results", list, url)):
            raise InputError(f"--code {code}: {feed.api} knows no such activation")
        told(results[0], "code", str, url)
        folder = out / code.upper()
        folder.mkdir(exist_ok=True)
        sweep(folder)
        # Before its packages: it tells when the event began.
        write_bytes(folder / f"{code.upper()}.json", json.dumps(answer, indent=1, ensure_ascii=False).encode())
        yield folder / f"{code.upper()}.json"
        for link in _links(results[0]):
            whole = urljoin(f"{feed.api}/", link)
            path = folder / Path(urlsplit(whole).path).name
            if not path.exists():
                line.package(whole, path)
                progress(f"{code.upper()}: {path.name}")
            yield path


def _codes(feed: Feed, wanted: Wanted, line: Line, progress: Say) -> list[str]:
    """Codes of the activations whose event lies in the time and around a centre in the box."""
    if wanted == Wanted():
        raise InputError(f"{feed.name}: say which: --code EMSR332, or --since, --until and --bbox")
    listed: dict[str, Mapping[str, Any]] = {}
    url = f"{feed.api}/public-activations-info/"
    while True:
        query = {"limit": feed.page, "offset": len(listed)}
        answer = line.json(url, query)
        count, results = told(answer, "count", int, url), told(answer, "results", list, url)
        before = len(listed)
        listed |= {told(one, "code", str, url): one for one in results}
        progress(f"{len(listed)} of {count} activations listed")
        if len(listed) >= count or not results:
            break
        if len(listed) == before:
            raise DownloadPending(f"{feed.api} lists the same activations again at {before}; run it again")
    return [code for code, one in listed.items() if _within(one, wanted, url)]


def _within(activation: Mapping[str, Any], wanted: Wanted, url: str) -> bool:
    start, centroid = activation.get("eventTime"), str(activation.get("centroid") or "POINT EMPTY")
    if not wanted.covers(_moment(start, url) if start else None):
        return False
    if wanted.bbox is None:
        return True
    try:
        return bool(shapely.box(*wanted.bbox).intersects(shapely.from_wkt(centroid.rpartition(";")[2])))
    except shapely.errors.GEOSException as error:
        raise DownloadPending(f"{url}: {centroid!r} is no centroid: {error}") from error


def _links(activation: Mapping[str, Any]) -> list[str]:
    """Packages of the products that were delivered and show the ground after the event."""
    products = [product for aoi in activation.get("aois") or [] for product in aoi.get("products") or []]
    after = [one for one in products if one.get("type") in _AFTER_THE_EVENT and one.get("downloadPath")]
    return list(dict.fromkeys(str(one["downloadPath"]) for one in after))


def _features(feed: Feed, wanted: Wanted, out: Path, progress: Say) -> Iterator[Path]:
    query = {"service": "WFS", "version": "1.0.0", "request": "GetFeature", "typename": feed.layer}
    box = {} if wanted.bbox is None else {"bbox": ",".join(_edges(wanted.bbox))}
    answer = Line().json(feed.api, {**query, "outputformat": "geojson", **box})
    listed = told(answer, "features", list, feed.api)
    features = [one for one in listed if wanted.covers(_start(one, feed))]
    progress(f"{len(features)} of {len(listed)} features are of the time asked for")
    yield _written(out / _name(feed, wanted), _lon_first(features, wanted.bbox or feed.extent, feed))


def _start(feature: object, feed: Feed) -> dt.datetime | None:
    properties = told(feature, "properties", dict, feed.api)
    said = next((properties[name] for name in feed.dates if properties.get(name)), None)
    return None if said is None else _moment(said, feed.api)


def _moment(said: object, url: str) -> dt.datetime:
    try:
        return moment(str(said))
    except ValueError as error:
        raise DownloadPending(f"{url}: {said!r} is no moment in ISO 8601: {error}") from error


def _lon_first(features: list[dict[str, Any]], extent: Box | None, feed: Feed) -> list[dict[str, Any]]:
    """The features with longitude first: as they come, or turned where that alone puts all of them where they can be.

    Raises:
        DownloadPending: neither does, or they have no geometries.
    """
    if extent is None or not features:
        return features
    written = [json.dumps(one["geometry"]) if one.get("geometry") else None for one in features]
    try:
        shapes = shapely.from_geojson(written)
    except shapely.errors.GEOSException as error:
        raise DownloadPending(f"{feed.api} answers with a geometry that is none: {error}") from error
    turned = shapely.transform(shapes, lambda xy: xy[:, ::-1])
    frame = shapely.box(*extent)
    for found in (shapes, turned):
        if bool(np.all(shapely.intersects(found, frame) | shapely.is_missing(found))):
            pairs = zip(features, shapely.to_geojson(found), strict=True)
            return [{**one, "geometry": None if text is None else json.loads(text)} for one, text in pairs]
    raise DownloadPending(f"{feed.api}: features lie outside {extent}, whichever of their coordinates is longitude")


def _name(feed: Feed, wanted: Wanted) -> str:
    """A file's name that tells all that was asked: another question never overwrites its answer."""
    since, until, least = wanted.since, wanted.until, wanted.min_magnitude
    said = [feed.name]
    if since is not None:
        said.append(_when(since, whole=since.time() == dt.time()))
    if until is not None:
        said += ["until"] * (since is None) + [_when(until, whole=until.time() == dt.time.max)]
    if least is not None:
        said.append(f"m{least:.9g}")
    if wanted.bbox is not None:
        said.append("_".join(_edges(wanted.bbox)))
    return "-".join(said) + ".geojson"


def _when(time: dt.datetime, *, whole: bool) -> str:
    return f"{time:%Y%m%d}" if whole else f"{time:%Y%m%dT%H%M%S}"


def _edges(box: Box) -> list[str]:
    return [f"{edge:.9g}" for edge in box]  # a millimetre


def _written(path: Path, features: Iterable[Mapping[str, Any]]) -> Path:
    document = {"type": "FeatureCollection", "features": list(features)}
    write_bytes(path, json.dumps(document, ensure_ascii=False).encode())
    return path
