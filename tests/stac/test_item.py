import datetime as dt
import json
import re

import pystac
import pytest

from landmark.config.profiles import SensorCollection, Mirror, Provider
from landmark.core.errors import EmptySearch, InputError
from landmark.core.yaml_files import load_model
from landmark.grid.cells import utm_cells
from landmark.stac.item import footprint, href_of
from tests.stac.items import PROVIDER, anywhere, changed, collected, found_in, items_of

S2, S1 = "sentinel-2-l2a", "sentinel-1-rtc"


def single(tmp_path, item, sensor="s2", **options):
    (one,) = found_in(collected(tmp_path, [item]), anywhere(sensor), **options).acquisitions
    return one


# -- time --------------------------------------------------------------------------------------------------------------

NAME = "S2A_MSIL2A_20210612T101031_R022_T32TPR_20210612T140203"


@pytest.mark.parametrize(
    ("id", "said", "second"),
    [
        (NAME, {"s2__datatake_id": "GS2A_20210612T101029_031193_N03.01"}, "2021-06-12T10:10:29"),
        (NAME, {"s2__datatake_id": None}, "2021-06-12T10:10:31"),
        (NAME, {"s2__datatake_id": "odd"}, "2021-06-12T10:10:31"),
        ("S2A_32TPR_20210612_0_L2A", {"s2__datatake_id": None}, "2021-06-12T10:10:31"),
        ("S2A_32TPR_20210612_0_L2A", {"s2__datatake_id": None, "s2__product_uri": None}, "2021-06-12T10:15:59"),
        (
            "odd",
            {"s2__datatake_id": None, "s2__product_uri": None, "datetime": "2021-06-12T12:15:59.9+02:00"},
            "2021-06-12T10:15:59",
        ),
    ],
)
def test_the_second_of_sentinel_2_is_the_datatakes_then_the_names_then_the_items(world, tmp_path, id, said, second):
    item = changed(items_of(world, S2)[0], id=id, **{"datetime": "2021-06-12T10:15:59.999Z", **said})
    assert single(tmp_path, item).datetime == dt.datetime.fromisoformat(second + "+00:00")


@pytest.mark.parametrize(
    ("start", "second"),
    [
        ("2024-04-19 04:59:04.220006+00:00", "2024-04-19T04:59:04"),
        ("2024-04-19T04:59:04.999999Z", "2024-04-19T04:59:04"),
        ("2024-04-19T06:59:04+02:00", "2024-04-19T04:59:04"),
        (None, "2024-04-19T04:59:10"),
    ],
)
def test_the_second_of_sentinel_1_is_the_start_of_its_slice_floored(world, tmp_path, start, second):
    said = {"start_datetime": start, "end_datetime": start, "datetime": "2024-04-19T04:59:10.436706Z"}
    item = changed(items_of(world, S1)[0], **said)
    assert single(tmp_path, item, "s1").datetime == dt.datetime.fromisoformat(second + "+00:00")


# -- orbit, tile, projection -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("id", "orbit", "expected", "tail"),
    [
        (NAME, 7, 7, "r007"),
        (NAME, None, 22, "r022"),
        ("S2A_32TPR_20210612_0_L2A", None, 22, "r022"),
        (NAME, 143, 143, "r143"),
    ],
)
def test_the_orbit_is_the_property_then_the_names_else_nought(world, tmp_path, id, orbit, expected, tail):
    one = single(tmp_path, changed(items_of(world, S2)[0], id=id, sat__relative_orbit=orbit))
    assert one.relative_orbit == expected
    assert one.id.endswith(f"_{tail}") and one.sample_id("32n_607_4199").endswith(f"_{tail}")


@pytest.mark.parametrize(
    ("said", "tile"),
    [
        ({"s2__mgrs_tile": "32TQQ"}, "32tqq"),
        ({"s2__mgrs_tile": None, "grid__code": "MGRS-32TQQ"}, "32tqq"),
        ({"s2__mgrs_tile": None}, "32tpr"),
    ],
)
def test_the_tile_is_the_property_then_the_grid_code_then_the_names(world, tmp_path, said, tile):
    assert single(tmp_path, changed(items_of(world, S2)[0], id=NAME, **said)).tile == tile


