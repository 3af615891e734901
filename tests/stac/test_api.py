"""A STAC API searched whole: against real pgstac, and against servers that refuse, cut and forget."""

import datetime as dt
import random
import time
from dataclasses import replace

import pytest
import shapely
import yaml
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import mapping, shape

from landmark.config.profiles import Provider
from landmark.config.recipe import load_recipe
from landmark.core.errors import EmptySearch, InputError
from landmark.core.yaml_files import load_model
from landmark.domain.taxonomy import Crosswalk
from landmark.stac import api, fetch
from landmark.stac.catalog import Query
from landmark.stac.open_catalog import open_catalog
from landmark.stac.search import search
from landmark.workflow.context import load_context
from tests.parts import examples
from tests.services import planet
from tests.services.client import once
from tests.services.keeper import free_ports
from tests.services.proxy import proxied
from tests.stac.items import PROVIDER, anywhere, items_of
from tests.stac.test_search import bare

WORLDCOVER = load_model(Crosswalk, "taxonomies", "worldcover")
YEAR = dt.datetime(2021, 1, 1, tzinfo=dt.UTC), dt.datetime(2022, 1, 1, tzinfo=dt.UTC)
ITALY, DATELINE = (
    shapely.box(8, 42, 14, 47),
    shapely.union_all([shapely.box(178, -20, 180, -15), shapely.box(-180, -20, -178, -15)]),
)
TRIANGLE = shapely.Polygon([(-20, -20), (40, 60), (80, -40)])


def drop(id, corner, moment, *, end=None, collection="drops", cloud=None):
    """An item of a tenth of a degree; with an end, one that lasts."""
    box = shapely.box(*corner, corner[0] + 0.1, corner[1] + 0.1)
    fields = {"datetime": moment.isoformat()}
    if end is not None:
        fields = {"datetime": None, "start_datetime": moment.isoformat(), "end_datetime": end.isoformat()}
    return {
        "type": "Feature", "stac_version": "1.0.0", "id": id, "collection": collection, "links": [], "assets": {},
        "bbox": list(box.bounds), "geometry": mapping(box),
        "properties": fields if cloud is None else {**fields, "eo:cloud_cover": cloud},
    }  # fmt: skip


def rain():
    """Items all over the Earth and the year, some of one moment, some that last, and a heap nobody can tell apart."""
    chance = random.Random(0)
    corners = [(chance.uniform(-179.9, 179.8), chance.uniform(-89, 88)) for _ in range(200)]
    corners += [(chance.uniform(8, 14), chance.uniform(42, 47)) for _ in range(100)]
    corners += [(chance.choice([-1, 1]) * chance.uniform(178, 179.9), chance.uniform(-20, -15)) for _ in range(40)]
    moments = [YEAR[0] + dt.timedelta(seconds=chance.randrange(365 * 86400)) for _ in corners]
    for number, (corner, moment) in enumerate(zip(corners, moments, strict=True)):
        # Every fifth shares one moment, every fifth lasts for months, every third says a share of cloud.
        when, end = (YEAR[0] + dt.timedelta(days=99), None) if number % 5 == 0 else (moment, None)
        if number % 5 == 1:
            end = moment + dt.timedelta(days=number)
        yield drop(f"drop-{number:03d}", corner, when, end=end, cloud=number % 100 if number % 3 == 0 else None)
    yield from (drop(f"heap-{number}", (11.0, 45.0), YEAR[0], collection="heap") for number in range(12))


