"""Label maps on disk: edition, footprint and digest; invalid files."""

import datetime as dt
import json
import zipfile
from pathlib import Path

import geopandas
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import pytest
import shapely
from pyproj import Transformer
from rasterio.transform import Affine

from landmark.config.label_entries import LabelEntry
from landmark.core.errors import EmptySearch, InputError
from landmark.core.hashing import file_sha256
from landmark.domain.taxonomy import LabelEdition
from landmark.labels.files import (
    file_digest,
    find_label_files,
    local_label_files,
    local_label_rasters,
)
from landmark.stac.catalog import Query
from landmark.stac.label_items import label_raster
from landmark.stac.open_catalog import open_catalog
from tests.labels.maps import (
    CORINE,
    DYNAMIC,
    IO_LULC,
    LEFT,
    TOP,
    WORLD,
    WORLDCOVER,
    codes_at,
    local_files,
    local_maps,
    scattered_points,
    write_map,
    write_polygons,
)
from tests.parts import raises

SQUARE = shapely.box(LEFT, TOP - 1200, LEFT + 1200, TOP)
CODES = np.full((12, 12), 10, "uint8")


def utc(*when):
    return dt.datetime(*when, tzinfo=dt.UTC)


def full_year(year):
    return utc(year, 1, 1), utc(year, 12, 31, 23, 59, 59)


NOON = utc(2021, 6, 12, 10, 10, 31)


@pytest.mark.parametrize(
    ("crosswalk", "name", "entry", "start", "end", "version"),
    [
        (CORINE, "U2018_CLC2018_V2020_20u1", {}, *full_year(2018), "V2020_20u1"),
        (CORINE, "clc2012", {}, *full_year(2012), "unknown"),
        (CORINE, "veneto_2006_v3", {}, *full_year(2006), "unknown"),
        (CORINE, "clc", {"year": 2018}, *full_year(2018), "unknown"),
        (CORINE, "release_2020", {"year": 2018}, *full_year(2018), "unknown"),
        (WORLDCOVER, "ESA_WorldCover_10m_2021_v200_N45E009_Map", {}, *full_year(2021), "unknown"),
        (DYNAMIC, "20210612T101031_32TQR", {}, NOON, NOON, "V1"),
        (DYNAMIC, "20210612T101031_20210612T101551_T32TQR", {}, NOON, NOON, "V1"),
        (DYNAMIC, "20210612T101031_32TQR", {"year": 2019}, NOON, NOON, "V1"),
        (DYNAMIC, "dw-20210612", {}, utc(2021, 6, 12), utc(2021, 6, 12), "V1"),
        (DYNAMIC, "dw_2021", {}, *full_year(2021), "V1"),
    ],
)
def test_the_edition_comes_from_the_files_name_or_the_recipe(tmp_path, crosswalk, name, entry, start, end, version):
    (label,) = local_maps(crosswalk, write_map(tmp_path / f"{name}.tif", CODES), **entry)
    assert label.edition == LabelEdition(crosswalk.name, version, start, end)


def test_a_file_is_recorded_by_name_and_digest(tmp_path):
    path = write_map(tmp_path / "deep/CLC2018.tif", CODES)
    (label,) = local_maps(CORINE, path)
    assert (label.local, label.recorded_href, label.digest) == (True, "CLC2018.tif", file_sha256(path))
    assert label.href == str(path) and (label.layer, label.field) == (None, None)


def test_the_digest_of_a_shapefile_covers_all_parts(tmp_path):
    path = write_polygons(tmp_path / "clc2018.shp", [SQUARE], ["111"])
    before = file_digest(path)
    for part in sorted(tmp_path.glob("clc2018.*")):
        content = part.read_bytes()
        part.write_bytes(content + b" ")
        assert file_digest(path) != before, part
        part.write_bytes(content)
    assert file_digest(path) == before


