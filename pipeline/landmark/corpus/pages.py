"""Pages of a shard's pixel columns, each of one sample: find them, and decode one.

A page is a header and zstd data; decompressed, these are a length of 4 bytes and the value. Headers are read when the
index of a corpus is made; it lists place, sizes and checksum of each page. Source:
https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

import os
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from landmark.corpus.pixels import parse_group, pixel_fields
from landmark.corpus.tables import TableFile, reporting_damage
from landmark.corpus.thrift import Struct, leading_integers, parse_struct

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

    Reads the footer, the offset indexes and the headers of the pages.

    Raises:
        InvalidCorpus: the shard is missing or damaged, or a pixel column has not one page of one value a row and an
            index of them.
    """
    with TableFile(path) as table:
        fields = {field.name.encode(): parse_group(field).size_bytes for field in pixel_fields(table.schema)}
        n_rows = sum(table.group_rows)
    with reporting_damage(path), path.open("rb") as file:
        size_bytes = os.fstat(file.fileno()).st_size
        groups = list(_find_groups(file, size_bytes, fields))
        pages = np.concatenate([np.zeros((0, len(fields), 5), np.int64), *groups])
        if len(pages) != n_rows:
            raise ValueError("row groups of its footer and of its pages differ")
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


def _find_groups(file: BinaryIO, size_bytes: int, columns: Mapping[bytes, int]) -> Iterator[NDArray[np.int64]]:
    """Pages (row, column, 5) of each row group, of columns with values of these sizes, as `_read_header` has them."""
    footer_bytes = int.from_bytes(_read(file, size_bytes, size_bytes - _TRAILER_BYTES, _TRAILER_BYTES)[:4], "little")
    end = size_bytes - _TRAILER_BYTES - footer_bytes
    footer, _ = parse_struct(_read(file, size_bytes, end, footer_bytes))
    for group in footer[_ROW_GROUPS]:
        chunks = {b".".join(chunk[_COLUMN_METADATA][_PATH]): chunk for chunk in group[_COLUMNS]}
        places = [_find_column(file, end, chunks[name], group[_ROWS]) for name in columns]
        known = set[bytes]()
        pages = [
            [_read_header(file, *place, PREFIX_BYTES + value_bytes, known) for place in column]
            for column, value_bytes in zip(places, columns.values(), strict=True)
        ]
        yield np.array(pages, dtype=np.int64).reshape(len(columns), -1, 5).swapaxes(0, 1)


def _find_column(file: BinaryIO, end: int, chunk: Struct, n_rows: int) -> list[tuple[int, int]]:
    """Offset and bytes, header included, of the pages of a column of a row group, which lie before `end`."""
    if _OFFSET_INDEX not in chunk:
        raise ValueError("its pixel columns have no page index")
    if chunk[_COLUMN_METADATA][_CODEC] != _ZSTD:
        raise ValueError("its pixel columns are not compressed with zstd")
    index, _ = parse_struct(_read(file, end, chunk[_OFFSET_INDEX], chunk[_OFFSET_INDEX_BYTES]))
    entries = [(page[_FIRST_ROW], page[_OFFSET], page[_BYTES]) for page in index[_PAGE_LOCATIONS]]
    # The number of rows is compared first: a lying footer may have any.
    if len(entries) != n_rows or any(first != row for row, (first, _, _) in enumerate(entries)):
        raise ValueError("its pixel columns have not one page a row")
    if not all(offset >= len(_MAGIC) and 1 <= size <= end - offset for _, offset, size in entries):
        raise ValueError("a page lies outside the file")
    return [(offset, size) for _, offset, size in entries]


def _read_header(file: BinaryIO, offset: int, size: int, raw_bytes: int, known: set[bytes]) -> tuple[int, ...]:
    """Offset, bytes, header's bytes, CRC-32 of header and of data of a page of one plain value of some bytes.

    Args:
        file: The shard.
        offset: Of the page.
        size: Of the page and its header.
        raw_bytes: Of the decompressed page.
        known: Ends of headers, behind type, sizes and CRC-32, that were right; this one's is added. Headers differ in
            nothing else, and parsing one takes as long as reading its page.
    """
    start = os.pread(file.fileno(), min(size, _MAX_HEADER_BYTES), offset)
    numbers, position = leading_integers(start, 4)
    if numbers[:2] == [_DATA_PAGE, raw_bytes] and start[position : size - numbers[2]] in known:
        header_bytes = size - numbers[2]
        return offset, size, header_bytes, _crc32(start[:header_bytes]), numbers[3] & 0xFFFFFFFF
    header, header_bytes = parse_struct(start)
    page = header[_DATA_PAGE_HEADER]
    actual = header[_TYPE], header[_RAW_BYTES], header_bytes + header[_COMPRESSED_BYTES]
    if (*actual, page[_VALUES], page[_ENCODING]) != (_DATA_PAGE, raw_bytes, size, 1, _PLAIN):
        raise ValueError(f"a page is not of one value of {raw_bytes - PREFIX_BYTES} bytes")
    if numbers[2:] == [header[_COMPRESSED_BYTES], header[_CRC]]:
        known.add(start[position:header_bytes])
    return offset, size, header_bytes, _crc32(start[:header_bytes]), header[_CRC] & 0xFFFFFFFF


def _read(file: BinaryIO, end: int, offset: int, count: int) -> bytes:
    """Read bytes that lie before `end`."""
    if offset < 0 or not 0 <= count <= min(_MAX_FOOTER_BYTES, end - offset):
        raise ValueError("footer or page index lies outside the file")
    file.seek(offset)
    return file.read(count)
