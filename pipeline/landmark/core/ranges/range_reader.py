"""Files that are read by byte ranges: the interface, and local files."""

import os
from pathlib import Path
from typing import Protocol

from landmark.core.ranges.answers import Buffer, FileVersion
from landmark.core.ranges.errors import ChangedFile, NoRangeSupport, Unreadable


class RangeReader(Protocol):
    """A file that is read by byte ranges; thread-safe.

    Attributes:
        remote: Whether GDAL, too, must read it through this.
    """

    remote: bool

    def find_size(self) -> int | None:
        """Return the size of the file in bytes, None if only GDAL reads it.

        A remote file is downloaded if its server does not state the size.

        Raises:
            Unreadable: as `get`.
        """

    def get(self, start: int, end: int, *, retry: bool = True) -> Buffer:
        """Return bytes `start` to `end` (exclusive), fewer where the file ends.

        Raises:
            Unreadable: missing, refused, or the server does not answer.
            NoRangeSupport: only GDAL reads the file.
        """


class NoRanges:
    """A file without byte ranges."""

    remote = True

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def find_size(self) -> int | None:
        """None."""
        return None

    def get(self, start: int, end: int, *, retry: bool = True) -> Buffer:
        """Raise `NoRangeSupport`."""
        raise NoRangeSupport(self._reason)


class RefusedFile(NoRanges):
    """A file that may not be read."""

    def get(self, start: int, end: int, *, retry: bool = True) -> Buffer:
        """Raise `Unreadable`."""
        raise Unreadable(self._reason)


class LocalFile:
    """A file on this machine."""

    remote = False

    def __init__(self, path: str) -> None:
        self._href, self._version = path, FileVersion.of(path)
        self._path = Path(path.removeprefix("file://"))

    def find_size(self) -> int | None:
        """Bytes of the file."""
        try:
            return self._path.stat().st_size
        except OSError as error:
            raise _unreadable(error) from None

    def get(self, start: int, end: int, *, retry: bool = True) -> Buffer:
        """Return bytes `start` to `end`, fewer where the file ends.

        Raises:
            Unreadable: missing, or not readable.
            ChangedFile: replaced or written to since the first call.
        """
        try:
            with self._path.open("rb", buffering=0) as file:
                content = os.pread(file.fileno(), end - start, start)
                self._version.check_status(os.fstat(file.fileno()))
        except OSError as error:
            raise _unreadable(error) from None
        except ChangedFile:
            FileVersion.forget(self._href)
            raise
        return content


def _unreadable(error: OSError) -> Unreadable:
    return Unreadable(error.strerror or type(error).__name__)
