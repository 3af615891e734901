import datetime as dt
import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import mapping, shape

from landmark.config.profiles import Mirror
from landmark.config.recipe import load_recipe
from landmark.core.errors import EmptySearch, InputError
from landmark.core.yaml_files import load_model
from landmark.domain.taxonomy import Crosswalk
from landmark.stac.catalog import Query
from landmark.stac.open_catalog import open_catalog
from landmark.stac.search import merge
from tests.parts import examples, recipe_of
from tests.stac.items import PROVIDER, anywhere, changed, collected, found_in, items_of

WORLDCOVER = load_model(Crosswalk, "taxonomies", "worldcover")
S2, S1 = "sentinel-2-l2a", "sentinel-1-rtc"


def bare(one):
    """An acquisition without its hrefs, to compare one that was found by two ways."""
    return replace(one, items=tuple(replace(item, assets={}, digest="") for item in one.items))


def read(asked, href):
    return found_in(href, load_recipe(str(asked())), crosswalks=(WORLDCOVER,))


# -- the documents -----------------------------------------------------------------------------------------------------


def test_a_folder_means_the_catalogue_in_it(world, recipe):
    assert read(recipe, world) == read(recipe, world / "catalog.json")


def test_a_collection_is_read_by_file_and_by_folder(world):
    by_file = found_in(world / S2 / "collection.json", anywhere("s2"))
    assert by_file == found_in(world / S2, anywhere("s2")) and len(by_file.acquisitions) == 37


def test_an_item_collection_holds_what_the_catalogue_holds(world, recipe, tmp_path):
    every = [item for name in (S1, S2, "esa-worldcover") for item in items_of(world, name)]
    one, other = read(recipe, world), read(recipe, collected(tmp_path, every))
    assert [bare(each) for each in one.acquisitions] == [bare(each) for each in other.acquisitions]
    assert [each.edition for each in one.labels] == [each.edition for each in other.labels]
    assert [each.href for each in one.labels] == [each.href for each in other.labels]


def test_a_single_item_is_a_catalogue_of_one(world):
    path = next(iter(sorted((world / S2).glob("*/*.json"))))
    (one,) = found_in(path, anywhere("s2")).acquisitions
    assert [item.id for item in one.items] == [path.stem]
    assert (path.parent / one.items[0].assets["B02"]).is_file()


def test_collections_nobody_asked_for_are_not_read(world, tmp_path):
    every = [{**item, "assets": {}} for item in items_of(world, S1)] + items_of(world, S2)
    assert {one.sensor for one in found_in(collected(tmp_path, every), anywhere("s2")).acquisitions} == {"s2"}


def test_hrefs_under_the_root_are_relative_to_it_and_lie_there(world, recipe):
    document = open_catalog(str(world))
    for one in read(recipe, world).acquisitions:
        for href in one.items[0].assets.values():
            assert not href.startswith(("/", ".")) and Path(document.root + href).is_file()


def test_relative_hrefs_of_an_item_collection_start_at_its_own_folder(world, tmp_path):
    items = items_of(world, S2)[:2]
    for item in items:
        for asset in item["assets"].values():
            asset["href"] = os.path.relpath(asset["href"], tmp_path / "deep")
    for one in found_in(collected(tmp_path / "deep", items), anywhere("s2")).acquisitions:
        for href in one.items[0].assets.values():
            assert not href.startswith("/") and (tmp_path / "deep" / href).is_file()


def test_hrefs_outside_the_root_are_recorded_from_it_and_name_no_place_of_this_machine(world, tmp_path):
    items = items_of(world, S2)[:1]
    (one,) = found_in(collected(tmp_path, items), anywhere("s2")).acquisitions
    assert one.items[0].assets["B02"] == os.path.relpath(items[0]["assets"]["B02"]["href"], tmp_path)


def test_no_signed_query_is_kept(world, recipe, tmp_path):
    every = [item for name in (S1, S2, "esa-worldcover") for item in items_of(world, name)]
    for item in every:
        for asset in item["assets"].values():
            asset["href"] = f"https://account.blob.core.windows.net/c{asset['href']}?se=2026-11-05&sig=c2VjcmV0"
    found = read(recipe, collected(tmp_path, every))
    assert len(found.acquisitions) > 40 and found.labels
    assert "sig=" not in repr(found) and "?" not in repr(found)


def test_the_order_of_a_document_does_not_matter(world, recipe, tmp_path):
    every = [item for name in (S1, S2, "esa-worldcover") for item in items_of(world, name)]
    one, other = collected(tmp_path, every), collected(tmp_path, every[::-1], "reversed.json")
    assert read(recipe, one) == read(recipe, other)


