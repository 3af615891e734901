"""What the makers of land cover maps see in the ground: arrays of their codes, each with that map's own habits."""

from functools import cache
from typing import Any, NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.features import geometry_mask, sieve
from rasterio.transform import Affine

from landmark.world.ground import COVER, signatures
from landmark.world.places import PLACES
from landmark.world.plane import seed_of, to_plane, unit
from landmark.world.scenes import Zone
from landmark.world.sensors import lattice_noise
from landmark.world.window import HALO, View

DYNAMIC_WORLD: dict[str, list[Any]] = signatures()["dynamic_world"]
LAND_USE = np.array([code for code, *_ in DYNAMIC_WORLD.values()], np.uint8)
CLASS = np.array([kind["dw"] for kind in signatures()["kinds"].values()], np.uint8)
GRID_CODE = np.array([signatures()["corine"].index(kind["clc"]) + 1 for kind in signatures()["kinds"].values()])
INNER = np.s_[HALO:-HALO, HALO:-HALO]

# -- CORINE ----------------------------------------------------------------------------------------------------------

CORINE_EPSG, CORINE_NODATA = 3035, -128
SAMPLES = 5  # a pixel of 100 m takes the class of most of 5 x 5 points
POINTS = 1_500_000  # painted at once: a GB or so
LEAST_PX = 25  # CORINE's minimum mapping unit, 25 ha
MARGIN_M = 1000


class Corine(NamedTuple):
    """Grid codes on the European grid, and where they lie."""

    codes: NDArray[np.int8]
    transform: Affine


def corine(place: list[Zone]) -> Corine:
    """Map one place: the commonest class of each 100 m pixel, small patches merged into their neighbours."""
    boxes = [european(shapely.box(*zone.bounds), zone.epsg) for zone in place]
    outline = shapely.union_all(boxes).buffer(MARGIN_M)
    west, south, east, north = (int(edge // 100) * 100 for edge in outline.bounds)
    shape = (north - south) // 100 + 1, (east - west) // 100 + 1
    transform = Affine(100, 0, west, 0, -100, north + 100)
    step = max(1, POINTS // (SAMPLES**2 * shape[1]))
    tops = range(0, shape[0], step)
    codes = np.concatenate([_majority(place[0], transform, top, (min(step, shape[0] - top), shape[1])) for top in tops])
    mapped = geometry_mask([outline], shape, transform, invert=True)
    return Corine(np.where(mapped, generalised(codes, mapped), CORINE_NODATA).astype(np.int8), transform)


def european(outline: shapely.Polygon, epsg: int) -> shapely.Polygon:
    """Return a map's polygon on the European grid."""
    turn = Transformer.from_crs(epsg, CORINE_EPSG, always_xy=True)
    return shapely.transform(outline, lambda xy: np.stack(turn.transform(xy[:, 0], xy[:, 1]), axis=1))


def _majority(zone: Zone, transform: Affine, top: int, shape: tuple[int, int]) -> NDArray[np.int16]:
    """Return the commonest grid code of each pixel of some rows; the lower code where two are as common."""
    columns, rows = ((np.arange(length * SAMPLES) + 0.5) / SAMPLES for length in shape[::-1])
    x, y = transform.c + 100 * columns, transform.f - 100 * (top + rows)
    at = to_plane(zone.lon, zone.lat, CORINE_EPSG).transform(*np.meshgrid(x, y))
    found = GRID_CODE[PLACES[zone.place](at, zone.seed).most].reshape(shape[0], SAMPLES, shape[1], SAMPLES)
    present = np.unique(found)
    counts = [(found == code).sum(axis=(1, 3)) for code in present]
    return np.asarray(present[np.argmax(counts, axis=0)], np.int16)


def generalised(codes: NDArray[np.int16], mapped: NDArray[np.bool_]) -> NDArray[np.int16]:
    """Merge patches under the minimum mapping unit; again where a small one's largest neighbour was small, too."""
    while True:
        merged = sieve(codes, LEAST_PX, mask=mapped)
        if np.array_equal(merged, codes):
            return codes
        codes = merged


# -- Dynamic World and io-lulc ---------------------------------------------------------------------------------------

LEVELS = 8  # from "taken for its rival" to "sure"


@cache
def dynamic_world_states() -> NDArray[np.float32]:
    """Return what the ten bands say in each state (band, state): nine probabilities in 64ths, and the likeliest class.

    State 0 has no data; state 1 + (class x 2 + which rival) x `LEVELS` + level follows.
    """
    names, states = list(DYNAMIC_WORLD), [np.full(10, np.nan)]
    for index, (_, *rivals) in enumerate(DYNAMIC_WORLD.values()):
        for rival in map(names.index, rivals):
            for level in range(LEVELS):
                rest, own = 1 if level > 5 else 2, 22 + 4 * level
                row = np.full(10, rest)
                row[index], row[rival] = own, 64 - own - 7 * rest
                states.append(np.append(row[:9] / 64, np.argmax(row[:9])))
    return np.array(states, np.float32).T


def dynamic_world(view: View, scene_classes: NDArray[np.uint8], *, take: str, seed: int) -> NDArray[np.uint8]:
    """Return each pixel's state as one image shows it; none under cloud and outside the swath."""
    kind, parcel = view.land.most[INNER], view.land.parcel[INNER]
    shift, lattice = seed_of(seed, "dynamic-world", take), (view.row, view.column, kind.shape)
    # Fields are mistaken as wholes, all else in blotches.
    farmed = np.where(np.isin(COVER[kind], (30, 40)), 1.6 * unit(parcel, shift) - 0.8, 0)
    sure = 4.3 + 1.8 * (lattice_noise(shift, *lattice, slope=1.5) + farmed)
    rival = lattice_noise(shift // 1013, *lattice, slope=1.75) > 0
    state = 1 + (CLASS[kind] * 2 + rival) * LEVELS + np.clip(sure, 0, LEVELS - 1).astype(np.uint8)
    hidden = np.isin(scene_classes, (0, 8, 9, 10)).repeat(2, axis=0).repeat(2, axis=1)
    return np.where(hidden, 0, state).astype(np.uint8)


def land_use(view: View, year: int) -> NDArray[np.uint8]:
    """Return io-lulc's codes for a year: each year some fields and pastures trade places."""
    found, parcel = CLASS[view.land.most[INNER]], view.land.parcel[INNER]
    grass, crops = (list(DYNAMIC_WORLD).index(name) for name in ("grass", "crops"))
    traded = np.isin(found, (grass, crops)) & (unit(parcel, year) < 0.03)
    return LAND_USE[np.where(traded, grass + crops - found, found)]
