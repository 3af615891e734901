"""Pages of a shard's pixel columns, each of one sample: find them, and decode one.

A page is a header and zstd data; decompressed, it is a length of 4 bytes and the value. Source:
https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

import os
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from landmark.corpus.pixels import pixel_fields
from landmark.corpus.tables import TableFile, reporting_damage
from landmark.corpus.thrift import Struct, parse_integer, parse_struct

# Bytes before a value in the decompressed page: its length.
PREFIX_BYTES = 4

_MAGIC = b"PAR1"
_TRAILER_BYTES = 8
# Of 10,000 row groups.
_MAX_FOOTER_BYTES = 2**27
_MAX_HEADER_BYTES = 256
_DATA_PAGE, _PLAIN, _ZSTD = 0, 0, 6
# Field ids of parquet.thrift.
_ROW_GROUPS = 4
_COLUMNS, _ROWS = 1, 3
_COLUMN_METADATA, _OFFSET_INDEX, _OFFSET_INDEX_BYTES = 3, 4, 5
_PATH, _CODEC = 3, 4
_PAGE_LOCATIONS = 1
_OFFSET, _BYTES, _FIRST_ROW = 1, 2, 3
_TYPE, _RAW_BYTES, _COMPRESSED_BYTES, _CRC, _DATA_PAGE_HEADER = 1, 2, 3, 4, 5
_VALUES, _ENCODING = 1, 2
# The header of a data page of one plain value as Arrow writes it, ten times as fast as by the parser of any header.
_NUMBER = rb"\x15([\x80-\xff]{0,4}[\x00-\x7f])"
_ARROW_HEADER = re.compile(rb"\x15\x00" + 3 * _NUMBER + rb"\x1c\x15\x02\x15\x00\x15.\x15.\x00\x00", re.DOTALL)

# Typed for fewer kinds of buffers than they take.
_crc32: Callable[..., int] = imagecodecs.deflate_crc32
_decompress: Callable[..., Any] = imagecodecs.zstd_decode

Buffer = bytes | bytearray | memoryview | NDArray[np.uint8]
Locations = tuple[NDArray[np.int64], NDArray[np.int32]]


class DamagedPage(ValueError):
    """A page that is not one value of the expected size, or whose checksum differs."""


def decode_page(page: Buffer, out: NDArray[np.uint8]) -> None:
    """Decompress a page of one value.

    Args:
        page: The page with its header.
        out: Receives the length of the value, `PREFIX_BYTES`, and the value, which must fill the rest. Contiguous.

    Raises:
        DamagedPage: it is not a page of one value of this size, or its checksum differs; `out` may have been written.
    """
    view = page.data if isinstance(page, np.ndarray) else memoryview(page)
    try:
        header, crc = _check_header(view, out.nbytes)
        data = view[header:]
        if _crc32(data) != crc & 0xFFFFFFFF:
            raise DamagedPage("the checksum of a page differs from its bytes")
        decoded = _decompress(data, out=out)
    except (ValueError, LookupError, TypeError, AttributeError, imagecodecs.ZstdError) as error:
        raise error if isinstance(error, DamagedPage) else DamagedPage(f"a page is damaged: {error}") from error
    value_bytes = out.nbytes - PREFIX_BYTES
    if len(decoded) != out.nbytes or out[:PREFIX_BYTES].tobytes() != value_bytes.to_bytes(PREFIX_BYTES, "little"):
        raise DamagedPage(f"a page does not hold one value of {value_bytes} bytes")


def _check_header(page: memoryview, page_bytes: int) -> tuple[int, int]:
    """Size of a page's header in bytes, and checksum of its data, where it is of one plain value of some bytes."""
    if match := _ARROW_HEADER.match(page):
        raw, data, crc_number = match.groups()
        size = match.end()
        if raw == _format_integer(page_bytes) and size + parse_integer(data) == len(page):
            return size, parse_integer(crc_number)
    header, size = parse_struct(bytes(page[:_MAX_HEADER_BYTES]))
    raw_bytes, data_bytes, crc, kind = (header[key] for key in (_RAW_BYTES, _COMPRESSED_BYTES, _CRC, _TYPE))
    count, encoding = (header[_DATA_PAGE_HEADER][key] for key in (_VALUES, _ENCODING))
    if (kind, raw_bytes, size + data_bytes, count, encoding) != (_DATA_PAGE, page_bytes, len(page), 1, _PLAIN):
        raise DamagedPage(f"a page is not of one value of {page_bytes - PREFIX_BYTES} bytes")
    return size, crc


