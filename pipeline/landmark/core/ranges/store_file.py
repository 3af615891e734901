"""Byte ranges of objects in the stores of clouds: s3, az and gs."""

import os
from functools import lru_cache
from typing import Any

from obstore.store import AzureStore, GCSStore, S3Store

from landmark.core.ranges.answers import Buffer
from landmark.core.ranges.remote_file import RangeSource, RemoteFile
from landmark.core.timeouts import CONNECT_S, RESPONSE_S, TIMEOUT_S

# By scheme; the bucket or container stands in place of the host.
_STORES: dict[str, Any] = {"s3": S3Store, "az": AzureStore, "gs": GCSStore}
_ENDPOINTS = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT", "AZURE_STORAGE_ENDPOINT", "GOOGLE_BASE_URL")


class StoreFile(RemoteFile):
    """An object in a store. All its bytes are of the version of the first answer.

    Args:
        source: Its name and the rate limiter of its store.
        store: A store of obstore.
        path: Its key in the bucket or container.
    """

    def __init__(self, source: RangeSource, store: Any, path: str) -> None:
        super().__init__(source)
        self._store, self._path = store, path

    def find_size(self) -> int | None:
        """Bytes of the object; a request for its first byte tells.

        Raises:
            Unreadable: as `get`.
        """
        if self._version.size is None:
            self.get(0, 1)
        return self._version.size

    def get(self, start: int, end: int, *, retry: bool = True) -> Buffer:
        """Return bytes `start` to `end`, fewer where the object ends.

        Raises:
            Unreadable: missing, refused, or the store does not answer.
        """
        if self._version.ends_before(start):
            return b""
        return self._retry(lambda: self._get_range(self._store, self._path, start, end), self._backoffs_s(retry))


@lru_cache(maxsize=64)
def open_bucket(scheme: str, name: str) -> Any:
    """Connections to a bucket or container, with credentials and endpoint from the cloud's environment variables."""
    is_plain = any(os.environ.get(variable, "").startswith("http://") for variable in _ENDPOINTS)
    return _STORES[scheme](
        name,
        client_options={
            "allow_http": is_plain,
            "connect_timeout": f"{1000 * CONNECT_S:.0f}ms",
            "read_timeout": f"{1000 * TIMEOUT_S:.0f}ms",
            "timeout": f"{1000 * RESPONSE_S:.0f}ms",
        },
        # Retries are made by `RemoteFile`, which pauses the whole process while a store is busy.
        retry_config={"max_retries": 0},
    )
