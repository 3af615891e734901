"""Conditions on columns of the index."""

import difflib
import operator
import re
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from landmark.core.errors import InputError

# A pyarrow expression, or conditions such as `[("cloud_pct", "<", 10)]`, in lists that are alternatives or in one.
Where: TypeAlias = pc.Expression | Sequence[tuple[str, str, Any]] | Sequence[Sequence[tuple[str, str, Any]]]
_MISSING_FIELD = re.compile(r"No match for FieldRef\.(?:Name|Nested)\((?:FieldRef\.Name\()?([^)]*)\)")


def meets(where: Where, names: Sequence[str], read: Callable[..., pa.Table]) -> NDArray[np.bool_]:
    """Whether each row of a table meets a condition; one that is null is not met.

    Args:
        where: The condition.
        names: Columns of the table.
        read: Returns those that are its arguments.

    Raises:
        InputError: the condition has an unknown column, or cannot be evaluated.
    """
    expression = where if isinstance(where, pc.Expression) else _expression(where, names)
    # An expression does not list its columns.
    text = str(expression)
    table = read(*([name for name in names if re.search(rf"\b{re.escape(name)}\b", text)] or names[:1]))
    mask = np.zeros(len(table), dtype=bool)
    try:
        rows = table.append_column("row number", pa.array(np.arange(len(table)))).filter(expression)["row number"]
    except (pa.ArrowException, TypeError, ValueError) as error:
        if missing := _MISSING_FIELD.match(str(error)):
            raise _unknown_column(missing[1], names, "where") from error
        raise InputError(f"cannot be evaluated: {str(error).splitlines()[0]}", key="where", value=text) from error
    mask[rows.to_numpy()] = True
    return mask


def _expression(where: Any, names: Sequence[str]) -> pc.Expression:
    """The expression of conditions in a list, or of alternatives in lists."""
    try:
        alternatives = [where] if isinstance(where[0], tuple) else where
        check_columns([name for conditions in alternatives for name, _, _ in conditions], names, key="where")
        return reduce(operator.or_, [_all_of(conditions) for conditions in alternatives])
    except (TypeError, ValueError, LookupError) as error:
        problem = "must be an expression of pyarrow, or a list of (column, operator, value)"
        remedy = 'for example `where=[("cloud_pct", "<", 10)]`'
        raise InputError(problem, key="where", value=str(where), remedy=remedy) from error


def _all_of(conditions: Sequence[tuple[str, str, Any]]) -> pc.Expression:
    # By itself, `not in` is true of null.
    valid = [pc.field(name).is_valid() for name, _, _ in conditions]
    return reduce(operator.and_, valid, pq.filters_to_expression([list(conditions)]))


def check_columns(columns: Sequence[str], names: Sequence[str], *, key: str) -> None:
    """Require that columns are among some names.

    Raises:
        InputError: naming the first that is not, and the name most like it.
    """
    for column in columns:
        if column not in names:
            raise _unknown_column(column, names, key)


def check_name(name: object, known: Sequence[str], *, key: str) -> None:
    """Require a known name.

    Raises:
        InputError: it is another; `key` is the argument.
    """
    if name not in known:
        raise InputError("unknown", key=key, value=name, remedy=f"choose one of {', '.join(known)}")


def _unknown_column(column: str, names: Sequence[str], key: str) -> InputError:
    similar = difflib.get_close_matches(str(column), names, n=1, cutoff=0)
    remedy = f"did you mean `{similar[0]}`? Columns: {', '.join(names)}"
    return InputError("no such column", key=key, value=column, remedy=remedy)
