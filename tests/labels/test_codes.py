"""Codes of label files: of any type, as words, and invalid ones."""

from collections import Counter

import geopandas
import numpy as np
import pytest
import shapely

from landmark.core.errors import InputError
from landmark.core.yaml_files import load_model
from landmark.domain.taxonomy import Crosswalk
from landmark.labels.codes import InvalidCodes, codes_from_attributes, to_integers
from landmark.labels.editions import LabelSource
from tests.labels.maps import (
    LEFT,
    TOP,
    count_labels,
    local_maps,
    pixels_by_codes,
    write_polygons,
)
from tests.parts import cell_table

CORINE, VECTORS = (load_model(Crosswalk, "taxonomies", name) for name in ("corine", "vectors"))


@pytest.mark.parametrize(
    ("values", "codes"),
    [
        (["112", 112, 112.0, "112.0", " 112 ", np.int64(112), np.float32(112), "1.1.2", b"112".decode()], [112] * 9),
        ([1212, "1212", "1.2.1.2", 12121], [121] * 4),
        ([2, "2", 2.0], [112] * 3),
        (["Vineyards", "vineyards", " VINEYARDS", "Non-irrigated arable land", "non_irrigated_arable_land"],
         [221, 221, 221, 211, 211]),
        (["Peatbogs", "Peat bogs", "Transitional woodland/shrub"], [412, 412, 324]),
        ([None, "", float("nan"), "NaN", "None", "null", 999, "990"], [-1] * 8),
        (["112", "Vineyards", None], [112, 221, -1]),
        ([], []),
    ],
)  # fmt: skip
def test_codes_of_any_type_are_equal(values, codes):
    result = codes_from_attributes(np.array([*values, None], object)[:-1], CORINE)
    assert result.dtype == np.int32 and result.tolist() == codes


@pytest.mark.parametrize(
    ("values", "value"),
    [
        (["112", "987", "987"], 987),
        (["Vineyard", "Vineyard", "Vineyards"], "Vineyard"),
        ([112.5], "112.5"),
        (["1e30", "inf"], "1e30"),
        ([112, 2], [112, 2]),
    ],
)
def test_invalid_codes_are_refused(values, value):
    with pytest.raises(InvalidCodes) as caught:
        codes_from_attributes(np.array(values, object), CORINE)
    assert caught.value.value == value


@pytest.mark.parametrize("value", [1e30, float("inf"), 0.5])
def test_a_raster_of_other_values_than_integers_is_refused(value):
    with pytest.raises(InvalidCodes) as caught:
        to_integers(np.array([1.0, value]))
    assert caught.value.value == value


@pytest.mark.parametrize("field", ["CODE_18", "code_18", "Code_18", "clc_18", "clc18", "CLC2018", "grid_code"])
def test_the_field_of_codes_is_identified_by_name(tmp_path, field):
    code = 2 if field == "grid_code" else "112"
    square = shapely.box(LEFT, TOP - 120, LEFT + 120, TOP)
    (label,) = local_maps(CORINE, write_polygons(tmp_path / "clc2018.gpkg", [square], [code], field=field))
    assert label.field == field


# -- polygons with words -----------------------------------------------------------------------------------------------


def osm_words(code):
    """OpenStreetMap's tag for a CORINE class."""
    return {
        "trees": "forest", "crops": "Farm_land", "grass": "meadow", "built": "residential", "water": "reservoir",
        "bare": "bare_rock", "shrub_and_scrub": "scrub", "flooded_vegetation": "wetland", "snow_and_ice": "glacier",
    }.get(CORINE.classes[int(code)].to, "nature_reserve")  # fmt: skip


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson"])
def test_polygons_with_words_give_the_classes_of_the_original_codes(tmp_path, real, suffix):
    frame = geopandas.read_file(real / "landcover/clc.gpkg", layer="clc")
    left, bottom, right, top = frame.total_bounds
    words = frame.assign(landuse=[osm_words(code) for code in frame["CODE_18"]])[["landuse", "geometry"]]
    path = tmp_path / f"osm-2018{suffix}"
    (words if suffix == ".gpkg" else words.to_crs(4326)).to_file(path)
    corner = (left + right) / 2 - 1500, (top + bottom) / 2 + 1500
    cell = cell_table(25830, [corner], cell_m=3000)
    sources = [
        (VECTORS, local_maps(VECTORS, path)),
        (CORINE, local_maps(CORINE, real / "landcover/clc.gpkg", year=2018)),
    ]
    rows = count_labels(
        cell,
        *((LabelSource(crosswalk, max_gap_days=9999), files) for crosswalk, files in sources),
        patch_px=120,
        cell_m=3000,
    )
    equal, total = Counter(), 0
    for (word, code), pixels in pixels_by_codes(rows, cell["cell"][0].as_py()).items():
        target = VECTORS.classes[word].to if word >= 0 else None
        expected = CORINE.classes[code].to if code >= 0 else None
        equal[target == expected] += pixels
        total += pixels * (expected is not None)
    # Reprojected edges move by far less than a pixel, but a pixel's centre may be on one.
    assert total > 10_000 and equal[False] <= (0 if suffix == ".gpkg" else 5)


def test_an_unknown_word_is_refused(tmp_path):
    halves = [shapely.box(LEFT, TOP - 120, LEFT + 60, TOP), shapely.box(LEFT + 60, TOP - 120, LEFT + 120, TOP)]
    path = write_polygons(tmp_path / "osm2021.gpkg", halves, ["forest", "moon crater"], field="natural")
    cell = cell_table(32632, [(LEFT, TOP)], cell_m=120)
    with pytest.raises(InputError) as caught:
        count_labels(cell, (LabelSource(VECTORS), local_maps(VECTORS, path)))
    assert (caught.value.file, caught.value.value) == (str(path), "moon crater")


def test_words_of_no_data_do_not_hide_the_polygon_below(tmp_path):
    square = shapely.box(LEFT, TOP - 120, LEFT + 120, TOP)
    path = write_polygons(tmp_path / "osm2021.gpkg", [square, square], ["nature_reserve", "wood"], field="fclass")
    cell = cell_table(32632, [(LEFT, TOP)], cell_m=120)
    rows = count_labels(cell, (LabelSource(VECTORS), local_maps(VECTORS, path)))
    assert pixels_by_codes(rows, cell["cell"][0].as_py()) == {(1,): 144}
