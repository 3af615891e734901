"""Label maps as the catalogue hands them on: their edition, ground and digest; what files must say."""

import datetime as dt

import geopandas
import numpy as np
import pytest
import shapely
from pyproj import Transformer
from rasterio.transform import Affine

from landmark.config.label_entries import LabelEntry, matching
from landmark.core.errors import EmptySearch, InputError
from landmark.core.hashing import file_sha256
from landmark.labels.files import LocalLabels, file_digest, local_label_files, local_label_rasters, of_item
from landmark.stac.catalog import Query
from landmark.stac.open_catalog import open_document
from landmark.stac.search import search
from tests.extract.scenes import PROVIDER
from tests.labels.maps import CORINE, DYNAMIC, IO_LULC, LEFT, TOP, WORLDCOVER, maps, polygons, raster
from tests.stac.items import anywhere, found_in

SQUARE = shapely.box(LEFT, TOP - 1200, LEFT + 1200, TOP)
CODES = np.full((12, 12), 10, "uint8")


def utc(*when):
    return dt.datetime(*when, tzinfo=dt.UTC)


def whole(year):
    return utc(year, 1, 1), utc(year, 12, 31, 23, 59, 59)


NOON = utc(2021, 6, 12, 10, 10, 31)


@pytest.mark.parametrize(
    ("crosswalk", "name", "entry", "start", "end", "version"),
    [
        (CORINE, "U2018_CLC2018_V2020_20u1", {}, *whole(2018), "V2020_20u1"),
        (CORINE, "clc2012", {}, *whole(2012), "unknown"),
        (CORINE, "veneto_2006_v3", {}, *whole(2006), "unknown"),
        (CORINE, "clc", {"year": 2018}, *whole(2018), "unknown"),
        (CORINE, "release_2020", {"year": 2018}, *whole(2018), "unknown"),
        (WORLDCOVER, "ESA_WorldCover_10m_2021_v200_N45E009_Map", {}, *whole(2021), "unknown"),
        (DYNAMIC, "20210612T101031_32TQR", {}, NOON, NOON, "V1"),
        (DYNAMIC, "20210612T101031_20210612T101551_T32TQR", {}, NOON, NOON, "V1"),
        (DYNAMIC, "20210612T101031_32TQR", {"year": 2019}, NOON, NOON, "V1"),
        (DYNAMIC, "dw-20210612", {}, utc(2021, 6, 12), utc(2021, 6, 12), "V1"),
        (DYNAMIC, "dw_2021", {}, *whole(2021), "V1"),
    ],
)
def test_a_file_says_when_by_its_name_or_the_recipe_says_it(tmp_path, crosswalk, name, entry, start, end, version):
    (label,) = maps(crosswalk, raster(tmp_path / f"{name}.tif", CODES), **entry)
    said = label.edition
    assert (said.name, said.start, said.end, said.version) == (crosswalk.name, start, end, version)


def test_a_file_is_recorded_by_its_name_and_bytes_alone(tmp_path):
    path = raster(tmp_path / "deep/CLC2018.tif", CODES)
    (label,) = maps(CORINE, path)
    assert (label.local, label.recorded_href, label.digest) == (True, "CLC2018.tif", file_sha256(path))
    assert label.href == str(path) and (label.layer, label.field) == (None, None)


def test_a_shapefile_is_known_by_all_its_files(tmp_path):
    path = polygons(tmp_path / "clc2018.shp", [SQUARE], ["111"])
    before = file_digest(path)
    for part in sorted(tmp_path.glob("clc2018.*")):
        content = part.read_bytes()
        part.write_bytes(content + b" ")
        assert file_digest(path) != before, part
        part.write_bytes(content)
    assert file_digest(path) == before


@pytest.mark.parametrize("crs", ["EPSG:32632", "EPSG:3035", "EPSG:4326", "EPSG:3857"])
def test_the_ground_of_a_map_holds_every_corner_of_its_frame(tmp_path, crs):
    frame = geopandas.GeoSeries([SQUARE], crs=32632).to_crs(crs)[0].envelope
    (label,) = maps(CORINE, polygons(tmp_path / "clc2018.gpkg", [frame], ["111"], crs=crs))
    lon, lat = Transformer.from_crs(crs, 4326, always_xy=True).transform(*np.array(frame.exterior.coords).T)
    assert shapely.distance(label.footprint, shapely.points(lon, lat)).max() < 1e-7
    assert label.footprint.area < 0.01


def test_a_map_over_the_antimeridian_is_found_on_both_sides_of_it(tmp_path):
    path = raster(tmp_path / "20210612_01.tif", np.ones((200, 200), "uint8"), crs="EPSG:32701")
    moved = raster(
        tmp_path / "20210613_01.tif",
        np.ones((200, 200), "uint8"),
        crs="EPSG:32701",
        transform=Affine(1000, 0, 100_000, 0, -1000, 8_200_000),
    )
    assert len(maps(DYNAMIC, path, moved)) == 2
    for lon in (179.5, -179.5):
        near = shapely.Point(lon, -17).buffer(0.1)
        assert local_label_rasters(LocalLabels(LabelEntry(source="dynamic-world"), (moved,)), DYNAMIC, near)


