"""Parse messages of Thrift's compact protocol, as in footers and page headers of Parquet files.

Source: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

import struct
from typing import Any

_STOP, _TRUE, _FALSE, _BYTE, _INT16, _INT32, _INT64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(13)
_INTEGERS = (_INT16, _INT32, _INT64)
_LONG_LIST = 15
_MAX_DEPTH = 12
_MAX_INTEGER_BITS = 64

# Values by field id. Structs are such dictionaries; lists and sets are lists, maps are lists of keys and values.
Struct = dict[int, Any]


def parse_struct(data: bytes) -> tuple[Struct, int]:
    """Parse the struct that some bytes begin with.

    Returns:
        Its fields, and its size in bytes. Every value takes at least a byte, so that time and memory are bounded by the
        size of the data.

    Raises:
        ValueError: the bytes are no such struct.
    """
    reader = _Reader(data)
    try:
        return reader.read_struct(0), reader.position
    except IndexError as error:
        raise ValueError("a struct is cut off") from error


def leading_integers(data: bytes, count: int) -> tuple[list[int], int]:
    """Values of the first fields of a struct, up to one that is no 32-bit integer or whose id is not the next number.

    Returns:
        At most `count` values, and their size in bytes.

    Raises:
        ValueError: the bytes are no such struct.
    """
    reader, values = _Reader(data), list[int]()
    try:
        while len(values) < count and data[reader.position] == 1 << 4 | _INT32:
            reader.position += 1
            values.append(reader.integer())
    except IndexError as error:
        raise ValueError("a struct is cut off") from error
    return values, reader.position


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.position = data, 0

    def read_struct(self, depth: int) -> Struct:
        fields: Struct = {}
        number = 0
        while header := self.byte():
            number = number + (header >> 4) if header >> 4 else self.integer()
            kind = header & 15
            # Most fields are integers.
            fields[number] = self.integer() if kind in _INTEGERS else self.value(kind, depth + 1)
        return fields

    def value(self, kind: int, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            raise ValueError("structs are nested too deeply")
        if kind in _INTEGERS:
            return self.integer()
        if kind == _BINARY:
            return self.take(self.varint())
        if kind == _STRUCT:
            return self.read_struct(depth)
        if kind in (_TRUE, _FALSE):
            return kind == _TRUE
        if kind in (_LIST, _SET):
            return self.read_list(depth)
        if kind == _MAP:
            return self.read_map(depth)
        if kind == _DOUBLE:
            return struct.unpack("<d", self.take(8))[0]
        if kind == _BYTE:
            return self.byte()
        raise ValueError(f"unknown type {kind}")

    def read_list(self, depth: int) -> list[Any]:
        header = self.byte()
        count, kind = header >> 4, header & 15
        return self.elements(self.varint() if count == _LONG_LIST else count, kind, depth)

    def read_map(self, depth: int) -> list[Any]:
        count = self.varint()
        kinds = self.byte() if count else 0
        self.require(2 * count)
        return [self.element(kind, depth) for _ in range(count) for kind in (kinds >> 4, kinds & 15)]

    def elements(self, count: int, kind: int, depth: int) -> list[Any]:
        self.require(count)
        return [self.element(kind, depth) for _ in range(count)]

    def element(self, kind: int, depth: int) -> Any:
        # Outside a field, a truth value is a byte.
        return self.byte() == _TRUE if kind in (_TRUE, _FALSE) else self.value(kind, depth + 1)

    def byte(self) -> int:
        value = self.data[self.position]
        self.position += 1
        return value

    def varint(self) -> int:
        data, position, shift = self.data, self.position, 0
        byte = data[position]
        value = byte & 127
        while byte > 127:
            position += 1
            shift += 7
            if shift >= _MAX_INTEGER_BITS:
                raise ValueError("an integer is too long")
            byte = data[position]
            value |= (byte & 127) << shift
        self.position = position + 1
        return value

    def integer(self) -> int:
        value = self.varint()
        return (value >> 1) ^ -(value & 1)

    def take(self, count: int) -> bytes:
        self.require(count)
        self.position += count
        return self.data[self.position - count : self.position]

    def require(self, count: int) -> None:
        if count > len(self.data) - self.position:
            raise ValueError("a struct is cut off")
