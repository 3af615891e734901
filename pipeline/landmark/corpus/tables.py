"""Read the Parquet files of a corpus. Whatever is wrong with one is an `InvalidCorpus` that names it and the remedy."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq

from landmark.core.errors import InvalidCorpus
from landmark.corpus.pixels import parse_group, pixel_fields
from landmark.domain.schemas import INDEX

INDEX_FILE, INPUTS_FILE = "index.parquet", "inputs.parquet"
# Raised by Arrow and Python on files and values that landmark did not write: damaged pages, footers, text and numbers.
DAMAGE = (
    pa.ArrowException,
    OSError,
    ValueError,
    LookupError,
    TypeError,
    ArithmeticError,
    AttributeError,
    RecursionError,  # of nested JSON
)


def damaged(path: Path, problem: str, *, value: str | None = None) -> InvalidCorpus:
    """The error of a damaged file of a corpus, or of a value in it; the remedy follows from its name."""
    if path.name == INDEX_FILE:
        remedy = "run `landmark build`, which rewrites it"
    elif path.parent.name[:1] == "g" and path.parent.parent.name == "shards":
        manifest = path.parents[2] / "corpus.json"
        remedy = f"copy it from where the corpus was sealed, or delete {manifest} and build again"
    elif path.suffix == ".arrow" or path.name == "staging":
        remedy = "delete it; the next build extracts its samples again"
    elif path.name == INPUTS_FILE:
        remedy = "copy it from where the corpus was built, or delete it: the next build then compares no versions"
    else:
        remedy = "copy it from where the corpus was sealed, or delete the folder's contents and build again"
    return InvalidCorpus(problem, file=path, value=value, remedy=remedy)


@contextmanager
def reporting_damage(path: Path) -> Iterator[None]:
    """Turn errors of reading a file, or values that were read from it, into `InvalidCorpus`."""
    try:
        yield
    except InvalidCorpus:
        raise
    except FileNotFoundError as error:
        raise damaged(path, "is missing") from error
    except DAMAGE as error:
        first_line = (str(error).splitlines() or [""])[0][:160]
        raise damaged(path, f"is damaged: {first_line or type(error).__name__}") from error


def read_table(path: Path, schema: pa.Schema, *, all_columns: bool = False) -> pa.Table:
    """Read the columns of a schema, or all columns of a file that has these.

    Raises:
        InvalidCorpus: the file is missing or damaged, or a column is missing, of another type, or has nulls.
    """
    with reporting_damage(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        check_columns(path, file.schema_arrow, schema)
        return check_values(path, file.read(None if all_columns else schema.names), schema)


def check_columns(path: Path, actual: pa.Schema, expected: pa.Schema) -> None:
    """Check that a file has the columns of a schema.

    Raises:
        InvalidCorpus: a column is missing or of another type.
    """
    for field in expected:
        if field.name not in actual.names:
            raise damaged(path, f"is damaged: no column {field.name}")
        if (type_ := actual.field(field.name).type) != field.type:
            raise damaged(path, f"is damaged: column {field.name} is {type_}, not {field.type}")


def check_values(path: Path, table: pa.Table, expected: pa.Schema) -> pa.Table:
    """Return a table whose text is UTF-8, whose lists are complete, and whose required columns have no nulls.

    Raises:
        InvalidCorpus: the table is another.
    """
    with reporting_damage(path):
        table.validate(full=True)
    for field in expected:
        if not field.nullable and table[field.name].null_count:
            raise damaged(path, f"is damaged: column {field.name} has nulls")
    return table


class TableFile:
    """An open shard, or another table that is read by row groups.

    Raises:
        InvalidCorpus: it is missing or damaged.

    Attributes:
        path: The file.
        schema: Its columns.
        group_rows: Rows of each row group.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with reporting_damage(path):
            self._file = pq.ParquetFile(path, page_checksum_verification=True)
            self.schema: pa.Schema = self._file.schema_arrow
            metadata = self._file.metadata
            self.group_rows = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]

    @classmethod
    def open_shard(cls, path: Path, rows: int) -> Self:
        """Open a shard that has so many rows, the columns of the index, and pixels.

        Raises:
            InvalidCorpus: it is missing, damaged, or another.
        """
        shard = cls(path)
        check_columns(path, shard.schema, INDEX)
        with reporting_damage(path):
            fields = pixel_fields(shard.schema)
            for field in fields:
                parse_group(field)
        if not fields or sum(shard.group_rows) != rows:
            raise damaged(path, f"is damaged: {sum(shard.group_rows)} rows, {len(fields)} columns of pixels")
        return shard

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def read_group(self, number: int, columns: list[str] | None = None) -> pa.Table:
        """Read a row group; its required columns may have nulls.

        Raises:
            InvalidCorpus: it is damaged.
        """
        with reporting_damage(self.path):
            return check_values(self.path, self._file.read_row_group(number, columns), pa.schema([]))


def read_groups(path: Path, rows: int, columns: list[str] | None = None) -> Iterator[pa.Table]:
    """Yield the row groups of a shard, one in memory at a time.

    Raises:
        InvalidCorpus: it is missing, damaged, or another.
    """
    with TableFile.open_shard(path, rows) as shard:
        for number in range(len(shard.group_rows)):
            yield check_values(path, shard.read_group(number, columns), INDEX)
