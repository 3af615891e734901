"""Find the classes of cells, and count them per split."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from landmark.config.recipe import SPLITS, Recipe
from landmark.domain.event import phase_of
from landmark.domain.impact import EventIndex
from landmark.labels.label_rules import CellLabelTable, LabelRules

# Blocks per split that a smaller `block_m` should give.
_BLOCKS_PER_SPLIT = 4


@dataclass(frozen=True, slots=True)
class SplitClasses:
    """Classes of the planned cells.

    Attributes:
        cells: Class → split → number of planned cells that have it.
        warnings: That there are too few blocks for the splits or, otherwise, splits without some class.
    """

    cells: dict[str, dict[str, int]]
    warnings: list[str]


def classes_of_cells(
    cells: Sequence[str], cell_labels: CellLabelTable, rules: LabelRules, times: Sequence[dt.datetime]
) -> NDArray[np.bool_]:
    """(cell, class of the taxonomy) mask: labels in any period, and those of events that an image may show.

    Args:
        cells: Cell ids.
        cell_labels: Labels of at least these cells.
        rules: Label rules with the recipe's events.
        times: Times of all images.
    """
    row_of, keys, mask = {cell: row for row, cell in enumerate(cells)}, list(cell_labels), _empty(len(cells), rules)
    np.logical_or.at(mask, [row_of[cell] for cell, _ in keys], cell_labels.label_mask(keys))
    classes, shown = list(rules.taxonomy.classes), dict[str, bool]()
    for key in cell_labels.keys_with_events() if rules.event_index is not None else ():
        for event, impact in cell_labels.impacts(key).items():
            assert rules.event_index is not None
            label = rules.event_index.types[rules.event_index.events[event].type].to
            if impact.reaches(rules.thresholds[label]):
                if event not in shown:
                    shown[event] = _is_shown(event, rules.event_index, times)
                mask[row_of[key[0]], classes.index(label)] |= shown[event]
    return mask


def count_split_classes(
    samples: pa.Table, times: Mapping[str, dt.datetime], rules: LabelRules, cell_labels: CellLabelTable, recipe: Recipe
) -> SplitClasses:
    """Count the planned cells of each class per split, and warn of splits without a class.

    Args:
        samples: PLAN rows.
        times: Acquisition → time.
        rules: Label rules with the recipe's events.
        cell_labels: Labels of at least the planned cells.
        recipe: The recipe; with a limit nothing is warned of.
    """
    classes = list(rules.taxonomy.classes)
    keys = list(zip(samples["cell"].to_pylist(), samples["period"].to_pylist(), strict=True))
    mask, touched = cell_labels.label_mask(keys), cell_labels.keys_with_events()
    for row in (row for row, key in enumerate(keys) if key in touched):
        time = times[samples["acquisition"][row].as_py()]
        mask[row, [classes.index(label) for label in rules.event_labels(cell_labels.impacts(keys[row]), time)]] = True
    cell = samples["cell"].combine_chunks().dictionary_encode().indices.to_numpy()
    _, first = np.unique(cell, return_index=True)
    in_cell = _empty(len(first), rules)
    np.logical_or.at(in_cell, cell, mask)
    split = np.array(samples["split"].take(pa.array(first)).to_pylist())
    counts = {name: in_cell[split == name].sum(axis=0).tolist() for name in SPLITS}
    cells = {
        key: {name: counts[name][number] for name in SPLITS}
        for number, key in enumerate(classes)
        if in_cell[:, number].any()
    }
    present = set(split.tolist())
    warnings = [] if recipe.limit else _few_blocks(samples, recipe) or _missing_classes(cells, present, recipe)
    return SplitClasses(cells, warnings)


def _empty(count: int, rules: LabelRules) -> NDArray[np.bool_]:
    return np.zeros((count, len(rules.taxonomy.classes)), dtype=bool)


def _is_shown(event: str, index: EventIndex, times: Sequence[dt.datetime]) -> bool:
    """Whether an image of some time may show an event."""
    phases = index.types[index.events[event].type].mentionable_phases
    return any(phase_of(index.events[event], time, index.types) in phases for time in times)


def _missing_classes(cells: Mapping[str, Mapping[str, int]], present: set[str], recipe: Recipe) -> list[str]:
    """A line for each split that has cells, but none of some class."""
    remedy = "set splits.balance to classes"
    if recipe.splits.balance == "classes":
        remedy = "too few blocks have them: set a smaller splits.block_m, or enlarge the region"
    missing = {name: [key for key, counts in cells.items() if not counts[name]] for name in SPLITS if name in present}
    return [
        f"split {name}: no planned cell has {' or '.join(keys)}; {remedy}" for name, keys in missing.items() if keys
    ]


def _few_blocks(samples: pa.Table, recipe: Recipe) -> list[str]:
    """A warning if there are fewer blocks than splits, with the edge of a block that gives enough."""
    used = sum(share > 0 for share in (recipe.splits.train, recipe.splits.val, recipe.splits.test))
    n_blocks, block_m, cell_m = len(set(samples["block"].to_pylist())), recipe.splits.block_m, recipe.cell_m
    if n_blocks >= used:
        return []
    epsg, x, y = (samples[name].to_numpy() for name in ("epsg", "x", "y"))
    corners = np.unique(np.stack([epsg, (x + cell_m / 2), (y - cell_m / 2)]), axis=1)

    def count_blocks(edge_m: float) -> int:
        return int(np.unique(np.floor(corners / [[1], [edge_m], [edge_m]]), axis=1).shape[1])

    edges = (cells * cell_m for cells in range(int(block_m / cell_m), 0, -1))
    edge_m = next((edge for edge in edges if count_blocks(edge) >= _BLOCKS_PER_SPLIT * used), cell_m)
    problem = f"all planned cells are in {n_blocks} of its blocks of {block_m} m, too few for {used} splits"
    remedy = "enlarge the region" if edge_m >= block_m else f"set it to {edge_m:g} or less, or enlarge the region"
    return [f"splits.block_m: {problem}; {remedy}"]
