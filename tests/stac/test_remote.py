"""Remote catalogues lead to allowed hosts only, and never to files on this machine; local ones lead anywhere."""

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from landmark.config.profiles import Mirror, Provider
from landmark.core.errors import EmptySearch, InputError
from landmark.core.hosts import HostRules
from landmark.stac.asset_bands import shipped_providers
from landmark.stac.catalog import Catalog, Query
from landmark.stac.documents import InvalidItem
from landmark.stac.open_catalog import open_catalog
from landmark.stac.search import SearchResult, search
from tests.parts import raises
from tests.services.served import Answer, served
from tests.stac.items import PROVIDER, Json, anywhere, items_of

OPTICAL = "sentinel-2-l2a"
_SPEC = "https://api.stacspec.org/v1.0.0"
BLOBS = "https://sentinel2l2a01.blob.core.windows.net/sentinel2-l2/"


@dataclass
class Site:
    """A server of documents by path, and a server on another host that nobody may ask."""

    documents: dict[str, Any] = field(default_factory=dict)
    requested: list[str] = field(default_factory=list)
    url: str = ""
    elsewhere: str = ""

    def answer(self, method: str, path: str, body: bytes) -> Answer:
        document = self.documents.get(path.partition("?")[0])
        if isinstance(document, str):
            return 302, {"Location": document}, b""
        return (404, {}, b"") if document is None else (200, {}, json.dumps(document).encode())

    def note(self, method: str, path: str, body: bytes) -> Answer:
        self.requested.append(path)
        return 200, {}, json.dumps(catalog([])).encode()


@pytest.fixture
def site() -> Iterator[Site]:
    state = Site()
    with served(state.answer) as state.url, served(state.note, "127.0.0.2") as state.elsewhere:
        yield state


@pytest.fixture(scope="module")
def items(world: Path) -> list[Json]:
    """Two images whose files are at the provider."""
    result = copy.deepcopy(items_of(world, OPTICAL)[:2])
    for item in result:
        for key, asset in item["assets"].items():
            asset["href"] = f"{BLOBS}{item['id']}/{key}.tif"
    return result


def catalog(links: list[Json], id: str = "root") -> Json:
    return {"type": "Catalog", "stac_version": "1.0.0", "id": id, "description": "-", "links": links}


def collection(features: list[Json]) -> Json:
    return {"type": "FeatureCollection", "features": features}


def with_href(items: list[Json], href: str) -> list[Json]:
    """The items; a band of the first one is at an href."""
    hostile = copy.deepcopy(items[0])
    hostile["assets"]["B04"]["href"] = href
    return [hostile, *items[1:]]


def find(catalog: Catalog, provider: Provider = PROVIDER, max_pct: float = 100) -> SearchResult:
    recipe = anywhere("s2", catalog_errors={"max_pct": max_pct})
    return search(catalog, recipe, provider=provider, crosswalks=())


HOSTILE = [
    "file:///etc/hostname", "/etc/hostname", "../../../../etc/hostname.vrt", "/vsicurl/http://127.0.0.2/a.tif",
    "/vsizip//etc/a.zip/a.tif", "/vsimem/a", "http://127.0.0.2/a.tif", "https://user:word@127.0.0.1/a.tif",
    "http://2130706433/a.tif", "http://0x7f.1/a.tif", "http://localhost/a.tif", "http://169.254.169.254/latest/",
    "https://sentinel2l2a01.blob.core.windows.net.evil.org/a.tif", "https://other.blob.core.windows.net/a/a.tif",
    "https://evil.org\\@sentinel2l2a01.blob.core.windows.net/a.tif", "s3://other/a.tif", "gs://other/a.tif",
    "az://other/a.tif", "zip+file:///etc/a.zip!a.tif", "ftp://127.0.0.1/a.tif", "NETCDF:/etc/a.nc:b",
    "https://\u0455entinel2l2a01.blob.core.windows.net/a.tif", "https://xn--entinel2l2a01-nwi.blob.core.windows.net/a",
]  # fmt: skip


@pytest.mark.parametrize("href", HOSTILE)
def test_an_item_that_names_another_place_is_refused_and_leaves_nothing(
    site: Site, items: list[Json], href: str
) -> None:
    hostile = with_href(items, href)
    hostile[0]["links"] = [{"rel": "self", "href": "/etc/item.json"}]  # that relative hrefs would start at
    site.documents["/items.json"] = collection(hostile)
    result = find(open_catalog(f"{site.url}/items.json", PROVIDER.host_rules))
    refused = [(record.id, record.stage, record.reason) for record in result.refused]
    assert refused == [(items[0]["id"], "stac", "item_invalid")]
    assert [image.items[0].id for image in result.acquisitions] == [items[1]["id"]]
    assert not any(part in record.detail for record in result.refused for part in (href, "evil", "/", "127"))
    with raises(InputError, key="catalog_errors.max_pct"):
        find(open_catalog(f"{site.url}/items.json", PROVIDER.host_rules), max_pct=0)