# -- what is taken -----------------------------------------------------------------------------------------------------


def test_only_items_that_meet_the_region_are_taken(world, recipe):
    asked = load_recipe(str(recipe(region={"bbox": [20.8, -34.1, 21.2, -33.7]})))
    found = found_in(world, asked, crosswalks=(WORLDCOVER,))
    assert {one.epsg for one in found.acquisitions} == {32734}
    assert [raster.item_id for raster in found.labels] == ["ESA_WorldCover_10m_2021_v200_S36E021"]


@pytest.mark.parametrize(
    ("start", "end", "count"),
    [
        ("2021-06-12", "2021-06-12", 2),
        ("2021-06-13", "2021-06-13", 0),
        ("2021-06-11", "2021-06-14", 4),
        ("2021-06-12", "2021-06-14", 4),
        ("2021-06-01", "2022-05-31", 25),
        ("2021-06-01", "2022-12-31", 37),
    ],
)
def test_both_ends_of_the_time_belong_to_it(world, start, end, count):
    asked = anywhere("s2", time={"start": start, "end": end})
    if count == 0:
        with pytest.raises(EmptySearch):
            found_in(world, asked)
    else:
        assert len(found_in(world, asked).acquisitions) == count


def test_items_with_more_cloud_than_the_limit_are_left_out(world):
    clouds = {item["id"]: item["properties"]["eo:cloud_cover"] for item in items_of(world, S2)}
    limit = sorted(clouds.values())[10]
    found = found_in(world, anywhere("s2", clouds={"max_item_pct": limit})).acquisitions
    assert {one.items[0].id for one in found} == {id for id, cloud in clouds.items() if cloud <= limit}


def test_an_item_that_lacks_a_band_is_left_out_and_one_that_lacks_the_mask_is_not(world, tmp_path):
    one, other, *_ = items_of(world, S2)
    del one["assets"]["B11"], other["assets"]["SCL"]
    found = found_in(collected(tmp_path, [one, other]), anywhere("s2"))
    (taken,) = found.acquisitions
    assert taken.items[0].id == other["id"] and "SCL" not in taken.items[0].assets
    assert [(lost.id, lost.reason, lost.detail) for lost in found.refused] == [(one["id"], "band_missing", "no B11")]


def test_what_an_item_says_is_what_the_acquisition_says(world):
    by_id = {item["id"]: item for item in items_of(world, S2)}
    for one in found_in(world, anywhere("s2")).acquisitions:
        item = by_id[one.items[0].id]
        said, grid = item["properties"], item["assets"]["B02"]["proj:transform"]
        assert one.datetime.isoformat() == said["datetime"][:19] + "+00:00"
        assert (one.epsg, one.tile, one.baseline) == (
            said["proj:epsg"], said["s2:mgrs_tile"].lower(), said["s2:processing_baseline"]
        )  # fmt: skip
        assert (one.relative_orbit, one.orbit_direction) == (said["sat:relative_orbit"], said["sat:orbit_state"])
        assert (one.cloud_pct, one.platform) == (said["eo:cloud_cover"], said["platform"].lower())
        assert (one.origin, one.size_px, one.pixel_m) == ((grid[2], grid[5]), (366, 366), 10)
        assert one.footprint.equals(shape(item["geometry"]))
        assert set(one.items[0].assets) == set(PROVIDER.sensors["s2"].assets)


def test_labels_carry_their_edition_and_interval(world, recipe):
    for raster in read(recipe, world).labels:
        assert (raster.edition.name, raster.edition.version) == ("worldcover", "2.0.0")
        assert raster.edition.start == dt.datetime(2021, 1, 1, tzinfo=dt.UTC)
        assert raster.edition.end == dt.datetime(2021, 12, 31, 23, 59, 59, tzinfo=dt.UTC)
        assert raster.href == str(world / raster.recorded_href) and Path(raster.href).is_file()


# -- one acquisition, several items ------------------------------------------------------------------------------------


def halves(item, at=0.5, overlap=0.05):
    """A left and a right part of an item's footprint, with a little ground in common."""
    west, south, east, north = shape(item["geometry"]).bounds
    middle, shared = west + at * (east - west), overlap * (east - west)
    boxes = shapely.box(west, south, middle + shared, north), shapely.box(middle - shared, south, east, north)
    return [mapping(shape(item["geometry"]).intersection(box)) for box in boxes]


