"""A STAC API, searched so that nothing is lost in silence: no page is followed, slices are halved until each is whole.

Servers have dropped `next` links and cut answers short without a word. A slice of region and time is whole where its
one page holds fewer items than were asked for; and the fullest such page is asked again in two halves, so that a server
which cuts below what was asked for is found out, and believed only up to there.
"""

import datetime as dt
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pystac
import shapely
from pystac_client import Client
from pystac_client.conformance import ConformanceClasses
from pystac_client.exceptions import APIError
from pystac_client.stac_api_io import StacApiIO
from shapely.errors import ShapelyError
from shapely.geometry import mapping, shape
from shapely.geometry.base import BaseGeometry

from landmark.core.errors import InputError
from landmark.core.time import parse_utc
from landmark.stac.catalog import Catalog, Query

log = logging.getLogger(__name__)

_LIMIT = 250
_LEAST_DEG = 0.01
_MAX_VERTICES = 400
_EARTH = shapely.box(-180, -90, 180, 90)


@dataclass(frozen=True, slots=True)
class Api(Catalog):
    """A STAC API, known by its landing page."""

    io: StacApiIO = field(compare=False)

    def items(self, query: Query) -> Iterator[pystac.Item]:
        """Every item of a query, once, sorted by collection and id.

        Raises:
            InputError: the API cannot be reached or refuses, or a slice that cannot be cut further is still too full.
        """
        ask = partial(self._page, self._client(), query)
        try:
            whole = [item for part in _slices(query) for item in _whole(ask, part)]
            found = {(str(item["collection"]), str(item["id"])): item for item in whole}
        except (APIError, AttributeError, KeyError, ShapelyError, TypeError, ValueError) as error:
            raise self._refused(error) from error
        log.info("%s: %d items of %s", self.href, len(found), ", ".join(sorted(query.collections)))
        for _, item in sorted(found.items(), key=lambda entry: entry[0]):
            yield self._item(item)

    def holds(self, collection: str) -> bool:
        """True where the API knows the collection."""
        try:
            return self._client().get_collection(collection) is not None
        except APIError as error:
            raise self._refused(error) from error

    def _client(self) -> Client:
        try:
            client = Client.from_file(self.href, stac_io=self.io)
        except (APIError, pystac.STACError, KeyError, TypeError, ValueError) as error:
            raise self._refused(error) from error
        # It links to a search, whatever it says it conforms to.
        client.add_conforms_to("ITEM_SEARCH")
        return client

    def _page(self, client: Client, query: Query, part: "_Slice", limit: int) -> "_Page":
        posts, asked = "POST" in _methods(client), part.where()
        if query.max_cloud_pct is not None and posts and client.conforms_to(ConformanceClasses.FILTER):
            asked["filter"] = _cloud(query.max_cloud_pct)
        asked |= {"method": "POST" if posts else "GET", "collections": sorted(query.collections), "limit": limit}
        search = client.search(**asked)
        answer = self.io.read_json(search.url, method=search.method, parameters=search.get_parameters())
        return _Page.of(answer, part, limit)

    def _item(self, feature: dict[str, Any]) -> pystac.Item:
        try:
            item = pystac.Item.from_dict(feature, preserve_dict=False)
        except Exception as error:  # pystac raises whatever the item provokes
            raise InputError(f"{self.href}: item {feature.get('id')} is no STAC item: {error}") from error
        if item.get_self_href() is not None:
            item.make_asset_hrefs_absolute()
        return item

    def _refused(self, error: Exception) -> InputError:
        said = " ".join(str(error).split())[:500]
        return InputError(
            f"{self.href}: the STAC API does not answer as one: {said}; try again later, or name another with --catalog"
        )


@dataclass(frozen=True, slots=True)
class _Slice:
    """A part of a query: a region and, where the query has an interval, seconds since 1970, both ends included."""

    region: BaseGeometry
    seconds: tuple[int, int] | None

    def where(self) -> dict[str, Any]:
        """The slice in the words of a search."""
        said: dict[str, Any] = {}
        if self.region.equals(shapely.box(*self.region.bounds)):
            said["bbox"] = list(self.region.bounds)
        else:
            said["intersects"] = mapping(self.region)
        if self.seconds is not None:
            said["datetime"] = "/".join(_text(second) for second in self.seconds)
        return said

    def halves(self, items: list[dict[str, Any]]) -> list["_Slice"]:
        """Two slices that hold all of this one, both of them its middle; none where it cannot be cut further.

        It is cut in time or on the ground, where fewer of its items lie on both sides: a year's maps share their time,
        a year's images of a town their ground.
        """
        cuts = [halves for halves in (self._earlier_and_later(), self._here_and_there()) if halves]
        return min(cuts, key=lambda halves: sum(all(half.holds(item) for half in halves) for item in items), default=[])

    def holds(self, item: dict[str, Any]) -> bool:
        """True where an item may lie in the slice."""
        if item.get("geometry") is not None and not shape(item["geometry"]).intersects(self.region):
            return False
        if self.seconds is None:
            return True
        said = item["properties"]
        start, end = (said.get(key) or said["datetime"] for key in ("start_datetime", "end_datetime"))
        return _second(start) <= self.seconds[1] and _second(end) >= self.seconds[0]

    def _earlier_and_later(self) -> list["_Slice"]:
        if self.seconds is None or self.seconds[1] - self.seconds[0] <= 1:
            return []
        start, end = self.seconds
        middle = (start + end) // 2
        return [replace(self, seconds=(start, middle)), replace(self, seconds=(middle, end))]

    def _here_and_there(self) -> list["_Slice"]:
        west, south, east, north = self.region.bounds
        if max(east - west, north - south) < _LEAST_DEG:
            return []
        lon, lat = (west + east) / 2, (south + north) / 2
        if east - west > north - south:
            boxes = shapely.box(west, south, lon, north), shapely.box(lon, south, east, north)
        else:
            boxes = shapely.box(west, south, east, lat), shapely.box(west, lat, east, north)
        parts = [_polygons(self.region.intersection(box)) for box in boxes]
        return [replace(self, region=part) for part in parts if not part.is_empty]

    def __str__(self) -> str:
        when = "any time" if self.seconds is None else " to ".join(_text(second) for second in self.seconds)
        return f"{when} in [{', '.join(f'{edge:.4f}' for edge in self.region.bounds)}]"


