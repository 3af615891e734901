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
from landmark.stac.granules import merge
from landmark.stac.open_catalog import open_catalog
from tests.parts import examples, recipe_of
from tests.stac.items import PROVIDER, anywhere, changed, collected, items_of, run_search

WORLDCOVER = load_model(Crosswalk, "taxonomies", "worldcover")
S2, S1 = "sentinel-2-l2a", "sentinel-1-rtc"


def bare(acquisition):
    """An acquisition without its hrefs, to compare one that was found by two ways."""
    return replace(acquisition, items=tuple(replace(item, assets={}, digest="") for item in acquisition.items))


def read(request, href):
    return run_search(href, load_recipe(str(request())), crosswalks=(WORLDCOVER,))


# -- the documents -----------------------------------------------------------------------------------------------------


def test_folder_stands_for_the_catalogue(world, recipe):
    assert read(recipe, world) == read(recipe, world / "catalog.json")


def test_a_collection_is_read_by_file_and_by_folder(world):
    by_file = run_search(world / S2 / "collection.json", anywhere("s2"))
    assert by_file == run_search(world / S2, anywhere("s2")) and len(by_file.acquisitions) == 37


def test_item_collection_equals_catalogue(world, recipe, tmp_path):
    every = [item for name in (S1, S2, "esa-worldcover") for item in items_of(world, name)]
    first, second = read(recipe, world), read(recipe, collected(tmp_path, every))
    assert [bare(each) for each in first.acquisitions] == [bare(each) for each in second.acquisitions]
    assert [each.edition for each in first.labels] == [each.edition for each in second.labels]
    assert [each.href for each in first.labels] == [each.href for each in second.labels]


def test_a_single_item_is_a_catalogue(world):
    path = next(iter(sorted((world / S2).glob("*/*.json"))))
    (acquisition,) = run_search(path, anywhere("s2")).acquisitions
    assert [item.id for item in acquisition.items] == [path.stem]
    assert (path.parent / acquisition.items[0].assets["B02"]).is_file()


def test_other_collections_are_not_read(world, tmp_path):
    every = [{**item, "assets": {}} for item in items_of(world, S1)] + items_of(world, S2)
    assert {
        acquisition.sensor for acquisition in run_search(collected(tmp_path, every), anywhere("s2")).acquisitions
    } == {"s2"}


def test_hrefs_below_the_root_are_relative(world, recipe):
    document = open_catalog(str(world))
    for acquisition in read(recipe, world).acquisitions:
        for href in acquisition.items[0].assets.values():
            assert not href.startswith(("/", ".")) and Path(document.root + href).is_file()


def test_relative_hrefs_start_at_the_item_collection(world, tmp_path):
    items = items_of(world, S2)[:2]
    for item in items:
        for asset in item["assets"].values():
            asset["href"] = os.path.relpath(asset["href"], tmp_path / "deep")
    for acquisition in run_search(collected(tmp_path / "deep", items), anywhere("s2")).acquisitions:
        for href in acquisition.items[0].assets.values():
            assert not href.startswith("/") and (tmp_path / "deep" / href).is_file()


def test_hrefs_outside_the_root_are_relative(world, tmp_path):
    items = items_of(world, S2)[:1]
    (acquisition,) = run_search(collected(tmp_path, items), anywhere("s2")).acquisitions
    assert acquisition.items[0].assets["B02"] == os.path.relpath(items[0]["assets"]["B02"]["href"], tmp_path)


def test_signatures_are_removed(world, recipe, tmp_path):
    every = [item for name in (S1, S2, "esa-worldcover") for item in items_of(world, name)]
    for item in every:
        for asset in item["assets"].values():
            asset["href"] = f"https://account.blob.core.windows.net/c{asset['href']}?se=2026-11-05&sig=c2VjcmV0"
    result = read(recipe, collected(tmp_path, every))
    assert len(result.acquisitions) > 40 and result.labels
    assert "sig=" not in repr(result) and "?" not in repr(result)


