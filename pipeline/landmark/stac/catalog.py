"""What can be asked of an archive, and archives that are documents: a catalogue, an ItemCollection or an Item."""

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


def connection() -> StacApiIO:
    """What HTTP requests go through: patient with a busy server, but not for ever."""
    return StacApiIO(timeout=TIMEOUT_S, max_retries=RETRY)


def fetched(href: str) -> bytes:
    """What lies at a path or URL.

    Raises:
        OSError: nothing, or no answer; requests' errors are OSErrors, too.
    """
    href = href.removeprefix("file://")
    if "://" not in href:
        return Path(href).read_bytes()
    with open_session() as session:
        response = session.get(href)
        response.raise_for_status()
        return response.content


class _Reader(DefaultStacIO):
    """pystac's reader waits for a silent server without end."""

    def read_text_from_href(self, href: str) -> str:
        """A document's text."""
        return fetched(href).decode()


@dataclass(frozen=True, slots=True)
class Query:
    """Which items are wanted. An archive may answer with more, but leaves out none that match.

    Attributes:
        region: They meet it, in EPSG:4326; None is the whole Earth.
        interval: They describe a moment in it, both ends included, UTC; None is any time.
        max_cloud_pct: They say no more cloud than this; items that say nothing match.
    """

    collections: frozenset[str]
    region: BaseGeometry | None = None
    interval: tuple[dt.datetime, dt.datetime] | None = None
    max_cloud_pct: float | None = None


@dataclass(frozen=True, slots=True)
class Catalog(ABC):
    """An archive of STAC items. Hrefs under `root` (a folder or URL, ending in a slash) are recorded relative to it."""

    href: str
    root: str
    id: str

    @property
    def selective(self) -> bool:
        """True where it pays to ask for parts: the archive answers with what was asked for, not with all it has."""
        return True

    @abstractmethod
    def items(self, query: Query) -> Iterator[pystac.Item]:
        """At least the items a query asks for, each with absolute asset hrefs.

        Raises:
            InputError: the archive cannot be reached, or what it says is no STAC.
        """

    @abstractmethod
    def holds(self, collection: str) -> bool:
        """True where the archive has such a collection."""

    @property
    def remote(self) -> bool:
        """True where the archive lies behind a URL."""
        return "://" in self.root

    def relative(self, href: str) -> str:
        """An href as the lock records it: relative to the root, but for other hosts; never a local path."""
        if not self.remote:
            href = href.removeprefix("file://")
        if "://" in href:
            return href.removeprefix(self.root)
        return os.path.relpath(href, self.root)

    def locate(self, href: str) -> str:
        """Where a recorded href lies now."""
        return href if "://" in href else self.root + href


@dataclass(frozen=True, slots=True)
class NullCatalog(Catalog):
    """In place of an archive nobody is to ask."""

    def items(self, query: Query) -> Iterator[pystac.Item]:
        """None."""
        return iter(())

    def holds(self, collection: str) -> bool:
        """Nothing."""
        return False


@dataclass(frozen=True, slots=True)
class Static(Catalog):
    """A STAC document that says all it has: whatever is asked, all items of the collections are read."""

    content: dict[str, Any]

    @property
    def selective(self) -> bool:
        """False: every question reads all documents."""
        return False

    def items(self, query: Query) -> Iterator[pystac.Item]:
        """Items of the collections asked for, each with absolute asset hrefs.

        Raises:
            InputError: a linked document is missing or malformed.
        """
        try:
            for item in self._all(query.collections):
                if item.collection_id in query.collections:
                    item.make_asset_hrefs_absolute()
                    yield item
        except Exception as error:  # pystac raises whatever the document provokes, and a bare Exception for a 404
            raise InputError(f"{self.href}: a document it links to cannot be read: {error}") from error

    def holds(self, collection: str) -> bool:
        """True where there is an item of the collection."""
        return any(True for _ in self.items(Query(frozenset({collection}))))

    def _all(self, collections: frozenset[str]) -> Iterator[pystac.Item]:
        kind = self.content["type"]
        if kind == "FeatureCollection":
            for feature in self.content["features"]:
                yield _item(feature, self.href, moved=not self.remote)
        elif kind == "Feature":
            yield _item(self.content, self.href, moved=True)
        else:
            top = pystac.read_file(self.href, stac_io=_Reader())
            assert isinstance(top, pystac.Catalog)
            yield from _walk(top, collections)


def _walk(catalog: pystac.Catalog, collections: frozenset[str]) -> Iterator[pystac.Item]:
    """Items below a catalogue, without opening collections nobody asked for."""
    if isinstance(catalog, pystac.Collection) and catalog.id not in collections:
        return
    yield from catalog.get_items()
    for child in catalog.get_children():
        yield from _walk(child, collections)


def _item(feature: dict[str, Any], href: str, *, moved: bool) -> pystac.Item:
    """An item; one that was saved lies where it was read, wherever its publisher keeps it."""
    item = pystac.Item.from_dict(feature, preserve_dict=False)
    if moved or item.get_self_href() is None:
        item.set_self_href(href)
    return item
