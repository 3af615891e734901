"""The rows of some cells in a table of label counts."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa

from landmark.domain.schemas import group_edges


class CellRows:
    """Row numbers of each cell in a table sorted by cell."""

    def __init__(self, table: pa.Table) -> None:
        edges = group_edges(table["cell"])
        cells = table["cell"].take(pa.array(edges[:-1])).to_pylist()
        self._table = table
        self._rows = {cell: np.arange(*bounds) for cell, bounds in zip(cells, pairwise(edges.tolist()), strict=True)}

    def select(self, cells: Sequence[str]) -> pa.Table:
        """Copy the rows of some cells: a slice would send the complete table to the worker."""
        rows = [self._rows[cell] for cell in sorted(set(cells)) if cell in self._rows]
        return self._table.take(np.concatenate([np.empty(0, np.int64), *rows]))