def product(item, made, baseline="03.01"):
    """A product of the item's datatake and tile, made at another time."""
    id = re.sub(r"_\d{8}T\d{6}$", f"_{made}", item["id"])
    said = item["properties"]
    return changed(
        item, id=id, s2__processing_baseline=baseline, s2__datatake_id=said["s2:datatake_id"][:-5] + baseline
    )


def one_of(tmp_path, items):
    (one,) = found_in(collected(tmp_path, items), anywhere("s2")).acquisitions
    return one


def test_an_item_that_comes_twice_counts_once(world, tmp_path):
    item = items_of(world, S2)[0]
    assert one_of(tmp_path, [item, item, item]) == one_of(tmp_path, [item])


def test_of_two_products_the_newer_baseline_wins_whenever_it_was_made(world, tmp_path):
    item = items_of(world, S2)[0]
    old, new = product(item, "20230101T000000", "03.01"), product(item, "20220101T000000", "05.00")
    for order in ([old, new], [new, old]):
        one = one_of(tmp_path, order)
        assert [part.id for part in one.items] == [new["id"]]
        assert (one.baseline, one.offset_dn, one.offset_rule) == ("05.00", 1000, "baseline 05.00: 1000")


def test_baselines_are_numbers_and_not_text(world, tmp_path):
    item = items_of(world, S2)[0]
    old, new = product(item, "20230101T000000", "9.00"), product(item, "20220101T000000", "10.00")
    assert one_of(tmp_path, [old, new]).baseline == "10.00"


def test_of_two_products_of_one_baseline_the_later_made_wins(world, tmp_path):
    item = items_of(world, S2)[0]
    one = one_of(tmp_path, [product(item, "20220201T000000"), product(item, "20220101T000000")])
    assert [part.id[-15:] for part in one.items] == ["20220201T000000"]


def split(item):
    left, right = halves(item)
    return [
        product(changed(item, geometry=left, eo__cloud_cover=10), "20220101T000000"),
        product(changed(item, geometry=right, eo__cloud_cover=30), "20220101T000007"),
    ]


def test_halves_of_a_granule_are_one_acquisition_of_two_items(world, tmp_path):
    item = items_of(world, S2)[0]
    for parts in (split(item), split(item)[::-1], [*split(item), *split(item)]):
        one = one_of(tmp_path, parts)
        assert [part.id[-15:] for part in one.items] == ["20220101T000000", "20220101T000007"]
        assert one.cloud_pct == 30
        assert one.footprint.symmetric_difference(shape(item["geometry"])).area < 1e-9


def test_a_newer_product_replaces_both_halves(world, tmp_path):
    item = items_of(world, S2)[0]
    whole = product(item, "20240101T000000", "05.10")
    assert [part.id for part in one_of(tmp_path, [*split(item), whole]).items] == [whole["id"]]


def test_the_same_moment_over_another_tile_is_another_acquisition(world):
    found = found_in(world, anywhere("s2", time={"start": "2021-06-12", "end": "2021-06-12"})).acquisitions
    assert len({one.datetime for one in found}) == 1 and len({one.id for one in found}) == 2


@given(st.permutations(range(7)))
@examples(30)
def test_merging_does_not_depend_on_the_order(world, order):
    item, other = items_of(world, S2)[:2]
    parts = [*split(item), *split(other), product(item, "20210101T000000", "02.14"), other, other]
    document = collected(world.parent / "merging", parts)
    found = [bare(each) for each in every_acquisition(document)]
    assert merge([found[place] for place in order]) == merge(found)


def every_acquisition(path):
    from landmark.config.profiles import load_sensor
    from landmark.stac.item import acquisition

    document = open_catalog(str(path))
    said = {"sensor": load_sensor("s2"), "imagery": PROVIDER.sensors["s2"]}
    return [acquisition(item, document, **said) for item in document.items(Query(frozenset({S2})))]


# -- refusals ----------------------------------------------------------------------------------------------------------

BAD = [
    ("malformed JSON", '{"type": "Catalog",', "not JSON"),
    ("nothing", "", "not JSON"),
    ("a list", "[]", "not a STAC"),
    ("a number", "3", "not a STAC"),
    ("a GeoJSON polygon", '{"type": "Polygon", "coordinates": []}', "not a STAC"),
    ("no type", '{"features": []}', "not a STAC"),
]


@pytest.mark.parametrize(("content", "words"), [pytest.param(*row, id=name) for name, *row in BAD])
def test_what_is_no_stac_document_is_refused_with_its_path(tmp_path, content, words):
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(InputError) as caught:
        open_catalog(str(path))
    assert str(path) in str(caught.value) and words in str(caught.value)