@pytest.mark.parametrize("crs", ["EPSG:32632", "EPSG:3035", "EPSG:4326", "EPSG:3857"])
def test_the_footprint_contains_the_corners_of_the_frame(tmp_path, crs):
    frame = geopandas.GeoSeries([SQUARE], crs=32632).to_crs(crs)[0].envelope
    (label,) = local_maps(CORINE, write_polygons(tmp_path / "clc2018.gpkg", [frame], ["111"], crs=crs))
    lon, lat = Transformer.from_crs(crs, 4326, always_xy=True).transform(*np.array(frame.exterior.coords).T)
    assert shapely.distance(label.footprint, shapely.points(lon, lat)).max() < 1e-7
    assert label.footprint.area < 0.01


def test_a_map_across_the_antimeridian_intersects_both_sides(tmp_path):
    path = write_map(tmp_path / "20210612_01.tif", np.ones((200, 200), "uint8"), crs="EPSG:32701")
    moved = write_map(
        tmp_path / "20210613_01.tif",
        np.ones((200, 200), "uint8"),
        crs="EPSG:32701",
        transform=Affine(1000, 0, 100_000, 0, -1000, 8_200_000),
    )
    assert len(local_maps(DYNAMIC, path, moved)) == 2
    for lon in (179.5, -179.5):
        near = shapely.Point(lon, -17).buffer(0.1)
        assert local_label_rasters(local_files(DYNAMIC, moved), DYNAMIC, near)


def test_longitudes_of_a_map_may_count_from_zero(tmp_path):
    transform = Affine(0.01, 0, 350, 0, -0.01, 46)
    raster = write_map(tmp_path / "20210612_01.tif", np.ones((100, 100), "uint8"), crs="EPSG:4326", transform=transform)
    (label,) = local_maps(DYNAMIC, raster)
    assert label.footprint.equals(shapely.box(-10, 45, -9, 46))
    (label,) = local_maps(CORINE, write_polygons(tmp_path / "CLC2018.gpkg", [label.footprint], ["111"], crs=4326))
    assert label.lon_offsets == (0,)
    (label,) = local_maps(
        CORINE, write_polygons(tmp_path / "CLC2012.gpkg", [shapely.box(350, 45, 351, 46)], ["111"], crs=4326)
    )
    assert label.footprint.equals(shapely.box(-10, 45, -9, 46)) and label.lon_offsets == (0, 360)


def test_a_map_in_metres_of_a_geographic_crs_is_refused(tmp_path):
    files = (
        write_map(tmp_path / "CLC2018.tif", CODES, crs="EPSG:4326"),
        write_map(tmp_path / "CLC2012.tif", CODES, crs="EPSG:4258"),
        write_polygons(tmp_path / "CLC2006.geojson", [SQUARE], ["111"], crs=4326),
    )
    for path in files:
        with raises(InputError, file=str(path)):
            local_maps(CORINE, path)


def test_only_maps_that_intersect_the_area_are_returned(tmp_path):
    files = (write_map(tmp_path / "CLC2018.tif", CODES), write_map(tmp_path / "CLC2012.tif", CODES, crs="EPSG:32634"))
    labels = local_label_rasters(local_files(CORINE, *files), CORINE, shapely.box(10, 45, 11, 46))
    assert [label.item_id for label in labels] == ["CLC2018"]


def test_layers_with_codes_are_maps(tmp_path, real):
    path = tmp_path / "clc2018.gpkg"
    write_polygons(path, [SQUARE], ["111"])
    east = shapely.box(LEFT + 1200, TOP - 1200, LEFT + 2400, TOP)
    frame = geopandas.GeoDataFrame({"Code_18": [512]}, geometry=[east], crs=32632)
    frame.to_file(path, layer="overseas")
    frame.rename(columns={"Code_18": "name"}).to_file(path, layer="districts")
    labels = local_maps(CORINE, path)
    assert [(label.layer, label.field) for label in labels] == [("clc2018", "CODE_18"), ("overseas", "Code_18")]
    (label,) = local_maps(CORINE, real / "landcover/clc.gpkg", year=2018)
    assert (label.layer, label.field) == ("clc", "CODE_18")