@pytest.mark.parametrize(
    "said",
    [
        {"proj__epsg": 32633},
        {"proj__epsg": None, "proj__code": "EPSG:32633"},
        {"proj__epsg": "32633"},
        {"proj__epsg": 32633, "proj__code": "EPSG:32633"},
    ],
)
def test_the_crs_is_read_in_either_dialect(world, tmp_path, said):
    assert single(tmp_path, changed(items_of(world, S2)[0], **said)).epsg == 32633


def test_a_transform_of_nine_numbers_reads_like_one_of_six(world, tmp_path):
    item = items_of(world, S2)[0]
    plain = single(tmp_path, item)
    for asset in item["assets"].values():
        if "proj:transform" in asset:
            asset["proj:transform"] = [*asset["proj:transform"], 0.0, 0.0, 1.0]
    assert single(tmp_path, item).origin == plain.origin == (729_000, 5_039_160)


def test_a_grid_said_once_for_the_item_serves_its_assets(world):
    for one in found_in(world, anywhere("s1")).acquisitions:
        assert one.size_px in {(915, 533), (586, 492)} and one.pixel_m == 10


# -- the radiometric offset --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("baseline", "offset_dn", "rule"),
    [
        ("02.12", 0, "baseline 02.12: none"),
        ("03.01", 0, "baseline 03.01: none"),
        ("03.99", 0, "baseline 03.99: none"),
        ("04.00", 1000, "baseline 04.00: 1000"),
        ("05.10", 1000, "baseline 05.10: 1000"),
        ("10.00", 1000, "baseline 10.00: 1000"),
    ],
)
def test_the_offset_follows_from_the_baseline(world, tmp_path, baseline, offset_dn, rule):
    one = single(tmp_path, changed(items_of(world, S2)[0], s2__processing_baseline=baseline))
    assert (one.offset_dn, one.offset_rule, one.baseline) == (offset_dn, rule, baseline)


def test_the_baseline_is_read_from_the_products_name_where_no_property_says_it(world, tmp_path):
    item = changed(items_of(world, S2)[0], s2__processing_baseline=None, s2__product_uri="S2A_MSIL2A_X_N0511_R022.SAFE")
    assert single(tmp_path, item).offset_rule == "baseline 05.11: 1000"


def test_an_unknown_baseline_is_refused_for_nobody_knows_the_offset(world, tmp_path):
    item = changed(items_of(world, S2)[0], s2__processing_baseline=None, s2__product_uri=None)
    with pytest.raises(InputError, match=rf"{item['id']}.*baseline is unknown"):
        single(tmp_path, item)


def test_the_offset_never_follows_from_the_day(world, tmp_path):
    item = changed(items_of(world, S2)[0], s2__datatake_id="GS2A_20160612T101031_031193_N05.00")
    assert single(tmp_path, changed(item, s2__processing_baseline="05.00")).offset_dn == 1000
    item = changed(items_of(world, S2)[0], s2__datatake_id="GS2A_20240612T101031_031193_N02.14")
    assert single(tmp_path, changed(item, s2__processing_baseline="02.14")).offset_dn == 0


def test_a_provider_that_removes_the_offset_itself_needs_no_rule(world, tmp_path):
    imagery = PROVIDER.sensors["s2"].model_copy(update={"offset": "none"})
    other = PROVIDER.model_copy(update={"sensors": {"s2": imagery}})
    one = single(tmp_path, changed(items_of(world, S2)[0], s2__processing_baseline="05.00"), provider=other)
    assert (one.offset_dn, one.offset_rule) == (0, None)


def test_sentinel_1_has_no_offset(world):
    assert {(one.offset_dn, one.offset_rule) for one in found_in(world, anywhere("s1")).acquisitions} == {(0, None)}