def test_the_error_names_host_item_and_key(site: Site, items: list[Json]) -> None:
    site.documents["/items.json"] = collection(with_href(items, "https://new.example.org/a.tif"))
    with pytest.raises(InputError) as caught:
        find(open_catalog(f"{site.url}/items.json", PROVIDER.host_rules), max_pct=0)
    _, example = caught.value.problems
    assert (example.key, example.value) == ("hosts", "new.example.org") and items[0]["id"] in str(example.file)
    assert "`hosts`" in str(example.remedy)


def test_a_profile_allows_more_hosts(site: Site, items: list[Json]) -> None:
    site.documents["/items.json"] = collection(with_href(items, "https://new.example.org/a.tif"))
    provider = PROVIDER.model_copy(update={"hosts": (*PROVIDER.hosts, "*.example.org")})
    assert find(open_catalog(f"{site.url}/items.json", provider.host_rules), provider).refused == []


def test_a_catalogue_on_this_machine_names_any_place(tmp_path: Path, items: list[Json]) -> None:
    for href in ("file:///data/a.tif", "/data/a.tif", "a.tif", "http://10.0.0.1/a.tif", "s3://any/a.tif"):
        (tmp_path / "items.json").write_text(json.dumps(collection(with_href(items, href))))
        assert find(open_catalog(str(tmp_path / "items.json"), PROVIDER.host_rules)).refused == []
    for href in ("/vsicurl/http://10.0.0.1/a.tif", "file:///vsizip/a.zip/a.tif", "zip+file:///a.zip!a.tif"):
        (tmp_path / "items.json").write_text(json.dumps(collection(with_href(items, href))))
        assert len(find(open_catalog(str(tmp_path / "items.json"), PROVIDER.host_rules)).refused) == 1


@pytest.mark.parametrize("folder", [None, "mirror"])
def test_only_a_mirror_leads_a_remote_item_to_this_machine(
    site: Site, items: list[Json], tmp_path: Path, folder: str | None
) -> None:
    mirror = Mirror(pattern="https?://[^/]*/", to=f"{tmp_path / folder}/" if folder else "./")
    provider = PROVIDER.model_copy(update={"mirror": mirror})
    for href, allowed in (
        (f"{BLOBS}a.tif", True),
        (f"{BLOBS}../../../etc/a.tif", folder is None),
        ("file:///etc/hostname", False),
    ):
        site.documents["/items.json"] = collection(with_href(items, href))
        result = find(open_catalog(f"{site.url}/items.json", provider.host_rules), provider)
        assert (result.refused == []) == allowed


# -- Links -------------------------------------------------------------------------------------------------------------


def links_to(rel: str, href: str) -> list[Json]:
    return [{"rel": "root", "href": "file:///etc/root.json"}, {"rel": "self", "href": "/etc/self.json"},
            {"rel": rel, "href": href}]  # fmt: skip


def anything(catalog: Catalog) -> list[object]:
    return list(catalog.items(Query(frozenset({OPTICAL}))))


@pytest.mark.parametrize("rel", ["child", "item"])
@pytest.mark.parametrize("place", ["file", "path", "host", "redirect", "redirect to a file"])
def test_links_of_a_remote_catalogue_lead_to_allowed_hosts_only(
    site: Site, tmp_path: Path, items: list[Json], rel: str, place: str
) -> None:
    local = tmp_path / "local.json"
    local.write_text(json.dumps(items[0] if rel == "item" else catalog([{"rel": "item", "href": "item.json"}])))
    site.documents["/moved"] = f"{site.elsewhere}/a.json" if place == "redirect" else f"file://{local}"
    href = {"file": f"file://{local}", "path": str(local), "host": f"{site.elsewhere}/a.json"}.get(place, "moved")
    site.documents["/catalog.json"] = catalog(links_to(rel, href))
    remote = open_catalog(f"{site.url}/catalog.json", PROVIDER.host_rules)
    if rel == "item":
        assert [type(item) for item in anything(remote)] == [InvalidItem]
    else:
        with pytest.raises(InputError) as caught:
            anything(remote)
        assert f"{site.url}/catalog.json" in str(caught.value.file)
    assert site.requested == []


def test_links_start_where_a_document_was_read(site: Site, items: list[Json]) -> None:
    site.documents |= {"/catalog.json": catalog(links_to("child", "b/c.json")), "/b/i.json": items[0]}
    site.documents["/b/c.json"] = catalog(links_to("item", "i.json"), "child")
    (item,) = open_catalog(f"{site.url}/catalog.json").items(Query(frozenset({OPTICAL})))
    assert item.id == items[0]["id"]


