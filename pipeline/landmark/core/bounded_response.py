"""HTTP responses of bounded size, as it is after decompression."""

from collections.abc import Iterator
from typing import IO, Any

import requests

from landmark.core.json_text import parse_bounded
from landmark.core.limits import DOWNLOAD_BYTES, JSON_BYTES

_CHUNK_BYTES = 1 << 20


class TooLarge(requests.RequestException):
    """A response is larger than any that is read, or decompresses to more."""


class BoundedResponse(requests.Response):
    """A response whose content, after decompression, and JSON are within limits."""

    @classmethod
    def of(cls, response: requests.Response) -> "BoundedResponse":
        """The same response, bounded."""
        bounded = cls()
        bounded.__dict__.update(response.__dict__)
        return bounded

    def iter_content(self, chunk_size: int | None = 1, decode_unicode: bool = False) -> Iterator[Any]:
        """Iterate over the content.

        Raises:
            TooLarge: it is larger than `JSON_BYTES`.
        """
        size = 0
        for chunk in super().iter_content(chunk_size, decode_unicode):
            size += len(chunk)
            if size > JSON_BYTES:
                self.close()
                raise TooLarge(f"the response has more than {JSON_BYTES} bytes", response=self)
            yield chunk

    def json(self, **options: Any) -> Any:
        """Parse the content.

        Raises:
            requests.JSONDecodeError: malformed, or nested too deeply.
        """
        try:
            return parse_bounded(self.content, **options)
        except ValueError as error:
            raise requests.JSONDecodeError(str(error), "", 0) from error


def copy_bounded(source: Any, target: IO[bytes]) -> None:
    """Copy the body of a download.

    Raises:
        TooLarge: it is larger than `DOWNLOAD_BYTES`.
    """
    written = 0
    while chunk := source.read(_CHUNK_BYTES):
        if (written := written + target.write(chunk)) > DOWNLOAD_BYTES:
            raise TooLarge(f"the response has more than {DOWNLOAD_BYTES} bytes")
