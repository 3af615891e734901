"""Follow the links of catalogues that are documents, as far as the rules allow."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlparse

import pystac
from pystac.serialization import identify_stac_object_type

from landmark.core.errors import InputError
from landmark.core.hosts import HostRules
from landmark.core.json_text import parse_bounded
from landmark.stac.documents import InvalidItem, describe, parse_item
from landmark.stac.fetch import fetch_bytes


@contextmanager
def naming_links(href: str) -> Iterator[None]:
    """Raise what is wrong with linked documents as an error that names the catalogue."""
    try:
        yield
    except InputError as error:
        error.file = href if error.file is None else f"{href}: {error.file}"
        raise
    except Exception as error:  # pystac has no common error class
        raise InputError(f"a linked document cannot be read: {error}", file=href) from error


def parse_catalog(document: dict[str, Any], href: str) -> pystac.Catalog:
    """A catalogue or collection that was read from an href."""
    is_collection = identify_stac_object_type(document) == pystac.STACObjectType.COLLECTION
    return (pystac.Collection if is_collection else pystac.Catalog).from_dict(document, href=href, migrate=True)


def _children(catalog: pystac.Catalog, rules: HostRules) -> Iterator[pystac.Catalog]:
    """The catalogues that a catalogue links to."""
    for link in catalog.get_child_links():
        href, allowed = _target(link, rules)
        yield parse_catalog(parse_bounded(fetch_bytes(href, allowed)), href)


def _target(link: pystac.Link, rules: HostRules) -> tuple[str, HostRules]:
    """Absolute href of a link, and the rules of the document that has it.

    Raises:
        InputError: it may not lead there.
    """
    href = str(link.get_absolute_href())
    allowed = rules.for_document(str(link.owner.get_self_href()) if link.owner else "")
    try:
        allowed.check_href(href)
    except InputError as error:
        error.file = f"link `{link.rel}`"
        raise
    return href, allowed


def collection_ids(catalog: pystac.Catalog, rules: HostRules) -> Iterator[str]:
    """Ids of the collections below a catalogue, itself included."""
    if isinstance(catalog, pystac.Collection):
        yield catalog.id
    for child in _children(catalog, rules):
        yield from collection_ids(child, rules)


def linked_items(
    catalog: pystac.Catalog, collections: frozenset[str], rules: HostRules
) -> Iterator[pystac.Item | InvalidItem]:
    """Items below a catalogue, without reading other collections."""
    collection_id = catalog.id if isinstance(catalog, pystac.Collection) else None
    if collection_id is not None and collection_id not in collections:
        return
    for link in catalog.get_item_links():
        yield _linked_item(link, collection_id, rules)
    for child in _children(catalog, rules):
        yield from linked_items(child, collections, rules)


def _linked_item(link: pystac.Link, collection_id: str | None, rules: HostRules) -> pystac.Item | InvalidItem:
    """The item a link leads to, of the linking collection if it names none itself."""
    name = PurePosixPath(urlparse(str(link.get_absolute_href())).path).name
    try:
        href, allowed = _target(link, rules)
        document = parse_bounded(fetch_bytes(href, allowed))
    except InputError as error:
        error.file = f"item {name}"
        return InvalidItem(name, collection_id, None, None, None, error)
    except (OSError, ValueError) as error:
        return InvalidItem.unreadable(name, collection_id, error)
    return located(parse_item(document, name, collection_id=collection_id), href, relocated=True)


def located(item: pystac.Item | InvalidItem, href: str, *, relocated: bool) -> pystac.Item | InvalidItem:
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
