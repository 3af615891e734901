import datetime as dt
import json
import re

import pystac
import pytest
import shapely
from shapely.geometry import mapping

from landmark.config.profiles import Mirror, Provider, SensorCollection
from landmark.core.errors import EmptySearch, InputError
from landmark.core.yaml_files import load_model
from landmark.domain.drops import Reason
from landmark.grid.cells import utm_cells
from landmark.stac.item import footprint, href_of
from tests.parts import raises
from tests.stac.items import PROVIDER, anywhere, changed, collected, items_of, run_search

S2, S1 = "sentinel-2-l2a", "sentinel-1-rtc"


def single(tmp_path, item, sensor="s2", **options):
    (acquisition,) = run_search(collected(tmp_path, [item]), anywhere(sensor), **options).acquisitions
    return acquisition


# -- names of other providers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"s2__product_title": "{}", "s2__relative_orbit_number": 22, "s2__orbit_direction": "DESCENDING"},
        {"s2__product_uri": "{}.SAFE", "s2__orbit_direction": "descending"},
        {"s2__product_name": "{}", "s2__relative_orbit_number": "022", "sat__orbit_state": "descending"},
        {"title": "{}", "sat__relative_orbit": 22, "orbitDirection": "DESCENDING"},
        {"sentinel__product_id": "{}", "relativeOrbitNumber": 22, "s2__orbit_direction": "Descending"},
        {"eopf__datatake_id": "GS2A_20210612T101031_031193_N03.01", "s2__relative_orbit_number": 22,
         "s2__processing_baseline": "03.01", "s2__orbit_direction": "DESCENDING"},
    ],
)  # fmt: skip
def test_an_image_has_the_same_sample_id_at_every_provider(world, tmp_path, fields):
    item = items_of(world, S2)[0]
    first, product = single(tmp_path, item), item["properties"]["s2:product_uri"].removesuffix(".SAFE")
    names = ("s2:product_uri", "s2:datatake_id", "sat:relative_orbit", "sat:orbit_state", "s2:processing_baseline")
    for name in names:
        del item["properties"][name]
    fields = {name: value.format(product) if isinstance(value, str) else value for name, value in fields.items()}
    renamed = changed(item, id="S2A_32TPR_20210612_0_L2A", datetime="2021-06-12T10:15:59.999Z", **fields)
    second = single(tmp_path, renamed)
    assert second.sample_id("cell") == first.sample_id("cell")
    assert (second.id, second.orbit_direction, second.baseline) == (first.id, "descending", "03.01")


# -- time --------------------------------------------------------------------------------------------------------------

NAME = "S2A_MSIL2A_20210612T101031_R022_T32TPR_20210612T140203"


