"""Turn row masks over the sample table into flags, by sample or attributed to an acquisition."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from landmark.quality.check_input import CheckInput, float_column
from landmark.quality.findings import Flag, NotApplicable

RowMask = NDArray[np.bool_]
RowDetail = Callable[[int], str]
_MIN_ACQUISITION_SAMPLES = 3


def samples_with(inputs: CheckInput, measure: str, *, sensor: str | None = None) -> pa.Table:
    """The samples (of a sensor) for which a measure exists.

    Raises:
        NotApplicable: none.
    """
    table = inputs.samples if sensor is None else inputs.samples_of(sensor)
    if table[measure].null_count:
        table = table.filter(pc.is_valid(table[measure]))
    if table.num_rows == 0:
        raise NotApplicable("no pixels were read" if sensor is None else f"no pixels of {sensor} were read")
    return table


def columns(table: pa.Table, *names: str) -> list[NDArray[np.float64]]:
    """Several measures, NaN where null: a comparison with it is false."""
    return [float_column(table, name) for name in names]


def acquisitions(table: pa.Table) -> list[str]:
    """Per sample, the first item of its acquisition."""
    return [str(items[0]) if items else "" for items in table["items"].to_pylist()]


def group_images(samples: pa.Table, *names: str) -> list[dict[str, Any]]:
    """Samples of equal values in some columns, of which texts in lists are joined by line breaks.

    Images have far fewer values than samples: these need one look each.

    Returns:
        Per group, its values, and its samples' `id` as a list, `lon` and `lat` in degrees as arrays.
    """
    columns = {name: samples[name] for name in (*names, "id", "lon", "lat")}
    table = pa.table({
        name: pc.binary_join(column, "\n") if pa.types.is_list(column.type) else column
        for name, column in columns.items()
    })  # fmt: skip
    groups = table.group_by(list(names), use_threads=False).aggregate([(name, "list") for name in ("id", "lon", "lat")])
    return [
        {name: row[name] for name in names}
        | {"id": row["id_list"], "lon": np.array(row["lon_list"]), "lat": np.array(row["lat_list"])}
        for row in groups.to_pylist()
    ]


def by_sample(table: pa.Table, failed: RowMask, problem: str, detail: RowDetail) -> Iterator[Flag]:
    """One flag per failed sample."""
    for row in np.flatnonzero(failed).tolist():
        yield Flag(problem, str(table["id"][row]), detail(row))


def by_acquisition(
    table: pa.Table, failed: RowMask, problem: str, detail: RowDetail, *, assessable: RowMask | None = None
) -> Iterator[Flag]:
    """One flag per failed sample, naming its acquisition where most assessable samples of it failed.

    Args:
        table: One row per sample.
        failed: Mask of rows.
        problem: Text of the flags.
        detail: Row → observed values.
        assessable: Mask of rows in which the problem would show; all by default.
    """
    assessable = np.ones_like(failed) if assessable is None else assessable
    if not (assessable & failed).any():
        return
    items = acquisitions(table)
    totals, failures = (
        Counter(items[row] for row in np.flatnonzero(mask).tolist()) for mask in (assessable, assessable & failed)
    )
    for row in np.flatnonzero(assessable & failed).tolist():
        item = items[row]
        systematic = totals[item] >= _MIN_ACQUISITION_SAMPLES and 2 * failures[item] > totals[item]
        suffix = f"; {failures[item]} of {totals[item]} assessable samples of {item} fail" if systematic else ""
        yield Flag(problem, str(table["id"][row]), f"{detail(row)}{suffix}")
