"""Headers of requests as the `GDAL_HTTP_*` environment variables define them."""

import base64
import os
import re
from collections.abc import Iterator
from pathlib import Path

from landmark.core.errors import InputError

_PREFIX = "GDAL_HTTP_"
_UNSUPPORTED = ("COOKIEFILE", "NETRC_FILE", "UNSAFESSL")
_METHODS = ("BASIC", "BEARER", "ANY", "ANYSAFE")
# A comma that is followed by another `key: value`.
_SEPARATOR = re.compile(r"\r?\n|,(?=\s*[\w-]+\s*:)")


def request_headers() -> dict[str, str]:
    """Headers for all requests.

    Raises:
        InputError: a variable asks for what only GDAL's own HTTP client does, or its file cannot be read.
    """
    for name in _UNSUPPORTED:
        if _PREFIX + name in os.environ:
            raise InputError("is not supported", file=_PREFIX + name, remedy=f"unset it; use {_PREFIX}HEADERS")
    method = os.environ.get(f"{_PREFIX}AUTH", "BASIC").upper()
    if method not in _METHODS:
        remedy = f"use {', '.join(_METHODS[:2])}, or {_PREFIX}HEADERS"
        raise InputError("is not supported", file=f"{_PREFIX}AUTH", value=method, remedy=remedy)
    return dict(_headers())


def _headers() -> Iterator[tuple[str, str]]:
    if user := os.environ.get(f"{_PREFIX}USERPWD"):
        yield "Authorization", f"Basic {base64.b64encode(user.encode()).decode()}"
    if token := os.environ.get(f"{_PREFIX}BEARER"):
        yield "Authorization", f"Bearer {token}"
    if cookie := os.environ.get(f"{_PREFIX}COOKIE"):
        yield "Cookie", cookie
    for line in _SEPARATOR.split("\n".join([_header_file(), os.environ.get(f"{_PREFIX}HEADERS", "")])):
        name, colon, value = line.strip().strip('"').partition(":")
        if colon:
            yield name.strip(), value.strip()


def _header_file() -> str:
    path = os.environ.get(f"{_PREFIX}HEADER_FILE")
    try:
        return Path(path).read_text(encoding="utf-8") if path else ""
    except (OSError, UnicodeDecodeError) as error:
        remedy = "give a text file of lines `key: value`"
        raise InputError("cannot be read", file=f"{_PREFIX}HEADER_FILE", value=path, remedy=remedy) from error