# -- invalid files -----------------------------------------------------------------------------------------------------


def garbage(folder, name):
    path = folder / name
    path.write_bytes(b"<html>403</html>")
    return path


def vrt(folder):
    write_map(folder / "CLC2018.tif", CODES)
    (folder / "CLC2018.vrt").write_text("<VRTDataset/>")
    return folder / "CLC2018.vrt"


LOCAL_CRS = 'LOCAL_CS["Site",UNIT["metre",1],AXIS["X",EAST],AXIS["Y",NORTH]]'
INVALID = {
    "no year": lambda f: write_map(f / "clc.tif", CODES),
    "no such day": lambda f: write_map(f / "20211345.tif", CODES),
    "raster without CRS": lambda f: write_map(f / "CLC2018.tif", CODES, crs=None),
    "CRS without a datum": lambda f: write_map(f / "CLC2018.tif", CODES, crs=LOCAL_CRS),
    "not a raster": lambda f: garbage(f, "CLC2018.tif"),
    "not a GeoPackage": lambda f: garbage(f, "CLC2018.gpkg"),
    "not a Parquet file": lambda f: garbage(f, "CLC2018.parquet"),
    "a VRT": vrt,
    "no code": lambda f: write_polygons(f / "clc2018.gpkg", [SQUARE], ["111"], field="klasse"),
    "polygons without CRS": lambda f: write_polygons(f / "clc2018.parquet", [SQUARE], ["111"], crs=None),
    **{
        f"empty {suffix}": lambda f, suffix=suffix: write_polygons(f / f"clc2018.{suffix}", [], [])
        for suffix in ("gpkg", "parquet", "geojson")
    },
}


@pytest.mark.parametrize("write", INVALID.values(), ids=INVALID)
def test_invalid_files_are_refused(tmp_path, write):
    path = write(tmp_path)
    with pytest.raises(InputError) as caught:
        local_maps(DYNAMIC if path.stem.isdigit() else CORINE, path)
    assert caught.value.file == str(path)


def test_two_files_with_the_same_name_are_refused(tmp_path):
    paths = [write_map(tmp_path / folder / "CLC2018.tif", CODES) for folder in "ab"]
    with pytest.raises(InputError) as caught:
        local_maps(CORINE, *paths)
    assert (caught.value.key, caught.value.value) == ("labels.files", "CLC2018.tif")


def test_files_are_matched_by_path_by_glob_and_in_the_embedded_world(tmp_path):
    paths = [write_map(tmp_path / f"labels/corine/CLC{year}.tif", CODES) for year in (2012, 2018)]

    def files(*patterns):
        labels = local_label_files(LabelEntry(source="corine", files=patterns), lambda _: tmp_path)
        return [file.path for file in labels.files]

    assert files(str(paths[1])) == paths[1:]
    assert files(str(tmp_path / "**/*.tif")) == files("world:labels/corine/*.tif") == paths
    assert files(str(paths[1]), str(tmp_path / "labels/*/*.tif")) == paths[::-1]
    with pytest.raises(InputError) as caught:
        files(str(paths[0]), str(tmp_path / "*.gpkg"))
    assert (caught.value.key, caught.value.value) == ("labels.files", str(tmp_path / "*.gpkg"))


# -- several sources ---------------------------------------------------------------------------------------------------


def test_find_maps_of_all_sources_with_files(tmp_path):
    paths = write_map(tmp_path / "WorldCover_2021.tif", CODES), write_map(tmp_path / "CLC2018.tif", CODES)
    labels = {path.name: local_files(CORINE, path) for path in paths}
    files = {"worldcover": labels["WorldCover_2021.tif"], "corine": labels["CLC2018.tif"]}
    maps = find_label_files(files, (WORLDCOVER, DYNAMIC, CORINE), WORLD)
    assert [(label.edition.name, label.item_id) for label in maps] == [
        ("worldcover", "WorldCover_2021"),
        ("corine", "CLC2018"),
    ]


