"""Pages of a shard's pixel columns, each of one sample: find them, and decode one.

A page is a header and zstd data; decompressed, these are a length of 4 bytes and the value. Headers are read when the
index of a corpus is made; it lists place, sizes and checksum of each page. Source:
https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import imagecodecs
import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from landmark.corpus.pixels import parse_group, pixel_fields
from landmark.corpus.tables import reporting_damage
from landmark.corpus.thrift import leading_integers, parse_struct

# Bytes before a value in the decompressed page: its length.
PREFIX_BYTES = 4

_MAGIC = b"PAR1"
_TRAILER_BYTES = 8
_MAX_HEADER_BYTES = 256
# Ends of headers in a column; what landmark writes has one or two.
_MAX_KNOWN = 8
_DATA_PAGE, _PLAIN = 0, 0
# Field ids of parquet.thrift.
_TYPE, _RAW_BYTES, _COMPRESSED_BYTES, _CRC, _DATA_PAGE_HEADER = 1, 2, 3, 4, 5
_VALUES, _ENCODING = 1, 2
_CRC32_POLYNOMIAL = 0xEDB88320
# Typed for fewer kinds of buffers than they take.
_crc32: Callable[..., int] = imagecodecs.deflate_crc32
_decompress: Callable[..., Any] = imagecodecs.zstd_decode

Buffer = bytes | bytearray | memoryview | NDArray[np.uint8]


class Pages(NamedTuple):
    """Pages of pixel columns, as (row, column) int64 each.

    Attributes:
        offsets: Place in the shard.
        sizes: Bytes with the header.
        header_sizes: Bytes of the header.
        checksums: CRC-32 of header and data.
    """

    offsets: NDArray[np.int64]
    sizes: NDArray[np.int64]
    header_sizes: NDArray[np.int64]
    checksums: NDArray[np.int64]


class DamagedPage(ValueError):
    """A page that is not one value of the expected size, or whose checksum differs."""


def decode_page(page: Buffer, header_bytes: int, checksum: int, out: NDArray[np.uint8]) -> None:
    """Decompress a page of one value.

    Args:
        page: The page with its header.
        header_bytes: Size of the header.
        checksum: CRC-32 of the page.
        out: Receives the length of the value, `PREFIX_BYTES`, and the value, which must fill the rest. Contiguous.

    Raises:
        DamagedPage: it has another checksum, or is not one value of this size; `out` may have been written.
    """
    if _crc32(page) != checksum:
        raise DamagedPage("the checksum of a page differs from its bytes")
    try:
        decoded = _decompress(page[header_bytes:], out=out)
    except (ValueError, imagecodecs.ZstdError) as error:
        raise DamagedPage(f"a page is damaged: {error}") from error
    value_bytes = out.nbytes - PREFIX_BYTES
    if len(decoded) != out.nbytes or out[:PREFIX_BYTES].tobytes() != value_bytes.to_bytes(PREFIX_BYTES, "little"):
        raise DamagedPage(f"a page does not hold one value of {value_bytes} bytes")


def find_pages(path: Path) -> Pages:
    """Find the pages of a shard's pixel columns.

    Reads the footer and the headers of the pages.

    Raises:
        InvalidCorpus: the shard is missing or damaged, or a pixel column has not one page of one value a row, or no
            page index.
    """
    with reporting_damage(path), pq.ParquetFile(path) as table, path.open("rb") as file:
        footer, fields = table.metadata, pixel_fields(table.schema_arrow)
        numbers = {footer.schema.column(number).path: number for number in range(footer.num_columns)}
        columns = [(numbers[field.name], parse_group(field).size_bytes) for field in fields]
        end = os.fstat(file.fileno()).st_size - _TRAILER_BYTES - footer.serialized_size
        groups = [np.zeros((0, len(columns), 5), np.int64)]
        for group in map(footer.row_group, range(footer.num_row_groups)):
            located = [_find_column(file, end, group.column(number), group.num_rows, size) for number, size in columns]
            groups.append(np.array(located, np.int64).reshape(len(columns), -1, 5).swapaxes(0, 1))
        pages = np.concatenate(groups)
    offsets, sizes, header_sizes, header_crc, data_crc = (np.ascontiguousarray(pages[..., n]) for n in range(5))
    return Pages(offsets, sizes, header_sizes, combine_crc32(header_crc, data_crc, sizes - header_sizes))


def combine_crc32(first: NDArray[np.int64], second: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """CRC-32 of pairs of texts that follow each other, of the CRC-32 of both and the bytes of the second.

    A checksum is a polynomial over GF(2): the first one is multiplied by x to the bits of the second text, as in
    `crc32_combine` of zlib, https://github.com/madler/zlib/blob/master/crc32.c.
    """
    for bit in range(int(sizes.max(initial=0)).bit_length()):
        shifted = np.bitwise_xor.reduce([table[first >> 8 * n & 255] for n, table in enumerate(_shift_tables(bit))])
        first = np.where(sizes >> bit & 1, shifted, first)
    return first ^ second


@cache
def _shift_tables(bit: int) -> NDArray[np.int64]:
    """(byte, value): products of each byte of a polynomial with x to the bits of 2 ** `bit` bytes."""
    values = np.arange(256) << 8 * np.arange(4)[:, None]
    return np.asarray(_multiply(values, _power(bit)))


@cache
def _power(bit: int) -> np.int64:
    return np.int64(_multiply(_power(bit - 1), _power(bit - 1)) if bit else 1 << 23)


def _multiply(first: Any, second: Any) -> Any:
    """Product of polynomials over GF(2), bits reflected, modulo that of CRC-32."""
    product = np.zeros_like(first)
    for bit in range(31, -1, -1):
        product = np.where(first >> bit & 1, product ^ second, product)
        second = second >> 1 ^ np.where(second & 1, np.int64(_CRC32_POLYNOMIAL), 0)
    return product


def _find_column(file: BinaryIO, end: int, chunk: Any, n_rows: int, value_bytes: int) -> list[tuple[int, ...]]:
    """Pages of a column of a row group, as `_read_header` has them, which follow each other and lie before `end`."""
    if chunk.compression != "ZSTD":
        raise ValueError("its pixel columns are not compressed with zstd")
    if not chunk.has_offset_index:
        raise ValueError("its pixel columns have no page index")
    pages, known = list[tuple[int, ...]](), set[bytes]()
    offset, column_end = chunk.data_page_offset, chunk.data_page_offset + chunk.total_compressed_size
    if not len(_MAGIC) <= offset <= column_end <= end:
        raise ValueError("a column lies outside the file")
    while offset < column_end and len(pages) < n_rows:
        pages.append(_read_header(file, offset, column_end, PREFIX_BYTES + value_bytes, known))
        offset += pages[-1][1]
    if offset != column_end or len(pages) != n_rows:
        raise ValueError("its pixel columns have not one page a row")
    return pages


def _read_header(file: BinaryIO, offset: int, end: int, raw_bytes: int, known: set[bytes]) -> tuple[int, ...]:
    """Offset, bytes, header's bytes, CRC-32 of header and of data of a page of one plain value of some bytes.

    Args:
        file: The shard.
        offset: Of the page.
        end: Of its column.
        raw_bytes: Of the decompressed page.
        known: Ends of headers, behind type, sizes and CRC-32, that were right; this one's is added. Headers differ in
            nothing else, and parsing one takes as long as reading its page.
    """
    start = os.pread(file.fileno(), min(end - offset, _MAX_HEADER_BYTES), offset)
    numbers, position = leading_integers(start, 4)
    header_bytes = next((position + len(rest) for rest in known if start.startswith(rest, position)), 0)
    if not header_bytes or len(numbers) < 4:
        header, header_bytes = parse_struct(start)
        page = header[_DATA_PAGE_HEADER]
        numbers = [header[name] for name in (_TYPE, _RAW_BYTES, _COMPRESSED_BYTES, _CRC)]
        if (page[_VALUES], page[_ENCODING]) != (1, _PLAIN):
            raise ValueError(f"a page is not of one value of {raw_bytes - PREFIX_BYTES} bytes")
        if numbers == leading_integers(start, 4)[0] and len(known) < _MAX_KNOWN:
            known.add(start[position:header_bytes])
    size = header_bytes + numbers[2]
    if numbers[:2] != [_DATA_PAGE, raw_bytes]:
        raise ValueError(f"a page is not of one value of {raw_bytes - PREFIX_BYTES} bytes")
    if not header_bytes < size <= end - offset:
        raise ValueError("a page lies outside its column")
    return offset, size, header_bytes, _crc32(start[:header_bytes]), numbers[3] & 0xFFFFFFFF
