"""Public feeds → files that `read_events` reads."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import numpy as np
import shapely

from landmark.base.errors import DownloadUnfinished, InputError
from landmark.base.events import moment
from landmark.events.feed import Box, Feed, Line, Wanted
from landmark.io.store import sweep, write_bytes

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
        DownloadUnfinished: no answer, or not a whole one; the same command goes on.
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
    count = int(line.json(f"{feed.api}/count", query)["count"])
    found: dict[str, Any] = {}
    for first in range(1, count + 1, feed.page):
        page = {"limit": feed.page, "offset": first, "orderby": "time-asc"}
        found |= {str(one["id"]): one for one in line.json(f"{feed.api}/query", query | page)["features"]}
        progress(f"{len(found)} of {count} earthquakes")
    if len(found) < count:
        raise DownloadUnfinished(f"{feed.api} counts {count} earthquakes, but gave {len(found)}; run it again")
    yield _written(out / _name(feed, wanted), found.values())


def _packages(feed: Feed, wanted: Wanted, out: Path, progress: Say) -> Iterator[Path]:
    line = Line()
    for code in wanted.codes or _codes(feed, wanted, line, progress):
        answer = line.json(f"{feed.api}/public-activations/", {"code": code.upper()})
        if not answer.get("results"):
            raise InputError(f"--code {code}: {feed.api} knows no such activation")
        folder = out / code.upper()
        folder.mkdir(exist_ok=True)
        sweep(folder)
        # Before its packages: it tells when the event began.
        write_bytes(folder / f"{code.upper()}.json", json.dumps(answer, indent=1, ensure_ascii=False).encode())
        yield folder / f"{code.upper()}.json"
        for url in _links(answer["results"][0]):
            whole = urljoin(f"{feed.api}/", url)
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
    while True:
        query = {"limit": feed.page, "offset": len(listed)}
        answer = line.json(f"{feed.api}/public-activations-info/", query)
        before = len(listed)
        listed |= {str(one["code"]): one for one in answer["results"]}
        progress(f"{len(listed)} of {answer.get('count', '?')} activations listed")
        if len(listed) >= int(answer.get("count", 0)) or not answer["results"]:
            break
        if len(listed) == before:
            raise DownloadUnfinished(f"{feed.api} lists the same activations again at {before}; run it again")
    return [code for code, one in listed.items() if _within(one, wanted)]


def _within(activation: Mapping[str, Any], wanted: Wanted) -> bool:
    start = activation.get("eventTime")
    if not wanted.covers(moment(str(start)) if start else None):
        return False
    if wanted.bbox is None:
        return True
    centre = shapely.from_wkt(str(activation.get("centroid") or "POINT EMPTY").rpartition(";")[2])
    return bool(shapely.box(*wanted.bbox).intersects(centre))


def _links(activation: Mapping[str, Any]) -> list[str]:
    """Packages of the products that were delivered and show the ground after the event."""
    products = [product for aoi in activation.get("aois") or [] for product in aoi.get("products") or []]
    after = [one for one in products if one.get("type") in _AFTER_THE_EVENT and one.get("downloadPath")]
    return list(dict.fromkeys(str(one["downloadPath"]) for one in after))


def _features(feed: Feed, wanted: Wanted, out: Path, progress: Say) -> Iterator[Path]:
    query = {"service": "WFS", "version": "1.0.0", "request": "GetFeature", "typename": feed.layer}
    box = {} if wanted.bbox is None else {"bbox": ",".join(f"{edge:g}" for edge in wanted.bbox)}
    answer = Line().json(feed.api, {**query, "outputformat": "geojson", **box})
    features = [one for one in answer["features"] if wanted.covers(_start(one, feed))]
    progress(f"{len(features)} of {len(answer['features'])} features are of the time asked for")
    yield _written(out / _name(feed, wanted), _lon_first(features, wanted.bbox or feed.extent, feed))


def _start(feature: Mapping[str, Any], feed: Feed) -> Any:
    said = next((feature["properties"][name] for name in feed.dates if feature["properties"].get(name)), None)
    try:
        return None if said is None else moment(str(said))
    except ValueError as error:
        raise DownloadUnfinished(f"{feed.api}: {said!r} is no moment in ISO 8601: {error}") from error


def _lon_first(features: list[dict[str, Any]], extent: Box | None, feed: Feed) -> list[dict[str, Any]]:
    """The features with longitude first: as they come, or turned where that alone puts all of them where they can be.

    Raises:
        DownloadUnfinished: neither does.
    """
    if extent is None or not features:
        return features
    shapes = shapely.from_geojson([json.dumps(one["geometry"]) for one in features])
    turned = shapely.transform(shapes, lambda xy: xy[:, ::-1])
    frame = shapely.box(*extent)
    for found in (shapes, turned):
        if bool(np.all(shapely.intersects(found, frame) | shapely.is_missing(found))):
            pairs = zip(features, shapely.to_geojson(found), strict=True)
            return [{**one, "geometry": None if text is None else json.loads(text)} for one, text in pairs]
    raise DownloadUnfinished(f"{feed.api}: features lie outside {extent}, whichever of their coordinates is longitude")


def _name(feed: Feed, wanted: Wanted) -> str:
    days = [f"{day:%Y%m%d}" for day in (wanted.since, wanted.until) if day is not None]
    return "-".join([feed.name, *days]) + ".geojson"


def _written(path: Path, features: Iterable[Mapping[str, Any]]) -> Path:
    document = {"type": "FeatureCollection", "features": list(features)}
    write_bytes(path, json.dumps(document, ensure_ascii=False).encode())
    return path