def test_order_of_items_does_not_matter(world, recipe, tmp_path):
    every = [item for name in (S1, S2, "esa-worldcover") for item in items_of(world, name)]
    first, second = collected(tmp_path, every), collected(tmp_path, every[::-1], "reversed.json")
    assert read(recipe, first) == read(recipe, second)


# -- what is taken -----------------------------------------------------------------------------------------------------


def test_items_are_filtered_by_region(world, recipe):
    request = load_recipe(str(recipe(region={"bbox": [20.8, -34.1, 21.2, -33.7]})))
    result = run_search(world, request, crosswalks=(WORLDCOVER,))
    assert {acquisition.epsg for acquisition in result.acquisitions} == {32734}
    assert [raster.item_id for raster in result.labels] == ["ESA_WorldCover_10m_2021_v200_S36E021"]


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
def test_time_includes_both_ends(world, start, end, count):
    request = anywhere("s2", time={"start": start, "end": end})
    if count == 0:
        with pytest.raises(EmptySearch):
            run_search(world, request)
    else:
        assert len(run_search(world, request).acquisitions) == count


def test_items_are_filtered_by_cloud_cover(world):
    clouds = {item["id"]: item["properties"]["eo:cloud_cover"] for item in items_of(world, S2)}
    limit = sorted(clouds.values())[10]
    result = run_search(world, anywhere("s2", clouds={"max_item_pct": limit})).acquisitions
    assert {acquisition.items[0].id for acquisition in result} == {id for id, cloud in clouds.items() if cloud <= limit}


def test_missing_band_is_dropped_but_missing_mask_is_not(world, tmp_path):
    first, second, *_ = items_of(world, S2)
    del first["assets"]["B11"], second["assets"]["SCL"]
    result = run_search(collected(tmp_path, [first, second]), anywhere("s2"))
    (merged,) = result.acquisitions
    assert merged.items[0].id == second["id"] and "SCL" not in merged.items[0].assets
    assert [(record.id, record.reason, record.detail) for record in result.refused] == [
        (first["id"], "band_missing", "no B11")
    ]


def test_acquisition_has_the_properties_of_the_item(world):
    by_id = {item["id"]: item for item in items_of(world, S2)}
    for acquisition in run_search(world, anywhere("s2")).acquisitions:
        item = by_id[acquisition.items[0].id]
        fields, grid = item["properties"], item["assets"]["B02"]["proj:transform"]
        assert acquisition.datetime.isoformat() == fields["datetime"][:19] + "+00:00"
        assert (acquisition.epsg, acquisition.tile, acquisition.baseline) == (
            fields["proj:epsg"], fields["s2:mgrs_tile"].lower(), fields["s2:processing_baseline"]
        )  # fmt: skip
        assert (acquisition.relative_orbit, acquisition.orbit_direction) == (
            fields["sat:relative_orbit"],
            fields["sat:orbit_state"],
        )
        assert (acquisition.cloud_pct, acquisition.platform) == (fields["eo:cloud_cover"], fields["platform"].lower())
        assert (acquisition.origin, acquisition.size_px, acquisition.pixel_m) == ((grid[2], grid[5]), (366, 366), 10)
        assert acquisition.footprint.equals(shape(item["geometry"]))
        assert set(acquisition.items[0].assets) == set(PROVIDER.sensors["s2"].assets)


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


def product(item, processed, baseline="03.01"):
    """A product of the item's datatake and tile, processed at another time."""
    id = re.sub(r"_\d{8}T\d{6}$", f"_{processed}", item["id"])
    fields = item["properties"]
    return changed(
        item, id=id, s2__processing_baseline=baseline, s2__datatake_id=fields["s2:datatake_id"][:-5] + baseline
    )


def single(tmp_path, items):
    (acquisition,) = run_search(collected(tmp_path, items), anywhere("s2")).acquisitions
    return acquisition


