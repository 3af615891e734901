"""Check of nearest places against each other: cells that name a place agree where it is, and name the nearest one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import compress
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from landmark.quality.check_input import Check, CheckInput
from landmark.quality.check_profile import Limits
from landmark.quality.findings import Flag, NotApplicable

# Distances and bearings are measured on this sphere (`captions.gazetteer`).
_EARTH_KM = 6371.0088
_NEAREST = 4  # positions near a cell that are compared with its own
F8 = NDArray[np.float64]
Rows = NDArray[np.int64]
Problem = tuple[str, Rows]


class Statement(NamedTuple):
    """A cell's place: names in all languages, distance in km, and bearing in degrees from the place to the cell."""

    cell: str
    names: tuple[str, ...]
    km: float
    bearing_deg: float
    lon: float
    lat: float


@dataclass(frozen=True, slots=True)
class Statements:
    """The statements of a corpus.

    Attributes:
        cells: Centres of the cells on the unit sphere (statement, 3).
        km: Distances of the places.
        names: Number of the names.
        group: Number of the position that is implied, equal where positions agree.
        positions: On the unit sphere (position, 3).
        support: Number of cells that imply a position.
    """

    cells: F8
    km: F8
    bearing_deg: F8
    names: Rows
    group: Rows
    positions: F8
    support: Rows


