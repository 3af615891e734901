"""Editions of label files: years of names, layers and attributes, and what a recipe states."""

import datetime as dt
import zipfile

import geopandas
import numpy as np
import pyogrio
import pytest
import shapely

from landmark.config.label_entries import LabelFile
from landmark.core.errors import InputError
from tests.labels.maps import CORINE, DYNAMIC, LEFT, TOP, VECTORS, local_maps, write_map

SQUARE = shapely.box(LEFT, TOP - 1200, LEFT + 1200, TOP)
CODES = np.full((12, 12), 10, "uint8")


def layers_of(path, **layers):
    """A file whose layers have one square each: layer → attributes; a shape under `geometry` replaces the square."""
    for name, fields in layers.items():
        shapes = np.atleast_1d(fields.get("geometry", SQUARE))
        columns = {field: np.atleast_1d(codes) for field, codes in fields.items() if field != "geometry"}
        frame = geopandas.GeoDataFrame(columns, geometry=shapes, crs=32632)
        pyogrio.write_dataframe(frame, path, layer=name, append=path.exists())
    return path


def editions(*files, crosswalk=CORINE, **entry):
    """(year, layer, field) of each map."""
    maps = local_maps(crosswalk, *files, **entry)
    return [(label.edition.start.year, label.layer, label.field) for label in maps]


BOTH = {"clc12": {"CODE_12": "112"}, "clc18": {"CODE_18": "311"}}
TWO = [(2012, "clc12", "CODE_12"), (2018, "clc18", "CODE_18")]
EDITIONS = {
    "two editions": (BOTH, TWO),
    "changes": ({**BOTH, "CHA1218": {"CODE_12": "112", "CODE_18": "311"}, "cha_new": {"CODE_18": "311"}}, TWO),
    "changes by attributes": ({**BOTH, "x": {"CODE_06": "112", "code_12": "311"}}, TWO),
    "changes by the names of layers": ({**BOTH, **{f"clc{n}": {"Code_18": "311"} for n in ("1218", "_12_18")}}, TWO),
    "any case, numbers": (
        {"a": {"code_24": 112}, "b": {"Clc90": 111.0}},
        [(2024, "a", "code_24"), (1990, "b", "Clc90")],
    ),
    "four digits": (
        {"a": {"CLC_2000": 112}, "b": {"CODE_2006": 2}},
        [(2000, "a", "CLC_2000"), (2006, "b", "CODE_2006")],
    ),
    "layer names": (
        {
            "clc_06": {"CLC_CODE": "112"},
            "U2018_CLC2012_V2020_20u1": {"CLC_CODE": "112"},
            "Corine 1990": {"CLC_CODE": "1"},
            "clc10_2018": {"CLC_CODE": "112"},
        },
        [(2006, "clc_06"), (2012, "U2018_CLC2012_V2020_20u1"), (1990, "Corine 1990"), (2018, "clc10_2018")],
    ),
    "the name of the file": ({"a": {"CLC_CODE": "112"}}, [(2018, "a", "CLC_CODE")]),
    "an attribute without a year": ({"clc12": {"GRID_CODE": 2, "code_12": "112"}}, [(2012, "clc12", "code_12")]),
}


@pytest.mark.parametrize(("layers", "expected"), EDITIONS.values(), ids=EDITIONS)
def test_the_year_of_a_layer_comes_from_attribute_layer_or_file(tmp_path, layers, expected):
    maps = editions(layers_of(tmp_path / "x_clc2018.gpkg", **layers))
    assert [edition[: len(expected[0])] for edition in maps] == expected


@pytest.mark.parametrize(
    ("name", "year", "version"),
    [
        ("U2018_CLC2012_V2020_20u1", 2012, "V2020_20u1"),
        ("clc_2012_v2020_20u1", 2012, "v2020_20u1"),
        ("clc-06", 2006, "unknown"),
        ("clc10_2018", 2018, "unknown"),
        ("U2018_veneto_2006_V2020", 2006, "unknown"),
    ],
)
def test_a_name_has_years_of_status_and_version_too(tmp_path, name, year, version):
    (label,) = local_maps(CORINE, write_map(tmp_path / f"{name}.tif", CODES))
    assert (label.edition.start.year, label.edition.version) == (year, version)