def test_remote_documents_linked_from_local_documents_are_untrusted(
    site: Site, tmp_path: Path, items: list[Json]
) -> None:
    site.documents |= {f"/{n}.json": with_href(items, href)[0] for n, href in enumerate(HOSTILE[5:12])}
    site.documents["/7.json"] = with_href(items, "B04.tif")[0]
    links = [{"rel": "item", "href": f"{site.url}/{number}.json"} for number in range(8)]
    (tmp_path / "catalog.json").write_text(json.dumps(catalog(links)))
    with raises(EmptySearch):
        find(open_catalog(str(tmp_path), HostRules()))
    result = find(open_catalog(str(tmp_path), PROVIDER.host_rules))
    assert [image.items[0].assets["B04"] for image in result.acquisitions] == [f"{site.url}/B04.tif"]
    site.documents["/child.json"] = catalog(links_to("child", str(tmp_path / "catalog.json")))
    links = [{"rel": "child", "href": f"{site.url}/child.json"}]
    (tmp_path / "top.json").write_text(json.dumps(catalog(links)))
    with raises(InputError):
        anything(open_catalog(str(tmp_path / "top.json"), PROVIDER.host_rules))


@pytest.mark.parametrize("location", [lambda site: f"{site.elsewhere}/a.json", lambda site: "file:///etc/hostname"])
def test_a_catalogue_that_redirects_elsewhere_is_refused(site: Site, location: Callable[[Site], str]) -> None:
    site.documents["/catalog.json"] = location(site)
    with pytest.raises(InputError) as caught:
        open_catalog(f"{site.url}/catalog.json", PROVIDER.host_rules)
    assert caught.value.file == f"{site.url}/catalog.json" and site.requested == []


@pytest.mark.parametrize("place", ["file", "path", "host", "redirect"])
@pytest.mark.parametrize("rel", ["search", "data"])
def test_links_of_an_api_lead_to_allowed_hosts_only(site: Site, tmp_path: Path, rel: str, place: str) -> None:
    (tmp_path / "a.json").write_text(json.dumps(collection([])))
    local = {"file": f"file://{tmp_path}/a.json", "path": f"{tmp_path}/a.json"}
    site.documents["/moved"] = f"{site.elsewhere}/a"
    href = local.get(place) or (f"{site.elsewhere}/a" if place == "host" else f"{site.url}/moved")
    search_link = {"rel": "search", "href": href if rel == "search" else f"{site.url}/search"}
    links = [search_link | {"type": "application/geo+json"}, {"rel": "data", "href": href}]
    site.documents["/"] = catalog(links) | {
        "conformsTo": [f"{_SPEC}/{name}" for name in ("core", "collections", "item-search")]
    }
    api = open_catalog(f"{site.url}/", PROVIDER.host_rules)
    try:
        answer = api.has_collection(OPTICAL) if rel == "data" else anything(api)
        result = "nothing" if not answer else "something"
    except InputError:
        result = "refused"
    # A path is one on the API's own host; its client takes a refused answer for none.
    assert result == "refused" or (result == "nothing" and place in ("path", "redirect"))
    assert site.requested == []


def test_a_catalogue_at_a_private_address_in_another_spelling_needs_the_option(site: Site) -> None:
    site.documents["/catalog.json"] = catalog([])
    for host in ("2130706433", "0x7f.1", "0177.0.0.1"):
        url = f"{site.url.replace('127.0.0.1', host)}/catalog.json"
        with pytest.raises(InputError) as caught:
            open_catalog(url, PROVIDER.host_rules)
        assert (caught.value.file, caught.value.key, caught.value.value) == (url, "hosts", host)
        assert "--allow-private" in str(caught.value.remedy)


def test_hosts_of_real_archives_are_allowed(real: Path) -> None:
    """Of the recorded answers of the Planetary Computer and Earth Search."""
    checked = 0
    for provider in (provider for provider in shipped_providers() if provider.api and provider.mirror is None):
        rules = provider.host_rules.for_document(str(provider.api))
        keys = {key for imagery in provider.sensors.values() for names in imagery.assets.values() for key in names}
        for item in _recorded_items(real):
            if str(provider.api) in json.dumps(item.get("links")):
                for href in [asset["href"] for key, asset in item["assets"].items() if key in keys]:
                    rules.check_href(href)
                    checked += 1
    assert checked > 20


def _recorded_items(real: Path) -> Iterator[Json]:
    for path in (real / "stac").rglob("*.json"):
        document = json.loads(path.read_text())
        if (isinstance(document, dict) and "features" in document) or "assets" in document:
            yield from document.get("features", [document])
