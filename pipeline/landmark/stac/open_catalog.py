"""Open a catalogue by path or URL: a STAC API, a STAC document, or STAC-GeoParquet."""

import io
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from landmark.config.paths import lexical_path
from landmark.core.errors import InputError
from landmark.core.hosts import TRUSTED, HostRules
from landmark.core.json_text import parse_bounded
from landmark.stac.api import ApiCatalog
from landmark.stac.catalog import Catalog, StaticCatalog
from landmark.stac.documents import UNEXPECTED
from landmark.stac.fetch import ApiIO, fetch_bytes

_NO_GEOMETRY = shapely.to_wkb(shapely.Point())
_TYPES = ("Catalog", "Collection", "FeatureCollection", "Feature")


def open_catalog(href: str, rules: HostRules = TRUSTED) -> Catalog:
    """Open the catalogue at a path or URL; a folder means its `catalog.json` or `collection.json`.

    Args:
        href: Path or URL.
        rules: Those of a catalogue on this machine; one that is opened by URL may only lead to their hosts and its own.

    Raises:
        InputError: the file is missing or unreadable, or is not STAC as JSON or GeoParquet.
    """
    href = _resolve(href)
    rules = rules.for_document(href)
    try:
        data = fetch_bytes(href, rules)
    except InputError as error:
        error.file = href
        raise
    except OSError as error:
        raise InputError(f"cannot be read: {_root_cause(error)}", file=href) from error
    content = _parse_geoparquet(href, data) if data[:4] == b"PAR1" else _parse_json(href, data)
    # The lock must not record the signature of a signed URL.
    unsigned = href.split("?")[0]
    if _has_link(content, "search"):
        return ApiCatalog(href, unsigned.rstrip("/") + "/", str(content.get("id", unsigned)), ApiIO(rules), rules=rules)
    root, id = unsigned.rsplit("/", 1)[0] + "/", str(content.get("id", Path(unsigned).name))
    return StaticCatalog(href, root, id, content, rules=rules)


def _resolve(href: str) -> str:
    """A URL as it is, a path as the absolute path of a file."""
    if urlparse(href).scheme in ("http", "https"):
        return href
    path = lexical_path(Path(href).expanduser())
    if path.is_dir():
        for name in ("catalog.json", "collection.json"):
            if (path / name).is_file():
                return str(path / name)
        raise InputError("the folder has neither catalog.json nor collection.json", file=path)
    if not path.is_file():
        remedy = "give path or URL of a STAC API, catalogue, ItemCollection, Item or STAC-GeoParquet"
        raise InputError("no such file", file=path, key="catalog", remedy=remedy)
    return str(path)


def _root_cause(error: BaseException) -> BaseException:
    """The innermost error: HTTP libraries wrap it three times, and each repeats the URL."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return error


def _parse_json(href: str, data: bytes) -> dict[str, Any]:
    try:
        content = parse_bounded(data)
    except ValueError as error:
        raise InputError(f"not JSON: {error}", file=href) from error
    if not isinstance(content, dict) or content.get("type") not in _TYPES:
        type_ = content.get("type") if isinstance(content, dict) else None
        raise InputError(f"not STAC: must be one of {', '.join(_TYPES)}", file=href, key="type", value=type_)
    if content["type"] == "FeatureCollection":
        _check_collection(href, content)
    return content


def _check_collection(href: str, content: dict[str, Any]) -> None:
    features = content.get("features")
    has_item = isinstance(features, list) and any(isinstance(item, dict) and "type" in item for item in features)
    if not has_item and features != []:
        raise InputError("must be a list of STAC items", file=href, key="features")
    if _is_partial(content):
        remedy = "give --catalog the API's landing page, which is searched exhaustively"
        raise InputError("one page of a longer search result", file=href, remedy=remedy)


def _is_partial(content: dict[str, Any]) -> bool:
    """Whether an ItemCollection is one of several pages of a response."""
    matched = content.get("numberMatched")
    return (isinstance(matched, int) and matched > len(content["features"])) or _has_link(content, "next")


def _has_link(content: dict[str, Any], rel: str) -> bool:
    return any(isinstance(link, dict) and link.get("rel") == rel for link in content.get("links") or ())


def _parse_geoparquet(href: str, data: bytes) -> dict[str, Any]:
    """The rows of STAC-GeoParquet as an ItemCollection."""
    from stac_geoparquet.arrow import stac_table_to_items

    try:
        table = pq.read_table(io.BytesIO(data))
        position, column = table.schema.get_field_index("geometry"), table["geometry"]
        # The library reads no rows without a geometry, which the search counts as invalid.
        if column.null_count:
            table = table.set_column(position, table.schema.field(position), column.fill_null(_NO_GEOMETRY))
        # Timestamps come as datetimes; STAC has text.
        features = json.loads(json.dumps(list(stac_table_to_items(table)), default=str))
    except (*UNEXPECTED, pa.ArrowException, OSError, RecursionError) as error:
        raise InputError(f"not STAC-GeoParquet: {error}", file=href) from error
    for feature, missing in zip(features, column.is_null().to_pylist(), strict=True):
        feature["geometry"] = None if missing else feature["geometry"]
    return {"type": "FeatureCollection", "features": features}