RAIN = list(rain())
OF_RAIN = [
    {"type": "Collection", "stac_version": "1.0.0", "id": name, "description": name, "license": "CC0-1.0", "links": [],
     "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}}}
    for name in ("drops", "heap", "nothing")
]  # fmt: skip


@pytest.fixture(scope="module")
def rained(services, shared):
    """The API with the rain in it."""
    once(shared, "rain", lambda folder: services.publish(folder, OF_RAIN, RAIN))
    return services.api


def expected(query):
    """Ids of the rain that match a query, by looking at each drop."""
    result = []
    for item in RAIN:
        fields = item["properties"]
        start, end = (
            dt.datetime.fromisoformat(fields.get(key) or fields["datetime"])
            for key in ("start_datetime", "end_datetime")
        )
        meets = query.region is None or shape(item["geometry"]).intersects(query.region)
        within = query.interval is None or (start <= query.interval[1] and end >= query.interval[0])
        clear = query.max_cloud_pct is None or fields.get("eo:cloud_cover", 0) <= query.max_cloud_pct
        result += [item["id"]] if item["collection"] in query.collections and meets and within and clear else []
    return result


def ids(url, query, page_size=9):
    return [item.id for item in replace(open_catalog(url), page_size=page_size).items(query)]


def drops(**fields):
    return Query(frozenset({"drops"}), **fields)


SUMMER = dt.datetime(2021, 4, 10, tzinfo=dt.UTC), dt.datetime(2021, 9, 1, tzinfo=dt.UTC)
QUERIES = [
    ("everything", drops()),
    ("a year of the Earth", drops(interval=YEAR)),
    ("a box", drops(region=ITALY)),
    ("a box in summer", drops(region=ITALY, interval=SUMMER)),
    ("a triangle", drops(region=TRIANGLE, interval=YEAR)),
    ("both sides of the antimeridian", drops(region=DATELINE, interval=YEAR)),
    ("one moment", drops(interval=(SUMMER[0], SUMMER[0]))),
    ("little cloud", drops(region=TRIANGLE, max_cloud_pct=30)),
    ("a collection without items", Query(frozenset({"nothing"}))),
    ("where nothing is", drops(region=shapely.box(0, 89.5, 1, 89.9))),
]


@pytest.mark.parametrize("query", [pytest.param(query, id=name) for name, query in QUERIES])
def test_search_returns_each_matching_item_once(rained, query):
    assert ids(rained, query) == expected(query)


def test_missing_next_links_are_detected(rained):
    query = drops(region=ITALY, interval=YEAR)
    with proxied(rained) as server:
        server.spoil = lambda answer: (
            answer | {"links": [link for link in answer.get("links", []) if link["rel"] != "next"]}
        )
        assert ids(server.url, query) == expected(query)


@pytest.mark.long
@pytest.mark.parametrize("limit", [8, 3])
@pytest.mark.parametrize("query", [drops(region=ITALY, interval=YEAR), drops(region=TRIANGLE)], ids=["time", "ground"])
def test_silently_truncated_pages_are_detected(rained, query, limit, caplog):
    def cut(answer):
        if answer["type"] != "FeatureCollection":
            return answer
        return {"type": "FeatureCollection", "features": answer["features"][:limit], "links": []}

    with proxied(rained) as server:
        server.spoil = cut
        assert ids(server.url, query) == expected(query)
    assert [record.args for record in caplog.records if record.levelname == "WARNING"][-1] == (f"{limit} items",)


def test_inseparable_items_beyond_the_page_size_are_an_error(rained):
    heap = Query(frozenset({"heap"}), ITALY, YEAR)
    with pytest.raises(InputError) as caught:
        ids(rained, heap, page_size=5)
    assert caught.value.key == "slice" and caught.value.value.startswith("2021-01-01T00:00:0")
    assert len(ids(rained, heap, page_size=13)) == 12


def test_a_single_page_takes_three_requests(rained):
    with proxied(rained) as server:
        assert len(ids(server.url, drops(region=ITALY), page_size=250)) >= 100
        assert len(server.searched) == 3


# -- the server's moods ------------------------------------------------------------------------------------------------


def test_retry_after_is_respected(rained):
    free_at, refusals = [], []

    def busy():
        if not free_at:
            free_at.append(time.monotonic() + 0.9)  # less than it says: clocks are read at both ends
        if time.monotonic() >= free_at[0]:
            return None
        refusals.append(1)
        return 429, {"Retry-After": "1"}, b"{}"

    with proxied(rained) as server:
        server.refuse = busy
        assert ids(server.url, drops(region=ITALY)) == expected(drops(region=ITALY))
    assert len(refusals) == 1


@pytest.mark.parametrize("status", [429, 503])
def test_retries_are_limited(rained, status, monkeypatch):
    monkeypatch.setattr(fetch, "RETRY", fetch.RETRY.new(backoff_factor=0))
    with proxied(rained) as server:
        server.refuse = lambda: (status, {}, b"{}")
        with pytest.raises(InputError) as caught:
            ids(server.url, drops())
    assert caught.value.file == server.url and caught.value.remedy


@pytest.mark.parametrize(
    ("status", "body", "server_text"),
    [
        (400, b'{"code":"BadRequest","description":"limit must be even"}', "limit must be even"),
        (403, b"go away", "go away"),
        (200, b"<html>maintenance</html>", ""),
        (200, b'{"type":"FeatureCollection"}', "features"),
        (200, b"[]", ""),
    ],
)
def test_invalid_response_is_an_error(rained, status, body, server_text):
    with proxied(rained) as server:
        server.refuse = lambda: (status, {}, body)
        with pytest.raises(InputError) as caught:
            ids(server.url, drops())
    assert (caught.value.file, caught.value.exit_code) == (server.url, 2)
    assert server_text in caught.value.problem


def test_an_invalid_item_comes_with_an_error(rained):
    half = {"type": "Feature", "id": "half", "collection": "drops"}
    with proxied(rained) as server:
        server.spoil = lambda answer: answer | {"features": [half]}
        (item,) = open_catalog(server.url).items(drops())
    assert (item.id, item.collection_id, item.error.key) == ("half", "drops", "properties")


def test_unreachable_api_is_an_error():
    url = f"http://127.0.0.1:{free_ports(1)[0]}/stac"
    with pytest.raises(InputError) as caught:
        open_catalog(url)
    assert caught.value.file == url


def test_lost_api_is_an_error(rained):
    with proxied(rained) as server:
        document = open_catalog(server.url)
    with pytest.raises(InputError) as caught:
        list(document.items(drops()))
    assert caught.value.file == server.url


# -- the provider's archive --------------------------------------------------------------------------------------------


def open_archive(href):
    """A catalogue whose files are on the hosts of the provider."""
    return open_catalog(href, PROVIDER.host_rules)


def search_api(document, request, provider=PROVIDER):
    return search(document, request, provider=provider, crosswalks=(WORLDCOVER,))


@pytest.mark.parametrize("clouds", [100, 40])
def test_api_equals_static_catalogue(archive, world, recipe, clouds):
    request = load_recipe(str(recipe(clouds={"max_item_pct": clouds})))
    by_api, by_path = search_api(open_archive(archive.api), request), search_api(open_catalog(str(world)), request)
    assert [bare(acquisition) for acquisition in by_api.acquisitions] == [
        bare(acquisition) for acquisition in by_path.acquisitions
    ]
    assert [(acquisition.item_id, acquisition.edition) for acquisition in by_api.labels] == [
        (acquisition.item_id, acquisition.edition) for acquisition in by_path.labels
    ]


def test_cloud_cover_is_filtered_with_and_without_the_filter_extension(archive, recipe):
    request = load_recipe(str(recipe(clouds={"max_item_pct": 40})))
    with proxied(archive.api) as server:
        first = search_api(open_archive(server.url), request)
        assert sum("filter" in body for body in server.searched) > 0
        server.searched.clear()
        server.spoil = lambda answer: (
            answer | {"conformsTo": [name for name in answer.get("conformsTo", []) if "filter" not in name]}
        )
        second = search_api(open_archive(server.url), request)
        assert sum("filter" in body for body in server.searched) == 0 and server.searched
    assert first == second


def test_hrefs_are_absolute_and_unsigned(archive, recipe):
    document = open_archive(archive.api)
    for acquisition in search_api(document, load_recipe(str(recipe()))).acquisitions:
        for href in acquisition.items[0].assets.values():
            assert href.startswith("http://sentinel") and "?" not in href and document.absolute_href(href) == href


def test_empty_search_and_missing_collection_are_errors(archive, recipe):
    document = open_archive(archive.api)
    nowhere = load_recipe(str(recipe(region={"bbox": [-60, 0, -59, 1]})))
    with pytest.raises(EmptySearch) as caught:
        search_api(document, nowhere)
    assert caught.value.value == "sentinel-1-rtc" and caught.value.remedy
    lacking = PROVIDER.model_copy(update={"labels": {"worldcover": "elsewhere"}})
    with pytest.raises(EmptySearch) as caught:
        search_api(document, load_recipe(str(recipe())), lacking)
    assert caught.value.value == "elsewhere"


@pytest.fixture(scope="module")
def renamed(services, world, shared):
    """The world's items under a house's own collection names; they have no blobs."""
    names = {name: f"house-{number}" for number, name in enumerate(planet.PLACES)}

    def publish(folder):
        items = [item | {"collection": names[item["collection"]]} for item in planet.items(world)]
        services.publish(folder, [each | {"id": names[each["id"]]} for each in planet.collections(world)], items)

    once(shared, "renamed", publish)
    return names


def test_a_new_provider_is_a_yaml_file(archive, renamed, recipe, tmp_path, world):
    fields = PROVIDER.model_dump(mode="json") | {"name": "my-house", "title": "My house", "api": archive.api}
    for sensor in fields["sensors"].values():
        sensor["collection"] = renamed[sensor["collection"]]
    fields["labels"] = {"worldcover": renamed["esa-worldcover"]}
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(fields))
    request = load_recipe(str(recipe(provider="my.yaml", catalog=None)))
    context = load_context(request, None)
    assert context.catalog.href == archive.api and context.provider.title == "My house"
    first = search_api(context.catalog, request, context.provider)
    second = search_api(open_catalog(str(world)), request)
    assert [bare(each) for each in first.acquisitions] == [bare(each) for each in second.acquisitions]
    assert [each.item_id for each in first.labels] == [each.item_id for each in second.labels]