def test_duplicate_items_are_merged(world, tmp_path):
    item = items_of(world, S2)[0]
    assert single(tmp_path, [item, item, item]) == single(tmp_path, [item])


def test_newest_baseline_wins(world, tmp_path):
    item = items_of(world, S2)[0]
    old, new = product(item, "20230101T000000", "03.01"), product(item, "20220101T000000", "05.00")
    for order in ([old, new], [new, old]):
        acquisition = single(tmp_path, order)
        assert [part.id for part in acquisition.items] == [new["id"]]
        assert (acquisition.baseline, acquisition.offset_dn, acquisition.offset_rule) == (
            "05.00",
            1000,
            "baseline 05.00: 1000",
        )


def test_baselines_are_numbers_and_not_text(world, tmp_path):
    item = items_of(world, S2)[0]
    old, new = product(item, "20230101T000000", "9.00"), product(item, "20220101T000000", "10.00")
    assert single(tmp_path, [old, new]).baseline == "10.00"


def test_latest_processing_of_a_baseline_wins(world, tmp_path):
    item = items_of(world, S2)[0]
    acquisition = single(tmp_path, [product(item, "20220201T000000"), product(item, "20220101T000000")])
    assert [part.id[-15:] for part in acquisition.items] == ["20220201T000000"]


def split(item):
    left, right = halves(item)
    return [
        product(changed(item, geometry=left, eo__cloud_cover=10), "20220101T000000"),
        product(changed(item, geometry=right, eo__cloud_cover=30), "20220101T000007"),
    ]


def test_parts_of_a_granule_are_joined(world, tmp_path):
    item = items_of(world, S2)[0]
    for parts in (split(item), split(item)[::-1], [*split(item), *split(item)]):
        acquisition = single(tmp_path, parts)
        assert [part.id[-15:] for part in acquisition.items] == ["20220101T000000", "20220101T000007"]
        assert acquisition.cloud_pct == 30
        assert acquisition.footprint.symmetric_difference(shape(item["geometry"])).area < 1e-9


def test_a_newer_product_replaces_both_halves(world, tmp_path):
    item = items_of(world, S2)[0]
    complete = product(item, "20240101T000000", "05.10")
    assert [part.id for part in single(tmp_path, [*split(item), complete]).items] == [complete["id"]]


def test_tiles_of_a_datatake_are_separate(world):
    result = run_search(world, anywhere("s2", time={"start": "2021-06-12", "end": "2021-06-12"})).acquisitions
    assert (
        len({acquisition.datetime for acquisition in result}) == 1
        and len({acquisition.id for acquisition in result}) == 2
    )


@given(st.permutations(range(7)))
@examples(30)
def test_merging_does_not_depend_on_the_order(world, order):
    item, duplicated = items_of(world, S2)[:2]
    parts = [*split(item), *split(duplicated), product(item, "20210101T000000", "02.14"), duplicated, duplicated]
    document = collected(world.parent / "merging", parts)
    result = [bare(each) for each in every_acquisition(document)]
    assert merge([result[place] for place in order]) == merge(result)


def every_acquisition(path):
    from landmark.config.profiles import load_sensor
    from landmark.stac.item import footprint, read_acquisition

    document = open_catalog(str(path))
    fields = {"sensor": load_sensor("s2"), "imagery": PROVIDER.sensors["s2"]}
    return [
        read_acquisition(item, footprint(item), document, **fields) for item in document.items(Query(frozenset({S2})))
    ]


# -- refusals ----------------------------------------------------------------------------------------------------------

BAD = [
    ("malformed JSON", '{"type": "Catalog",', None, None),
    ("an empty file", "", None, None),
    ("a list", "[]", "type", None),
    ("a number", "3", "type", None),
    ("a GeoJSON polygon", '{"type": "Polygon", "coordinates": []}', "type", "Polygon"),
    ("no type", '{"features": []}', "type", None),
]


