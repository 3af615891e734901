"""Checks for leakage between splits."""

from collections.abc import Iterator

import numpy as np

from landmark.config.recipe import SPLITS
from landmark.plan.distance import find_gaps
from landmark.quality.check_input import Check, CheckInput
from landmark.quality.check_profile import Limits
from landmark.quality.findings import Flag, NotApplicable


def split_cells(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """All samples of a cell are in one split."""
    cells = [[cell] for cell in inputs.samples["cell"].to_pylist()]
    yield from _in_several_splits(inputs, cells, "cell is in several splits")


def split_events(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """All samples of an event are in one split."""
    events = [[event["id"] for event in row] for row in inputs.samples["events"].to_pylist()]
    if not any(events):
        raise NotApplicable("no sample has an event")
    yield from _in_several_splits(inputs, events, "event is in several splits")


def split_scenes(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """Images that several splits are cut from: they share weather and calibration, but no pixel."""
    images = [(items or [])[:1] for items in inputs.samples["items"].to_pylist()]
    yield from _in_several_splits(inputs, images, "samples of one image are in several splits")


def _in_several_splits(inputs: CheckInput, names: list[list[str]], problem: str) -> Iterator[Flag]:
    """Flag names, of which a sample has any number, that occur in several splits."""
    splits: dict[str, set[str]] = {}
    for row, split in zip(names, inputs.samples["split"].to_pylist(), strict=True):
        for name in row:
            splits.setdefault(name, set()).add(split)
    for name, members in sorted(splits.items()):
        if len(members) > 1:
            yield Flag(problem, name, ", ".join(sorted(members)))


def split_buffer(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """Cells of different splits are at least the recipe's buffer apart."""
    recipe = inputs.context.recipe
    buffer_m = recipe.splits.buffer_m if recipe else limits["buffer_m"]
    names = ["cell", "epsg", "x", "y", "lon", "lat", "split"]
    cells = inputs.samples.group_by(names, use_threads=False).aggregate([])
    group = np.array([SPLITS.index(split) for split in cells["split"].to_pylist()])
    cell_m = inputs.manifest.patch_px * inputs.manifest.resolution_m
    ids = cells["cell"].to_pylist()
    near = find_gaps(cells, group, buffer_m=buffer_m - limits["tolerance_m"], cell_m=cell_m)
    for row_a, row_b, gap_m in zip(*(column.tolist() for column in near), strict=True):
        first, second = sorted((ids[row_a], ids[row_b]))
        if first != second:
            detail = f"{max(gap_m, 0):.0f} m from {second}, buffer {buffer_m:g} m"
            yield Flag("cells of different splits are closer than the buffer", first, detail)


CHECKS: dict[str, Check] = {
    "split-cells": split_cells,
    "split-events": split_events,
    "split-scenes": split_scenes,
    "split-buffer": split_buffer,
}
