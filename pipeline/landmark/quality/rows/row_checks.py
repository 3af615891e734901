"""Checks of single rows: ids, positions, labels and texts of a sample against each other. Run in the shard pass."""

import datetime as dt
import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import shapely

from landmark.config.recipe import Thresholds
from landmark.core.crs import LONLAT, transformer
from landmark.core.plural import plural
from landmark.grid.cells import cell_corner
from landmark.quality.check_input import CorpusContext
from landmark.quality.check_profile import Limits
from landmark.quality.rows.captions import Row, RowProblem, captions, event_words
from landmark.quality.rows.secret_texts import secrets_in_row
from landmark.quality.rows.texts import texts

RowCheck = Callable[[Row, CorpusContext, Limits], Iterable[RowProblem]]

_ID = re.compile(r"(s1|s2)_(\w+)_(\d{8}t\d{6})_r(\d{3})")
_SHARD = re.compile(r".*/(s1|s2)-(train|val|test)-")
_CENTRE_TOLERANCE_DEG = 2e-6
_CORNER_TOLERANCE_M = 0.01  # ids of cells anchored at a raster's corner are in centimetres
_OUTLINE_TOLERANCE_M = 1  # corpora of others round degrees


def ids(row: Row, context: CorpusContext, limits: Limits) -> Iterator[RowProblem]:
    """An id names sensor, cell, second and orbit of its sample."""
    match = _ID.fullmatch(row["id"] or "")
    if match is None:
        yield "id is not sensor_cell_second_orbit", ""
        return
    sensor, cell, second, orbit = match.groups()
    parts = {
        "sensor": (sensor, row["sensor"]),
        "cell": (cell, row["cell"]),
        "time": (second, f"{row['datetime']:%Y%m%dt%H%M%S}"),
        "orbit": (int(orbit), row["relative_orbit"] or 0),
    }
    for name, (in_id, in_row) in parts.items():
        if in_id != in_row:
            yield f"id names another {name} than its row", f"{in_id}, the row {in_row}"


def placement(row: Row, context: CorpusContext, limits: Limits) -> Iterator[RowProblem]:
    """Cell, transform, centre and footprint agree, and the sample is in the shard of its sensor and split."""
    shard = _SHARD.match(row["shard"])
    if shard and shard.groups() != (row["sensor"], row["split"]):
        yield "sample is in the shard of another sensor or split", f"{row['sensor']} {row['split']}"
    resolution_m = context.manifest.resolution_m
    edge_m = context.manifest.patch_px * resolution_m
    pixel_width, row_skew, left, column_skew, pixel_height, top = row["transform"]
    if (pixel_width, row_skew, column_skew, pixel_height) != (resolution_m, 0, 0, -resolution_m):
        yield "transform is not north-up at the corpus's resolution", f"{pixel_width:g} x {pixel_height:g} m"
        return
    corner = cell_corner(row["cell"], edge_m)
    if corner is None:
        yield "cell id has no position", str(row["cell"])
    elif corner[0] != row["epsg"] or max(abs(corner[1] - left), abs(corner[2] - top)) > _CORNER_TOLERANCE_M:
        actual, expected = f"EPSG:{row['epsg']} {left:.1f} {top:.1f}", "EPSG:{} {:.1f} {:.1f}".format(*corner)
        yield "transform is not that of the cell", f"{actual}, not {expected}"
    lon, lat = transformer(row["epsg"], LONLAT).transform(left + edge_m / 2, top - edge_m / 2)
    lon_error, lat_error = abs((lon - row["lon"] + 180) % 360 - 180), abs(lat - row["lat"])
    # Negated, so that NaN is a problem.
    if not (lon_error < _CENTRE_TOLERANCE_DEG and lat_error < _CENTRE_TOLERANCE_DEG):
        detail = f"{row['lon']:.6f} {row['lat']:.6f}, not {lon:.6f} {lat:.6f}"
        yield "lon and lat are not the centre of the transform", detail
    try:
        error_m = _outline_error_m(row["geometry"], row["epsg"], (left, top - edge_m, left + edge_m, top))
    except shapely.errors.ShapelyError:
        yield "geometry is not WKB", ""
        return
    # Negated, so that NaN is a problem.
    if not error_m <= _OUTLINE_TOLERANCE_M:
        yield "geometry is not the square of the transform", f"up to {error_m:.0f} m off"