@pytest.mark.parametrize(("content", "key", "value"), [pytest.param(*row, id=name) for name, *row in BAD])
def test_other_documents_are_errors(tmp_path, content, key, value):
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(InputError) as caught:
        open_catalog(str(path))
    assert (caught.value.file, caught.value.key, caught.value.value) == (str(path), key, value)


def test_binary_file_is_an_error(tmp_path):
    (tmp_path / "a.json").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(InputError) as caught:
        open_catalog(str(tmp_path / "a.json"))
    assert caught.value.file == str(tmp_path / "a.json")


@pytest.mark.parametrize("name", ["gone.json", ""])
def test_missing_document_is_an_error(tmp_path, name):
    with pytest.raises(InputError) as caught:
        open_catalog(str(tmp_path / name))
    assert caught.value.file == str(tmp_path / name)


def catalogue(tmp_path, *links):
    path = tmp_path / "catalog.json"
    fields = {"type": "Catalog", "stac_version": "1.0.0", "id": "c", "description": "c"}
    path.write_text(json.dumps({**fields, "links": [{"rel": "item", "href": href} for href in links]}))
    return path


@pytest.mark.parametrize("content", [None, "{", "[]", '{"type": "Feature"}', '{"type": "Nonsense"}'])
def test_unreadable_linked_document_is_an_error(tmp_path, content):
    path = catalogue(tmp_path, "./item.json")
    if content is not None:
        (tmp_path / "item.json").write_text(content)
    with pytest.raises(InputError) as caught:
        run_search(path, anywhere("s2"))
    assert caught.value.file == str(path)


@pytest.mark.parametrize("features", [None, 3, [{"type": "Feature"}], [3]])
def test_broken_item_collection_is_an_error(tmp_path, features):
    path = tmp_path / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    with pytest.raises(InputError) as caught:
        run_search(path, anywhere("s2"))
    assert caught.value.file == str(path)


SPOILT = [
    ("no geometry", {"geometry": None}, {}),
    ("no projection", {}, {"proj__epsg": None}),
    ("a projection in words", {}, {"proj__epsg": None, "proj__code": "IAU_2015:30100"}),
    ("a baseline in words", {}, {"s2__processing_baseline": "unknown"}),
]


@pytest.mark.parametrize(("fields", "properties"), [pytest.param(*row, id=name) for name, *row in SPOILT])
def test_incomplete_item_is_an_error(world, tmp_path, fields, properties):
    item = changed(items_of(world, S2)[0], **properties) | fields
    with pytest.raises(InputError) as caught:
        run_search(collected(tmp_path, [item]), anywhere("s2"))
    assert item["id"] in str(caught.value)


def test_item_without_grid_is_dropped_unless_headers_are_probed(world, tmp_path):
    item, complete, *_ = items_of(world, S2)
    for asset in item["assets"].values():
        asset.pop("proj:transform", None)
    result = run_search(collected(tmp_path, [item, complete]), anywhere("s2"))
    assert [(acquisition.id, acquisition.reason) for acquisition in result.refused] == [(item["id"], "not_geocoded")]
    imagery = PROVIDER.sensors["s2"].model_copy(update={"header": "probe"})
    asking = PROVIDER.model_copy(update={"sensors": {"s2": imagery}})
    result = run_search(collected(tmp_path, [item, complete]), anywhere("s2"), provider=asking)
    assert sorted(acquisition.pixel_m for acquisition in result.acquisitions) == [0, 10] and not result.refused


@pytest.mark.parametrize(
    ("change", "collection"),
    [
        ({"region": {"bbox": [-60, 0, -59, 1]}}, S1),
        ({"time": {"start": "2001-01-01", "end": "2001-12-31"}}, S1),
        ({"sensors": ["s2"], "clouds": {"max_item_pct": 0}}, S2),
    ],
)
def test_empty_search_is_an_error(world, recipe, change, collection):
    with pytest.raises(EmptySearch) as caught:
        run_search(world, load_recipe(str(recipe(**change))), crosswalks=(WORLDCOVER,))
    assert (caught.value.file, caught.value.value) == (str(world / "catalog.json"), collection)
    assert caught.value.remedy