def test_a_file_that_is_not_text_is_refused_with_its_path(tmp_path):
    (tmp_path / "a.json").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(InputError, match=re.escape(str(tmp_path / "a.json"))):
        open_catalog(str(tmp_path / "a.json"))


@pytest.mark.parametrize(("name", "words"), [("gone.json", "no such file"), ("", "neither catalog.json nor")])
def test_a_missing_document_is_refused_with_its_path(tmp_path, name, words):
    with pytest.raises(InputError) as caught:
        open_catalog(str(tmp_path / name))
    assert str(tmp_path / name) in str(caught.value) and words in str(caught.value)


def catalogue(tmp_path, *links):
    path = tmp_path / "catalog.json"
    said = {"type": "Catalog", "stac_version": "1.0.0", "id": "c", "description": "c"}
    path.write_text(json.dumps({**said, "links": [{"rel": "item", "href": href} for href in links]}))
    return path


@pytest.mark.parametrize("content", [None, "{", "[]", '{"type": "Feature"}', '{"type": "Nonsense"}'])
def test_a_linked_document_that_cannot_be_read_is_refused_with_the_path(tmp_path, content):
    path = catalogue(tmp_path, "./item.json")
    if content is not None:
        (tmp_path / "item.json").write_text(content)
    with pytest.raises(InputError, match=re.escape(str(path))):
        found_in(path, anywhere("s2"))


@pytest.mark.parametrize("features", [None, 3, [{"type": "Feature"}], [3]])
def test_a_broken_item_collection_is_refused_with_the_path(tmp_path, features):
    path = tmp_path / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    with pytest.raises(InputError, match=re.escape(str(path))):
        found_in(path, anywhere("s2"))


SPOILT = [
    ("no geometry", {"geometry": None}, {}),
    ("no projection", {}, {"proj__epsg": None}),
    ("a projection in words", {}, {"proj__epsg": None, "proj__code": "IAU_2015:30100"}),
    ("a baseline in words", {}, {"s2__processing_baseline": "unknown"}),
]


@pytest.mark.parametrize(("fields", "said"), [pytest.param(*row, id=name) for name, *row in SPOILT])
def test_an_item_that_cannot_be_understood_is_refused_by_name(world, tmp_path, fields, said):
    item = changed(items_of(world, S2)[0], **said) | fields
    with pytest.raises(InputError, match=item["id"]):
        found_in(collected(tmp_path, [item]), anywhere("s2"))


def test_an_image_that_no_grid_places_is_left_out_unless_its_header_may_be_asked(world, tmp_path):
    item, whole, *_ = items_of(world, S2)
    for asset in item["assets"].values():
        asset.pop("proj:transform", None)
    found = found_in(collected(tmp_path, [item, whole]), anywhere("s2"))
    assert [(one.id, one.reason) for one in found.refused] == [(item["id"], "not_geocoded")]
    imagery = PROVIDER.sensors["s2"].model_copy(update={"header": "probe"})
    asking = PROVIDER.model_copy(update={"sensors": {"s2": imagery}})
    found = found_in(collected(tmp_path, [item, whole]), anywhere("s2"), provider=asking)
    assert sorted(one.pixel_m for one in found.acquisitions) == [0, 10] and not found.refused


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"region": {"bbox": [-60, 0, -59, 1]}}, "no s1 item"),
        ({"time": {"start": "2001-01-01", "end": "2001-12-31"}}, "2001-01-01 to 2001-12-31"),
        ({"sensors": ["s2"], "clouds": {"max_item_pct": 0}}, "at most 0 % cloud"),
    ],
)
def test_an_empty_search_says_where_what_and_what_to_widen(world, recipe, change, words):
    with pytest.raises(EmptySearch) as caught:
        found_in(world, load_recipe(str(recipe(**change))), crosswalks=(WORLDCOVER,))
    assert str(world / "catalog.json") in str(caught.value)
    assert words in str(caught.value) and "widen" in str(caught.value)


def test_a_label_source_with_no_item_in_the_region_is_refused_by_name(world, tmp_path):
    path = collected(tmp_path, items_of(world, S2))
    with pytest.raises(EmptySearch, match=r"no item of collection 'esa-worldcover'"):
        found_in(path, anywhere("s2"), crosswalks=(WORLDCOVER,))


