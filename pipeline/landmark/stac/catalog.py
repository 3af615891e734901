"""Catalogues of STAC items: the interface, and catalogues that are documents (a catalogue, ItemCollection or Item)."""

import datetime as dt
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pystac
from pystac.stac_io import DefaultStacIO
from pystac_client.stac_api_io import StacApiIO
from shapely.geometry.base import BaseGeometry

from landmark.core.errors import InputError
from landmark.core.http import RETRY, TIMEOUT_S, open_session


def make_stac_io() -> StacApiIO:
    """HTTP client of STAC APIs, with retries and a timeout."""
    return StacApiIO(timeout=TIMEOUT_S, max_retries=RETRY)


def fetch_bytes(href: str) -> bytes:
    """Content of a path or URL.

    Raises:
        OSError: it cannot be read; the errors of requests are OSErrors.
    """
    href = href.removeprefix("file://")
    if "://" not in href:
        return Path(href).read_bytes()
    with open_session() as session:
        response = session.get(href)
        response.raise_for_status()
        return response.content


class _DocumentIO(DefaultStacIO):
    """Reads documents with a timeout, which pystac's reader lacks."""

    def read_text_from_href(self, href: str) -> str:
        """Text of a document."""
        return fetch_bytes(href).decode()


@dataclass(frozen=True, slots=True)
class Query:
    """Items to search. A catalogue may return more items, but never fewer.

    Attributes:
        collections: Ids of the collections.
        region: Items intersect it, EPSG:4326; None for the Earth.
        interval: Items overlap it, both ends included, UTC; None for any time.
        max_cloud_pct: Upper limit of `eo:cloud_cover`; items without it match.
    """

    collections: frozenset[str]
    region: BaseGeometry | None = None
    interval: tuple[dt.datetime, dt.datetime] | None = None
    max_cloud_pct: float | None = None


@dataclass(frozen=True, slots=True)
class Catalog(ABC):
    """A catalogue of STAC items.

    Attributes:
        href: Path or URL.
        root: Folder or URL, ending in a slash; hrefs below it are recorded relative to it.
        id: Id of the catalogue's document.
    """

    href: str
    root: str
    id: str

    @property
    def supports_filter(self) -> bool:
        """Whether queries are answered selectively; otherwise every query reads all documents."""
        return True

    @abstractmethod
    def items(self, query: Query) -> Iterator[pystac.Item]:
        """Iterate over at least the items that match a query, with absolute asset hrefs.

        Raises:
            InputError: the catalogue cannot be reached, or a response is not valid STAC.
        """

    @abstractmethod
    def has_collection(self, collection: str) -> bool:
        """Whether the catalogue has a collection."""

    @property
    def remote(self) -> bool:
        """Whether the root is a URL."""
        return "://" in self.root

    def relative_href(self, href: str) -> str:
        """An href as the lock records it: relative to the root, or a URL on another host; never a local path."""
        if not self.remote:
            href = href.removeprefix("file://")
        if "://" in href:
            return href.removeprefix(self.root)
        return os.path.relpath(href, self.root)

    def absolute_href(self, href: str) -> str:
        """Inverse of `relative_href`."""
        return href if "://" in href else self.root + href


@dataclass(frozen=True, slots=True)
class NullCatalog(Catalog):
    """A catalogue without items, where none is searched."""

    def items(self, query: Query) -> Iterator[pystac.Item]:
        """No items."""
        return iter(())

    def has_collection(self, collection: str) -> bool:
        """False."""
        return False


@dataclass(frozen=True, slots=True)
class StaticCatalog(Catalog):
    """A STAC document. Every query reads all items of its collections.

    Attributes:
        content: The document's JSON.
    """

    content: dict[str, Any]

    @property
    def supports_filter(self) -> bool:
        """False."""
        return False

    def items(self, query: Query) -> Iterator[pystac.Item]:
        """Iterate over all items of the query's collections, with absolute asset hrefs.

        Raises:
            InputError: a linked document is missing or malformed.
        """
        try:
            for item in self._all_items(query.collections):
                if item.collection_id in query.collections:
                    item.make_asset_hrefs_absolute()
                    yield item
        except Exception as error:  # pystac has no common error class; a 404 is a bare Exception
            raise InputError(f"a linked document cannot be read: {error}", file=self.href) from error

    def has_collection(self, collection: str) -> bool:
        """Whether there is an item of the collection."""
        return any(True for _ in self.items(Query(frozenset({collection}))))

    def collection_ids(self) -> frozenset[str]:
        """Ids of the collections that its items name.

        Raises:
            InputError: a linked document is missing or malformed.
        """
        if self.content["type"] in ("Feature", "FeatureCollection"):
            features = self.content.get("features", [self.content])
            return frozenset(str(item["collection"]) for item in features if item.get("collection"))
        try:
            top = pystac.read_file(self.href, stac_io=_DocumentIO())
            assert isinstance(top, pystac.Catalog)
            return frozenset(_collections(top))
        except Exception as error:  # pystac has no common error class; a 404 is a bare Exception
            raise InputError(f"a linked document cannot be read: {error}", file=self.href) from error

    def _all_items(self, collections: frozenset[str]) -> Iterator[pystac.Item]:
        kind = self.content["type"]
        if kind == "FeatureCollection":
            for feature in self.content["features"]:
                yield _parse_item(feature, self.href, relocated=not self.remote)
        elif kind == "Feature":
            yield _parse_item(self.content, self.href, relocated=True)
        else:
            top = pystac.read_file(self.href, stac_io=_DocumentIO())
            assert isinstance(top, pystac.Catalog)
            yield from _walk(top, collections)


def _collections(catalog: pystac.Catalog) -> Iterator[str]:
    """Ids of the collections below a catalogue, itself included."""
    if isinstance(catalog, pystac.Collection):
        yield catalog.id
    for child in catalog.get_children():
        yield from _collections(child)


def _walk(catalog: pystac.Catalog, collections: frozenset[str]) -> Iterator[pystac.Item]:
    """Items below a catalogue, without reading other collections."""
    if isinstance(catalog, pystac.Collection) and catalog.id not in collections:
        return
    yield from catalog.get_items()
    for child in catalog.get_children():
        yield from _walk(child, collections)


def _parse_item(feature: dict[str, Any], href: str, *, relocated: bool) -> pystac.Item:
    """Item whose relative hrefs start at `href` if its file was relocated, that is saved away from its `self` link."""
    item = pystac.Item.from_dict(feature, preserve_dict=False)
    if relocated or item.get_self_href() is None:
        item.set_self_href(href)
    return item