@cache
def _format_integer(value: int) -> bytes:
    """An integer that is not negative, as `parse_integer` parses it."""
    value, data = value << 1, bytearray()
    while value > 127:
        data.append(value & 127 | 128)
        value >>= 7
    return bytes([*data, value])


def find_pages(path: Path) -> Locations:
    """Offsets and sizes in bytes, headers included, of the pages of a shard's pixel columns, as (row, column) each.

    Reads the footer and the offset indexes.

    Raises:
        InvalidCorpus: the shard is missing or damaged, or a pixel column has not one page a row and an index of them.
    """
    with TableFile(path) as table:
        names = [field.name for field in pixel_fields(table.schema)]
        n_rows = sum(table.group_rows)
    with reporting_damage(path), path.open("rb") as file:
        size_bytes = os.fstat(file.fileno()).st_size
        groups = list(_find_groups(file, size_bytes, [name.encode() for name in names]))
        pages = np.concatenate([np.zeros((0, len(names), 2), np.int64), *groups])
        if len(pages) != n_rows:
            raise ValueError("row groups of its footer and of its pages differ")
    return np.ascontiguousarray(pages[..., 0]), pages[..., 1].astype(np.int32)


def _find_groups(file: BinaryIO, size_bytes: int, names: list[bytes]) -> Iterator[NDArray[np.int64]]:
    """Locations (row, column, offset and bytes) of each row group's pages of some columns."""
    footer_bytes = int.from_bytes(_read(file, size_bytes, size_bytes - _TRAILER_BYTES, _TRAILER_BYTES)[:4], "little")
    end = size_bytes - _TRAILER_BYTES - footer_bytes
    footer, _ = parse_struct(_read(file, size_bytes, end, footer_bytes))
    for group in footer[_ROW_GROUPS]:
        chunks = {b".".join(chunk[_COLUMN_METADATA][_PATH]): chunk for chunk in group[_COLUMNS]}
        columns = [_find_column(file, end, chunks[name], group[_ROWS]) for name in names]
        yield np.stack(columns, axis=1)


def _find_column(file: BinaryIO, end: int, chunk: Struct, n_rows: int) -> NDArray[np.int64]:
    """Locations (row, offset and bytes) of the pages of a column of a row group, which lie before `end`."""
    if _OFFSET_INDEX not in chunk:
        raise ValueError("its pixel columns have no page index")
    if chunk[_COLUMN_METADATA][_CODEC] != _ZSTD:
        raise ValueError("its pixel columns are not compressed with zstd")
    index, _ = parse_struct(_read(file, end, chunk[_OFFSET_INDEX], chunk[_OFFSET_INDEX_BYTES]))
    entries = [(page[_FIRST_ROW], page[_OFFSET], page[_BYTES]) for page in index[_PAGE_LOCATIONS]]
    if [first for first, _, _ in entries] != list(range(n_rows)):
        raise ValueError("its pixel columns have not one page a row")
    locations = np.array(entries, dtype=np.int64).reshape(-1, 3)[:, 1:]
    offsets, sizes = locations.T
    if np.any(offsets < len(_MAGIC)) or np.any(sizes < 1) or np.any(sizes > end) or np.any(offsets > end - sizes):
        raise ValueError("a page lies outside the file")
    return locations


def _read(file: BinaryIO, end: int, offset: int, count: int) -> bytes:
    """Read bytes that lie before `end`."""
    if offset < 0 or not 0 <= count <= min(_MAX_FOOTER_BYTES, end - offset):
        raise ValueError("footer or page index lies outside the file")
    file.seek(offset)
    return file.read(count)