def test_files_outside_the_area_are_refused_unless_optional(tmp_path):
    path = write_map(tmp_path / "WorldCover_2021.tif", CODES)
    area = shapely.box(20.8, -34.1, 21.2, -33.7)
    for optional in (True, False):
        labels = {"worldcover": local_files(WORLDCOVER, path, optional=optional)}
        if optional:
            assert find_label_files(labels, (WORLDCOVER,), area) == []
        else:
            with pytest.raises(EmptySearch):
                find_label_files(labels, (WORLDCOVER,), area)


def test_the_end_of_an_io_lulc_item_is_exclusive(real):
    catalog = open_catalog(str(real / "catalog"))
    items = catalog.items(Query(frozenset({"io-lulc-annual-v02"})))
    editions = [label_raster(item, catalog, IO_LULC).edition for item in items]
    assert sorted(edition.start.year for edition in editions) == [2017, 2020, 2020, 2021, 2023]
    for edition in editions:
        assert edition.end == utc(edition.start.year, 12, 31, 23, 59, 59, 999999)
        assert edition.gap_days(utc(edition.start.year + 1, 1, 2)) == 1


def test_reading_a_geopackage_leaves_no_trace(tmp_path):
    path = write_polygons(tmp_path / "clc2018.gpkg", [SQUARE], ["111"])
    before = file_sha256(path)
    local_maps(CORINE, path)
    assert file_sha256(path) == before and [file.name for file in tmp_path.iterdir()] == ["clc2018.gpkg"]


def test_parts_of_a_shapefile_may_have_upper_case_suffixes(tmp_path):
    path = write_polygons(tmp_path / "clc2018.shp", [SQUARE], ["111"])
    table = path.with_suffix(".dbf").rename(tmp_path / "clc2018.DBF")
    before = file_digest(path)
    table.write_bytes(table.read_bytes().replace(b"111", b"523"))
    assert file_digest(path) != before


def test_a_geopackage_may_have_an_upper_case_suffix(tmp_path):
    path = write_polygons(tmp_path / "clc2018.gpkg", [SQUARE], ["111"]).rename(tmp_path / "CLC2018.GPKG")
    (label,) = local_maps(CORINE, path)
    assert label.field == "CODE_18"


def test_empty_layers_are_ignored(tmp_path):
    path = write_polygons(tmp_path / "clc2018.gpkg", [SQUARE], ["111"])
    empty = geopandas.GeoDataFrame({"CODE_18": []}, geometry=[], crs=32632)
    empty.to_file(path, layer="empty", driver="GPKG")
    assert [label.layer for label in local_maps(CORINE, path)] == ["clc2018"]


# -- formats -----------------------------------------------------------------------------------------------------------

EAST = shapely.box(LEFT + 1200, TOP - 1200, LEFT + 2400, TOP)
POINTS = scattered_points(32632, np.array([LEFT + 600, LEFT + 1800]), np.array([TOP - 600, TOP - 600]))


def write_layer(path, shapes=(SQUARE, EAST), codes=("112", "311"), layer="clc", crs=32632):
    frame = geopandas.GeoDataFrame({"CODE_18": codes}, geometry=list(shapes), crs=crs)
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        driver = "OpenFileGDB" if path.suffix == ".gdb" else None
        pyogrio.write_dataframe(frame, path, layer=layer, driver=driver, append=path.exists())
    return path


def zipped(path, *files, inside="DATA"):
    """A zip of files and folders."""
    with zipfile.ZipFile(path, "w") as archive:
        for file in files:
            for part in file.rglob("*") if file.is_dir() else file.parent.glob(f"{file.stem}.*"):
                archive.write(part, f"{inside}/{part.relative_to(file.parent)}")
    return path


def codes_of(path, **entry):
    """The code of each square, of the map with data."""
    return np.max([codes_at(label, CORINE, POINTS) for label in local_maps(CORINE, path, **entry)], axis=0).tolist()