STATED = {
    "year selects a layer": (BOTH, {"year": 2012}, TWO[:1]),
    "layer": (BOTH, {"layer": "CLC18"}, TWO[1:]),
    "layer and year": (BOTH, {"layer": "clc18", "year": 2020}, [(2020, "clc18", "CODE_18")]),
    "year selects an attribute": (
        {"all": {"CODE_12": "112", "CODE_18": "311"}},
        {"year": 2012},
        [(2012, "all", "CODE_12")],
    ),
    "layer of changes": (
        {**BOTH, "CHA1218": {"CODE_12": "112", "CODE_18": "311"}},
        {"layer": "CHA1218", "year": 2018},
        [(2018, "CHA1218", "CODE_18")],
    ),
    "year of a layer that has none": ({"a": {"CLC_CODE": "112"}}, {"year": 2006}, [(2006, "a", "CLC_CODE")]),
}


@pytest.mark.parametrize(("layers", "stated", "expected"), STATED.values(), ids=STATED)
def test_a_recipe_states_layer_and_year(tmp_path, layers, stated, expected):
    path = layers_of(tmp_path / "x_clc2018.gpkg", **layers)
    assert editions(LabelFile(path=str(path), **stated)) == expected
    if "layer" not in stated:
        assert editions(path, **stated) == expected
    # A glob beside it does not read the file again.
    assert editions(tmp_path / "*.gpkg", LabelFile(path=str(path), **stated)) == expected


def test_layers_of_the_same_year_are_read_if_they_do_not_overlap_or_are_stated(tmp_path):
    east = shapely.box(LEFT + 1200, TOP - 1200, LEFT + 2400, TOP)
    path = layers_of(tmp_path / "clc2018.gpkg", west={"CODE_18": "112"}, east={"CODE_18": "311", "geometry": east})
    assert editions(path) == [(2018, "west", "CODE_18"), (2018, "east", "CODE_18")]
    layers_of(path, again={"CLC18": "311"})
    with pytest.raises(InputError) as caught:
        editions(path)
    assert (caught.value.file, caught.value.value) == (str(path), ["west", "again"])
    stated = [LabelFile(path=str(path), layer=name) for name in ("again", "west")]
    assert [layer for _, layer, _ in editions(*stated)] == ["again", "west"]


AGES = {"geometry": [SQUARE, SQUARE], "CLC_CODE": ["112", "311"], "ref_year": ["2012-06-01", 2018]}
REFUSED = {
    "polygons of several years": ({"a": AGES}, {"year": 2018}, [2012, 2018]),
    "changes alone": ({"CHA1218": {"CODE_12": "112", "CODE_18": "311"}}, {}, ["x.gpkg"]),
    "two attributes": ({"a": {"CODE_12": "112", "CODE_18": "311"}}, {}, ["x.gpkg"]),
    "two attributes of a stated layer": ({"a": {"CODE_12": "112", "CODE_18": "311"}}, {"layer": "a"}, [2012, 2018]),
    "name and attribute differ": ({"clc12": {"CODE_18": "311"}}, {}, [2012, 2018]),
    "several years in a name": ({"clc_2012_or_2018": {"CLC_CODE": "311"}}, {}, [2012, 2018]),
    "another year": (BOTH, {"year": 2006}, 2006),
    "no year": ({"a": {"CLC_CODE": "311"}}, {}, None),
    "no such layer": (BOTH, {"layer": "clc06"}, "clc06"),
    "no codes": ({"a": {"name": "forest"}}, {}, ["a"]),
    "points": ({"clc18": {"CODE_18": "311", "geometry": SQUARE.centroid}}, {}, ["clc18: Point"]),
    "lines": (
        {"clc18": {"CODE_18": "311", "geometry": shapely.LineString(SQUARE.exterior)}},
        {},
        ["clc18: LineString"],
    ),
}


