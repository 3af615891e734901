"""What a sample's own facts show: ids, places, labels and words, each held against the others."""

import datetime as dt
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import shapely

from landmark.core.crs import LONLAT, transformer
from landmark.domain.taxonomy import Taxonomy
from landmark.grid.cells import corner_of
from landmark.quality.captions import Row, Said, captions, event_words
from landmark.quality.check_profile import Limits
from landmark.quality.evidence import Known

RowCheck = Callable[[Row, Known, Limits], Iterable[Said]]

_ID = re.compile(r"(s1|s2)_(\w+)_(\d{8}t\d{6})_r(\d{3})")
_SHARD = re.compile(r".*/(s1|s2)-(train|val|test)-")
SECRET = re.compile(
    r"[?&](sig|sv|se|token|key|X-Amz-\w+|AWSAccessKeyId|Signature)=|\bBearer [\w.~+/-]{8}|\beyJ[\w-]{8,}\.[\w-]+",
    re.IGNORECASE,
)
LOCAL = re.compile(
    r"(^|[\s'\"])(file:|/(home|users|root|tmp|var|mnt|data|media|opt|srv|scratch)/|[a-z]:\\)", re.IGNORECASE
)
_MOJIBAKE = re.compile("\N{REPLACEMENT CHARACTER}|Ã.|â€|Â[^\\w\\s]?")
_CENTRE_DEG = 2e-6
_CORNER_M = 0.01  # names of cells anchored at a raster's corner say centimetres


def ids(row: Row, known: Known, limits: Limits) -> Iterator[Said]:
    """An id says sensor, cell, second and orbit of its sample."""
    found = _ID.fullmatch(row["id"] or "")
    if found is None:
        yield "an id is not sensor_cell_second_orbit", ""
        return
    sensor, cell, second, orbit = found.groups()
    meant = {
        "sensor": (sensor, row["sensor"]),
        "cell": (cell, row["cell"]),
        "time": (second, f"{row['datetime']:%Y%m%dt%H%M%S}"),
        "orbit": (int(orbit), row["relative_orbit"] or 0),
    }
    for name, (said, is_) in meant.items():
        if said != is_:
            yield f"an id names another {name} than its row", f"{said}, the row {is_}"


def placement(row: Row, known: Known, limits: Limits) -> Iterator[Said]:
    """Cell, transform, centre, outline and shard of a sample name one place."""
    of = _SHARD.match(row["shard"])
    if of and of.groups() != (row["sensor"], row["split"]):
        yield "a sample lies in the shard of another sensor or split", f"{row['sensor']} {row['split']}"
    edge_m = known.manifest.patch_px * known.manifest.resolution_m
    width, skew, left, tilt, height, top = row["transform"]
    if (width, skew, tilt, height) != (known.manifest.resolution_m, 0, 0, -known.manifest.resolution_m):
        yield "a transform is not north-up at the corpus's resolution", f"{width:g} x {height:g} m"
        return
    corner = corner_of(row["cell"], edge_m)
    if corner is None:
        yield "a cell's name names no place", str(row["cell"])
    elif corner[0] != row["epsg"] or max(abs(corner[1] - left), abs(corner[2] - top)) > _CORNER_M:
        yield (
            "a transform is not its cell's",
            f"EPSG:{row['epsg']} {left:.1f} {top:.1f}, not EPSG:{corner[0]} {corner[1]:.1f} {corner[2]:.1f}",
        )
    lon, lat = transformer(row["epsg"], LONLAT).transform(left + edge_m / 2, top - edge_m / 2)
    if not (abs((lon - row["lon"] + 180) % 360 - 180) < _CENTRE_DEG and abs(lat - row["lat"]) < _CENTRE_DEG):
        yield (
            "lon and lat are not the centre of the transform",
            f"{row['lon']:.6f} {row['lat']:.6f}, not {lon:.6f} {lat:.6f}",
        )
    yield from _outline(row, lon, lat, edge_m)


def _outline(row: Row, lon: float, lat: float, edge_m: float) -> Iterator[Said]:
    try:
        outline: Any = shapely.from_wkb(row["geometry"])
    except shapely.errors.ShapelyError:
        yield "a geometry is not WKB", ""
        return
    if outline.geom_type != "Polygon":
        return  # two parts at the antimeridian, whose centroid says nothing
    centre = outline.centroid
    # An outline's centroid and the projected centre differ by far less than a pixel.
    if np.hypot((centre.x - lon) * np.cos(np.radians(lat)), centre.y - lat) * 111_320 > edge_m / 100:
        yield (
            "a geometry is not the transform's square",
            f"centre {centre.x:.5f} {centre.y:.5f}, not {lon:.5f} {lat:.5f}",
        )


