"""Pixel counts by class for all (cell, period) groups of a label-count table at once.

Arrays in place of objects: a continent has millions of groups.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from landmark.domain.schemas import group_edges
from landmark.domain.taxonomy import Crosswalk

Count = NDArray[np.int64]
# Number of a class, -1 for none.
Class = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class ClassCounts:
    """Pixel counts by class. A group is the rows of one cell and period; axes are in parentheses.

    At a pixel, the first source with a class there wins; its class is the pixel's.

    Attributes:
        group_edges: First row of each group, and the end of the last.
        pixels, codes: Columns of the table (row).
        winning_class: Target class of the winning source (row).
        subclass: The winning source's own class, an index into `subclass_names` (row).
        subclass_names: `<source>/<class key>`.
        editions: Numbers of the sources' editions (group, source).
        total: All pixels (group).
        class_pixels: Pixels by their class (group, class).
        n_confirmable: Of these, pixels where another source that has the class in its list shows any class.
        n_confirmed: Of these, pixels where the first such source shows the same class.
        n_comparable: Pixels where a source and another one have a class (group, source).
        n_agreeing: Of these, pixels where the source has the class of the first other one.
    """

    group_edges: Count
    pixels: Count
    codes: NDArray[np.int32]
    winning_class: Class
    subclass: Class
    subclass_names: list[str]
    editions: NDArray[np.int32]
    total: Count
    class_pixels: Count
    n_confirmed: Count
    n_confirmable: Count
    n_agreeing: Count
    n_comparable: Count


def count_classes(label_counts: pa.Table, crosswalks: Sequence[Crosswalk], keys: Sequence[str]) -> ClassCounts:
    """Count the pixels of a label-count table; `keys` are those of the target classes, in order."""
    edges = group_edges(label_counts["cell"], label_counts["period"])
    pixels, codes = label_counts["pixels"].to_numpy(), _matrix(label_counts["codes"])
    target, subclass, subclass_names = _map_codes(codes, crosswalks, keys)
    starts, rows = edges[:-1], np.arange(len(codes))
    winner = (target >= 0).argmax(axis=0)
    winning = target[winner, rows]
    witness = _first_class(_witness_classes(target, winner, winning, crosswalks, keys))
    other_sources = [_first_class(np.delete(target, source, axis=0)) for source in range(len(crosswalks))]
    source_pairs = list(zip(target, other_sources, strict=False))
    bins = np.repeat(np.arange(len(starts)), np.diff(edges)) * len(keys) + winning

    def sum_by_class(mask: NDArray[np.bool_]) -> Count:
        sums = np.bincount(bins[mask], weights=pixels[mask], minlength=len(starts) * len(keys))
        return sums.astype(np.int64).reshape(-1, len(keys))

    def sum_by_source(masks: Sequence[NDArray[np.bool_]]) -> Count:
        sums = [np.add.reduceat(np.where(mask, pixels, 0), starts) for mask in masks]
        return np.array(sums, np.int64).reshape(len(masks), len(starts)).T

    return ClassCounts(
        group_edges=edges,
        pixels=pixels,
        codes=codes,
        winning_class=winning,
        subclass=subclass[winner, rows],
        subclass_names=subclass_names,
        editions=_matrix(label_counts["editions"])[starts],
        total=np.add.reduceat(pixels, starts),
        class_pixels=sum_by_class(winning >= 0),
        n_confirmed=sum_by_class((winning >= 0) & (witness == winning)),
        n_confirmable=sum_by_class((winning >= 0) & (witness >= 0)),
        n_agreeing=sum_by_source([(source >= 0) & (source == rival) for source, rival in source_pairs]),
        n_comparable=sum_by_source([(source >= 0) & (rival >= 0) for source, rival in source_pairs]),
    )


def _map_codes(
    codes: NDArray[np.int32], crosswalks: Sequence[Crosswalk], keys: Sequence[str]
) -> tuple[Class, Class, list[str]]:
    """Each source's target class and own class (source, row), and the names of the own classes."""
    numbers, names = {key: number for number, key in enumerate(keys)}, list[str]()
    # Without label sources (events alone) there is one source that has no class anywhere.
    target, subclass = np.full((2, max(1, len(crosswalks)), len(codes)), -1, dtype=np.int16)
    for source, crosswalk in enumerate(crosswalks):
        for code, entry in crosswalk.classes.items():
            if entry.to is not None:
                mask = codes[:, source] == code
                target[source, mask], subclass[source, mask] = numbers[entry.to], len(names)
                names.append(f"{crosswalk.name}/{entry.key}")
    return target, subclass, names


def _witness_classes(
    target: Class, winner: NDArray[np.intp], winning: Class, crosswalks: Sequence[Crosswalk], keys: Sequence[str]
) -> Class:
    """Classes of the sources other than the winner whose crosswalks have the winning class at all (source, row)."""
    witnesses = target.copy()
    witnesses[winner, np.arange(len(winner))] = -1
    for source, crosswalk in enumerate(crosswalks):
        targets = {entry.to for entry in crosswalk.classes.values()}
        has_class = np.array([key in targets for key in keys])
        witnesses[source, ~has_class[winning]] = -1
    return witnesses


def _first_class(target: Class) -> Class:
    """Class of the first source that has one, -1 where none has (row)."""
    if not len(target):
        return np.full(target.shape[1], -1, np.int16)
    return np.asarray(target[(target >= 0).argmax(axis=0), np.arange(target.shape[1])])


def _matrix(column: pa.ChunkedArray) -> NDArray[np.int32]:
    """A column of lists of one length, as an array (row, item)."""
    lists = column.combine_chunks()
    values: NDArray[Any] = lists.flatten().to_numpy()
    return values.reshape(len(lists), lists.type.list_size)
