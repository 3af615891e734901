"""Columns of samples that plan and lock give, compared with them."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from landmark.core.errors import InvalidCorpus
from landmark.corpus.lock import Lock
from landmark.corpus.tables import read_table
from landmark.domain.schemas import INDEX, PLAN
from landmark.quality.check_input import Check, CheckInput
from landmark.quality.check_profile import Limits
from landmark.quality.findings import Flag, NotApplicable

# `x` and `y` are the corner of a sample's transform.
_OF_PLAN = ("sensor", "cell", "majortom", "split", "role", "epsg", "x", "y", "lon", "lat")
_OF_ACQUISITION = ("datetime", "platform", "orbit_direction", "relative_orbit", "baseline", "offset_rule")


def plan(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """Position, split and image of a sample are those of plan and lock."""
    if inputs.lock is None:
        raise NotApplicable("the corpus has no lock that its manifest names")
    try:
        planned = read_table(inputs.context.root / "plan.parquet", PLAN)
    except InvalidCorpus as error:
        raise NotApplicable("the plan is unreadable") from error
    # Check `ledger` names samples that are not planned.
    samples = inputs.samples.filter(pc.is_in(inputs.samples["id"], planned["id"]))
    expected = planned.take(pc.index_in(samples["id"], planned["id"]))
    acquisitions = _acquisitions(inputs.lock)
    images = acquisitions.take(pc.index_in(expected["acquisition"], acquisitions["id"]))
    columns = [(name, samples[name], expected[name]) for name in _OF_PLAN]
    columns += [(name, samples[name], images[name]) for name in _OF_ACQUISITION]
    columns.append(("items", pc.binary_join(samples["items"], ", "), images["items"]))
    for name, stored, value in columns:
        wrong = samples["id"].filter(_differs(stored, value))
        details = (column.filter(_differs(stored, value)).to_pylist() for column in (stored, value))
        for id, *pair in zip(wrong.to_pylist(), *details, strict=True):
            yield Flag(f"{name} is not that of plan and lock", id, "{}, not {}".format(*pair))


def _differs(stored: pa.ChunkedArray, value: pa.ChunkedArray) -> pa.ChunkedArray:
    """Where values differ, or one of them is null."""
    null_differs = pc.not_equal(pc.is_null(stored), pc.is_null(value))
    return pc.or_(null_differs, pc.fill_null(pc.not_equal(stored, value.cast(stored.type)), False))


def _acquisitions(lock: Lock) -> pa.Table:
    schema = pa.schema([("id", pa.string()), *(INDEX.field(name) for name in _OF_ACQUISITION), ("items", pa.string())])
    rows = [
        {
            **{name: getattr(acquisition, name) for name in ("id", *_OF_ACQUISITION)},
            "items": ", ".join(item.id for item in acquisition.items),
        }
        for acquisition in lock.acquisitions
    ]
    return pa.Table.from_pylist(rows, schema=schema)


CHECKS: dict[str, Check] = {"plan": plan}
