"""Download public feeds to files that `read_events` reads."""

import datetime as dt
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import numpy as np
import shapely

from landmark.core.atomic import remove_partials, write_bytes
from landmark.core.errors import DownloadPending, InputError
from landmark.core.hosts import TRUSTED
from landmark.core.http import RESUME_HINT
from landmark.core.plural import plural
from landmark.core.progress import Progress, silent
from landmark.core.time import parse_utc
from landmark.events.feed import Box, Feed, FeedClient, FeedQuery, require

# Filters that each service supports.
_FILTERS = {
    "fdsn": ("since", "until", "min_magnitude", "bbox"),
    "ems": ("since", "until", "bbox", "codes"),
    "wfs": ("since", "until", "bbox"),
}
# Products from after the event; reference products (REF) are from before it.
_EVENT_PRODUCTS = ("FEP", "DEL", "GRA", "GRM")


def fetch(feed: Feed, query: FeedQuery, out: Path, *, progress: Progress = silent) -> list[Path]:
    """Download a feed to `out`, skipping packages that are there already.

    Raises:
        InputError: the feed does not support a filter, or `out` cannot be made.
        DownloadPending: no response, or an incomplete one; the same command resumes.
    """
    for name in ("since", "until", "min_magnitude", "bbox", "codes"):
        if (value := getattr(query, name)) not in (None, ()) and name not in _FILTERS[feed.service]:
            option = "--" + {"codes": "code"}.get(name, name).replace("_", "-")
            raise InputError(f"the feed {feed.name} has no such filter", file=option, value=value)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot be made: {error.strerror}", file="--out", value=str(out)) from error
    remove_partials(out)
    service = {"fdsn": _earthquakes, "ems": _packages, "wfs": _features}[feed.service]
    return list(service(feed, query, out, progress))


def _earthquakes(feed: Feed, query: FeedQuery, out: Path, progress: Progress) -> Iterator[Path]:
    if query.since is None:
        problem = f"needed by {feed.name}, which otherwise returns the last 30 days"
        raise InputError(problem, file="--since", remedy="give a day or a time")
    parameters: dict[str, Any] = {"format": "geojson", "starttime": query.since.strftime("%Y-%m-%dT%H:%M:%S")}
    if query.until is not None:
        parameters["endtime"] = query.until.strftime("%Y-%m-%dT%H:%M:%S")
    if query.min_magnitude is not None:
        parameters["minmagnitude"] = query.min_magnitude
    if query.bbox is not None:
        edges = ("minlongitude", "minlatitude", "maxlongitude", "maxlatitude")
        parameters |= dict(zip(edges, query.bbox, strict=True))
    client, url = FeedClient(), f"{feed.api}/query"
    count_url = f"{feed.api}/count"
    count = require(client.get_json(count_url, parameters), "count", int, count_url)
    earthquakes: dict[str, Any] = {}
    for offset in range(1, count + 1, feed.page):
        page = {"limit": feed.page, "offset": offset, "orderby": "time-asc"}
        features = require(client.get_json(url, parameters | page), "features", list, url)
        earthquakes |= {require(feature, "id", str, url): feature for feature in features}
        progress("earthquakes", len(earthquakes), count)
    if len(earthquakes) < count:
        problem = f"the service counts {plural(count, 'earthquake')}, but returned {len(earthquakes)}"
        raise DownloadPending(problem, file=url, remedy=RESUME_HINT)
    yield _write(out / _file_name(feed, query), earthquakes.values())


def _packages(feed: Feed, query: FeedQuery, out: Path, progress: Progress) -> Iterator[Path]:
    client, url = FeedClient(), f"{feed.api}/public-activations/"
    for code in query.codes or _codes(feed, query, client, progress):
        response = client.get_json(url, {"code": code.upper()})
        if not (results := require(response, "results", list, url)):
            raise InputError("no such activation", file="--code", value=code)
        require(results[0], "code", str, url)
        if re.fullmatch(r"[A-Za-z0-9_-]+", code) is None:  # it names a folder
            raise InputError("not a code of letters and digits", file=url, key="code", value=code)
        folder = out / code.upper()
        folder.mkdir(exist_ok=True)
        remove_partials(folder)
        # Before its packages: it holds the start of the event.
        document = folder / f"{code.upper()}.json"
        write_bytes(document, json.dumps(response, indent=1, ensure_ascii=False).encode())
        yield document
        links = _links(results[0])
        for number, link in enumerate(links, start=1):
            package_url = urljoin(f"{feed.api}/", link)
            path = folder / Path(urlsplit(package_url).path).name
            if not path.exists():
                TRUSTED.check_redirect(feed.api, package_url)
                client.download_zip(package_url, path)
                progress(code.upper(), number, len(links), path.name)
            yield path