@pytest.mark.parametrize(
    "name", ["clc.gpkg", "clc.shp", "clc.gdb", "clc.fgb", "clc.geojson", "clc.json", "clc.parquet"]
)
def test_formats_of_polygons_give_the_same_codes(tmp_path, name):
    crs = 4326 if "json" in name else 32632
    shapes = geopandas.GeoSeries([SQUARE, EAST], crs=32632).to_crs(crs)
    path = write_layer(
        (tmp_path / name).with_suffix(".geojson" if "json" in name else Path(name).suffix), shapes, crs=crs
    )
    path = path.rename(tmp_path / name)
    assert codes_of(path) == [112, 311]
    before = file_digest(path)
    changed = next(iter(sorted(path.rglob("*.gdbtable"), key=lambda part: -part.stat().st_size)), path)
    changed.write_bytes(changed.read_bytes() + b" ")
    assert file_digest(path) != before


@pytest.mark.parametrize("suffix", ["gpkg", "shp", "gdb"])
def test_zips_are_read_as_they_are(tmp_path, suffix):
    files = [write_layer(tmp_path / f"{name}.{suffix}", [shape], [code], name) for name, shape, code in
             (("a", SQUARE, "112"), ("b", EAST, "311"))]  # fmt: skip
    path = zipped(tmp_path / "U2018_CLC2018_V2020_20u1.zip", *files)
    labels = local_maps(CORINE, path)
    assert {(label.recorded_href, label.edition.version) for label in labels} == {(path.name, "V2020_20u1")}
    assert [str(path) in label.href for label in labels] == [True, True]
    assert codes_of(path) == [112, 311] and labels[0].digest == file_sha256(path)


@pytest.mark.parametrize("root", ["", "data/clc.gdb/"])
def test_a_zipped_geodatabase_may_have_no_folder(tmp_path, root):
    frame = geopandas.GeoDataFrame({"CODE_18": ["112", "311"]}, geometry=[SQUARE, EAST], crs=32632)
    pyogrio.write_dataframe(frame, tmp_path / "x.gdb", layer="clc", driver="OpenFileGDB")
    with zipfile.ZipFile(path := tmp_path / "clc2018.gdb.zip", "w") as archive:
        for part in (tmp_path / "x.gdb").iterdir():
            archive.write(part, root + part.name)
    assert codes_of(path) == [112, 311]


@pytest.mark.parametrize("content", [b"", b"PK", None])
def test_damaged_zips_and_those_without_polygons_are_refused(tmp_path, content):
    path = tmp_path / "clc2018.zip"
    if content is None:
        zipped(path, write_map(tmp_path / "clc2018.tif", CODES))
    else:
        path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        local_maps(CORINE, path)
    assert caught.value.file == str(path)


@pytest.mark.parametrize("crs", ["EPSG:32632", None])
def test_geoarrow_in_parquet_has_a_crs_or_is_refused(tmp_path, crs):
    frame = geopandas.GeoDataFrame({"CODE_18": ["112", "311"]}, geometry=[SQUARE, EAST], crs=crs)
    pq.write_table(pa.table(frame.to_arrow(index=False)), path := tmp_path / "clc.parquet")
    if crs:
        assert codes_of(path) == [112, 311]
    else:
        with pytest.raises(InputError) as caught:
            local_maps(CORINE, path)
        assert caught.value.file == str(path)


def test_geoparquet_with_heights_and_without_bounds(tmp_path):
    path = write_layer(tmp_path / "clc.parquet", shapely.force_3d([SQUARE, EAST], 7.0))
    table = pq.read_table(path)
    geo = json.loads(table.schema.metadata[b"geo"])
    for bbox in ([LEFT, TOP - 1200, 7.0, LEFT + 2400, TOP, 7.0], None):
        geo["columns"]["geometry"] |= {"bbox": bbox} if bbox else {"geometry_types": []}
        if not bbox:
            del geo["columns"]["geometry"]["bbox"]
        pq.write_table(table.replace_schema_metadata({"geo": json.dumps(geo)}), path)
        (label,) = local_maps(CORINE, path)
        assert label.footprint.area < 0.001 and codes_of(path) == [112, 311]
    geopandas.read_parquet(path).to_wkb().to_parquet(path)
    with pytest.raises(InputError) as caught:
        local_maps(CORINE, path)
    assert caught.value.file == str(path) and "geo" in str(caught.value)