# -- ids ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sensor", ["s1", "s2"])
def test_sample_ids_are_short_plain_and_different(world, sensor):
    asked = anywhere(sensor)
    found = found_in(world, asked).acquisitions
    boxes = [utm_cells(one.footprint, cell_m=1200, block_m=24_000)["cell"].to_pylist() for one in found]
    ids = [one.sample_id(cell) for one, cells in zip(found, boxes, strict=True) for cell in cells]
    assert all(re.fullmatch(r"[a-z0-9_-]{1,80}", id) for id in ids)
    # Neighbouring tiles of one datatake share ground: there, place and time are the same, so the id is, too.
    moments = [(one.datetime, cell) for one, cells in zip(found, boxes, strict=True) for cell in cells]
    assert len(set(ids)) == len(set(moments))


def test_an_id_never_holds_the_providers_own(world):
    for one in found_in(world, anywhere("s2")).acquisitions:
        assert one.sample_id("32n_1_2") == f"s2_32n_1_2_{one.datetime:%Y%m%dt%H%M%S}_r{one.relative_orbit:03d}"


# -- real items --------------------------------------------------------------------------------------------------------


def of_list(real, tmp_path, name):
    return collected(tmp_path, json.loads((real / "stac" / name).read_text()))


def test_slices_of_a_real_radar_datatake_are_four_acquisitions(real, tmp_path):
    found = found_in(of_list(real, tmp_path, "sentinel-1-rtc-pc.json"), anywhere("s1")).acquisitions
    assert [f"{one.datetime:%H%M%S}" for one in found] == ["045749", "045814", "045839", "045904"]
    assert {(one.relative_orbit, one.epsg, one.pixel_m, one.platform) for one in found} == {
        (51, 32633, 10, "sentinel-1a")
    }
    assert found[-1].origin == (373_180, 3_424_680) and found[-1].size_px == (27_526, 12_949)
    assert len({one.id for one in found}) == 4


def test_real_items_of_baseline_0510_carry_the_offset(real, tmp_path):
    found = found_in(of_list(real, tmp_path, "sentinel-2-l2a-pc.json"), anywhere("s2")).acquisitions
    assert {one.tile for one in found} == {"47xml", "47xmj", "46xes", "46xer"}
    assert {(one.offset_dn, one.baseline, one.relative_orbit) for one in found} == {(1000, "05.10", 122)}
    assert all(re.fullmatch(r"[a-z0-9_-]{1,80}", one.sample_id("47n_607_4199")) for one in found)


@pytest.mark.parametrize(
    ("name", "offset_dn", "second"),
    [
        ("S2B_MSIL2A_20190629T212529_R043_T06VVN_20201006T080531.json", 0, "2019-06-29T21:25:29+00:00"),
        ("sentinel-2-item.json", 1000, "2022-06-12T18:29:19+00:00"),
    ],
)
def test_real_single_items_are_read_as_they_are(real, name, offset_dn, second):
    (one,) = found_in(real / "stac" / name, anywhere("s2")).acquisitions
    assert (one.offset_dn, one.datetime.isoformat()) == (offset_dn, second)
    assert one.items[0].assets["SCL"].startswith("https://") and "?" not in one.items[0].assets["SCL"]


def test_the_real_item_collection_of_a_southern_tile_gives_thirteen_acquisitions(real):
    found = found_in(real / "stac/site2-2020_jun_jul-35MNM.geojson", anywhere("s2")).acquisitions
    assert len(found) == len({one.id for one in found}) == 13
    assert {(one.tile, one.epsg, one.relative_orbit, one.offset_dn) for one in found} == {("35mnm", 32735, 78, 0)}


def test_the_real_static_catalogue_gives_five_places_of_both_sensors(real):
    optical, radar = (found_in(real / "catalog", anywhere(sensor)).acquisitions for sensor in ("s2", "s1"))
    assert len(optical) == len(radar) == 5
    assert sorted(one.offset_dn for one in optical) == [0, 0, 0, 0, 1000]
    assert {one.epsg for one in optical} == {one.epsg for one in radar} == {32616, 32718, 32722, 32632, 32736}
    assert {one.relative_orbit for one in optical} == {None} and all(one.id.endswith("_r000") for one in optical)


# -- what things are called, and where they lie ------------------------------------------------------------------------

EARTH_SEARCH, FOLDER = (load_model(Provider, "profiles/providers", name) for name in ("earth-search", "earth-search-folder"))


def with_assets(provider, sensor, **changes):
    """A provider whose sensor is changed by keyword."""
    imagery = SensorCollection.model_validate(provider.sensors[sensor].model_dump() | changes)
    return provider.model_copy(update={"sensors": {sensor: imagery}})