def fractions(row: Row, known: Known, limits: Limits) -> Iterator[Said]:
    """Shares sum to one, and the labels are those shares that reach their threshold, largest first."""
    shares = row["fractions"]
    # What events gave has no share; what an undated source gave has.
    labels = [key for key in row["labels"] if key in shares or not _event_class(known.taxonomy, key)]
    for name in ("fractions", "finer"):
        total = sum(row[name].values())
        if row[name] and abs(total - 1) > limits["tolerance"]:
            yield f"{name} do not sum to one", f"{total:.4f}"
    if not shares:
        return
    asked = known.recipe.get("thresholds", {})
    threshold = {key: asked.get("classes", {}).get(key, asked.get("default", 5)) / 100 for key in shares}
    for key in labels:
        if shares.get(key, 0) < threshold.get(key, 0) - limits["tolerance"]:
            yield "a label is below its threshold", f"{key} {shares.get(key, 0):.3f}"
    if not asked.get("min_agreement_pct"):
        for key in shares.keys() - set(labels):
            if shares[key] > threshold[key] + limits["tolerance"]:
                yield "a class above its threshold is no label", f"{key} {shares[key]:.3f}"
    held = [shares[key] for key in labels if key in shares]
    if any(one < other - limits["tolerance"] for one, other in pairwise(held)):
        yield "labels do not stand in the order of their shares", ", ".join(labels)


def vocabulary(row: Row, known: Known, limits: Limits) -> Iterator[Said]:
    """Every class is one the taxonomy defines, every finer class one of a named source, every text readable."""
    for name in ("labels", "fractions", "agreement"):
        for key in row[name]:
            if key not in known.taxonomy.classes:
                yield f"{name} hold a class the taxonomy does not define", str(key)
    sources = {one["name"] for one in row["sources"]}
    for key in row["finer"]:
        if key.split("/")[0] not in sources:
            yield "a finer class is of a source the sample does not name", str(key)
    for caption in row["captions"]:
        if broken := _MOJIBAKE.search(caption["text"]):
            yield "a caption holds broken characters", repr(broken[0])


def label_gap(row: Row, known: Known, limits: Limits) -> Iterator[Said]:
    """Labels describe a time near enough to the image."""
    for one in row["sources"]:
        most = known.max_gap_days.get(one["name"], limits["max_gap_days"])
        if one["gap_days"] is not None and one["gap_days"] > most:
            yield f"{one['name']} is too far from the image in time", f"{one['gap_days']} days"
        if one["year"] is None or one["gap_days"] is None:
            continue
        first, last = dt.datetime(one["year"], 1, 1, tzinfo=dt.UTC), dt.datetime(one["year"] + 1, 1, 1, tzinfo=dt.UTC)
        apart = max((first - row["datetime"]).days, (row["datetime"] - last).days, 0)
        # An edition may begin or end inside its year, or last for several.
        if apart - one["gap_days"] > 366 or one["gap_days"] - apart > 366:
            yield f"year and gap_days of {one['name']} contradict each other", f"{one['year']}, {one['gap_days']} days"


def secrets(row: Row, known: Known, limits: Limits) -> Iterator[Said]:
    """No column holds a signed address or a path of somebody's machine."""
    for name, text in _texts(row):
        if SECRET.search(text):
            yield f"{name} holds a token or a signed address", re.sub(r"(=|Bearer )[^&\s]+", r"\1…", text)[:120]
        elif LOCAL.search(text):
            yield f"{name} holds a path of a machine", text[:120]


def _texts(row: Row) -> Iterator[tuple[str, str]]:
    for name in ("product", "platform", "baseline", "offset_rule"):
        yield name, row[name] or ""
    for name in ("items", "licences"):
        for text in row[name]:
            yield name, text
    for one in row["captions"]:
        yield "captions", f"{one['text']} {one['template']}"
    for one in row["sources"]:
        yield "sources", f"{one['name']} {one['version']}"
    for one in row["events"]:
        yield "events", f"{one['id']} {one['product']}"


def _event_class(taxonomy: Taxonomy, key: str) -> bool:
    return key in taxonomy.classes and taxonomy.classes[key].event


ROW_CHECKS: dict[str, RowCheck] = {
    "ids": ids,
    "placement": placement,
    "fractions": fractions,
    "vocabulary": vocabulary,
    "captions": captions,
    "label-gap": label_gap,
    "event-words": event_words,
    "secrets": secrets,
}
