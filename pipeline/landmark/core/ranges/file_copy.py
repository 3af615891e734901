"""A temporary copy of a remote file, for servers that answer a request for a range with the complete file."""

import os
import tempfile
import weakref

import urllib3

from landmark.core.ranges.answers import Answer, read_complete_head
from landmark.core.ranges.errors import TransientError, Unreadable

# Larger files are not copied.
MAX_BYTES = 2**32
_CHUNK_BYTES = 2**20


class FileCopy:
    """A copy on the disk for temporary files, deleted with the object; thread-safe."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="landmark-")  # noqa: SIM115 - closed with the object
        weakref.finalize(self, self._file.close)

    def get(self, start: int, end: int) -> bytes:
        """Return bytes `start` to `end`, fewer where the file ends."""
        return os.pread(self._file.fileno(), end - start, start)

    def write(self, response: urllib3.BaseHTTPResponse) -> Answer:
        """Copy the body of a response.

        Raises:
            Unreadable: it is too large.
            TransientError: it is a page, or incomplete.
        """
        validators, size = read_complete_head(response.headers), 0
        for chunk in response.stream(_CHUNK_BYTES, decode_content=False):
            size += len(chunk)
            if max(size, validators.size or 0) > MAX_BYTES:
                raise Unreadable("the server does not support ranges, and the file is too large to be copied")
            self._file.write(chunk)
        self._file.flush()
        if validators.size not in (None, size):
            raise TransientError(f"the answer has {size} of {validators.size} bytes")
        return Answer(0, size, validators._replace(size=size))