@pytest.mark.parametrize("keys", [{"B04": "red"}, {"B04": "B04_10m"}, {"B04": "B04"}])
def test_a_band_goes_by_any_of_the_names_its_profile_knows(world, tmp_path, keys):
    item = items_of(world, S2)[0]
    for band, key in keys.items():
        item["assets"][key] = item["assets"].pop(band)
    known = {band: list(names) for band, names in PROVIDER.sensors["s2"].assets.items()} | {
        "B04": ["B04", "red", "B04_10m"]
    }
    one = single(tmp_path, item, provider=with_assets(PROVIDER, "s2", assets=known))
    assert one.items[0].assets["B04"].endswith("B04.tif")


def test_earth_search_is_read_by_its_profile_and_a_folder_of_its_files_by_another(real):
    path = real / "scene/S2A_29RKH_20200219_0_L2A/S2A_29RKH_20200219_0_L2A.json"
    (there,) = found_in(path, anywhere("s2"), provider=EARTH_SEARCH).acquisitions
    (here,) = found_in(path, anywhere("s2"), provider=FOLDER).acquisitions
    assert there.items[0].assets["B04"].startswith("https://") and here.items[0].assets["B04"] == "B04.tif"
    assert (here.offset_dn, here.offset_rule) == (0, "declared 0: none")
    assert (here.tile, here.datetime.isoformat()) == ("29rkh", "2020-02-19T11:21:11+00:00")
    assert (path.parent / here.items[0].assets["SCL"]).is_file()


def test_the_oldest_dialect_of_earth_search_is_read_from_its_product(real):
    assets = {band: band for band in PROVIDER.sensors["s2"].assets}
    old = with_assets(PROVIDER, "s2", assets=assets, collection="sentinel-s2-l2a-cogs")
    (one,) = found_in(real / "stac/S2A_28QCH_20200714_0_L2A.json", anywhere("s2"), provider=old).acquisitions
    assert (one.tile, one.baseline, one.relative_orbit, one.offset_dn) == ("28qch", "02.14", 123, 0)
    assert one.datetime.isoformat() == "2020-07-14T11:52:21+00:00"


@pytest.mark.parametrize("polarizations", [["HH"], ["HH", "HV"], ["VV"]])
def test_an_item_without_both_polarisations_is_left_out_and_says_what_it_has(world, tmp_path, polarizations):
    whole, lacking, *_ = items_of(world, S1)
    lacking["properties"]["sar:polarizations"] = polarizations
    lacking["assets"] = {name.lower(): lacking["assets"]["vv"] for name in polarizations}
    found = found_in(collected(tmp_path, [whole, lacking]), anywhere("s1"))
    assert len(found.acquisitions) == 1
    assert [(one.id, one.stage, one.reason) for one in found.refused] == [(lacking["id"], "stac", "polarisation")]
    assert found.refused[0].detail.endswith(f"it has {', '.join(polarizations)}")


def test_a_catalogue_of_such_items_alone_says_why_it_is_empty(world, tmp_path):
    item = items_of(world, S1)[0]
    del item["assets"]["vh"]
    with pytest.raises(EmptySearch, match="1 left out: the item lacks a polarisation"):
        found_in(collected(tmp_path, [item]), anywhere("s1"))


@pytest.mark.parametrize("direction", ["ascending", "descending", "any"])
def test_orbit_directions_are_kept_apart(world, direction):
    found = found_in(world, anywhere("s1", orbit_direction=direction)).acquisitions
    wanted = {"ascending", "descending"} if direction == "any" else {direction}
    assert {one.orbit_direction for one in found} == wanted
    assert all(len(one.items) == 1 for one in found)


@pytest.mark.parametrize(("state", "wanted"), [("DESCENDING", "descending"), ("Descending", "ascending")])
def test_a_direction_is_read_in_any_case(world, tmp_path, state, wanted):
    item = changed(items_of(world, S1)[0], sat__orbit_state=state)
    path, asked = collected(tmp_path, [item]), anywhere("s1", orbit_direction=wanted)
    if wanted == "descending":
        assert len(found_in(path, asked).acquisitions) == 1
    else:
        with pytest.raises(EmptySearch, match="no s1 item, ascending, meets"):
            found_in(path, asked)


