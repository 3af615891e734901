"""STAC documents by path or URL: a catalogue, an ItemCollection or an Item, read as one stream of items."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pystac

from landmark.base.errors import InputError


@dataclass(frozen=True, slots=True)
class Document:
    """A STAC document. Hrefs under `root` (a folder or URL, ending in a slash) are recorded relative to it."""

    href: str
    root: str
    id: str
    content: dict[str, Any]

    def items(self, collections: set[str]) -> Iterator[pystac.Item]:
        """Items of the given collections, each with absolute asset hrefs.

        Raises:
            InputError: a linked document is missing or malformed.
        """
        try:
            for item in self._all(collections):
                if item.collection_id in collections:
                    item.make_asset_hrefs_absolute()
                    yield item
        except Exception as error:  # pystac raises whatever the document provokes, and a bare Exception for a 404
            raise InputError(f"{self.href}: a document it links to cannot be read: {error}") from error

    @property
    def remote(self) -> bool:
        """True where the document lies behind a URL."""
        return "://" in self.root

    def relative(self, href: str) -> str:
        """An href as the lock records it: relative to the root, but for other hosts; never a local path."""
        if "://" in href:
            return href.removeprefix(self.root)
        return os.path.relpath(href, self.root)

    def locate(self, href: str) -> str:
        """Where a recorded href lies now."""
        return href if "://" in href else self.root + href

    def _all(self, collections: set[str]) -> Iterator[pystac.Item]:
        kind = self.content["type"]
        if kind == "FeatureCollection":
            for feature in self.content["features"]:
                yield _item(feature, self.href)
        elif kind == "Feature":
            # An item read alone lies where it was read, wherever its publisher keeps it.
            item = _item(self.content, self.href)
            item.set_self_href(self.href)
            yield item
        else:
            top = pystac.read_file(self.href)
            assert isinstance(top, pystac.Catalog)
            yield from _walk(top, collections)


def open_document(href: str) -> Document:
    """Read a STAC document; a folder means the `catalog.json` or `collection.json` in it.

    Raises:
        InputError: nothing there, not JSON, or not STAC.
    """
    href = _file(href)
    try:
        text = pystac.StacIO.default().read_text(href)
    except Exception as error:  # a bare Exception, where the server answers 404
        raise InputError(f"{href}: cannot be read: {error}") from error
    try:
        content = json.loads(text)
    except ValueError as error:
        raise InputError(f"{href}: not JSON: {error}") from error
    kinds = ("Catalog", "Collection", "FeatureCollection", "Feature")
    if not isinstance(content, dict) or content.get("type") not in kinds:
        raise InputError(
            f"{href}: not a STAC catalogue, ItemCollection or Item: its `type` is none of {', '.join(kinds)}"
        )
    return Document(href, href.rsplit("/", 1)[0] + "/", str(content.get("id", Path(href).name)), content)


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
            f"{path}: no such file; --catalog takes a STAC catalogue, ItemCollection or Item by path or URL"
        )
    return str(path)


def _walk(catalog: pystac.Catalog, collections: set[str]) -> Iterator[pystac.Item]:
    """Items below a catalogue, without opening collections nobody asked for."""
    if isinstance(catalog, pystac.Collection) and catalog.id not in collections:
        return
    yield from catalog.get_items()
    for child in catalog.get_children():
        yield from _walk(child, collections)


def _item(feature: dict[str, Any], href: str) -> pystac.Item:
    item = pystac.Item.from_dict(feature, preserve_dict=False)
    if item.get_self_href() is None:
        item.set_self_href(href)
    return item
