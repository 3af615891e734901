"""Check of the columns that a sample has from its acquisition, against the lock and the plan."""

import datetime as dt
from collections.abc import Iterator, Mapping
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from numpy.typing import NDArray

from landmark.config.profiles import load_sensors
from landmark.core.crs import LONLAT, transformer
from landmark.core.errors import InvalidCorpus
from landmark.core.hashing import ranks
from landmark.core.salts import ROW
from landmark.corpus.lock import Lock
from landmark.corpus.tables import read_table
from landmark.domain.acquisition import Acquisition
from landmark.domain.drops import PRE_PLAN_STAGES, Reason
from landmark.domain.schemas import INDEX, LEDGER, PLAN, group_edges
from landmark.grid.majortom import majortom_names
from landmark.grid.mgrs import ROW_CYCLE_M, SQUARE_M, TILE_M, parse_square
from landmark.quality.check_input import Check, CheckInput, float_column
from landmark.quality.check_profile import Limits
from landmark.quality.findings import Flag, NotApplicable

_IMAGE_COLUMNS = (
    *("sensor", "datetime", "platform", "orbit_direction", "relative_orbit", "baseline", "offset_rule"),
    "items",
)
# `x` and `y` are the corner of a sample's transform.
_PLAN_COLUMNS = ("cell", "split", "role", "epsg", "x", "y", "lon", "lat", "majortom")
# Between its vertices a footprint in degrees deviates from one in metres.
_FOOTPRINT_DEG = 0.01
# Corners of tiles are those of squares rounded to 60 m.
_CORNER_M = 60
_PIXELS_M = 60  # pixels of all bands have an edge here
F8 = NDArray[np.float64]


