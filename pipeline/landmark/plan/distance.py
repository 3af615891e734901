"""Distances between cells of different splits."""

from itertools import combinations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from landmark.core.crs import LONLAT, transformer

_GEOCENTRIC = 4978

# A metre on the ground is at most this many metres of a UTM grid, and at least its inverse; widens the first,
# coarse search.
_GRID_SCALE = 1.005


def find_gaps(
    cells: pa.Table, group: NDArray[np.int64], *, buffer_m: float, cell_m: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Find pairs of cells of different groups with a gap of less than `buffer_m`: their rows, and the gap in metres.

    Within a zone the gap is measured on its grid; across zones it is the distance of the centres less a cell's
    diagonal, which is never more than the true gap.
    """
    from scipy.spatial import KDTree

    points, radius_m = _centres(cells), _search_radius_m(buffer_m, cell_m)
    rows = [np.flatnonzero(group == value) for value in np.unique(group)]
    trees = [KDTree(points[group_rows]) for group_rows in rows]
    near = [
        (rows[a][pairs.row], rows[b][pairs.col], pairs.data)
        for a, b in combinations(range(len(rows)), 2)
        for pairs in [trees[a].sparse_distance_matrix(trees[b], radius_m, output_type="coo_matrix")]
    ]
    empty = np.empty(0, np.int64)
    i, j, centres_m = (np.concatenate([empty, *parts]) for parts in zip(*near, strict=True)) if near else [empty] * 3
    gap_m = _measure_gaps(cells, i, j, centres_m.astype(np.float64), cell_m)
    below = gap_m < buffer_m
    return i[below], j[below], gap_m[below]


def find_near(
    cells: pa.Table, group: NDArray[np.int64], *, buffer_m: float, cell_m: float, max_pairs: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Find the pairs of `find_gaps` for any number of groups; None if about more than `max_pairs` cells are near."""
    from scipy.spatial import KDTree

    points, radius_m = _centres(cells), _search_radius_m(buffer_m, cell_m)
    tree = KDTree(points)
    if (tree.count_neighbors(tree, radius_m) - len(points)) // 2 > max_pairs:
        return None
    i, j = tree.query_pairs(radius_m, output_type="ndarray").astype(np.int64).T
    i, j = (rows[group[i] != group[j]] for rows in (i, j))
    below = _measure_gaps(cells, i, j, np.linalg.norm(points[i] - points[j], axis=1), cell_m) < buffer_m
    return i[below], j[below]


def _centres(cells: pa.Table) -> NDArray[np.float64]:
    """Geocentric coordinates of the cells' centres in metres."""
    lon, lat = cells["lon"].to_numpy(), cells["lat"].to_numpy()
    return np.stack(transformer(LONLAT, _GEOCENTRIC).transform(lon, lat, np.zeros(cells.num_rows)), axis=1)


def _search_radius_m(buffer_m: float, cell_m: float) -> float:
    """Distance of centres within which gaps may be below the buffer."""
    return float((buffer_m + np.sqrt(2) * cell_m) * _GRID_SCALE)


def _measure_gaps(
    cells: pa.Table, i: NDArray[np.int64], j: NDArray[np.int64], centres_m: NDArray[np.float64], cell_m: float
) -> NDArray[np.float64]:
    """Gap in metres of pairs of cells whose centres are some metres apart."""
    epsg, x, y = (cells[name].to_numpy() for name in ("epsg", "x", "y"))
    offsets_m = np.stack([np.abs(x[i] - x[j]), np.abs(y[i] - y[j])]) - cell_m
    # Squares that overlap are below every buffer, even one of 0.
    on_grid_m = np.where(offsets_m.max(axis=0) < 0, -1.0, np.hypot(*np.maximum(offsets_m, 0)))
    return np.where(epsg[i] == epsg[j], on_grid_m, centres_m - np.sqrt(2) * cell_m)


def min_gap_m(cells: pa.Table, group: NDArray[np.int64], *, cell_m: float) -> float | None:
    """Return the least gap between cells of different groups in metres, across zones a lower bound of it.

    None where there is one group only.
    """
    radius_m = 2 * cell_m
    while len(np.unique(group)) > 1:
        _, _, gap_m = find_gaps(cells, group, buffer_m=radius_m, cell_m=cell_m)
        if len(gap_m):
            return float(gap_m.min())
        radius_m *= 4
    return None