@pytest.mark.parametrize(
    ("id", "fields", "second"),
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
def test_time_of_sentinel_2_precedence(world, tmp_path, id, fields, second):
    item = changed(items_of(world, S2)[0], id=id, **{"datetime": "2021-06-12T10:15:59.999Z", **fields})
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
def test_time_of_sentinel_1_is_the_start_in_seconds(world, tmp_path, start, second):
    fields = {"start_datetime": start, "end_datetime": start, "datetime": "2024-04-19T04:59:10.436706Z"}
    item = changed(items_of(world, S1)[0], **fields)
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
def test_relative_orbit_precedence(world, tmp_path, id, orbit, expected, tail):
    acquisition = single(tmp_path, changed(items_of(world, S2)[0], id=id, sat__relative_orbit=orbit))
    assert acquisition.relative_orbit == expected
    assert acquisition.id.endswith(f"_{tail}") and acquisition.sample_id("32n_607_4199").endswith(f"_{tail}")


@pytest.mark.parametrize(
    ("fields", "tile"),
    [
        ({"s2__mgrs_tile": "32TQQ"}, "32tqq"),
        ({"s2__mgrs_tile": None, "grid__code": "MGRS-32TQQ"}, "32tqq"),
        ({"s2__mgrs_tile": None}, "32tpr"),
    ],
)
def test_tile_precedence(world, tmp_path, fields, tile):
    assert single(tmp_path, changed(items_of(world, S2)[0], id=NAME, **fields)).tile == tile


@pytest.mark.parametrize(
    "fields",
    [
        {"proj__epsg": 32633},
        {"proj__epsg": None, "proj__code": "EPSG:32633"},
        {"proj__epsg": "32633"},
        {"proj__epsg": 32633, "proj__code": "EPSG:32633"},
    ],
)
def test_crs_is_read_from_either_property(world, tmp_path, fields):
    assert single(tmp_path, changed(items_of(world, S2)[0], **fields)).epsg == 32633


def test_transform_of_nine_numbers_is_accepted(world, tmp_path):
    item = items_of(world, S2)[0]
    plain = single(tmp_path, item)
    for asset in item["assets"].values():
        if "proj:transform" in asset:
            asset["proj:transform"] = [*asset["proj:transform"], 0.0, 0.0, 1.0]
    assert single(tmp_path, item).origin == plain.origin == (729_000, 5_039_160)


def test_grid_of_the_item_applies_to_assets(world):
    for acquisition in run_search(world, anywhere("s1")).acquisitions:
        assert acquisition.size_px in {(915, 533), (586, 492)} and acquisition.pixel_m == 10


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
    acquisition = single(tmp_path, changed(items_of(world, S2)[0], s2__processing_baseline=baseline))
    assert (acquisition.offset_dn, acquisition.offset_rule, acquisition.baseline) == (offset_dn, rule, baseline)


def test_baseline_falls_back_to_the_product_name(world, tmp_path):
    item = changed(items_of(world, S2)[0], s2__processing_baseline=None, s2__product_uri="S2A_MSIL2A_X_N0511_R022.SAFE")
    assert single(tmp_path, item).offset_rule == "baseline 05.11: 1000"


def test_unknown_baseline_is_an_error(world, tmp_path):
    item = changed(items_of(world, S2)[0], s2__processing_baseline=None, s2__product_uri=None)
    with pytest.raises(InputError) as caught:
        single(tmp_path, item)
    _, example = caught.value.problems
    assert example.key == "s2:processing_baseline" and item["id"] in example.file


def test_offset_does_not_depend_on_the_date(world, tmp_path):
    item = changed(items_of(world, S2)[0], s2__datatake_id="GS2A_20160612T101031_031193_N05.00")
    assert single(tmp_path, changed(item, s2__processing_baseline="05.00")).offset_dn == 1000
    item = changed(items_of(world, S2)[0], s2__datatake_id="GS2A_20240612T101031_031193_N02.14")
    assert single(tmp_path, changed(item, s2__processing_baseline="02.14")).offset_dn == 0


def test_provider_without_offset(world, tmp_path):
    imagery = PROVIDER.sensors["s2"].model_copy(update={"offset": "none"})
    second = PROVIDER.model_copy(update={"sensors": {"s2": imagery}})
    first = single(tmp_path, changed(items_of(world, S2)[0], s2__processing_baseline="05.00"), provider=second)
    assert (first.offset_dn, first.offset_rule) == (0, None)


def test_sentinel_1_has_no_offset(world):
    assert {
        (acquisition.offset_dn, acquisition.offset_rule)
        for acquisition in run_search(world, anywhere("s1")).acquisitions
    } == {(0, None)}


# -- ids ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sensor", ["s1", "s2"])
def test_sample_ids_are_valid_and_unique(world, sensor):
    request = anywhere(sensor)
    result = run_search(world, request).acquisitions
    boxes = [
        utm_cells(acquisition.footprint, cell_m=1200, block_m=24_000)["cell"].to_pylist() for acquisition in result
    ]
    ids = [acquisition.sample_id(cell) for acquisition, cells in zip(result, boxes, strict=True) for cell in cells]
    assert all(re.fullmatch(r"[a-z0-9_-]{1,80}", id) for id in ids)
    # Neighbouring tiles of one datatake share ground: there, place and time are the same, so the id is, too.
    moments = [(acquisition.datetime, cell) for acquisition, cells in zip(result, boxes, strict=True) for cell in cells]
    assert len(set(ids)) == len(set(moments))


def test_sample_id_does_not_contain_the_item_id(world):
    for acquisition in run_search(world, anywhere("s2")).acquisitions:
        time, orbit = f"{acquisition.datetime:%Y%m%dt%H%M%S}", acquisition.relative_orbit
        assert acquisition.sample_id("32n_1_2") == f"s2_32n_1_2_{time}_r{orbit:03d}"


# -- real items --------------------------------------------------------------------------------------------------------


def of_list(real, tmp_path, name):
    return collected(tmp_path, json.loads((real / "stac" / name).read_text()))


def test_slices_of_a_real_radar_datatake_are_four_acquisitions(real, tmp_path):
    result = run_search(of_list(real, tmp_path, "sentinel-1-rtc-pc.json"), anywhere("s1")).acquisitions
    assert [f"{acquisition.datetime:%H%M%S}" for acquisition in result] == ["045749", "045814", "045839", "045904"]
    assert {
        (acquisition.relative_orbit, acquisition.epsg, acquisition.pixel_m, acquisition.platform)
        for acquisition in result
    } == {(51, 32633, 10, "sentinel-1a")}
    assert result[-1].origin == (373_180, 3_424_680) and result[-1].size_px == (27_526, 12_949)
    assert len({acquisition.id for acquisition in result}) == 4


def test_real_items_of_baseline_0510_carry_the_offset(real, tmp_path):
    result = run_search(of_list(real, tmp_path, "sentinel-2-l2a-pc.json"), anywhere("s2")).acquisitions
    assert {acquisition.tile for acquisition in result} == {"47xml", "47xmj", "46xes", "46xer"}
    assert {(acquisition.offset_dn, acquisition.baseline, acquisition.relative_orbit) for acquisition in result} == {
        (1000, "05.10", 122)
    }
    assert all(re.fullmatch(r"[a-z0-9_-]{1,80}", acquisition.sample_id("47n_607_4199")) for acquisition in result)


@pytest.mark.parametrize(
    ("name", "offset_dn", "second"),
    [
        ("S2B_MSIL2A_20190629T212529_R043_T06VVN_20201006T080531.json", 0, "2019-06-29T21:25:29+00:00"),
        ("sentinel-2-item.json", 1000, "2022-06-12T18:29:19+00:00"),
    ],
)
def test_real_single_items_are_read_as_they_are(real, name, offset_dn, second):
    (acquisition,) = run_search(real / "stac" / name, anywhere("s2")).acquisitions
    assert (acquisition.offset_dn, acquisition.datetime.isoformat()) == (offset_dn, second)
    assert acquisition.items[0].assets["SCL"].startswith("https://") and "?" not in acquisition.items[0].assets["SCL"]


def test_real_item_collection_of_a_southern_tile(real):
    result = run_search(real / "stac/site2-2020_jun_jul-35MNM.geojson", anywhere("s2")).acquisitions
    assert len(result) == len({acquisition.id for acquisition in result}) == 13
    assert {
        (acquisition.tile, acquisition.epsg, acquisition.relative_orbit, acquisition.offset_dn)
        for acquisition in result
    } == {("35mnm", 32735, 78, 0)}


def test_real_static_catalogue(real):
    optical, radar = (run_search(real / "catalog", anywhere(sensor)).acquisitions for sensor in ("s2", "s1"))
    assert len(optical) == len(radar) == 5
    assert sorted(acquisition.offset_dn for acquisition in optical) == [0, 0, 0, 0, 1000]
    assert (
        {acquisition.epsg for acquisition in optical}
        == {acquisition.epsg for acquisition in radar}
        == {32616, 32718, 32722, 32632, 32736}
    )
    assert {acquisition.relative_orbit for acquisition in optical} == {None} and all(
        acquisition.id.endswith("_r000") for acquisition in optical
    )


# -- what things are called, and where they lie ------------------------------------------------------------------------

EARTH_SEARCH, FOLDER = (
    load_model(Provider, "profiles/providers", name) for name in ("earth-search", "earth-search-folder")
)


def with_assets(provider, sensor, **changes):
    """A provider whose sensor is changed by keyword."""
    imagery = SensorCollection.model_validate(provider.sensors[sensor].model_dump() | changes)
    return provider.model_copy(update={"sensors": {sensor: imagery}})


@pytest.mark.parametrize("keys", [{"B04": "red"}, {"B04": "B04_10m"}, {"B04": "B04"}])
def test_bands_have_alternative_asset_names(world, tmp_path, keys):
    item = items_of(world, S2)[0]
    for band, key in keys.items():
        item["assets"][key] = item["assets"].pop(band)
    known = {band: list(names) for band, names in PROVIDER.sensors["s2"].assets.items()} | {
        "B04": ["B04", "red", "B04_10m"]
    }
    acquisition = single(tmp_path, item, provider=with_assets(PROVIDER, "s2", assets=known))
    assert acquisition.items[0].assets["B04"].endswith("B04.tif")


def test_earth_search_as_api_and_as_folder(real):
    path = real / "scene/S2A_29RKH_20200219_0_L2A/S2A_29RKH_20200219_0_L2A.json"
    (remote,) = run_search(path, anywhere("s2"), provider=EARTH_SEARCH).acquisitions
    (local,) = run_search(path, anywhere("s2"), provider=FOLDER).acquisitions
    assert remote.items[0].assets["B04"].startswith("https://") and local.items[0].assets["B04"] == "B04.tif"
    assert (local.offset_dn, local.offset_rule) == (0, "declared 0: none")
    assert (local.tile, local.datetime.isoformat()) == ("29rkh", "2020-02-19T11:21:11+00:00")
    assert (path.parent / local.items[0].assets["SCL"]).is_file()


def test_oldest_earth_search_items(real):
    assets = {band: band for band in PROVIDER.sensors["s2"].assets}
    old = with_assets(PROVIDER, "s2", assets=assets, collection="sentinel-s2-l2a-cogs")
    (acquisition,) = run_search(real / "stac/S2A_28QCH_20200714_0_L2A.json", anywhere("s2"), provider=old).acquisitions
    assert (acquisition.tile, acquisition.baseline, acquisition.relative_orbit, acquisition.offset_dn) == (
        "28qch",
        "02.14",
        123,
        0,
    )
    assert acquisition.datetime.isoformat() == "2020-07-14T11:52:21+00:00"


@pytest.mark.parametrize("polarizations", [["HH"], ["HH", "HV"], ["VV"]])
def test_item_without_both_polarisations_is_dropped(world, tmp_path, polarizations):
    complete, lacking, *_ = items_of(world, S1)
    lacking["properties"]["sar:polarizations"] = polarizations
    lacking["assets"] = {name.lower(): lacking["assets"]["vv"] for name in polarizations}
    result = run_search(collected(tmp_path, [complete, lacking]), anywhere("s1"))
    assert len(result.acquisitions) == 1
    assert [(acquisition.id, acquisition.stage, acquisition.reason) for acquisition in result.refused] == [
        (lacking["id"], "stac", "polarisation")
    ]
    assert result.refused[0].detail.endswith(", ".join(polarizations))


def test_empty_search_lists_drop_reasons(world, tmp_path):
    item = items_of(world, S1)[0]
    del item["assets"]["vh"]
    with pytest.raises(EmptySearch) as caught:
        run_search(collected(tmp_path, [item]), anywhere("s1"))
    assert caught.value.value == S1 and Reason["polarisation"].text in caught.value.problem


@pytest.mark.parametrize("direction", ["ascending", "descending", "any"])
def test_orbit_direction_is_filtered(world, direction):
    result = run_search(world, anywhere("s1", orbit_direction=direction)).acquisitions
    expected = {"ascending", "descending"} if direction == "any" else {direction}
    assert {acquisition.orbit_direction for acquisition in result} == expected
    assert all(len(acquisition.items) == 1 for acquisition in result)


@pytest.mark.parametrize(("state", "expected"), [("DESCENDING", "descending"), ("Descending", "ascending")])
def test_orbit_direction_is_case_insensitive(world, tmp_path, state, expected):
    item = changed(items_of(world, S1)[0], sat__orbit_state=state)
    path, request = collected(tmp_path, [item]), anywhere("s1", orbit_direction=expected)
    if expected == "descending":
        assert len(run_search(path, request).acquisitions) == 1
    else:
        with pytest.raises(EmptySearch):
            run_search(path, request)


def test_unknown_orbit_direction_is_dropped(world, tmp_path):
    first, second, *_ = (item for item in items_of(world, S1) if item["properties"]["sat:orbit_state"] == "ascending")
    path = collected(tmp_path, [first, changed(second, sat__orbit_state=None)])
    result = run_search(path, anywhere("s1", orbit_direction="ascending"))
    assert [(record.id, record.reason) for record in result.refused] == [(second["id"], "orbit_unknown")]
    assert len(result.acquisitions) == 1 and len(run_search(path, anywhere("s1")).acquisitions) == 2


@pytest.mark.parametrize(
    ("to", "href"),
    [
        ("/eodata/", "/eodata/a/B04.tif"),
        ("file:///eodata/", "file:///eodata/a/B04.tif"),
        ("./", "{folder}/a/B04.tif"),
        ("https://mirror.example.org/", "https://mirror.example.org/a/B04.tif"),
    ],
)
def test_mirror_is_a_folder_or_a_host(tmp_path, to, href):
    item = pystac.Item("i", None, None, dt.datetime(2020, 1, 1, tzinfo=dt.UTC), {})
    item.add_asset("B04", pystac.Asset("s3://bucket/a/B04.tif"))
    mirror = Mirror(pattern="s3://bucket/", to=to)
    rules = PROVIDER.model_copy(update={"mirror": mirror}).host_rules
    item.set_self_href(str(tmp_path / "item.json"))
    assert href_of(item, "B04", mirror, rules) == href.format(folder=tmp_path)
    item.set_self_href("https://stac.example.org/items/i")
    expected = href.format(folder="https://stac.example.org/items")
    assert href_of(item, "B04", mirror, rules) == (f"file://{expected}" if to == "/eodata/" else expected)


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
def test_image_across_the_antimeridian_intersects_both_sides(world, tmp_path, geometry, epsg, left):
    item = changed(items_of(world, S2)[0], geometry=geometry, proj__epsg=epsg) | {"bbox": [-180, 66, 180, 67]}
    for box in ([179.2, 66.2, 179.4, 66.4], [-179.4, 66.2, -179.2, 66.4], [179.9, 66.2, -179.9, 66.4]):
        (acquisition,) = run_search(collected(tmp_path, [item]), anywhere("s2", region={"bbox": box})).acquisitions
        assert acquisition.footprint.area == pytest.approx(2) and acquisition.footprint.bounds[0] == -180
    for box in ([0, 66.2, 1, 66.4], [177, 66.2, 178.5, 66.4]):
        with pytest.raises(EmptySearch):
            run_search(collected(tmp_path, [item]), anywhere("s2", region={"bbox": box}))


@pytest.mark.parametrize("bounds", [(45, 111, 46, 112), (6e5, 5e6, 61e4, 501e4), (361, 1, 362, 2)])
def test_a_footprint_that_is_no_degrees_is_refused(bounds):
    item = pystac.Item("a", mapping(shapely.box(*bounds)), None, dt.datetime(2021, 1, 1, tzinfo=dt.UTC), {})
    with raises(InputError, file="item a", key="geometry", value=list(bounds)):
        footprint(item)


def test_real_land_use_at_the_antimeridian_takes_the_footprint_from_the_geometry(real, tmp_path):
    labels = json.loads((real / "stac/io-lulc-annual-v02-pc.json").read_text())
    areas = [footprint(pystac.Item.from_dict(item)).area for item in labels]
    assert any(item["bbox"][0] == -180 and item["bbox"][2] == 180 for item in labels)
    assert max(areas) < 8 * 10