def acquisition(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """Columns are those of the sample's acquisition and of its row of the plan, and the cell is inside the image."""
    if (lock := inputs.lock) is None:
        raise NotApplicable("the corpus has no lock that its manifest names")
    try:
        plan = read_table(inputs.context.root / "plan.parquet", PLAN)
    except InvalidCorpus as error:
        raise NotApplicable("the plan is unreadable") from error
    yield from _check_drops(inputs, plan)
    # Samples that are not in the plan are reported by `ledger`.
    samples, plan = _matched(inputs.samples, "id", plan, "id")
    yield from _differences(samples, plan, _PLAN_COLUMNS, "the plan")
    yield from _check_plan(samples, plan, inputs)
    samples = samples.append_column("acquisition", plan["acquisition"]).append_column("period", plan["period"])
    names = pa.array([entry.id for entry in lock.acquisitions], pa.string())
    known = pc.is_in(samples["acquisition"], names)
    unknown = np.asarray(pc.invert(known).to_numpy())
    yield from _flag(samples, unknown, "acquisition of the plan is not in the lock", "acquisition")
    samples, images = _matched(samples, "acquisition", _image_table(lock.acquisitions), "id")
    yield from _differences(samples, images, _IMAGE_COLUMNS, "its acquisition")
    yield from _check_times(samples, lock)
    yield from _check_masks(samples, lock)
    yield from _check_darkest(samples, lock, limits)
    for entry in lock.acquisitions:
        yield from _check_raster(entry)
    yield from _outside(samples.sort_by("acquisition"), lock.acquisitions_by_id)


def _matched(left: pa.Table, left_key: str, right: pa.Table, right_key: str) -> tuple[pa.Table, pa.Table]:
    """The rows of the left table that have a row in the right one, and these."""
    rows = pc.index_in(left[left_key], right[right_key].combine_chunks())
    return left.filter(pc.is_valid(rows)), right.take(rows.combine_chunks().drop_null())


def _image_table(acquisitions: list[Acquisition]) -> pa.Table:
    """The columns of samples that follow from their acquisition, by its id."""
    columns = {name: [getattr(entry, name) for entry in acquisitions] for name in _IMAGE_COLUMNS}
    columns["items"] = [[item.id for item in items] for items in columns["items"]]
    arrays = {name: pa.array(values, INDEX.field(name).type) for name, values in columns.items()}
    return pa.table({"id": pa.array([entry.id for entry in acquisitions], pa.string()), **arrays})


def _differences(samples: pa.Table, expected: pa.Table, columns: tuple[str, ...], source: str) -> Iterator[Flag]:
    for name in columns:
        left, right = (_comparable(table[name]) for table in (samples, expected))
        null_in_either = pc.xor(pc.is_null(left), pc.is_null(right))
        differs = pc.fill_null(pc.not_equal(left, right), False).to_numpy() | null_in_either.to_numpy()
        for row in np.flatnonzero(differs).tolist():
            detail = f"{samples[name][row].as_py()}, not {expected[name][row].as_py()}"
            yield Flag(f"{name} is not that of {source}", str(samples["id"][row]), detail)


def _comparable(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Lists of texts as texts: Arrow does not compare lists."""
    return pc.binary_join(column, "\n") if pa.types.is_list(column.type) else column


def _flag(samples: pa.Table, failed: NDArray[np.bool_], problem: str, column: str) -> Iterator[Flag]:
    for row in np.flatnonzero(failed).tolist():
        yield Flag(problem, str(samples["id"][row]), str(samples[column][row]))


def _check_drops(inputs: CheckInput, plan: pa.Table) -> Iterator[Flag]:
    """Ledger rows of samples with another acquisition than planned, or a reason that is none or of the other kind."""
    try:
        rows = read_table(inputs.context.root / "ledger.parquet", LEDGER).to_pylist()
    except InvalidCorpus:
        return  # reported by `ledger`
    planned = dict(zip(plan["id"].to_pylist(), plan["acquisition"].to_pylist(), strict=True))
    for row in rows:
        if row["stage"] not in PRE_PLAN_STAGES and row["acquisition"] != planned.get(row["id"], row["acquisition"]):
            yield Flag("acquisition of a ledger row is not that of the plan", row["id"], row["acquisition"])
        if row["reason"] not in Reason.__members__ or row["final"] != Reason[row["reason"]].final:
            yield Flag("reason of a ledger row is none, or of the other kind", row["id"], row["reason"])


def _check_plan(samples: pa.Table, plan: pa.Table, inputs: CheckInput) -> Iterator[Flag]:
    """Samples in another shard or with another pair than planned, and rows of the plan of another rank or block."""
    numbers = {shard.path: shard.k for shard in inputs.manifest.shards}
    shard = np.array([numbers[path] for path in samples["shard"].to_pylist()])
    yield from _flag(samples, shard != plan["shard"].to_numpy(), "sample is in another shard than planned", "shard")
    # A pair that was dropped is null: `pairs` compares these.
    differs = pc.and_(pc.is_valid(samples["pair"]), pc.fill_null(pc.not_equal(samples["pair"], plan["pair"]), True))
    yield from _flag(samples, np.asarray(differs.to_numpy()), "pair is not that of the plan", "pair")
    recipe, cells = inputs.context.recipe, plan["cell"].to_pylist()
    assert recipe is not None
    rank = ranks(recipe.sampling.seed, ROW, cells)
    yield from _flag(samples, rank != plan["rank"].to_numpy(), "rank of the plan is not that of its cell", "cell")


def _check_times(samples: pa.Table, lock: Lock) -> Iterator[Flag]:
    """Samples outside the recipe's time, or outside the period of their row of the plan."""
    range_ = lock.recipe.time
    days = pc.cast(samples["datetime"], pa.date32())
    outside = pc.or_(pc.less(days, pa.scalar(range_.start)), pc.greater(days, pa.scalar(range_.end))).to_numpy()
    yield from _flag(samples, outside, "image is outside the recipe's time", "datetime")
    distinct = pc.unique(days)
    periods = [range_.period_of(dt.datetime.combine(day, dt.time(), dt.UTC)) for day in distinct.to_pylist()]
    expected = pa.array(periods, pa.string()).take(pc.index_in(days, distinct).combine_chunks())
    differs = pc.not_equal(samples["period"], expected).to_numpy()
    yield from _flag(samples, differs, "image is outside its period of the plan", "datetime")


def _check_masks(samples: pa.Table, lock: Lock) -> Iterator[Flag]:
    """Samples without shares of cloud, though their acquisition has a mask, and the reverse."""
    masks = {name: sensor.mask.band for name, sensor in load_sensors(lock.recipe.sensors).items() if sensor.mask}
    masked = [
        entry.id
        for entry in lock.acquisitions
        if entry.sensor in masks and all(masks[entry.sensor] in item.assets for item in entry.items)
    ]
    expected = pc.is_in(samples["acquisition"], pa.array(masked, pa.string()))
    differs = pc.not_equal(pc.is_valid(samples["cloud_pct"]), expected).to_numpy()
    yield from _flag(samples, differs, "cloud_pct is given without a mask, or missing with one", "cloud_pct")


def _check_darkest(samples: pa.Table, lock: Lock, limits: Limits) -> Iterator[Flag]:
    """Samples whose darkest digital numbers are not those of their pixels with the offset."""
    dark = [name for name, sensor in load_sensors(lock.recipe.sensors).items() if sensor.dark_bands]
    missing = pc.and_(pc.is_in(samples["sensor"], pa.array(dark, pa.string())), pc.is_null(samples["dark_dn"]))
    yield from _flag(samples, np.asarray(missing.to_numpy()), "dark_dn is missing", "dark_dn")
    entries = [lock.acquisitions_by_id[name] for name in samples["acquisition"].to_pylist()]
    offset = np.array([entry.offset_dn for entry in entries])
    stated, darkest = (float_column(samples, name) for name in ("dark_dn", "darkest_p1_dn"))
    # Pixels darker than the offset are stored as 1.
    expected = np.where(darkest > 1, darkest + offset, np.minimum(stated, offset + 1))
    failed = abs(stated - expected) > np.where(
        _as_stored(samples, entries), limits["max_dark_dn"], limits["max_interpolated_dark_dn"]
    )
    failed &= np.isfinite(darkest)
    failed |= np.isfinite(stated) & ~np.isin(samples["sensor"].to_pylist(), dark)
    for row in np.flatnonzero(failed).tolist():
        detail = f"{stated[row]:.0f}, the pixels have {darkest[row]:.0f} without the offset of {offset[row]}"
        yield Flag("dark_dn is not that of the pixels", str(samples["id"][row]), detail)


def _as_stored(samples: pa.Table, entries: list[Acquisition]) -> NDArray[np.bool_]:
    """Whether chips were read as stored; others are interpolated, from windows with a border."""
    epsg, left, top = np.array([(entry.epsg, *entry.origin) for entry in entries]).reshape(-1, 3).T
    aligned = ((samples["x"].to_numpy() - left) % _PIXELS_M == 0) & ((samples["y"].to_numpy() - top) % _PIXELS_M == 0)
    has_size = np.array([all(entry.size_px) for entry in entries], dtype=bool)
    return np.asarray(aligned & has_size & (epsg == samples["epsg"].to_numpy()))


def _outside(samples: pa.Table, acquisitions: Mapping[str, Acquisition]) -> Iterator[Flag]:
    """Samples, sorted by acquisition, whose centre is outside its raster or footprint."""
    names, edges = samples["acquisition"].to_pylist(), group_edges(samples["acquisition"])
    lon, lat = (samples[name].to_numpy() for name in ("lon", "lat"))
    for start, end in pairwise(edges.tolist()):
        entry = acquisitions[names[start]]
        part = lon[start:end], lat[start:end]
        inside = _in_raster(entry, *part) & _in_footprint(entry, *part)
        for row in (start + np.flatnonzero(~inside)).tolist():
            detail = f"{entry.id}, {lon[row]:.4f} {lat[row]:.4f}"
            yield Flag("sample is outside its acquisition", str(samples["id"][row]), detail)


def _check_raster(entry: Acquisition) -> Iterator[Flag]:
    """A raster as large as a Sentinel-2 tile has the corner of the square that the tile is named after."""
    square = parse_square((entry.tile or "").upper())
    height_m = entry.size_px[1] * entry.pixel_m
    if square is None or height_m != TILE_M:
        return
    left, top = entry.origin
    expected = square.left_m, (square.bottom_m + SQUARE_M) % ROW_CYCLE_M
    off_m = max(abs(left - expected[0]), abs((top - expected[1] + ROW_CYCLE_M / 2) % ROW_CYCLE_M - ROW_CYCLE_M / 2))
    if off_m > _CORNER_M or entry.epsg % 100 != square.zone:
        yield Flag("raster is not that of its tile", entry.id, f"EPSG:{entry.epsg} {left:.0f} {top:.0f}")


def _in_raster(entry: Acquisition, lon: F8, lat: F8) -> NDArray[np.bool_]:
    if not all(entry.size_px):
        return np.ones(len(lon), dtype=bool)
    x, y = transformer(LONLAT, entry.epsg).transform(lon, lat)
    (left, top), (width, height) = entry.origin, (size * entry.pixel_m for size in entry.size_px)
    return np.asarray((x >= left) & (x <= left + width) & (y <= top) & (y >= top - height))


def _in_footprint(entry: Acquisition, lon: F8, lat: F8) -> NDArray[np.bool_]:
    shapely.prepare(entry.footprint)
    return np.asarray(shapely.dwithin(entry.footprint, shapely.points(lon, lat), _FOOTPRINT_DEG))


def placement(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """Major-TOM names are those of the centres; the other columns of a place are compared row by row."""
    samples = inputs.samples
    expected = majortom_names(samples["lon"].to_numpy(), samples["lat"].to_numpy())
    for row in np.flatnonzero(pc.not_equal(samples["majortom"], expected).to_numpy()).tolist():
        detail = f"{samples['majortom'][row]}, not {expected[row]}"
        yield Flag("majortom is not the name of the sample's place", str(samples["id"][row]), detail)


CHECKS: dict[str, Check] = {"acquisition": acquisition, "placement": placement}
