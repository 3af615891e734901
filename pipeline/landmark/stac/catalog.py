"""Catalogues of STAC items: the interface, and catalogues that are documents (a catalogue, ItemCollection or Item)."""

import datetime as dt
import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pystac
from shapely.geometry.base import BaseGeometry

from landmark.core.hosts import HostRules
from landmark.stac.documents import InvalidItem, parse_item
from landmark.stac.links import collection_ids, linked_items, located, naming_links, parse_catalog

log = logging.getLogger(__name__)


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
        rules: Where its documents may lead.
    """

    href: str
    root: str
    id: str
    rules: HostRules = field(default_factory=HostRules, kw_only=True)

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
        with naming_links(self.href):
            return frozenset(collection_ids(parse_catalog(self.content, self.href), self.rules))

    def _all_items(self, collections: frozenset[str]) -> Iterator[pystac.Item | InvalidItem]:
        kind = self.content["type"]
        if kind == "FeatureCollection":
            for number, feature in enumerate(self.content["features"], start=1):
                yield located(parse_item(feature, f"number {number}"), self.href, relocated=not self.remote)
        elif kind == "Feature":
            yield located(parse_item(self.content, "without id"), self.href, relocated=True)
        else:
            with naming_links(self.href):
                yield from linked_items(parse_catalog(self.content, self.href), collections, self.rules)
