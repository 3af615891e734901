"""The pixels of a cover table, counted by class for every (cell, period) at once.

Columns in place of objects: a continent has a million of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from landmark.domain.schemas import runs
from landmark.domain.taxonomy import Crosswalk

Count = NDArray[np.int64]
# A number of a class, -1 where there is none.
Class = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Counted:
    """Pixels per stretch: the rows of a cover table that are of one cell and period.

    Attributes:
        edges: Where stretches begin, and where the last one ends (row).
        pixels, codes: As the table has them (row).
        won: Target class of the source that wins (row).
        finer: That source's own class, a number into `names` (row).
        editions: Of the sources (stretch, source).
        total: All pixels (stretch).
        classes: Those that each target class wins (stretch, class).
        confirmed, heard: Of these, those where the first other source that knows the class names it, too, and those
            where there is such a source at all (stretch, class).
        agreed, met: Those where a source names the class that another one does, and those where both have a class
            (stretch, source).
    """

    edges: Count
    pixels: Count
    codes: NDArray[np.int32]
    won: Class
    finer: Class
    names: list[str]
    editions: NDArray[np.int32]
    total: Count
    classes: Count
    confirmed: Count
    heard: Count
    agreed: Count
    met: Count


def counted(cover: pa.Table, crosswalks: Sequence[Crosswalk], keys: Sequence[str]) -> Counted:
    """Count the pixels of a cover table; `keys` are the target classes.

    At a pixel the first source with a class wins.
    """
    edges, pixels, codes = runs(cover["cell"], cover["period"]), cover["pixels"].to_numpy(), _matrix(cover["codes"])
    target, finer, names = _classed(codes, crosswalks, keys)
    starts, row = edges[:-1], np.arange(len(codes))
    winner = (target >= 0).argmax(axis=0)
    won = target[winner, row]
    others = [_first(np.delete(target, place, axis=0)) for place in range(len(crosswalks))]
    witness = _first(_witnesses(target, winner, won, crosswalks, keys))
    at = np.repeat(np.arange(len(starts)), np.diff(edges)) * len(keys) + won

    def by_class(some: NDArray[np.bool_]) -> Count:
        sums = np.bincount(at[some], weights=pixels[some], minlength=len(starts) * len(keys))
        return sums.astype(np.int64).reshape(-1, len(keys))

    def by_source(some: Sequence[NDArray[np.bool_]]) -> Count:
        sums = [np.add.reduceat(np.where(each, pixels, 0), starts) for each in some]
        return np.array(sums, np.int64).reshape(len(some), len(starts)).T

    return Counted(
        edges=edges,
        pixels=pixels,
        codes=codes,
        won=won,
        finer=finer[winner, row],
        names=names,
        editions=_matrix(cover["editions"])[starts],
        total=np.add.reduceat(pixels, starts),
        classes=by_class(won >= 0),
        confirmed=by_class((won >= 0) & (witness == won)),
        heard=by_class((won >= 0) & (witness >= 0)),
        agreed=by_source([(mine >= 0) & (mine == other) for mine, other in zip(target, others, strict=False)]),
        met=by_source([(mine >= 0) & (other >= 0) for mine, other in zip(target, others, strict=False)]),
    )


def _classed(
    codes: NDArray[np.int32], crosswalks: Sequence[Crosswalk], keys: Sequence[str]
) -> tuple[Class, Class, list[str]]:
    """Each source's target class and own class (source, row), and the names of the latter."""
    order, names = {key: place for place, key in enumerate(keys)}, list[str]()
    # A recipe of events alone has no source: one that is silent stands for it.
    target, finer = np.full((2, max(1, len(crosswalks)), len(codes)), -1, dtype=np.int16)
    for source, crosswalk in enumerate(crosswalks):
        for code, entry in crosswalk.classes.items():
            if entry.to is not None:
                here = codes[:, source] == code
                target[source, here], finer[source, here] = order[entry.to], len(names)
                names.append(f"{crosswalk.name}/{entry.key}")
    return target, finer, names


def _witnesses(
    target: Class, winner: NDArray[np.intp], won: Class, crosswalks: Sequence[Crosswalk], keys: Sequence[str]
) -> Class:
    """The classes of the other sources that know the winner's class (source, row).

    A source whose scheme has no such class is no witness of it.
    """
    heard, known = target.copy(), [{entry.to for entry in each.classes.values()} for each in crosswalks]
    heard[winner, np.arange(len(winner))] = -1
    for source, some in enumerate(known):
        knows = np.array([key in some for key in keys])
        heard[source, ~knows[won]] = -1
    return heard


def _first(target: Class) -> Class:
    """Per row the class of the first source that has one, -1 where none has (source, row)."""
    if not len(target):
        return np.full(target.shape[1], -1, np.int16)
    return np.asarray(target[(target >= 0).argmax(axis=0), np.arange(target.shape[1])])


def _matrix(column: pa.ChunkedArray) -> NDArray[np.int32]:
    """A column of lists of one length, (row, place)."""
    lists = column.combine_chunks()
    flat: NDArray[Any] = lists.flatten().to_numpy()
    return flat.reshape(len(lists), lists.type.list_size)