@pytest.mark.parametrize(("layers", "stated", "value"), REFUSED.values(), ids=REFUSED)
def test_ambiguous_and_useless_layers_are_refused(tmp_path, layers, stated, value):
    path = layers_of(tmp_path / "x.gpkg", **layers)
    with pytest.raises(InputError) as caught:
        editions(LabelFile(path=str(path), **stated))
    assert (caught.value.file, caught.value.value) == (str(path), value)
    assert caught.value.remedy


def test_a_name_with_several_times_needs_a_stated_year(tmp_path):
    for crosswalk, name, value in (
        (DYNAMIC, "dw_20170101-20180101", ["20170101", "20180101"]),
        (DYNAMIC, "dw_20210601_20210630", ["20210601", "20210630"]),
        (DYNAMIC, "dw-2021-06-01-to-2021-06-30", ["20210601", "20210630"]),
        (DYNAMIC, "dw_2021_06", None),
        (CORINE, "corine_2012_2018", [2012, 2018]),
        (CORINE, "clc12_export_2019", [2012, 2019]),
        (VECTORS, "osm_2012_2018", [2012, 2018]),
    ):
        path = write_map(tmp_path / f"{name}.tif", CODES)
        with pytest.raises(InputError) as caught:
            local_maps(crosswalk, path)
        assert (caught.value.file, caught.value.value) == (str(path), value)
        assert editions(LabelFile(path=str(path), year=2017), crosswalk=crosswalk) == [(2017, None, None)]
        assert editions(path, crosswalk=crosswalk, year=2017) == [(2017, None, None)]


def test_a_day_in_a_name_may_have_separators(tmp_path):
    for name in ("2021-06-12_32TQR", "dw_2021_06_12"):
        (label,) = local_maps(DYNAMIC, write_map(tmp_path / f"{name}.tif", CODES))
        assert label.edition.start == label.edition.end == dt.datetime(2021, 6, 12, tzinfo=dt.UTC)


def test_files_of_changes_in_a_glob_are_left_out(tmp_path):
    for name in ("U2018_CLC2018_V2020_20u1", "U2018_CHA1218_V2020_20u1"):
        write_map(tmp_path / f"{name}.tif", CODES)
        layers_of(tmp_path / f"{name}.gpkg", **{name: {"CODE_18": "111"} if "CLC" in name else BOTH["clc18"]})
    maps = local_maps(CORINE, tmp_path / "*.*")
    assert [label.recorded_href for label in maps] == [f"U2018_CLC2018_V2020_20u1.{end}" for end in ("gpkg", "tif")]


def test_layers_of_rasters_and_contradicting_years_are_refused(tmp_path):
    path = str(write_map(tmp_path / "clc2018.tif", CODES))
    for files in ([LabelFile(path=path, layer="a")], [LabelFile(path=path, year=year) for year in (2012, 2018)]):
        with pytest.raises(InputError) as caught:
            local_maps(CORINE, *files)
        assert caught.value.file == path


def test_files_in_a_zip_have_years_in_their_names(tmp_path):
    """As outside of it: the name of a file does not contradict an attribute."""
    layers = {"clc12": {"CLC_CODE": "112"}, "export_2020": {"CODE_18": "311"}}
    with zipfile.ZipFile(tmp_path / "clc.zip", "w") as archive:
        for name, fields in layers.items():
            archive.write(layers_of(tmp_path / f"{name}.fgb", **{name: fields}), f"{name}.fgb")
    years = [2012, 2018]
    assert [edition[0] for edition in editions(tmp_path / "clc.zip")] == years
    assert [edition[0] for edition in editions(*(tmp_path / f"{name}.fgb" for name in layers))] == years