@dataclass(frozen=True, slots=True)
class _Page:
    """The one page of a slice; `full` where the slice may hold more than it."""

    part: _Slice
    items: list[dict[str, Any]]
    full: bool

    @classmethod
    def of(cls, answer: Any, part: _Slice, limit: int) -> "_Page":
        """A page from the server's answer.

        Raises:
            KeyError: it has no features; TypeError: it is something else altogether.
        """
        items = list(answer["features"])
        matched = answer.get("numberMatched", answer.get("context", {}).get("matched"))
        more = any(link["rel"] == "next" for link in answer.get("links", ()))
        return cls(part, items, more or len(items) >= limit or (matched is not None and matched > len(items)))


_Ask = Callable[[_Slice, int], _Page]


def _whole(ask: _Ask, first: _Slice) -> list[dict[str, Any]]:
    """Items of a slice, all of them, some more than once."""
    limit = _LIMIT
    while True:
        pages = list(_halved(ask, first, limit))
        fullest = max(pages, key=lambda page: len(page.items))
        if not _hides(ask, fullest, limit):
            return [item for page in pages for item in page.items]
        limit = len(fullest.items)
        log.warning("the API cuts its answers to %d items without saying so: asking for smaller slices", limit)


def _halved(ask: _Ask, part: _Slice, limit: int) -> Iterator[_Page]:
    page = ask(part, limit)
    if not page.full:
        yield page
        return
    halves = part.halves(page.items)
    if not halves:
        raise InputError(f"the STAC API has {len(page.items)} or more items for {part}, and gives no more of them")
    for half in halves:
        yield from _halved(ask, half, limit)


def _hides(ask: _Ask, page: _Page, limit: int) -> bool:
    """True where the halves of a page's slice hold an item that the page does not."""
    known = {(item.get("collection"), item.get("id")) for item in page.items}
    return bool(page.items) and any(
        (item.get("collection"), item.get("id")) not in known
        for half in page.part.halves(page.items)
        for item in ask(half, limit).items
    )


def _slices(query: Query) -> list[_Slice]:
    """What a query begins with: its region's polygons, as many together as a request takes."""
    seconds = None
    if query.interval is not None:
        start, end = query.interval
        seconds = int(start.timestamp()), int(end.timestamp()) + 1
    region = _EARTH if query.region is None else _polygons(query.region.intersection(_EARTH))
    groups: list[list[BaseGeometry]] = [[]]
    for part in shapely.get_parts(region):
        if groups[-1] and shapely.get_num_coordinates([*groups[-1], part]).sum() > _MAX_VERTICES:
            groups.append([])
        groups[-1].append(part)
    return [_Slice(_asked(shapely.union_all(group)), seconds) for group in groups]


def _asked(region: BaseGeometry) -> BaseGeometry:
    """The region, or a simpler one around it where its outline is too long for a request."""
    tolerance_deg, asked = 0.002, region
    while shapely.get_num_coordinates(asked) > _MAX_VERTICES:
        # Pushed outwards by twice what simplifying may pull it in.
        asked = _polygons(region.buffer(2 * tolerance_deg).simplify(tolerance_deg).intersection(_EARTH))
        tolerance_deg *= 2
    return asked


def _polygons(geometry: BaseGeometry) -> BaseGeometry:
    """The areas of a geometry, without the lines and points that cutting leaves."""
    return shapely.union_all([part for part in shapely.get_parts(geometry) if part.area > 0])


def _cloud(max_pct: float) -> dict[str, Any]:
    cover = {"property": "eo:cloud_cover"}
    return {"op": "or", "args": [{"op": "<=", "args": [cover, max_pct]}, {"op": "isNull", "args": [cover]}]}


def _methods(client: Client) -> set[str]:
    return {str(link.extra_fields.get("method", "GET")) for link in client.links if link.rel == "search"}


def _second(moment: str) -> float:
    return parse_utc(moment).timestamp()


def _text(second: int) -> str:
    return dt.datetime.fromtimestamp(second, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
