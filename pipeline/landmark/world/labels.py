"""Derive the label products from the true land, each with its legend, resolution and typical errors."""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.features import geometry_mask, sieve
from rasterio.transform import Affine

from landmark.core.crs import transformer
from landmark.world.ground import COVER, signatures
from landmark.world.places import paint
from landmark.world.plane import F, seed_of, to_plane, unit
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
SAMPLES = 5  # a pixel of 100 m has the commonest class of 5 x 5 points
MAX_POINTS = 1_500_000  # evaluated at once, about 1 GB
MIN_PATCH_PX = 25  # CORINE's minimum mapping unit, 25 ha
MARGIN_M = 1000


class Corine(NamedTuple):
    """Grid codes on the European grid (EPSG:3035) and their transform."""

    codes: NDArray[np.int8]
    transform: Affine


KindsAt = Callable[[F, F], NDArray[np.uint8]]  # kinds of land (row, column) at columns `x` and rows `y` of a map


def corine(place: list[Zone], kinds_at: KindsAt) -> Corine:
    """Map one place: the commonest class of each 100 m pixel, with small patches merged into their neighbours."""
    boxes = [to_corine_crs(shapely.box(*zone.bounds), zone.epsg) for zone in place]
    outline = shapely.union_all(boxes).buffer(MARGIN_M * place[0].margin)
    west, south, east, north = (int(edge // 100) * 100 for edge in outline.bounds)
    shape = (north - south) // 100 + 1, (east - west) // 100 + 1
    transform = Affine(100, 0, west, 0, -100, north + 100)
    step = max(1, MAX_POINTS // (SAMPLES**2 * shape[1]))
    tops = range(0, shape[0], step)
    codes = np.concatenate([_majority(kinds_at, transform, top, (min(step, shape[0] - top), shape[1])) for top in tops])
    mapped = geometry_mask([outline], shape, transform, invert=True)
    return Corine(np.where(mapped, generalize(codes, mapped), CORINE_NODATA).astype(np.int8), transform)


def to_corine_crs(outline: shapely.Polygon, epsg: int) -> shapely.Polygon:
    """Return a polygon in the CRS of CORINE."""
    to_corine = transformer(epsg, CORINE_EPSG)
    return shapely.transform(outline, lambda xy: np.stack(to_corine.transform(xy[:, 0], xy[:, 1]), axis=1))


def corine_painter(zone: Zone) -> KindsAt:
    """Return a function that paints the land at columns and rows of CORINE's map."""
    project = to_plane(zone.lon, zone.lat, CORINE_EPSG).transform
    return lambda x, y: paint(zone.place, project(*np.meshgrid(x, y)), zone.seed).dominant


def _majority(kinds_at: KindsAt, transform: Affine, top: int, shape: tuple[int, int]) -> NDArray[np.int16]:
    """Return the commonest grid code per pixel, the lower code in a tie, for rows that start at `top`."""
    columns, rows = ((np.arange(length * SAMPLES) + 0.5) / SAMPLES for length in shape[::-1])
    x, y = transform.c + 100 * columns, transform.f - 100 * (top + rows)
    codes = GRID_CODE[kinds_at(x, y)].reshape(shape[0], SAMPLES, shape[1], SAMPLES)
    present = np.unique(codes)
    counts = [(codes == code).sum(axis=(1, 3)) for code in present]
    return np.asarray(present[np.argmax(counts, axis=0)], np.int16)


def generalize(codes: NDArray[np.int16], mapped: NDArray[np.bool_]) -> NDArray[np.int16]:
    """Merge patches below the minimum mapping unit into neighbours until none is left."""
    while True:
        merged = sieve(codes, MIN_PATCH_PX, mask=mapped)
        if np.array_equal(merged, codes):
            return codes
        codes = merged


# -- Dynamic World and io-lulc ---------------------------------------------------------------------------------------

LEVELS = 8  # of confidence, from confused with the rival class to certain


@cache
def dynamic_world_states() -> NDArray[np.float32]:
    """Return the ten bands per state (band, state): nine probabilities in 64ths, and the most probable class.

    State 0 is nodata; the others are 1 + (class x 2 + index of the rival class) x `LEVELS` + level.
    """
    names, states = list(DYNAMIC_WORLD), [np.full(10, np.nan)]
    for index, (_, *rivals) in enumerate(DYNAMIC_WORLD.values()):
        for rival in map(names.index, rivals):
            for level in range(LEVELS):
                rest, score = 1 if level > 5 else 2, 22 + 4 * level
                row = np.full(10, rest)
                row[index], row[rival] = score, 64 - score - 7 * rest
                states.append(np.append(row[:9] / 64, np.argmax(row[:9])))
    return np.array(states, np.float32).T


def dynamic_world_encoding(*, label_only: bool) -> dict[str, Any]:
    """Return data type, nodata and states of a file: all bands as exported by Earth Engine, or the last alone.

    Nodata of all bands is NaN, and missing from the header.
    """
    states = dynamic_world_states()
    if not label_only:
        return {"dtype": "float32", "states": states}
    return {"dtype": "uint8", "nodata": 255, "states": np.nan_to_num(states[-1:], nan=255).astype(np.uint8)}


def dynamic_world(view: View, scene_classes: NDArray[np.uint8], *, datatake: str, seed: int) -> NDArray[np.uint8]:
    """Return the state per pixel for one image; 0 under clouds and outside the swath."""
    kind, parcel = view.land.dominant[INNER], view.land.parcel[INNER]
    shift, lattice = seed_of(seed, "dynamic-world", datatake), (view.row, view.column, kind.shape)
    # Fields are misclassified as a unit, other land in patches.
    farmed = np.where(np.isin(COVER[kind], (30, 40)), 1.6 * unit(parcel, shift) - 0.8, 0)
    confidence = 4.3 + 1.8 * (lattice_noise(shift, *lattice, slope=1.5) + farmed)
    rival = lattice_noise(shift // 1013, *lattice, slope=1.75) > 0
    state = 1 + (CLASS[kind] * 2 + rival) * LEVELS + np.clip(confidence, 0, LEVELS - 1).astype(np.uint8)
    masked = np.isin(scene_classes, (0, 8, 9, 10)).repeat(2, axis=0).repeat(2, axis=1)
    return np.where(masked, 0, state).astype(np.uint8)


def land_use(view: View, year: int) -> NDArray[np.uint8]:
    """Return the codes of io-lulc for a year; every year 3% of fields and pastures swap classes."""
    classes, parcel = CLASS[view.land.dominant[INNER]], view.land.parcel[INNER]
    grass, crops = (list(DYNAMIC_WORLD).index(name) for name in ("grass", "crops"))
    swapped = np.isin(classes, (grass, crops)) & (unit(parcel, year) < 0.03)
    return LAND_USE[np.where(swapped, grass + crops - classes, classes)]