def test_a_label_source_or_sensor_the_provider_lacks_is_refused_with_the_known_ones(world):
    other = WORLDCOVER.model_copy(update={"name": "corine"})
    with pytest.raises(InputError, match=r"publishes no 'corine'; it publishes worldcover"):
        found_in(world, anywhere("s2"), crosswalks=(other,))
    radarless = PROVIDER.model_copy(update={"sensors": {"s2": PROVIDER.sensors["s2"]}})
    with pytest.raises(InputError, match=r"has no sensor s1; it has s2"):
        found_in(world, recipe_of(), provider=radarless)


def test_a_label_item_without_its_raster_is_refused_by_name(world, tmp_path):
    (label, *_) = items_of(world, "esa-worldcover")
    label["assets"] = {}
    path = collected(tmp_path, [*items_of(world, S2), label])
    with pytest.raises(InputError, match=rf"{label['id']}: has no asset 'map'"):
        found_in(path, anywhere("s2"), crosswalks=(WORLDCOVER,))


# -- items as archives really write them -------------------------------------------------------------------------------


def test_a_saved_search_lies_where_it_was_read(world, tmp_path):
    elsewhere = [{"rel": "self", "href": "https://stac.example.org/items/one"}]
    items = [item | {"links": elsewhere} for item in items_of(world, S2)]
    provider = PROVIDER.model_copy(update={"mirror": Mirror(pattern=".*/", to="./")})
    for one in found_in(collected(tmp_path, items), anywhere("s2"), provider=provider).acquisitions:
        assert set(one.items[0].assets.values()) == {f"{band}.tif" for band in one.items[0].assets}


def test_a_local_href_in_any_form_names_no_place_of_this_machine(world, tmp_path):
    item = items_of(world, S2)[0]
    for asset in item["assets"].values():
        asset["href"] = f"file://{asset['href']}"
    (one,) = found_in(collected(tmp_path, [item]), anywhere("s2")).acquisitions
    assert all(href.startswith("..") and str(tmp_path.parent) not in href for href in one.items[0].assets.values())


def test_halves_of_different_offsets_are_refused_by_name(world, tmp_path):
    one, other = changed(items_of(world, S2)[0], id="half-a"), changed(items_of(world, S2)[0], id="half-b")
    west, south, east, north = shape(one["geometry"]).bounds
    for half, box in ((one, (west, south, (west + east) / 2, north)), (other, ((west + east) / 2, south, east, north))):
        half["geometry"] = mapping(shapely.box(*box))
    other["properties"]["earthsearch:boa_offset_applied"] = True
    with pytest.raises(InputError, match="half-a and half-b are halves of one image, but carry different offsets"):
        found_in(collected(tmp_path, [one, other]), anywhere("s2"))


@pytest.mark.parametrize("value", [float("nan"), {"deep": float("inf")}, None])
def test_numbers_json_has_no_word_for_are_silence(world, tmp_path, value):
    item = items_of(world, S2)[0]
    item["properties"]["s2:water_percentage"] = value
    (one,) = found_in(collected(tmp_path, [item]), anywhere("s2")).acquisitions
    assert one.items[0].digest


def test_an_outline_that_crosses_itself_keeps_both_its_lobes(world, tmp_path):
    bow = {"type": "Polygon", "coordinates": [[[11, 45], [12, 46], [12, 45], [11, 46], [11, 45]]]}
    (one,) = found_in(collected(tmp_path, [changed(items_of(world, S2)[0], geometry=bow)]), anywhere("s2")).acquisitions
    assert one.footprint.area == pytest.approx(0.5)


@pytest.mark.parametrize(("kind", "coordinates"), [("Point", [11, 45]), ("Polygon", [])])
def test_an_outline_of_nothing_is_refused_by_item(world, tmp_path, kind, coordinates):
    item = changed(items_of(world, S2)[0], geometry={"type": kind, "coordinates": coordinates})
    with pytest.raises(InputError, match=f"item {item['id']}: `geometry` is no area"):
        found_in(collected(tmp_path, [item]), anywhere("s2"))


def test_a_later_strip_inside_a_large_half_does_not_take_its_place(world, tmp_path):
    item = items_of(world, S2)[0]
    west, south, east, north = shape(item["geometry"]).bounds
    large, strip = (
        mapping(shapely.box(*box))
        for box in ((west, south, west + 0.95 * (east - west), north), (west + 0.8 * (east - west), south, east, north))
    )
    parts = [
        product(changed(item, geometry=large), "20220101T000000"),
        product(changed(item, geometry=strip), "20220101T000007"),
    ]
    assert [part.id[-15:] for part in one_of(tmp_path, parts).items] == ["20220101T000000", "20220101T000007"]