def test_only_maps_that_meet_the_region_are_taken(tmp_path):
    files = (raster(tmp_path / "CLC2018.tif", CODES), raster(tmp_path / "CLC2012.tif", CODES, crs="EPSG:32634"))
    near = shapely.box(10, 45, 11, 46)
    assert [one.item_id for one in local_label_rasters(LocalLabels(LabelEntry(source="corine"), files), CORINE, near)] == ["CLC2018"]


def test_every_layer_that_has_a_code_is_a_map_and_others_are_not(tmp_path, real):
    path = tmp_path / "clc2018.gpkg"
    polygons(path, [SQUARE], ["111"])
    frame = geopandas.GeoDataFrame({"Code_18": [512]}, geometry=[SQUARE], crs=32632)
    frame.to_file(path, layer="overseas")
    frame.rename(columns={"Code_18": "name"}).to_file(path, layer="districts")
    assert [(one.layer, one.field) for one in maps(CORINE, path)] == [("clc2018", "CODE_18"), ("overseas", "Code_18")]
    (label,) = maps(CORINE, real / "landcover/clc.gpkg", year=2018)
    assert (label.layer, label.field) == ("clc", "CODE_18")


# -- refusals ----------------------------------------------------------------------------------------------------------


def garbage(folder, name):
    path = folder / name
    path.write_bytes(b"<html>403</html>")
    return path


def pointing(folder):
    raster(folder / "CLC2018.tif", CODES)
    (folder / "CLC2018.vrt").write_text("<VRTDataset/>")
    return folder / "CLC2018.vrt"


REFUSED = [
    ("no year", lambda f: raster(f / "clc.tif", CODES), ["clc.tif", "`year`", "recipe"]),
    ("no such day", lambda f: raster(f / "20211345.tif", CODES), ["20211345", "calendar"]),
    ("no CRS", lambda f: raster(f / "CLC2018.tif", CODES, crs=None), ["CLC2018.tif", "no CRS", "gdal_edit -a_srs"]),
    ("no raster", lambda f: garbage(f, "CLC2018.tif"), ["CLC2018.tif", "cannot be read as a raster of corine"]),
    ("no polygons", lambda f: garbage(f, "CLC2018.gpkg"), ["CLC2018.gpkg", "cannot be read as polygons of corine"]),
    ("no parquet", lambda f: garbage(f, "CLC2018.parquet"), ["CLC2018.parquet", "cannot be read as polygons"]),
    ("a VRT", pointing, ["CLC2018.vrt", "VRT", "name those files"]),
    (
        "no code",
        lambda f: polygons(f / "clc2018.gpkg", [SQUARE], ["111"], field="klasse"),
        ["clc2018.gpkg", "`files.fields`", "taxonomies/corine.yaml", "CODE_18", "AREA_HA, klasse"],
    ),
    (
        "polygons without CRS",
        lambda f: polygons(f / "clc2018.parquet", [SQUARE], ["111"], crs=None),
        ["clc2018.parquet", "no CRS", "ogr2ogr -a_srs"],
    ),
]


@pytest.mark.parametrize(("make", "words"), [pytest.param(*row, id=name) for name, *row in REFUSED])
def test_a_file_that_does_not_say_enough_is_refused_with_its_path_and_the_remedy(tmp_path, make, words):
    path = make(tmp_path)
    crosswalk = DYNAMIC if path.stem.isdigit() else CORINE
    with pytest.raises(InputError) as caught:
        maps(crosswalk, path)
    assert all(word in str(caught.value) for word in [str(tmp_path), *words])


def test_two_files_of_one_name_are_refused_for_the_lock_could_not_tell_them_apart(tmp_path):
    paths = [raster(tmp_path / folder / "CLC2018.tif", CODES) for folder in "ab"]
    with pytest.raises(InputError, match=r"two files of corine are called CLC2018\.tif"):
        maps(CORINE, *paths)


def test_files_are_found_by_path_glob_and_in_the_embedded_world(tmp_path):
    paths = [raster(tmp_path / f"labels/corine/CLC{year}.tif", CODES) for year in (2012, 2018)]

    def files(*patterns):
        return list(local_label_files(LabelEntry(source="corine", files=patterns), lambda: tmp_path).files)

    assert files(str(paths[1])) == paths[1:]
    assert files(str(tmp_path / "**/*.tif")) == files("world:labels/corine/*.tif") == paths
    assert files(str(paths[1]), str(tmp_path / "labels/*/*.tif")) == paths[::-1]
    with pytest.raises(InputError, match=r"corine: no file matches .*\*\.gpkg"):
        files(str(paths[0]), str(tmp_path / "*.gpkg"))


# -- beside the catalogue ----------------------------------------------------------------------------------------------