def test_label_source_without_items_is_an_error(world, tmp_path):
    path = collected(tmp_path, items_of(world, S2))
    with pytest.raises(EmptySearch) as caught:
        run_search(path, anywhere("s2"), crosswalks=(WORLDCOVER,))
    assert (caught.value.key, caught.value.value) == ("collection", "esa-worldcover")


def test_unpublished_label_source_or_sensor_is_an_error(world):
    corine = WORLDCOVER.model_copy(update={"name": "corine"})
    with pytest.raises(InputError) as caught:
        run_search(world, anywhere("s2"), crosswalks=(corine,))
    assert (caught.value.key, caught.value.value) == ("labels", "corine")
    radarless = PROVIDER.model_copy(update={"sensors": {"s2": PROVIDER.sensors["s2"]}})
    with pytest.raises(InputError) as caught:
        run_search(world, recipe_of(), provider=radarless)
    assert (caught.value.key, caught.value.value) == ("sensors", "s1")


# -- items as archives really write them -------------------------------------------------------------------------------


def test_hrefs_of_a_saved_search_are_relative_to_the_file(world, tmp_path):
    elsewhere = [{"rel": "self", "href": "https://stac.example.org/items/one"}]
    items = [item | {"links": elsewhere} for item in items_of(world, S2)]
    provider = PROVIDER.model_copy(update={"mirror": Mirror(pattern=".*/", to="./")})
    for acquisition in run_search(collected(tmp_path, items), anywhere("s2"), provider=provider).acquisitions:
        assert set(acquisition.items[0].assets.values()) == {f"{band}.tif" for band in acquisition.items[0].assets}


def test_file_urls_become_relative(world, tmp_path):
    item = items_of(world, S2)[0]
    for asset in item["assets"].values():
        asset["href"] = f"file://{asset['href']}"
    (acquisition,) = run_search(collected(tmp_path, [item]), anywhere("s2")).acquisitions
    assert all(
        href.startswith("..") and str(tmp_path.parent) not in href for href in acquisition.items[0].assets.values()
    )


def test_parts_with_different_offsets_are_an_error(world, tmp_path):
    first, second = changed(items_of(world, S2)[0], id="half-a"), changed(items_of(world, S2)[0], id="half-b")
    west, south, east, north = shape(first["geometry"]).bounds
    for half, box in (
        (first, (west, south, (west + east) / 2, north)),
        (second, ((west + east) / 2, south, east, north)),
    ):
        half["geometry"] = mapping(shapely.box(*box))
    second["properties"]["earthsearch:boa_offset_applied"] = True
    with pytest.raises(InputError) as caught:
        run_search(collected(tmp_path, [first, second]), anywhere("s2"))
    assert (caught.value.key, caught.value.value) == ("items", ["half-a", "half-b"])


@pytest.mark.parametrize("value", [float("nan"), {"deep": float("inf")}, None])
def test_non_finite_properties_are_null(world, tmp_path, value):
    item = items_of(world, S2)[0]
    item["properties"]["s2:water_percentage"] = value
    (acquisition,) = run_search(collected(tmp_path, [item]), anywhere("s2")).acquisitions
    assert acquisition.items[0].digest


def test_self_intersecting_outline_is_repaired(world, tmp_path):
    bow = {"type": "Polygon", "coordinates": [[[11, 45], [12, 46], [12, 45], [11, 46], [11, 45]]]}
    (acquisition,) = run_search(
        collected(tmp_path, [changed(items_of(world, S2)[0], geometry=bow)]), anywhere("s2")
    ).acquisitions
    assert acquisition.footprint.area == pytest.approx(0.5)


def test_overlapping_strip_does_not_replace_a_large_part(world, tmp_path):
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
    assert [part.id[-15:] for part in single(tmp_path, parts).items] == ["20220101T000000", "20220101T000007"]