def places(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """Cells that name one place imply one position, and no place that other cells imply is nearer than a cell's own."""
    table = inputs.samples.filter(pc.is_valid(inputs.samples["place"])).select(["id", "cell", "place", "lon", "lat"])
    if not table.num_rows:
        raise NotApplicable("no sample has a place")
    gazetteer = inputs.context.recipe.gazetteer if inputs.context.recipe else None
    within_km = gazetteer.within_km if gazetteer else np.inf
    samples: dict[Statement, list[str]] = {}
    for row in table.to_pylist():
        samples.setdefault(_statement(row), []).append(row["id"])
    counts = {statement: len(ids) for statement, ids in samples.items()}
    for problem, statement in find_problems(counts, within_km, limits["max_error_m"] / 1000):
        detail = f"{statement.names[0]}, {statement.km:.3f} km, {statement.bearing_deg:.2f} degrees"
        yield from (Flag(problem, id, detail) for id in samples[statement])
    if gazetteer:
        yield from _without_place(inputs.samples, list(samples), within_km, limits["max_error_m"] / 1000)


def _statement(row: dict[str, object]) -> Statement:
    place, lon, lat = row["place"], row["lon"], row["lat"]
    assert isinstance(place, dict)
    assert isinstance(lon, float)
    assert isinstance(lat, float)
    names = sorted(f"{name['lang']}={name['name']}" for name in place["names"])
    return Statement(str(row["cell"]), (place["name"], *names), place["km"], place["bearing_deg"], lon, lat)


def find_problems(
    counts: Mapping[Statement, int], within_km: float, max_error_km: float
) -> Iterator[tuple[str, Statement]]:
    """Statements that contradict others, each with its problem.

    Args:
        counts: Number of samples with each statement.
        within_km: Distance within which places are named.
        max_error_km: Largest distance of positions of one place.
    """
    statements = list(counts)
    usable = [_is_usable(each, within_km) for each in statements]
    for row in np.flatnonzero(~np.array(usable)).tolist():
        yield "place is beyond within_km, or its distance or bearing is none", statements[row]
    rest = list(compress(statements, usable))
    if not rest:
        return
    compared, count = _compare(rest, max_error_km), np.array([counts[each] for each in rest])
    for problem, rows in (
        ("another place is nearer than the one named", _farther(compared, max_error_km)),
        ("place has another distance or bearing than other cells imply", _half_right(compared, max_error_km)),
        ("place has another name than for other cells", _minority(compared.group, compared.names, count)),
        ("samples of one cell have different places", _divided(rest, compared, count)),
    ):
        for row in np.unique(rows).tolist():
            yield problem, rest[row]


def _is_usable(statement: Statement, within_km: float) -> bool:
    # Distances are float32. NaN is in no range.
    return 0 <= statement.km <= within_km * (1 + 1e-6) and 0 <= statement.bearing_deg <= 360


def _compare(statements: list[Statement], max_error_km: float) -> Statements:
    km, bearing_deg, lon, lat = (
        np.array([getattr(each, name) for each in statements]) for name in ("km", "bearing_deg", "lon", "lat")
    )
    names, cells = (
        np.unique([repr(getattr(each, name)) for each in statements], return_inverse=True)[1]
        for name in ("names", "cell")
    )
    group, positions = _group(_unit(*_position(lon, lat, km, bearing_deg)), max_error_km)
    pairs = np.unique(np.stack([group, cells]), axis=1)
    support = np.bincount(pairs[0], minlength=len(positions))
    return Statements(_unit(lon, lat), km, bearing_deg, names, group, positions, support)


def _unit(lon: F8, lat: F8) -> F8:
    """Positions (..., 3) on the unit sphere, of degrees."""
    lon, lat = np.radians(lon), np.radians(lat)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def _position(lon: F8, lat: F8, km: F8, bearing_deg: F8) -> tuple[F8, F8]:
    """Longitude and latitude in degrees of places, of which cells are at a distance and in a direction.

    In the triangle of place, cell and pole the angle at the place is known: the law of cosines gives its latitude.
    """
    angle, bearing, lat = km / _EARTH_KM, np.radians(bearing_deg), np.radians(lat)
    turn = np.arctan2(np.sin(angle) * np.cos(bearing), np.cos(angle))
    size = np.hypot(np.sin(angle) * np.cos(bearing), np.cos(angle))
    place_lat = np.arcsin(np.clip(np.sin(lat) / size, -1, 1)) - turn
    east = np.sin(bearing) * np.sin(angle) * np.cos(place_lat)
    place_lon = lon - np.degrees(np.arctan2(east, np.cos(angle) - np.sin(place_lat) * np.sin(lat)))
    return place_lon, np.degrees(place_lat)


def _group(points: F8, max_error_km: float) -> tuple[Rows, F8]:
    """Number of the position of each point, and the positions: points that lie within the error of each other."""
    size = max_error_km / _EARTH_KM
    # Most points of a place fall into one cube of the error's size: few pairs remain.
    cubes, cube_of = np.unique(np.rint(points / size).astype(np.int64), axis=0, return_inverse=True)
    first = np.unique(cube_of, return_index=True)[1]
    near = KDTree(points[first]).query_pairs(size, output_type="ndarray")
    pairs = coo_array((np.ones(len(near)), (near[:, 0], near[:, 1])), shape=(len(cubes), len(cubes)))
    _, number = connected_components(pairs, directed=False)
    group = number[cube_of].astype(np.int64)
    return group, points[np.unique(group, return_index=True)[1]]


def _distance_km(first: F8, second: F8) -> F8:
    chord = np.linalg.norm(first - second, axis=-1)
    return np.asarray(2 * _EARTH_KM * np.arcsin(np.minimum(chord / 2, 1)))


def _nearest(cells: F8, positions: F8) -> tuple[Rows, F8]:
    """The nearest positions of each cell and their distances in km, (cell, 4 or as many as there are)."""
    number = min(_NEAREST, len(positions))
    rows = KDTree(positions).query(cells, k=np.arange(1, number + 1))[1].astype(np.int64)
    return rows, _distance_km(cells[:, None], positions[rows])


def _farther(compared: Statements, max_error_km: float) -> Rows:
    """Statements of places farther than another one; of two that contradict each other the one that fewer confirm."""
    nearest, km = _nearest(compared.cells, compared.positions)
    number, column = np.nonzero((km < compared.km[:, None] - max_error_km) & (nearest != compared.group[:, None]))
    own, nearer = compared.group[number], nearest[number, column]
    contradicted = np.bincount(np.append(own, nearer), minlength=len(compared.positions))
    confirmed = compared.support > 1
    tied = ~confirmed[own] & ~confirmed[nearer]
    named = confirmed[nearer] | (tied & (contradicted[own] >= contradicted[nearer]))
    blamed = (~confirmed[nearer] & confirmed[own]) | (tied & (contradicted[nearer] >= contradicted[own]))
    return np.append(number[named], np.flatnonzero(np.isin(compared.group, nearer[blamed])))


def _half_right(compared: Statements, max_error_km: float) -> Rows:
    """Statements that share distance or bearing, but not both, with a position of the same names that more confirm."""
    number, position = _same_names(compared)
    place, cell = compared.positions[position], compared.cells[number]
    same_distance = abs(_distance_km(cell, place) - compared.km[number]) < max_error_km
    difference = np.radians(_bearing_deg(place, cell) - compared.bearing_deg[number])
    same_bearing = (np.cos(difference) > 0) & (abs(np.sin(difference)) * compared.km[number] < max_error_km)
    return number[same_distance | same_bearing]


def _same_names(compared: Statements) -> tuple[Rows, Rows]:
    """Pairs of a statement and another position of the same names that more cells imply."""
    known = np.unique(np.stack([compared.names, compared.group]), axis=1)
    number, position = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for names in np.flatnonzero(np.bincount(known[0]) > 1).tolist():
        groups, rows = known[1][known[0] == names], np.flatnonzero(compared.names == names)
        row, column = np.nonzero(compared.support[groups] > compared.support[compared.group[rows]][:, None])
        number.append(rows[row])
        position.append(groups[column])
    return np.concatenate(number), np.concatenate(position)


def _bearing_deg(start: F8, end: F8) -> F8:
    """Initial bearing from positions to others on the unit sphere."""
    east = start[:, 0] * end[:, 1] - start[:, 1] * end[:, 0]
    north = end[:, 2] - start[:, 2] * (start * end).sum(axis=1)
    degrees: F8 = np.degrees(np.arctan2(east, north))
    return degrees


def _divided(statements: list[Statement], compared: Statements, count: Rows) -> Rows:
    """Statements about one cell of other positions than the one that most other cells, then most samples confirm."""
    cell = np.unique([each.cell for each in statements], return_inverse=True)[1]
    return _minority(cell, compared.group, compared.support[compared.group] + count / (count.sum() + 1))


def _minority(key: Rows, value: Rows, weight: NDArray[np.generic]) -> Rows:
    """Rows whose value has less than the largest weight of its key, or shares the largest with another value."""
    pairs, of_pair = np.unique(np.stack([key, value]), axis=1, return_inverse=True)
    weights = np.bincount(of_pair.ravel(), weights=weight)
    largest = np.zeros(int(key.max()) + 1)
    np.maximum.at(largest, pairs[0], weights)
    leads = weights == largest[pairs[0]]
    alone = np.bincount(pairs[0][leads], minlength=len(largest)) == 1
    return np.flatnonzero(~(leads & alone[pairs[0]])[of_pair.ravel()])


def _without_place(
    samples: pa.Table, statements: list[Statement], within_km: float, max_error_km: float
) -> Iterator[Flag]:
    """Samples without a place, though one that several cells confirm is near."""
    missing = samples.filter(pc.is_null(samples["place"]))
    usable = [each for each in statements if _is_usable(each, within_km)]
    if not missing.num_rows or not usable:
        return
    compared = _compare(usable, max_error_km)
    positions = compared.positions[compared.support > 1]
    if not len(positions):
        return
    _, km = _nearest(_unit(missing["lon"].to_numpy(), missing["lat"].to_numpy()), positions)
    for row in np.flatnonzero(km[:, 0] < within_km - max_error_km).tolist():
        yield Flag("sample has no place though one is near", str(missing["id"][row]), f"{km[row, 0]:.1f} km")


CHECKS: dict[str, Check] = {"places": places}
