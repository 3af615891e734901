"""Search a STAC API exhaustively, by bisecting region and time until every slice fits in one page.

No pages are followed: servers have dropped `next` links and truncated responses without notice. A slice is complete if
its one page has fewer items than the limit. To detect servers that truncate below the limit, the fullest such page is
compared with the pages of its two halves, and the limit is lowered if they have more.
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
from landmark.core.hashing import digest
from landmark.core.limits import EXACT_VERTICES
from landmark.core.outlines import enlarge
from landmark.core.plural import plural
from landmark.core.time import parse_utc
from landmark.stac.catalog import Catalog, Query
from landmark.stac.documents import UNEXPECTED, InvalidItem, parse_item
from landmark.stac.links import make_hrefs_absolute

log = logging.getLogger(__name__)

# Errors of pystac-client, and of code that meets a response of another type or too deep.
_INVALID = (*UNEXPECTED, APIError, pystac.STACError, OSError, RecursionError)
_MIN_EDGE_DEG = 0.01
_MAX_VERTICES = 400
_EARTH = shapely.box(-180, -90, 180, 90)


@dataclass(frozen=True, slots=True)
class ApiCatalog(Catalog):
    """A STAC API; `href` is its landing page.

    Attributes:
        io: HTTP client.
        page_size: Items to request per page.
    """

    io: StacApiIO = field(compare=False)
    page_size: int = field(default=250, compare=False)

    def items(self, query: Query) -> Iterator[pystac.Item | InvalidItem]:
        """Iterate over all items of a query, without duplicates, sorted by collection and id.

        Raises:
            InputError: the API fails or cannot be reached, or a slice that cannot be bisected further is truncated.
        """
        fetch = partial(self._fetch_page, self._client(), query)
        try:
            features = [feature for part in _slices(query) for feature in _fetch_all(fetch, part, self.page_size)]
            unique = {_identity(feature): feature for feature in features}
        except _INVALID as error:
            raise self._invalid_response(error) from error
        log.info("%s: %s of %s", self.href, plural(len(unique), "item"), ", ".join(sorted(query.collections)))
        collection_id = min(query.collections) if len(query.collections) == 1 else None
        for number, (_, feature) in enumerate(sorted(unique.items(), key=lambda entry: entry[0]), start=1):
            item = parse_item(feature, f"number {number}", collection_id=collection_id)
            if isinstance(item, pystac.Item) and item.get_self_href() is not None:
                yield make_hrefs_absolute(item)
            else:
                yield item

    def has_collection(self, collection: str) -> bool:
        """Whether the API has the collection."""
        try:
            return self._client().get_collection(collection) is not None
        except _INVALID as error:
            raise self._invalid_response(error) from error

    def _client(self) -> Client:
        try:
            client = Client.from_file(self.href, stac_io=self.io)
        except _INVALID as error:
            raise self._invalid_response(error) from error
        # Its landing page links to a search, even where `conformsTo` does not list it.
        client.add_conforms_to("ITEM_SEARCH")
        return client

    def _fetch_page(self, client: Client, query: Query, part: "_Slice", limit: int) -> "_Page":
        method = "POST" if "POST" in _search_methods(client) else "GET"
        parameters = part.parameters()
        filters = method == "POST" and client.conforms_to(ConformanceClasses.FILTER)
        if query.max_cloud_pct is not None and filters:
            parameters["filter"] = _cloud_filter(query.max_cloud_pct)
        parameters |= {"method": method, "collections": sorted(query.collections), "limit": limit}
        search = client.search(**parameters)
        response = self.io.read_json(search.url, method=search.method, parameters=search.get_parameters())
        return _Page.parse(response, part, limit)

    def _invalid_response(self, error: Exception) -> InputError:
        if isinstance(refused := error.__context__, InputError):  # where a redirect leads
            refused.file = self.href
            return refused
        text = " ".join(str(error).split())[:500]
        remedy = "try again later, or name another catalogue with --catalog"
        return InputError(f"the STAC API failed or sent an invalid response: {text}", file=self.href, remedy=remedy)


@dataclass(frozen=True, slots=True)
class _Slice:
    """A part of a query.

    Attributes:
        region: EPSG:4326.
        seconds: First and last second since 1970, both included; None for any time.
    """

    region: BaseGeometry
    seconds: tuple[int, int] | None

    def parameters(self) -> dict[str, Any]:
        """Search parameters `bbox` or `intersects`, and `datetime`."""
        is_box = self.region.equals(shapely.box(*self.region.bounds))
        where = {"bbox": list(self.region.bounds)} if is_box else {"intersects": mapping(self.region)}
        if self.seconds is None:
            return where
        return {**where, "datetime": "/".join(_format_second(second) for second in self.seconds)}

    def halves(self, items: list[dict[str, Any]]) -> list["_Slice"]:
        """Two slices that cover this one; none if it cannot be bisected further.

        Bisects in time or in space, whichever puts fewer of the items in both halves: yearly maps share their time, a
        year's images of a town their area.
        """
        cuts = [halves for halves in (self._bisect_time(), self._bisect_region()) if halves]

        def count_shared(halves: list[_Slice]) -> int:
            return sum(all(half.may_contain(item) for half in halves) for item in items)

        return min(cuts, key=count_shared, default=[])

    def may_contain(self, item: dict[str, Any]) -> bool:
        """Whether an item's geometry and time overlap the slice; True where they are unreadable."""
        try:
            if item.get("geometry") is not None and not shape(item["geometry"]).intersects(self.region):
                return False
            if self.seconds is None:
                return True
            properties = item["properties"]
            start, end = (properties.get(key) or properties["datetime"] for key in ("start_datetime", "end_datetime"))
            return parse_utc(start).timestamp() <= self.seconds[1] and parse_utc(end).timestamp() >= self.seconds[0]
        except (AttributeError, KeyError, ShapelyError, TypeError, ValueError):
            return True  # an invalid item

    def _bisect_time(self) -> list["_Slice"]:
        if self.seconds is None or self.seconds[1] - self.seconds[0] <= 1:
            return []
        start, end = self.seconds
        middle = (start + end) // 2
        return [replace(self, seconds=(start, middle)), replace(self, seconds=(middle, end))]

    def _bisect_region(self) -> list["_Slice"]:
        west, south, east, north = self.region.bounds
        if max(east - west, north - south) < _MIN_EDGE_DEG:
            return []
        lon, lat = (west + east) / 2, (south + north) / 2
        if east - west > north - south:
            boxes = shapely.box(west, south, lon, north), shapely.box(lon, south, east, north)
        else:
            boxes = shapely.box(west, south, east, lat), shapely.box(west, lat, east, north)
        parts = [_polygons(self.region.intersection(box)) for box in boxes]
        return [replace(self, region=part) for part in parts if not part.is_empty]

    def __str__(self) -> str:
        time = "any time" if self.seconds is None else " to ".join(_format_second(second) for second in self.seconds)
        return f"{time} in [{', '.join(f'{edge:.4f}' for edge in self.region.bounds)}]"


