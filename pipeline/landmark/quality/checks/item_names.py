"""Check of item names: time, satellite, orbit, baseline and tile that they state, against the columns of the sample."""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from landmark.config.orbits import load_orbit
from landmark.core.crs import LONLAT, transformer
from landmark.grid.mgrs import ROW_CYCLE_M, SQUARE_M, TILE_M, Square, parse_square
from landmark.grid.zones import zone_centre_deg, zone_epsg
from landmark.quality.check_input import Check, CheckInput
from landmark.quality.check_profile import Limits
from landmark.quality.checks.flagging import group_images
from landmark.quality.checks.product_names import ProductName, parse_product_name, platform_slug
from landmark.quality.findings import Flag, NotApplicable

_BAND_DEG, _TOP_BAND_DEG, _TOP_DEG = 8, 12, 72
# A tile may reach over the edge of its latitude band by its own height.
_TILE_DEG = 1
# Half a zone, and a tile near the pole.
_ZONE_DEG = 3 + 9
_SECOND, _DAY = dt.timedelta(seconds=1), dt.timedelta(days=1)
# The longest time from the start of a datatake to the last of its tiles.
_DATATAKE = dt.timedelta(minutes=30)
_COLUMNS = ("sensor", "datetime", "platform", "relative_orbit", "baseline", "product", "items")
Image = Mapping[str, Any]


def item_names(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """Item names state the columns of the sample, as far as they are names of Sentinel products."""
    n_names = 0
    for image in group_images(inputs.samples, *_COLUMNS):
        for item in image["items"].split("\n"):
            if (name := parse_product_name(item)) is None:
                continue
            n_names += 1
            for problem, detail in _differences(name, image):
                yield from (Flag(problem, id, f"{item}: {detail}") for id in image["id"])
            if name.tile is not None and name.sensor == image["sensor"]:
                yield from _outside(name.tile, image, limits["max_outside_km"])
    if n_names == 0:
        raise NotApplicable("no item has the name of a Sentinel product")


def _differences(name: ProductName, image: Image) -> Iterator[tuple[str, str]]:
    """What the name of a product states otherwise than the columns."""
    if name.sensor != image["sensor"]:
        yield "item is of another sensor", image["sensor"]
        return
    for check in _CHECKS:
        if detail := check(name, image):
            yield _CHECKS[check], detail


def _check_platform(name: ProductName, image: Image) -> str | None:
    platform = platform_slug(image["platform"] or "")
    return None if platform in (None, name.platform) else f"the row {image['platform']}"


def _check_time(name: ProductName, image: Image) -> str | None:
    time = image["datetime"]
    if name.start is None:
        correct = time.date() <= name.day <= (time + _DATATAKE).date()
    elif name.stop is None:
        correct = abs(time - name.start) <= _SECOND
    else:  # providers date slices by their start or their middle
        correct = name.start - _SECOND <= time <= name.stop + _SECOND
    return None if correct else f"the row {time:%Y-%m-%d %H:%M:%S}"


def _check_interval(name: ProductName, image: Image) -> str | None:
    if name.start is None:
        return None
    if name.stop is not None and name.stop <= name.start:
        return "it ends before it starts"
    # Discriminators may be somewhat earlier than the datatake.
    return "it was made before it was taken" if name.made is not None and name.made < name.start - _DAY else None


def _check_orbit(name: ProductName, image: Image) -> str | None:
    orbit = name.relative_orbit
    if name.absolute_orbit is not None:
        orbit = load_orbit(name.sensor).relative_orbit(name.platform, name.absolute_orbit, name.day)
    differs = orbit is not None and image["relative_orbit"] is not None and orbit != image["relative_orbit"]
    return f"relative orbit {orbit}, the row {image['relative_orbit']}" if differs else None


def _check_baseline(name: ProductName, image: Image) -> str | None:
    differs = name.baseline is not None and image["baseline"] is not None and name.baseline != image["baseline"]
    return f"the row {image['baseline']}" if differs else None


def _check_kind(name: ProductName, image: Image) -> str | None:
    """Compare the level (S2) or mode (S1), and require both polarisations."""
    if name.sensor == "s2":
        return None if str(name.kind)[-2:] in image["product"] else f"level {name.kind}, the row {image['product']}"
    if name.polarisation != "DV":
        return f"polarisation {name.polarisation}, without VV and VH"
    modes = {"IW", "EW", "WV"}.intersection(image["product"].split())
    return None if not modes or name.kind in modes else f"mode {name.kind}, the row {image['product']}"


_CHECKS: dict[Callable[[ProductName, Image], str | None], str] = {
    _check_platform: "item is of another platform",
    _check_time: "item is of another time",
    _check_interval: "item has an impossible time",
    _check_orbit: "item is of another orbit",
    _check_baseline: "item has another processing baseline",
    _check_kind: "item is another kind of product",
}


def _outside(tile: str, image: Image, max_outside_km: float) -> Iterator[Flag]:
    """Samples whose centre is outside the tile that their item is named after."""
    square, lon, lat = parse_square(tile), image["lon"], image["lat"]
    outside_km = np.full(len(lon), np.inf) if square is None else _distance_km(square, lon, lat)
    for row in np.flatnonzero(~(outside_km <= max_outside_km)).tolist():
        detail = f"{lon[row]:.4f} {lat[row]:.4f} is {outside_km[row]:.0f} km outside {tile}"
        yield Flag("sample is outside the tile of its item", image["id"][row], detail)


def _distance_km(square: Square, lon: Any, lat: Any) -> Any:
    """Distance to the tile of a square, infinite in another latitude band and far from its zone."""
    band_deg = _TOP_BAND_DEG if square.south_deg == _TOP_DEG else _BAND_DEG
    x, y = transformer(LONLAT, zone_epsg(square.zone, south=False)).transform(lon, lat)
    # From the north-west corner of the square; the names of rows repeat from north to south.
    east, south = x - square.left_m, (square.bottom_m + SQUARE_M - y + ROW_CYCLE_M / 2) % ROW_CYCLE_M - ROW_CYCLE_M / 2
    outside_m = np.max([-east, -south, east - TILE_M, south - TILE_M, np.zeros_like(east)], axis=0)
    in_zone = abs((lon - zone_centre_deg(square.zone) + 180) % 360 - 180) <= _ZONE_DEG
    in_band = (lat >= square.south_deg - _TILE_DEG) & (lat <= square.south_deg + band_deg + _TILE_DEG)
    return np.where(in_band & in_zone, outside_m / 1000, np.inf)


CHECKS: dict[str, Check] = {"item-names": item_names}
