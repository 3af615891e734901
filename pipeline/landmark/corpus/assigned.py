"""Other values in columns of an index, whose file stays as it is."""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from landmark.config.recipe import SPLITS
from landmark.core.errors import InputError
from landmark.core.hashing import digest, names_digest
from landmark.corpus.index import Index
from landmark.corpus.selection import check_columns, check_name
from landmark.domain.schemas import INDEX

# Which pixels a sample has, and where on Earth they lie.
FIXED = ("id", "sensor", "cell", "majortom", "epsg", "transform", "geometry", "sha256")


class AssignedIndex(Index):
    """An index with other values in some columns; what is read of its file is that of the index.

    Args:
        index: The index of the file.
        assigned: Column → its values, one for each row.
    """

    def __init__(self, index: Index, assigned: Mapping[str, pa.ChunkedArray]) -> None:
        self.__dict__.update(index.__dict__)
        self.stored, self.assigned = index, assigned
        self._columns = {**index._columns, **assigned}

    def __reduce__(self) -> tuple[Any, ...]:
        return AssignedIndex, (self.stored, self.assigned)

    @cached_property
    def content_digest(self) -> str:
        """Digest of that of the index and of the assigned values."""
        return digest([self.stored.content_digest, {name: _digest(own) for name, own in self.assigned.items()}])

    def list_batches(self, name: str, fields: Sequence[str], rows: NDArray[np.int64]) -> Iterator[pa.ListArray]:
        """As of `Index`; assigned values are in memory."""
        if name not in self.assigned:
            yield from super().list_batches(name, fields, rows)
            return
        column = self.assigned[name].take(pa.array(rows))
        items = pa.struct([column.type.value_type.field(field) for field in fields])
        yield from column.cast(pa.list_(items)).chunks


def assign_columns(index: Index, rows: NDArray[np.int64], columns: Mapping[str, Any], classes: Sequence[str]) -> Index:
    """Return the index with other values in columns of some rows; columns that equal those of the file are its own.

    Args:
        index: The index.
        rows: The rows, ascending.
        columns: Column → values, one for each of the rows.
        classes: Class keys that samples may have.

    Raises:
        InputError: no such column, or one that may not change, or values that do not fit it.
        InvalidCorpus: the index is damaged.
    """
    stored, assigned = (index.stored, dict(index.assigned)) if isinstance(index, AssignedIndex) else (index, {})
    check_columns(list(columns), INDEX.names, key="columns")
    for name, values in columns.items():
        column = _check_values(name, _to_column(name, values, len(rows)), classes)
        if len(rows) < index.n_rows:
            current, places = index.columns([name], keep=False)[name], np.arange(index.n_rows)
            places[rows] = index.n_rows + np.arange(len(rows))
            column = pa.chunked_array([*current.chunks, *column.chunks], column.type).take(pa.array(places))
        assigned[name] = column
    own = {
        name: column for name, column in assigned.items() if not column.equals(stored.columns([name], keep=False)[name])
    }
    return AssignedIndex(stored, own) if own else stored


def _to_column(name: str, values: Any, count: int) -> pa.ChunkedArray:
    """Some values as a column of the index."""
    if name in FIXED:
        remedy = f"assign others than {', '.join(FIXED)}"
        raise InputError("says which pixels the sample has, and cannot be assigned", key=name, remedy=remedy)
    type_ = INDEX.field(name).type
    try:
        is_arrow = isinstance(values, pa.Array | pa.ChunkedArray)
        column = values.cast(type_) if is_arrow else pa.array(values, type_)
        column.validate(full=True)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        reason = str(error).splitlines()[0][:160]
        raise InputError(f"not the values of a column: {reason}", key=name, remedy=f"give {type_}") from error
    if len(column) != count:
        remedy = f"give {count}, one for each sample of the selection, in its order"
        raise InputError("another number of values than samples", key=name, value=len(column), remedy=remedy)
    return column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])


def _check_values(name: str, column: pa.ChunkedArray, classes: Sequence[str]) -> pa.ChunkedArray:
    """Return a column without nulls where it may have none, of known splits and classes."""
    if not INDEX.field(name).nullable and column.null_count:
        row = pc.index(column.is_null(), True).as_py()
        raise InputError("a value is null, which the column may not have", key=name, value=f"sample {row}")
    if name in ("split", "labels"):
        items, known = (column, SPLITS) if name == "split" else (pc.list_flatten(column), classes)
        for value in pc.unique(items).to_pylist():
            check_name(value, known, key=name)
    if name == "labels":
        _check_distinct(column)
    return column


def _check_distinct(labels: pa.ChunkedArray) -> None:
    """Raise InputError if a sample has a label twice: grades follow from their number."""
    rows = labels.combine_chunks()
    sample, key = pc.list_parent_indices(rows).to_numpy(), pc.list_flatten(rows).dictionary_encode()
    pairs = sample * len(key.dictionary) + key.indices.to_numpy()
    distinct, first = np.unique(pairs, return_index=True)
    if len(distinct) < len(pairs):
        row = int(np.delete(sample, first)[0])
        remedy = "give each label of a sample once"
        raise InputError("a sample has a label twice", key="labels", value=f"sample {row}", remedy=remedy)


def _digest(column: pa.ChunkedArray) -> str:
    """Digest of the values of a column, independent of its chunks."""
    encode = json.JSONEncoder(default=str).encode
    return names_digest(encode(value.as_py()) for value in column)