@dataclass(frozen=True, slots=True)
class _Page:
    """The one page of a slice; `truncated` if the slice may have more items."""

    part: _Slice
    items: list[dict[str, Any]]
    truncated: bool

    @classmethod
    def parse(cls, response: Any, part: _Slice, limit: int) -> "_Page":
        """Parse a response.

        Raises:
            KeyError, TypeError: it is not a FeatureCollection.
        """
        items = list(response["features"])
        matched = response.get("numberMatched", response.get("context", {}).get("matched"))
        has_next = any(link["rel"] == "next" for link in response.get("links", ()))
        return cls(part, items, has_next or len(items) >= limit or (matched is not None and matched > len(items)))


def _identity(feature: dict[str, Any]) -> tuple[str, str]:
    """Collection and id; of an invalid item without either, the digest of its content."""
    collection, id = feature.get("collection"), feature.get("id")
    return str(collection), str(id) if id else digest([feature])


_FetchPage = Callable[[_Slice, int], _Page]


def _fetch_all(fetch: _FetchPage, part: _Slice, limit: int) -> list[dict[str, Any]]:
    """All items of a slice, possibly with duplicates."""
    while True:
        pages = list(_bisect(fetch, part, limit))
        fullest = max(pages, key=lambda page: len(page.items))
        if not _is_truncated(fetch, fullest, limit):
            return [item for page in pages for item in page.items]
        limit = len(fullest.items)
        log.warning(
            "the STAC API truncates pages to %s without notice: searching smaller slices", plural(limit, "item")
        )


def _bisect(fetch: _FetchPage, part: _Slice, limit: int) -> Iterator[_Page]:
    """Complete pages of a slice, which is bisected as often as needed."""
    page = fetch(part, limit)
    if not page.truncated:
        yield page
        return
    halves = part.halves(page.items)
    if not halves:
        raise InputError(
            f"the STAC API returns only some of at least {plural(len(page.items), 'item')}", key="slice", value=part
        )
    for half in halves:
        yield from _bisect(fetch, half, limit)


def _is_truncated(fetch: _FetchPage, page: _Page, limit: int) -> bool:
    """Whether the halves of a page's slice have items that the page lacks."""
    known = {(item.get("collection"), item.get("id")) for item in page.items}
    return bool(page.items) and any(
        (item.get("collection"), item.get("id")) not in known
        for half in page.part.halves(page.items)
        for item in fetch(half, limit).items
    )


def _slices(query: Query) -> list[_Slice]:
    """The slices a query starts with: the polygons of its region in groups of a limited number of vertices."""
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
    return [_Slice(_limit_vertices(shapely.union_all(group)), seconds) for group in groups]


def _limit_vertices(region: BaseGeometry) -> BaseGeometry:
    """The region, or a simplified polygon that contains it if it has too many vertices for a request."""
    tolerance_deg = 0.002
    if shapely.get_num_coordinates(region) > EXACT_VERTICES:
        region = _polygons(enlarge(region, 2 * tolerance_deg).intersection(_EARTH))
    simplified = region
    while shapely.get_num_coordinates(simplified) > _MAX_VERTICES:
        # Buffered by twice what simplifying may cut off.
        simplified = _polygons(region.buffer(2 * tolerance_deg).simplify(tolerance_deg).intersection(_EARTH))
        tolerance_deg *= 2
    return simplified


def _polygons(geometry: BaseGeometry) -> BaseGeometry:
    """The polygons of a geometry, without the lines and points that cutting leaves."""
    return shapely.union_all([part for part in shapely.get_parts(geometry) if part.area > 0])


def _cloud_filter(max_pct: float) -> dict[str, Any]:
    """CQL2 filter: cloud cover at most `max_pct`, or unknown."""
    cover = {"property": "eo:cloud_cover"}
    return {"op": "or", "args": [{"op": "<=", "args": [cover, max_pct]}, {"op": "isNull", "args": [cover]}]}


def _search_methods(client: Client) -> set[str]:
    return {str(link.extra_fields.get("method", "GET")) for link in client.links if link.rel == "search"}


def _format_second(second: int) -> str:
    return dt.datetime.fromtimestamp(second, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