def test_missing_catalogue_is_an_error(recipe, tmp_path):
    fields = PROVIDER.model_dump(mode="json") | {"api": None}
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(fields))
    with pytest.raises(InputError) as caught:
        load_context(load_recipe(str(recipe(provider="my.yaml", catalog=None))), None)
    assert (caught.value.file, caught.value.key) == ("tiny", "catalog")


def test_earth_search_has_no_terrain_corrected_radar(world):
    provider = load_model(Provider, "profiles/providers", "earth-search")
    with pytest.raises(InputError) as caught:
        search_api(open_catalog(str(world)), anywhere("s1"), provider)
    assert (caught.value.key, caught.value.value) == ("sensors", "s1")
    assert provider.signing == "none" and provider.sensors["s2"].offset == "declared"


# -- the region --------------------------------------------------------------------------------------------------------


@given(st.integers(3, 3000), st.floats(0.01, 60), st.floats(-179, 179), st.floats(-85, 85), st.integers(0, 9))
@examples(60)
def test_long_outline_is_simplified_outwards(corners, radius_deg, lon, lat, seed):
    chance = random.Random(seed)
    centre = shapely.Point(lon, lat)
    spokes = [centre.buffer(radius_deg * chance.uniform(0.3, 1), quad_segs=1) for _ in range(3)]
    star = shapely.union_all([shapely.segmentize(acquisition, radius_deg / corners * 6) for acquisition in spokes])
    region = star.intersection(shapely.box(-180, -90, 180, 90))
    simplified = api._limit_vertices(region)
    assert shapely.get_num_coordinates(simplified) <= 400
    assert simplified.buffer(1e-9).covers(region)
    assert shapely.box(-180, -90, 180, 90).covers(simplified)


@pytest.mark.parametrize("count", [10, 81, 300])
def test_region_of_many_boxes_is_split_into_groups(count):
    chance = random.Random(count)
    corners = [(chance.uniform(-10, 30), chance.uniform(36, 60)) for _ in range(count)]
    region = shapely.union_all([shapely.box(lon, lat, lon + 0.1, lat + 0.1) for lon, lat in corners])
    parts = [part.region for part in api._slices(drops(region=region))]
    assert all(shapely.get_num_coordinates(part) <= 400 for part in parts)
    assert shapely.union_all(parts).buffer(1e-9).covers(region)
    assert sum(part.area for part in parts) == pytest.approx(region.area)


def test_world_has_the_expected_items(world):
    assert {item["collection"] for item in planet.items(world)} == {*planet.PLACES}
    assert len(items_of(world, "sentinel-2-l2a")) == 37