def _codes(feed: Feed, query: FeedQuery, client: FeedClient, progress: Progress) -> list[str]:
    """Codes of the activations with a start in the time range and a centroid in the box."""
    if query == FeedQuery():
        raise InputError(
            f"the feed {feed.name} needs a filter", remedy="give --code EMSR332, or --since, --until and --bbox"
        )
    activations: dict[str, Mapping[str, Any]] = {}
    url = f"{feed.api}/public-activations-info/"
    while True:
        response = client.get_json(url, {"limit": feed.page, "offset": len(activations)})
        count, results = require(response, "count", int, url), require(response, "results", list, url)
        before = len(activations)
        activations |= {require(result, "code", str, url): result for result in results}
        progress("activations", len(activations), count)
        if len(activations) >= count or not results:
            break
        if len(activations) == before:
            problem = f"the service repeats activations at offset {before}"
            raise DownloadPending(problem, file=url, remedy=RESUME_HINT)
    return [code for code, activation in activations.items() if _matches(activation, query, url)]


def _matches(activation: Mapping[str, Any], query: FeedQuery, url: str) -> bool:
    start, centroid = activation.get("eventTime"), str(activation.get("centroid") or "POINT EMPTY")
    if not query.includes(_parse_time(start, "eventTime", url) if start else None):
        return False
    if query.bbox is None:
        return True
    try:
        return bool(shapely.box(*query.bbox).intersects(shapely.from_wkt(centroid.rpartition(";")[2])))
    except shapely.errors.GEOSException as error:
        raise DownloadPending(
            f"response has no valid WKT: {error}", file=url, key="centroid", value=centroid
        ) from error


def _links(activation: Mapping[str, Any]) -> list[str]:
    """Links of the packages of delivered products from after the event."""
    products = [product for aoi in activation.get("aois") or [] for product in aoi.get("products") or []]
    links = (product.get("downloadPath") for product in products if product.get("type") in _EVENT_PRODUCTS)
    return list(dict.fromkeys(str(link) for link in links if link))


def _features(feed: Feed, query: FeedQuery, out: Path, progress: Progress) -> Iterator[Path]:
    parameters = {"service": "WFS", "version": "1.0.0", "request": "GetFeature", "typename": feed.layer}
    box = {} if query.bbox is None else {"bbox": ",".join(_edges(query.bbox))}
    response = FeedClient().get_json(feed.api, {**parameters, "outputformat": "geojson", **box})
    features = require(response, "features", list, feed.api)
    matches = [feature for feature in features if query.includes(_start(feature, feed))]
    progress("features", len(features), len(features), f"{len(matches)} in the time range")
    yield _write(out / _file_name(feed, query), _lonlat_order(matches, query.bbox or feed.extent, feed))


def _start(feature: object, feed: Feed) -> dt.datetime | None:
    properties = require(feature, "properties", dict, feed.api)
    name = next((name for name in feed.dates if properties.get(name)), None)
    return None if name is None else _parse_time(properties[name], name, feed.api)


def _parse_time(value: object, key: str, url: str) -> dt.datetime:
    try:
        return parse_utc(str(value))
    except ValueError as error:
        raise DownloadPending("response has no ISO 8601 time", file=url, key=key, value=value) from error


def _lonlat_order(features: list[dict[str, Any]], extent: Box | None, feed: Feed) -> list[dict[str, Any]]:
    """The features with longitude first, their axes swapped if only that puts all of them into the extent.

    Raises:
        DownloadPending: the features are outside in both orders, or a geometry is invalid.
    """
    if extent is None or not features:
        return features
    encoded = [json.dumps(feature["geometry"]) if feature.get("geometry") else None for feature in features]
    try:
        as_sent = shapely.from_geojson(encoded)
    except shapely.errors.GEOSException as error:
        raise DownloadPending(f"response has an invalid geometry: {error}", file=feed.api, key="geometry") from error
    swapped = shapely.transform(as_sent, lambda xy: xy[:, ::-1])
    frame = shapely.box(*extent)
    for geometries in (as_sent, swapped):
        if bool(np.all(shapely.intersects(geometries, frame) | shapely.is_missing(geometries))):
            pairs = zip(features, shapely.to_geojson(geometries), strict=True)
            return [{**feature, "geometry": None if text is None else json.loads(text)} for feature, text in pairs]
    problem = f"features are outside of {extent} with either order of coordinates"
    raise DownloadPending(problem, file=feed.api, key="geometry")


def _file_name(feed: Feed, query: FeedQuery) -> str:
    """A file name that holds all filters, so that different queries never share a file."""
    since, until, magnitude = query.since, query.until, query.min_magnitude
    words = [feed.name]
    if since is not None:
        words.append(_timestamp(since, as_day=since.time() == dt.time()))
    if until is not None:
        words += ["until"] * (since is None) + [_timestamp(until, as_day=until.time() == dt.time.max)]
    if magnitude is not None:
        words.append(f"m{magnitude:.9g}")
    if query.bbox is not None:
        words.append("_".join(_edges(query.bbox)))
    return "-".join(words) + ".geojson"


def _timestamp(time: dt.datetime, *, as_day: bool) -> str:
    return f"{time:%Y%m%d}" if as_day else f"{time:%Y%m%dT%H%M%S}"


def _edges(box: Box) -> list[str]:
    return [f"{edge:.9g}" for edge in box]  # resolves a millimetre


def _write(path: Path, features: Iterable[Mapping[str, Any]]) -> Path:
    document = {"type": "FeatureCollection", "features": list(features)}
    write_bytes(path, json.dumps(document, ensure_ascii=False).encode())
    return path