@pytest.mark.parametrize("suffix", ["gpkg", "parquet", "fgb"])
@pytest.mark.parametrize("first", [True, False])
def test_a_vertex_that_is_no_number_costs_itself_alone(tmp_path, caplog, suffix, first):
    ring = shapely.get_coordinates(EAST).tolist()
    with np.errstate(invalid="ignore"):
        broken = shapely.Polygon([*ring[:-1], [np.nan, TOP], ring[-1]])
    shapes, codes = [SQUARE, broken], ["112", "311"]
    path = write_layer(tmp_path / f"clc.{suffix}", shapes[:: -1 if first else 1], codes[:: -1 if first else 1])
    assert codes_of(path) == [112, 311]
    # GDAL compares the polygon with a box that does not contain it.
    (label,) = local_maps(CORINE, path)
    x, y = np.array([LEFT + 1210.0]), np.array([TOP - 600.0])
    assert codes_at(label, CORINE, scattered_points(32632, x, y)).tolist() == [311]
    assert "1 polygons" in caplog.text and path.name in caplog.text


def test_layers_without_polygons_are_left_out(tmp_path, caplog):
    path = write_layer(tmp_path / "clc.gpkg")
    write_layer(path, [SQUARE.centroid, EAST.centroid], layer="centres")
    write_layer(path, [], [], layer="empty")
    assert codes_of(path) == [112, 311]
    assert "centres: Point" in caplog.text and "empty: no features" in caplog.text


def test_points_in_a_layer_of_polygons_have_no_labels(tmp_path):
    assert codes_of(write_layer(tmp_path / "clc.geojson", [SQUARE, EAST.centroid])) == [112, -1]


# -- names are the user's ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["tif", "gpkg", "shp"])
def test_names_are_those_of_links_and_not_of_their_targets(tmp_path, suffix):
    """Content stores such as git-annex, DVC and the cache of Hugging Face keep files under their digests."""
    store, folder = tmp_path / "store/2006", tmp_path / "maps"
    for created in (store, folder):
        created.mkdir(parents=True)
    if suffix == "tif":
        write_map(store / "x.tif", CODES, transform=Affine(100, 0, LEFT, 0, -100, TOP))
    else:
        write_layer(store / f"x.{suffix}")
    for part in sorted(store.glob("x.*")):
        target = part.rename(store / f"SHA256-1990-2012-{part.suffix[1:]}")
        (folder / f"CLC2018{part.suffix}").symlink_to(target)
    (tmp_path / "link").symlink_to(folder)
    for path in (folder / f"CLC2018.{suffix}", tmp_path / f"link/*.{suffix}"):
        (label,) = local_maps(CORINE, path)
        assert (label.edition.start.year, label.recorded_href) == (2018, f"CLC2018.{suffix}")
        assert label.href == str(path.with_name(f"CLC2018.{suffix}"))
        assert codes_at(label, CORINE, POINTS)[0] > 0


def test_globs_follow_links_of_folders_and_give_each_file_once(tmp_path):
    store, folder = tmp_path / "store", tmp_path / "maps"
    path = write_map(store / "2018/clc2018.tif", CODES)
    path.with_name("._clc2018.tif").write_bytes(b"resource fork of macOS")
    folder.mkdir()
    for name, target in (("2018", path.parent), ("latest", path.parent), ("loop", folder)):
        (folder / name).symlink_to(target)
    for pattern in ("**", "*"):
        (label,) = local_maps(CORINE, folder / pattern / "*.tif")
        assert label.href == str(folder / "2018/clc2018.tif")