def test_a_direction_nobody_said_is_no_match_and_is_told(world, tmp_path):
    one, other, *_ = (item for item in items_of(world, S1) if item["properties"]["sat:orbit_state"] == "ascending")
    path = collected(tmp_path, [one, changed(other, sat__orbit_state=None)])
    found = found_in(path, anywhere("s1", orbit_direction="ascending"))
    assert [(lost.id, lost.reason) for lost in found.refused] == [(other["id"], "orbit_unknown")]
    assert len(found.acquisitions) == 1 and len(found_in(path, anywhere("s1")).acquisitions) == 2


@pytest.mark.parametrize(
    ("to", "href"),
    [
        ("/eodata/", "/eodata/a/B04.tif"),
        ("file:///eodata/", "file:///eodata/a/B04.tif"),
        ("./", "{folder}/a/B04.tif"),
        ("https://mirror.example.org/", "https://mirror.example.org/a/B04.tif"),
    ],
)
def test_a_mirror_is_a_folder_or_another_host(tmp_path, to, href):
    item = pystac.Item("i", None, None, dt.datetime(2020, 1, 1, tzinfo=dt.UTC), {})
    item.add_asset("B04", pystac.Asset("s3://bucket/a/B04.tif"))
    mirror = Mirror(pattern="s3://bucket/", to=to)
    item.set_self_href(str(tmp_path / "item.json"))
    assert href_of(item, "B04", mirror) == href.format(folder=tmp_path)
    item.set_self_href("https://stac.example.org/items/i")
    wanted = href.format(folder="https://stac.example.org/items")
    assert href_of(item, "B04", mirror) == (f"file://{wanted}" if to == "/eodata/" else wanted)


# -- the antimeridian --------------------------------------------------------------------------------------------------


def ring(*corners):
    return {"type": "Polygon", "coordinates": [[*corners, corners[0]]]}


CROSSING = {
    "cut in two": {
        "type": "MultiPolygon",
        "coordinates": [
            ring((179, 66), (180, 66), (180, 67), (179, 67))["coordinates"],
            ring((-180, 66), (-179, 66), (-179, 67), (-180, 67))["coordinates"],
        ],
    },
    "changing sign": ring((179, 66), (-179, 66), (-179, 67), (179, 67)),
    "past 180": ring((179, 66), (181, 66), (181, 67), (179, 67)),
    "before -180": ring((-181, 66), (-179, 66), (-179, 67), (-181, 67)),
}


@pytest.mark.parametrize("geometry", CROSSING.values(), ids=CROSSING)
@pytest.mark.parametrize(("epsg", "left"), [(32660, 589_000), (32601, 320_000)])
def test_an_image_across_the_antimeridian_is_found_from_both_sides_and_covers_little(
    world, tmp_path, geometry, epsg, left
):
    item = changed(items_of(world, S2)[0], geometry=geometry, proj__epsg=epsg) | {"bbox": [-180, 66, 180, 67]}
    for box in ([179.2, 66.2, 179.4, 66.4], [-179.4, 66.2, -179.2, 66.4], [179.9, 66.2, -179.9, 66.4]):
        (one,) = found_in(collected(tmp_path, [item]), anywhere("s2", region={"bbox": box})).acquisitions
        assert one.footprint.area == pytest.approx(2) and one.footprint.bounds[0] == -180
    for box in ([0, 66.2, 1, 66.4], [177, 66.2, 178.5, 66.4]):
        with pytest.raises(EmptySearch):
            found_in(collected(tmp_path, [item]), anywhere("s2", region={"bbox": box}))


def test_real_land_use_at_the_antimeridian_has_the_footprint_of_its_geometry(real, tmp_path):
    labels = json.loads((real / "stac/io-lulc-annual-v02-pc.json").read_text())
    areas = [footprint(pystac.Item.from_dict(item)).area for item in labels]
    assert any(item["bbox"][0] == -180 and item["bbox"][2] == 180 for item in labels)
    assert max(areas) < 8 * 10