def test_a_source_with_files_is_not_looked_for_in_the_catalogue(world, tmp_path):
    path = raster(
        tmp_path / "WorldCover_2021.tif",
        np.full((2000, 2000), 10, "uint8"),
        transform=Affine(10, 0, 690_000, 0, -10, 5_060_000),
    )
    asked = anywhere("s2", region={"bbox": [11.5, 45.2, 12.5, 45.7]}, labels=[{"source": "worldcover"}])
    given = {"worldcover": LocalLabels(LabelEntry(source="worldcover"), (path,))}
    document = open_document(str(world))
    found = search(document, asked, provider=PROVIDER, crosswalks=(WORLDCOVER,), files=given)
    assert [label.item_id for label in found.labels] == ["WorldCover_2021"]


def test_files_off_the_region_are_refused_but_where_they_are_optional(world, tmp_path):
    path = raster(tmp_path / "WorldCover_2021.tif", CODES)
    asked = anywhere("s2", region={"bbox": [20.8, -34.1, 21.2, -33.7]}, labels=[{"source": "worldcover"}])
    for optional in (True, False):
        given = {"worldcover": LocalLabels(LabelEntry(source="worldcover", optional=optional), (path,))}
        options = {"provider": PROVIDER, "crosswalks": (WORLDCOVER,), "files": given}
        if optional:
            assert search(open_document(str(world)), asked, **options).labels == []
        else:
            with pytest.raises(EmptySearch, match="no file of worldcover meets the region"):
                search(open_document(str(world)), asked, **options)


def test_a_source_the_provider_lacks_is_refused_with_the_way_to_give_its_files(world):
    with pytest.raises(InputError, match=r"publishes no 'corine'.*--labels corine=PATH"):
        found_in(world, anywhere("s2"), crosswalks=(CORINE,))


def test_the_end_of_an_io_lulc_item_does_not_belong_to_it(real):
    document = open_document(str(real / "catalog"))
    items = list(document.items(Query(frozenset({"io-lulc-annual-v02"}))))
    years = [of_item(item, document, IO_LULC).edition for item in items]
    assert sorted(said.start.year for said in years) == [2017, 2020, 2020, 2021, 2023]
    for said in years:
        assert said.end == utc(said.start.year, 12, 31, 23, 59, 59, 999999)
        assert said.gap_days(utc(said.start.year + 1, 1, 2)) == 1


def test_what_a_file_of_polygons_holds_is_not_changed_by_looking(tmp_path):
    path = polygons(tmp_path / "clc2018.gpkg", [SQUARE], ["111"])
    before = file_sha256(path)
    maps(CORINE, path)
    assert file_sha256(path) == before and [one.name for one in tmp_path.iterdir()] == ["clc2018.gpkg"]


def test_a_shapefile_in_capitals_is_known_by_all_its_files_too(tmp_path):
    path = polygons(tmp_path / "clc2018.shp", [SQUARE], ["111"])
    table = path.with_suffix(".dbf").rename(tmp_path / "clc2018.DBF")
    before = file_digest(path)
    table.write_bytes(table.read_bytes().replace(b"111", b"523"))
    assert file_digest(path) != before


def test_a_geopackage_in_capitals_is_no_raster(tmp_path):
    path = polygons(tmp_path / "clc2018.gpkg", [SQUARE], ["111"]).rename(tmp_path / "CLC2018.GPKG")
    (label,) = maps(CORINE, path)
    assert label.field == "CODE_18"


@pytest.mark.parametrize("suffix", ["gpkg", "parquet", "geojson"])
def test_a_file_without_a_polygon_is_refused_by_name(tmp_path, suffix):
    path = polygons(tmp_path / f"clc2018.{suffix}", [], [])
    with pytest.raises(InputError, match=rf"clc2018\.{suffix}: no layer has a code"):
        maps(CORINE, path)


def test_an_empty_layer_beside_another_is_passed_over(tmp_path):
    path = polygons(tmp_path / "clc2018.gpkg", [SQUARE], ["111"])
    empty = geopandas.GeoDataFrame({"CODE_18": []}, geometry=[], crs=32632)
    empty.to_file(path, layer="empty", driver="GPKG")
    assert [label.layer for label in maps(CORINE, path)] == ["clc2018"]


def test_a_crs_that_is_not_tied_to_the_earth_is_refused_by_name(tmp_path):
    local = 'LOCAL_CS["Site",UNIT["metre",1],AXIS["X",EAST],AXIS["Y",NORTH]]'
    path = raster(tmp_path / "clc2018.tif", np.ones((12, 12), "uint8"), crs=local)
    with pytest.raises(InputError, match=r"clc2018\.tif: its CRS, .*not tied to the Earth"):
        maps(CORINE, path)


@pytest.mark.parametrize("pattern", ["dw/**.tif", "/", "a\0b"])
def test_a_pattern_that_is_none_is_refused_by_key(pattern):
    with pytest.raises(InputError, match=r"labels: files: .* is no path and no pattern of files"):
        matching(pattern)