@lru_cache  # images of a cell have one outline
def _outline_error_m(geometry: bytes, epsg: int, square: tuple[float, float, float, float]) -> float:
    """Largest distance of an outline (WKB, degrees) from the square left, bottom, right, top in metres of `epsg`."""
    outline: Any = shapely.from_wkb(geometry)
    if outline.geom_type != "Polygon":
        return 0.0  # split at the antimeridian
    to_metres = transformer(LONLAT, epsg).transform
    projected = shapely.transform(outline, lambda points: np.column_stack(to_metres(*points.T)))
    return float(shapely.hausdorff_distance(projected, shapely.box(*square)))


def fractions(row: Row, context: CorpusContext, limits: Limits) -> Iterator[RowProblem]:
    """Fractions sum to one, and the labels are the classes above their threshold, largest first."""
    shares, tolerance = row["fractions"], limits["tolerance"]
    for name in ("fractions", "subclasses"):
        total = sum(row[name].values())
        if row[name] and abs(total - 1) > tolerance:
            yield f"{name} do not sum to one", f"{total:.4f}"
    if not shares:
        return
    # A class given by an event has no fraction; one given by an undated source has.
    labels = [key for key in row["labels"] if key in shares or not context.is_event_class(key)]
    thresholds = context.recipe.thresholds if context.recipe else Thresholds()
    threshold = {key: thresholds.classes.get(key, thresholds.default) / 100 for key in shares}
    for key in labels:
        if shares.get(key, 0) < threshold.get(key, 0) - tolerance:
            yield "label is below its threshold", f"{key} {shares.get(key, 0):.3f}"
    if not thresholds.min_agreement_pct:
        for key in shares.keys() - set(labels):
            if shares[key] > threshold[key] + tolerance:
                yield "class above its threshold is not a label", f"{key} {shares[key]:.3f}"
    ordered = [shares[key] for key in labels if key in shares]
    if any(before < after - tolerance for before, after in pairwise(ordered)):
        yield "labels are not ordered by fraction", ", ".join(labels)


def vocabulary(row: Row, context: CorpusContext, limits: Limits) -> Iterator[RowProblem]:
    """Classes are in the taxonomy, and subclasses belong to a source of the sample."""
    for name in ("labels", "fractions", "agreement"):
        for key in row[name]:
            if key not in context.taxonomy.classes:
                yield f"{name} hold a class that is not in the taxonomy", str(key)
    sources = {source["name"] for source in row["sources"]}
    for key in row["subclasses"]:
        if key.split("/")[0] not in sources:
            yield "subclass belongs to no source of the sample", str(key)


def label_gap(row: Row, context: CorpusContext, limits: Limits) -> Iterator[RowProblem]:
    """Label maps are near the image in time, and their year and gap agree."""
    for source in row["sources"]:
        name, gap_days, year = source["name"], source["gap_days"], source["year"]
        max_days = context.max_gap_days.get(name, limits["max_gap_days"])
        if gap_days is not None and gap_days > max_days:
            yield f"{name} is too far from the image in time", plural(gap_days, "day")
        if year is None or gap_days is None:
            continue
        start, end = dt.datetime(year, 1, 1, tzinfo=dt.UTC), dt.datetime(year + 1, 1, 1, tzinfo=dt.UTC)
        expected_days = max((start - row["datetime"]).days, (row["datetime"] - end).days, 0)
        # An edition may begin or end within its year, or cover several years.
        if abs(expected_days - gap_days) > 366:
            yield f"year and gap_days of {name} contradict each other", f"{year}, {plural(gap_days, 'day')}"


ROW_CHECKS: dict[str, RowCheck] = {
    "ids": ids,
    "placement": placement,
    "fractions": fractions,
    "vocabulary": vocabulary,
    "captions": captions,
    "texts": texts,
    "label-gap": label_gap,
    "event-words": event_words,
    "secrets": secrets_in_row,
}
# Checks that every row passes whose texts are those that landmark writes.
TEXT_CHECKS = frozenset({"captions", "texts", "event-words"})
