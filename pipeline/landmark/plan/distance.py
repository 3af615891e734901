"""How far cells of different splits stand apart."""

from itertools import combinations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from landmark.core.crs import LONLAT, transformer

_GEOCENTRIC = 4978

# A metre on the ground is at most this many metres of a UTM grid, and at least its inverse; widens the first,
# coarse search.
_GRID_SCALE = 1.005


def gaps_below(
    cells: pa.Table, group: NDArray[np.int64], *, buffer_m: float, cell_m: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Pairs of rows of different groups whose squares stand nearer than `buffer_m`, and their gaps in metres.

    Within a zone the gap is measured on its grid; across zones it is the distance of the centres less a cell's
    diagonal, which is never more than the true gap.
    """
    from scipy.spatial import KDTree

    points = np.stack(
        transformer(LONLAT, _GEOCENTRIC).transform(
            cells["lon"].to_numpy(), cells["lat"].to_numpy(), np.zeros(cells.num_rows)
        ),
        axis=1,
    )
    diagonal_m = np.sqrt(2) * cell_m
    reach_m = (buffer_m + diagonal_m) * _GRID_SCALE
    rows = [np.flatnonzero(group == value) for value in np.unique(group)]
    trees = [KDTree(points[some]) for some in rows]
    near = [
        (rows[one][found.row], rows[other][found.col], found.data)
        for one, other in combinations(range(len(rows)), 2)
        for found in [trees[one].sparse_distance_matrix(trees[other], reach_m, output_type="coo_matrix")]
    ]
    nothing = np.empty(0, np.int64)
    i, j, centres_m = (
        (np.concatenate([nothing, *parts]) for parts in zip(*near, strict=True)) if near else [nothing] * 3
    )
    epsg, x, y = (cells[name].to_numpy() for name in ("epsg", "x", "y"))
    apart = np.stack([np.abs(x[i] - x[j]), np.abs(y[i] - y[j])]) - cell_m
    # Squares that share pixels are nearer than any buffer, even none.
    on_grid_m = np.where(apart.max(axis=0) < 0, -1.0, np.hypot(*np.maximum(apart, 0)))
    gap_m = np.where(epsg[i] == epsg[j], on_grid_m, centres_m - diagonal_m)
    below = gap_m < buffer_m
    return i[below], j[below], gap_m[below]


def closest_m(cells: pa.Table, group: NDArray[np.int64], *, cell_m: float) -> float | None:
    """The least gap between squares of different groups, in metres, no less than stated.

    None where there is one group only.
    """
    reach = 2 * cell_m
    while len(np.unique(group)) > 1:
        _, _, gap_m = gaps_below(cells, group, buffer_m=reach, cell_m=cell_m)
        if len(gap_m):
            return float(gap_m.min())
        reach *= 4
    return None
