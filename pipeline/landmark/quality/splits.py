"""Whether the test split is new to a model trained on the train split."""

from collections.abc import Iterator

import numpy as np

from landmark.config.recipe import SPLITS
from landmark.plan.distance import gaps_below
from landmark.quality.check_profile import Limits
from landmark.quality.evidence import Evidence, Judge
from landmark.quality.findings import Flag, NotApplicable


def split_cells(evidence: Evidence, limits: Limits) -> Iterator[Flag]:
    """A cell lies in one split: no pixel is in two."""
    yield from _one_split(evidence, evidence.samples["cell"].to_pylist(), "a cell lies in several splits")


def split_events(evidence: Evidence, limits: Limits) -> Iterator[Flag]:
    """An event lies in one split."""
    events = [[one["id"] for one in row] for row in evidence.samples["events"].to_pylist()]
    if not any(events):
        raise NotApplicable("no sample has an event")
    splits = evidence.samples["split"].to_pylist()
    sides: dict[str, set[str]] = {}
    for named, split in zip(events, splits, strict=True):
        for event in named:
            sides.setdefault(event, set()).add(split)
    for event, found in sorted(sides.items()):
        if len(found) > 1:
            yield Flag("an event lies in several splits", event, ", ".join(sorted(found)))


def split_scenes(evidence: Evidence, limits: Limits) -> Iterator[Flag]:
    """Images that several splits are cut from: same weather, same calibration. Reported, not held against a corpus."""
    items = [row[0] if row else None for row in evidence.samples["items"].to_pylist()]
    yield from _one_split(evidence, items, "an image is cut for several splits")


def _one_split(evidence: Evidence, names: list[str | None], what: str) -> Iterator[Flag]:
    sides: dict[str, set[str]] = {}
    for name, split in zip(names, evidence.samples["split"].to_pylist(), strict=True):
        if name is not None:
            sides.setdefault(name, set()).add(split)
    for name, found in sorted(sides.items()):
        if len(found) > 1:
            yield Flag(what, name, ", ".join(sorted(found)))


def split_buffer(evidence: Evidence, limits: Limits) -> Iterator[Flag]:
    """Cells of different splits stand at least the recipe's buffer apart."""
    said = evidence.known.recipe.get("splits", {})
    buffer_m = said.get("buffer_m", limits["buffer_m"])
    names = ["cell", "epsg", "x", "y", "lon", "lat", "split"]
    cells = evidence.samples.group_by(names, use_threads=False).aggregate([])
    group = np.array([SPLITS.index(split) for split in cells["split"].to_pylist()])
    cell_m = evidence.manifest.patch_px * evidence.manifest.resolution_m
    ids = cells["cell"].to_pylist()
    near = gaps_below(cells, group, buffer_m=buffer_m - limits["tolerance_m"], cell_m=cell_m)
    for one, other, gap_m in zip(*(column.tolist() for column in near), strict=True):
        if ids[one] != ids[other]:
            yield Flag("cells of two splits stand too near", min(ids[one], ids[other]),
                       f"{max(gap_m, 0):.0f} m from {max(ids[one], ids[other])}, buffer {buffer_m:g} m")  # fmt: skip


def duplicates(evidence: Evidence, limits: Limits) -> Iterator[Flag]:
    """No image stands twice, under whatever id."""
    groups: dict[str, list[tuple[str, str]]] = {}
    columns = (evidence.samples[name].to_pylist() for name in ("id", "split", "sha256"))
    for id, split, sha256 in zip(*columns, strict=True):
        groups.setdefault(sha256, []).append((id, split))
    for same in groups.values():
        if len(same) > 1:
            (first, _), *others = same
            across = len({split for _, split in same}) > 1
            what = "the same pixels in several splits" if across else "the same pixels twice"
            yield from (Flag(what, id, f"as {first}") for id, _ in others)


JUDGES: dict[str, Judge] = {
    "split-cells": split_cells,
    "split-events": split_events,
    "split-scenes": split_scenes,
    "split-buffer": split_buffer,
    "duplicates": duplicates,
}
