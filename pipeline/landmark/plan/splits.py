"""Assign splits by geographic block, leave a buffer between them, and measure how well they are separated."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from landmark.config.recipe import SPLITS, Splits
from landmark.core.hashing import ranks
from landmark.core.salts import CLASS_SPLIT, SPLIT
from landmark.plan.distance import find_gaps, find_near, min_gap_m
from landmark.plan.stratify import SplitProblem, buffer_mask, stratify

_RANKS = 2.0**64
# With more near cells, classes are divided without regard to the buffer.
_MAX_NEAR = 20_000_000


@dataclass(frozen=True, slots=True)
class SplitAssignment:
    """Splits of the rows of a table of cells.

    Attributes:
        split: Name of each cell's split.
        in_buffer: Cells to leave out, being nearer than the buffer to another split.
    """

    split: list[str]
    in_buffer: NDArray[np.bool_]


def split_cells(
    cells: pa.Table,
    touched: Sequence[tuple[str, int]],
    splits: Splits,
    *,
    seed: int,
    cell_m: float,
    classes: NDArray[np.bool_] | None = None,
) -> SplitAssignment:
    """Assign a split to each cell by its block, and mark the buffer between the splits.

    The hash of a block decides or, with classes, where they are missing. Blocks that events of one group touch go to
    one split.

    Args:
        cells: CELLS columns.
        touched: (event group, row) of the cells that events touch.
        splits: Shares in percent, and the buffer in metres.
        seed: The recipe's seed.
        cell_m: Edge of a cell in metres.
        classes: (cell, class) mask.
    """
    blocks = cells["block"].to_pylist()
    group_of = union_groups(blocks, touched)
    # Cells that no event touches yield to those that one does; then train yields to val and val to test.
    force = np.isin(np.arange(len(blocks)), [row for _, row in touched])
    if classes is None:
        number = np.array([SPLITS.index(name) for name in assign_splits(blocks, splits, seed, group_of)])
    else:
        unit = _number_units([group_of.get(block, block) for block in blocks], seed)
        near = find_near(cells, unit, buffer_m=splits.buffer_m, cell_m=cell_m, max_pairs=_MAX_NEAR)
        no_pairs = np.empty(0, np.int64), np.empty(0, np.int64)
        shares = np.array([splits.train, splits.val, splits.test]) / 100
        number = stratify(SplitProblem(unit, classes, near or no_pairs, force, shares))[unit]
    first, second, _ = find_gaps(cells, number, buffer_m=splits.buffer_m, cell_m=cell_m)
    in_buffer = buffer_mask(number, (first, second), force, len(SPLITS))
    return SplitAssignment([SPLITS[index] for index in number.tolist()], in_buffer)


def _number_units(units: Sequence[str], seed: int) -> NDArray[np.int64]:
    """Number each unit in the order of its hash."""
    names, inverse = np.unique(np.array(units, str), return_inverse=True)
    order = np.argsort(ranks(seed, CLASS_SPLIT, names.tolist()), kind="stable")
    return np.argsort(order)[inverse]


def assign_splits(
    blocks: Sequence[str], splits: Splits, seed: int, group_of: Mapping[str, str] = MappingProxyType({})
) -> list[str]:
    """Assign a split to each block by its hash, or by that of its group of events where it has one.

    A block's split does not depend on the other blocks, except through events.
    """
    names, inverse = np.unique(np.array([group_of.get(block, block) for block in blocks], str), return_inverse=True)
    position_pct = ranks(seed, SPLIT, names.tolist()) / _RANKS * 100
    edges = np.cumsum([splits.train, splits.val])
    return [SPLITS[number] for number in np.searchsorted(edges, position_pct, side="right")[inverse]]


def union_groups(blocks: Sequence[str], touched: Sequence[tuple[str, int]]) -> dict[str, str]:
    """Join event groups that share blocks, directly or through other groups; return block -> first of its groups.

    Args:
        blocks: Block of each cell.
        touched: (event group, row) of the cells that events touch.
    """
    parents: dict[str, str] = {}

    def find_root(name: str) -> str:
        while (parent := parents.setdefault(name, name)) != name:
            name = parent
        return name

    for group, row in touched:
        # Event groups sort before blocks, so that the root is a group.
        root, child = sorted((find_root(f"event {group}"), find_root(f"~{blocks[row]}")))
        parents[child] = root
    return {blocks[row]: find_root(f"~{blocks[row]}") for _, row in touched}


def prove_splits(
    cells: pa.Table,
    sample_cell: NDArray[np.int64],
    sample_acquisition: NDArray[np.signedinteger[Any]],
    splits: Splits,
    cell_m: float,
) -> dict[str, Any]:
    """Measure the separation of the splits on the planned cells.

    Args:
        cells: Planned cells with their `split`.
        sample_cell: Row in `cells` of each sample.
        sample_acquisition: Number of the acquisition of each sample.
        splits: The recipe's splits.
        cell_m: Edge of a cell in metres.

    Returns:
        Requested and least distance between splits in metres, cells per split, and the numbers of blocks and
        acquisitions in more than one split.
    """
    split = pc.index_in(cells["split"], pa.array(SPLITS)).to_numpy()
    block = cells["block"].combine_chunks().dictionary_encode().indices.to_numpy()
    gap_m = min_gap_m(cells, split, cell_m=cell_m)
    return {
        "buffer_m": splits.buffer_m,
        "closest_m": None if gap_m is None else round(gap_m, 1),
        "cells": dict(zip(SPLITS, np.bincount(split, minlength=len(SPLITS)).tolist(), strict=True)),
        "shared_blocks": _count_shared(block, split),
        "shared_acquisitions": _count_shared(sample_acquisition, split[sample_cell]),
    }


def _count_shared(values: NDArray[np.signedinteger[Any]], split: NDArray[np.int64]) -> int:
    """Count the values that occur in several splits."""
    pairs = np.unique(values.astype(np.int64) * len(SPLITS) + split)
    return int((np.bincount(pairs // len(SPLITS)) > 1).sum())
