"""The nearest named place, against geodesics on the ellipsoid."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Geod

from landmark.captions.gazetteer import Gazetteer, read_gazetteer
from landmark.core.errors import InputError
from tests.parts import examples, text

GEOD = Geod(ellps="WGS84")
points = st.tuples(st.floats(-180, 180), st.floats(-85, 85))


@given(st.lists(points, min_size=1, max_size=20), points)
@examples(200)
def test_the_nearest_place_is_the_geodesics_nearest(places, here):
    found = Gazetteer(tuple({"": str(number)} for number in range(len(places))), np.array(places), 1e6).nearest(*here)
    azimuths, _, metres = GEOD.inv(*np.array(places).T, *(np.full(len(places), value) for value in here))
    number = int(found.name("en"))
    assert metres[number] <= metres.min() * 1.01 + 1
    assert found.km == pytest.approx(metres[number] / 1000, rel=0.006, abs=1e-3)
    # Across the poles and beside the antipode a bearing turns round within metres.
    if 1_000 < metres[number] < 500_000 and abs(here[1]) < 80 and abs(places[number][1]) < 80:
        assert abs((found.bearing_deg - azimuths[number] + 180) % 360 - 180) < 1


def test_a_place_too_far_off_is_not_named():
    one = Gazetteer(({"": "Riverton"},), np.array([[12.0, 45.0]]), 30)
    assert one.nearest(12.0, 45.2).km == pytest.approx(22.2, abs=0.1)
    assert one.nearest(12.0, 45.3) is None


def geojson(folder, *features):
    told = [
        {"type": "Feature", "properties": said, "geometry": {"type": kind, "coordinates": place}}
        for kind, place, said in features
    ]
    return text(folder / "places.geojson", json.dumps({"type": "FeatureCollection", "features": told}))


def test_a_file_of_any_kind_holds_the_same_places(tmp_path):
    import geopandas

    first = geojson(
        tmp_path,
        ("Point", [12.5, 45.25], {"name": "Riverton", "name_fr": "Riveville", "name_es": None}),
        ("Point", [-1, 50], {"name": "Ashby"}),
    )
    geopandas.read_file(first).to_crs(3857).to_file(tmp_path / "places.gpkg")
    table = text(tmp_path / "places.csv", "\ufeffname,name_fr,lon,lat\nRiverton,Riveville,12.5,45.25\nAshby,,-1,50\n")
    read = [read_gazetteer(path, 30) for path in (first, tmp_path / "places.gpkg", table)]
    for one in read:
        assert one.names == ({"": "Ashby"}, {"": "Riverton", "fr": "Riveville"})
        np.testing.assert_allclose(one.lonlat, [[-1, 50], [12.5, 45.25]], atol=1e-9)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("name,lon,lat\n", "holds no point"),
        ("name,lon,lat\nX,east,1\n", "line 2: needs numbers under `lon` and `lat`"),
        ("name,x,y\nX,1,1\n", "line 2: needs numbers"),
        ("name,lon,lat\n ,1,1\n", "has no `name`"),
        ("name,lon,lat\nX,1,91\n", "is no longitude and latitude"),
    ],
)
def test_a_table_without_places_is_refused(tmp_path, content, what):
    with pytest.raises(InputError, match=what):
        read_gazetteer(text(tmp_path / "places.csv", content), 30)


def test_what_is_no_file_of_points_is_refused(tmp_path):
    with pytest.raises(InputError, match="feature 1: is no point"):
        read_gazetteer(geojson(tmp_path, ("LineString", [[0, 0], [1, 1]], {"name": "X"})), 30)
    with pytest.raises(InputError, match="is no file of vectors, or is gone"):
        read_gazetteer(tmp_path / "none.geojson", 30)
    with pytest.raises(InputError, match="cannot be read"):
        read_gazetteer(tmp_path / "none.csv", 30)
