"""Flags of samples, which name the acquisition where it is the acquisition's fault."""

from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from landmark.quality.evidence import Evidence, numbers
from landmark.quality.findings import Flag, NotApplicable

Rows = NDArray[np.bool_]
Seen = Callable[[int], str]
_LEAST = 3  # samples that can tell, for an acquisition to be judged as a whole


def looked_at(evidence: Evidence, sensor: str, measure: str) -> pa.Table:
    """The samples of a sensor that have a measure.

    Raises:
        NotApplicable: there is none.
    """
    table = evidence.of(sensor)
    table = table.filter(pc.is_valid(table[measure]))
    if table.num_rows == 0:
        raise NotApplicable(f"no pixels of {sensor} were read")
    return table


def columns(table: pa.Table, *names: str) -> list[NDArray[np.float64]]:
    """Several measures, NaN where null: a comparison with it is false."""
    return [numbers(table, name) for name in names]


def acquisitions(table: pa.Table) -> list[str]:
    """The first item each sample was cut from."""
    return [str(items[0]) if items else "" for items in table["items"].to_pylist()]


def each(table: pa.Table, bad: Rows, what: str, seen: Seen) -> Iterator[Flag]:
    """A flag a bad sample."""
    for row in np.flatnonzero(bad).tolist():
        yield Flag(what, str(table["id"][row]), seen(row))


def together(table: pa.Table, bad: Rows, what: str, seen: Seen, *, telling: Rows | None = None) -> Iterator[Flag]:
    """A flag a bad sample, which names its acquisition where most of that one's telling samples are bad."""
    can_tell = np.ones_like(bad) if telling is None else telling
    items = acquisitions(table)
    told, worse = (Counter(items[row] for row in np.flatnonzero(rows).tolist()) for rows in (can_tell, can_tell & bad))
    for row in np.flatnonzero(can_tell & bad).tolist():
        item = items[row]
        whole = told[item] >= _LEAST and 2 * worse[item] > told[item]
        also = f"; as {worse[item]} of {told[item]} samples of {item} that can tell" if whole else ""
        yield Flag(what, str(table["id"][row]), f"{seen(row)}{also}")
