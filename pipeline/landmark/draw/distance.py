"""How far cells of different splits stand apart."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.spatial import KDTree

from landmark.base.projection import LONLAT, transformer

_GEOCENTRIC = 4978

# A metre on the ground is at most this many metres of a UTM grid, and at least its inverse; widens the first,
# coarse search.
_GRID_SCALE = 1.005


def gaps_below(
    cells: pa.Table, group: NDArray[np.int64], *, buffer_m: float, cell_m: float
) -> Iterator[tuple[int, int, float]]:
    """Pairs of rows of different groups whose squares stand nearer than `buffer_m`, with the gap in metres.

    Within a zone the gap is measured on its grid; across zones it is the distance of the centres less a cell's
    diagonal, which is never more than the true gap.
    """
    points = np.stack(
        transformer(LONLAT, _GEOCENTRIC).transform(
            cells["lon"].to_numpy(), cells["lat"].to_numpy(), np.zeros(cells.num_rows)
        ),
        axis=1,
    )
    reach = (buffer_m + np.sqrt(2) * cell_m) * _GRID_SCALE
    epsg, x, y = (cells[name].to_numpy() for name in ("epsg", "x", "y"))
    trees = {
        value: (np.flatnonzero(group == value), KDTree(points[group == value])) for value in np.unique(group).tolist()
    }
    for one, (rows, tree) in trees.items():
        for other, (other_rows, other_tree) in trees.items():
            if one >= other:
                continue
            near = tree.sparse_distance_matrix(other_tree, reach, output_type="coo_matrix")
            for i, j, distance in zip(rows[near.row], other_rows[near.col], near.data, strict=True):
                if epsg[i] == epsg[j]:
                    apart = abs(x[i] - x[j]) - cell_m, abs(y[i] - y[j]) - cell_m
                    # Squares that share pixels are nearer than any buffer, even none.
                    gap = -1.0 if max(apart) < 0 else np.hypot(*np.maximum(apart, 0))
                else:
                    gap = distance - np.sqrt(2) * cell_m
                if gap < buffer_m:
                    yield int(i), int(j), float(gap)


def closest_m(cells: pa.Table, group: NDArray[np.int64], *, cell_m: float) -> float | None:
    """The least gap between squares of different groups, in metres, no less than stated.

    None where there is one group only.
    """
    reach = 2 * cell_m
    while len(np.unique(group)) > 1:
        if gaps := [gap for _, _, gap in gaps_below(cells, group, buffer_m=reach, cell_m=cell_m)]:
            return min(gaps)
        reach *= 4
    return None
