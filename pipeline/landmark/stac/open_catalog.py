"""Opens an archive by path or URL, whatever it is: a STAC API, a STAC document, or STAC-GeoParquet."""

import io
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pyarrow as pa
import pyarrow.parquet as pq

from landmark.core.errors import InputError
from landmark.stac.api import Api
from landmark.stac.catalog import Catalog, Static, connection, fetched

_KINDS = ("Catalog", "Collection", "FeatureCollection", "Feature")


def open_document(href: str) -> Catalog:
    """The archive at a path or URL; a folder means the `catalog.json` or `collection.json` in it.

    Raises:
        InputError: nothing there, neither JSON nor Parquet, or not STAC.
    """
    href = _file(href)
    data = _read(href)
    content = _table(href, data) if data[:4] == b"PAR1" else _json(href, data)
    # A signed address is no name: what follows its path goes into no lock.
    place = href.split("?")[0]
    if any(link.get("rel") == "search" for link in content.get("links") or () if isinstance(link, dict)):
        return Api(href, place.rstrip("/") + "/", str(content.get("id", place)), connection())
    return Static(href, place.rsplit("/", 1)[0] + "/", str(content.get("id", Path(place).name)), content)


def _file(href: str) -> str:
    if urlparse(href).scheme in ("http", "https"):
        return href
    path = Path(href).expanduser().resolve()
    if path.is_dir():
        for name in ("catalog.json", "collection.json"):
            if (path / name).is_file():
                return str(path / name)
        raise InputError(f"{path}: holds neither catalog.json nor collection.json")
    if not path.is_file():
        raise InputError(
            f"{path}: no such file; --catalog takes a STAC API, catalogue, ItemCollection, Item or STAC-GeoParquet"
            " by path or URL"
        )
    return str(path)


def _read(href: str) -> bytes:
    try:
        return fetched(href)
    except OSError as error:
        raise InputError(f"{href}: cannot be read: {_root(error)}") from error


def _root(error: BaseException) -> BaseException:
    """What an error began with: HTTP libraries wrap it three times, and each repeats the address."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return error


def _json(href: str, data: bytes) -> dict[str, Any]:
    try:
        content = json.loads(data)
    except ValueError as error:
        raise InputError(f"{href}: not JSON: {error}") from error
    if not isinstance(content, dict) or content.get("type") not in _KINDS:
        raise InputError(
            f"{href}: not a STAC API, catalogue, ItemCollection or Item: its `type` is none of {', '.join(_KINDS)}"
        )
    if content["type"] == "FeatureCollection" and _is_a_page(content):
        raise InputError(
            f"{href}: one page of a longer answer; give --catalog the API's landing page, which is searched whole"
        )
    return content


def _is_a_page(content: dict[str, Any]) -> bool:
    matched, features = content.get("numberMatched"), content.get("features")
    more = any(isinstance(link, dict) and link.get("rel") == "next" for link in content.get("links") or ())
    return more or (isinstance(matched, int) and isinstance(features, list) and matched > len(features))


def _table(href: str, data: bytes) -> dict[str, Any]:
    """The rows of STAC-GeoParquet as an ItemCollection."""
    from stac_geoparquet.arrow import stac_table_to_items

    try:
        items = stac_table_to_items(pq.read_table(io.BytesIO(data)))
        # Columns of times come as times, where STAC has text.
        return {"type": "FeatureCollection", "features": json.loads(json.dumps(list(items), default=str))}
    except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{href}: not STAC-GeoParquet: {error}") from error
