"""The pages of a shard's pixels, located by the shard itself."""

import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from landmark.corpus.pages import PREFIX_BYTES, DamagedPage, decode_page, find_pages
from landmark.corpus.pixels import parse_group


class ShardPages:
    """An open shard whose pixel columns have one sample a page.

    Raises:
        InvalidCorpus, DamagedPage, OSError: it is another file.

    Attributes:
        pages: Place, sizes and checksum of each page.
    """

    def __init__(self, path: Path, fields: Sequence[pa.Field]) -> None:
        self.pages = find_pages(path)
        sizes = {field.name: PREFIX_BYTES + parse_group(field).size_bytes for field in fields}
        self._columns = {name: np.empty(size, dtype=np.uint8) for name, size in sizes.items()}
        if (n_columns := self.pages.offsets.shape[1]) != len(self._columns):
            raise DamagedPage(f"{n_columns} pixel columns, not {len(self._columns)}")
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)

    def read(self, row: int) -> dict[str, NDArray[np.uint8]]:
        """Values of the pixel columns of a row, as bytes; the next call overwrites them.

        Raises:
            DamagedPage, OSError: a page is damaged, or its value has another size.
        """
        values = {}
        for column, (name, value) in enumerate(self._columns.items()):
            offset, size, header_bytes, checksum = (int(numbers[row, column]) for numbers in self.pages)
            decode_page(os.pread(self._file, size, offset), header_bytes, checksum, value)
            values[name] = value[PREFIX_BYTES:]
        return values
