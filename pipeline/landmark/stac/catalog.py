"""Catalogues of STAC items: the interface, and catalogues that are documents (a catalogue, ItemCollection or Item)."""

import datetime as dt
import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlparse

import pystac
from pystac.stac_io import DefaultStacIO
from pystac_client.stac_api_io import StacApiIO
from shapely.geometry.base import BaseGeometry

from landmark.core.errors import InputError
from landmark.core.http import RETRY, CompleteAdapter, open_session
from landmark.core.json_text import parse_bounded
from landmark.core.timeouts import TIMEOUT_S
from landmark.stac.documents import InvalidItem, describe, parse_item

log = logging.getLogger(__name__)


def make_stac_io() -> StacApiIO:
    """HTTP client of STAC APIs, with retries and a timeout."""
    io = StacApiIO(timeout=TIMEOUT_S)
    for scheme in ("https://", "http://"):
        io.session.mount(scheme, CompleteAdapter(RETRY, TIMEOUT_S))
    return io


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
    def items(self, query: Query) -> Iterator[pystac.Item | InvalidItem]:
        """Iterate over at least the items that match a query, with absolute asset hrefs.

        Documents that are no valid items come as `InvalidItem`.

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

    def items(self, query: Query) -> Iterator[pystac.Item | InvalidItem]:
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

    def items(self, query: Query) -> Iterator[pystac.Item | InvalidItem]:
        """Iterate over all items of the query's collections, with absolute asset hrefs.

        Invalid documents that name no collection are of every query.

        Raises:
            InputError: a linked catalogue is missing or malformed.
        """
        n_ignored = 0
        for item in self._all_items(query.collections):
            if item.collection_id in query.collections or (
                item.collection_id is None and isinstance(item, InvalidItem)
            ):
                yield item
            n_ignored += item.collection_id is None
        if n_ignored:
            log.warning("%s: %d items name no `collection`, which tells the sensor", self.href, n_ignored)

    def has_collection(self, collection: str) -> bool:
        """Whether there is an item of the collection."""
        return any(item.collection_id == collection for item in self.items(Query(frozenset({collection}))))

    def collection_ids(self) -> frozenset[str]:
        """Ids of the collections that its items name.

        Raises:
            InputError: a linked document is missing or malformed.
        """
        if self.content["type"] in ("Feature", "FeatureCollection"):
            features = self.content.get("features", [self.content])
            named = (item.get("collection") for item in features if isinstance(item, dict))
            return frozenset(str(collection) for collection in named if collection)
        try:
            top = pystac.read_file(self.href, stac_io=_DocumentIO())
            assert isinstance(top, pystac.Catalog)
            return frozenset(_collections(top))
        except Exception as error:  # pystac has no common error class; a 404 is a bare Exception
            raise InputError(f"a linked document cannot be read: {error}", file=self.href) from error

    def _all_items(self, collections: frozenset[str]) -> Iterator[pystac.Item | InvalidItem]:
        kind = self.content["type"]
        if kind == "FeatureCollection":
            for number, feature in enumerate(self.content["features"], start=1):
                yield _located(parse_item(feature, f"number {number}"), self.href, relocated=not self.remote)
        elif kind == "Feature":
            yield _located(parse_item(self.content, "without id"), self.href, relocated=True)
        else:
            try:
                top = pystac.read_file(self.href, stac_io=_DocumentIO())
                assert isinstance(top, pystac.Catalog)
                yield from _walk(top, collections)
            except Exception as error:  # pystac has no common error class; a 404 is a bare Exception
                raise InputError(f"a linked document cannot be read: {error}", file=self.href) from error


def _collections(catalog: pystac.Catalog) -> Iterator[str]:
    """Ids of the collections below a catalogue, itself included."""
    if isinstance(catalog, pystac.Collection):
        yield catalog.id
    for child in catalog.get_children():
        yield from _collections(child)


def _walk(catalog: pystac.Catalog, collections: frozenset[str]) -> Iterator[pystac.Item | InvalidItem]:
    """Items below a catalogue, without reading other collections."""
    collection_id = catalog.id if isinstance(catalog, pystac.Collection) else None
    if collection_id is not None and collection_id not in collections:
        return
    for link in catalog.get_item_links():
        yield _linked_item(link, collection_id)
    for child in catalog.get_children():
        yield from _walk(child, collections)


def _linked_item(link: pystac.Link, collection_id: str | None) -> pystac.Item | InvalidItem:
    """The item a link leads to, of the linking collection if it names none itself."""
    href = str(link.get_absolute_href())
    name = PurePosixPath(urlparse(href).path).name
    try:
        document = parse_bounded(fetch_bytes(href))
    except (OSError, ValueError) as error:
        return InvalidItem.unreadable(name, collection_id, error)
    return _located(parse_item(document, name, collection_id=collection_id), href, relocated=True)


def _located(item: pystac.Item | InvalidItem, href: str, *, relocated: bool) -> pystac.Item | InvalidItem:
    """The item with absolute asset hrefs.

    Relative hrefs start at `href` if the item's file was relocated, that is saved away from its `self` link.
    """
    if isinstance(item, InvalidItem):
        return item
    if relocated or item.get_self_href() is None:
        item.set_self_href(href)
    return make_hrefs_absolute(item)


def make_hrefs_absolute(item: pystac.Item) -> pystac.Item | InvalidItem:
    """The item with absolute asset hrefs, or invalid if an href is malformed."""
    try:
        item.make_asset_hrefs_absolute()
    except ValueError as error:
        problem = InputError(f"malformed href: {describe(error)}", file=f"item {item.id}", key="assets")
        return InvalidItem.from_item(item, problem)
    return item
