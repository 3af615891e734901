"""The nearest named place, compared with geodesics on the ellipsoid."""

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
def test_nearest_place_matches_geodesics(places, position):
    names = tuple({"": str(number)} for number in range(len(places)))
    nearest = Gazetteer(names, np.array(places), 1e6).nearest(*position)
    azimuths, _, metres = GEOD.inv(*np.array(places).T, *(np.full(len(places), value) for value in position))
    number = int(nearest.name("en"))
    assert metres[number] <= metres.min() * 1.01 + 1
    assert nearest.km == pytest.approx(metres[number] / 1000, rel=0.006, abs=1e-3)
    # Across the poles and near the antipode a bearing changes within metres.
    if 1_000 < metres[number] < 500_000 and abs(position[1]) < 80 and abs(places[number][1]) < 80:
        assert abs((nearest.bearing_deg - azimuths[number] + 180) % 360 - 180) < 1


def test_a_place_beyond_the_limit_is_not_returned():
    gazetteer = Gazetteer(({"": "Riverton"},), np.array([[12.0, 45.0]]), 30)
    assert gazetteer.nearest(12.0, 45.2).km == pytest.approx(22.2, abs=0.1)
    assert gazetteer.nearest(12.0, 45.3) is None


def test_the_bearing_of_a_place_at_the_same_point_is_zero():
    place = Gazetteer(({"": "Riverton"},), np.array([[12.0, 45.0]]), 30).nearest(12.0, 45.0)
    assert (place.km, place.bearing_deg) == (0, 0)


def geojson(folder, *rows):
    features = [
        {"type": "Feature", "properties": properties, "geometry": {"type": kind, "coordinates": coordinates}}
        for kind, coordinates, properties in rows
    ]
    return text(folder / "places.geojson", json.dumps({"type": "FeatureCollection", "features": features}))


def test_all_file_formats_give_the_same_places(tmp_path):
    import geopandas

    geojson_file = geojson(
        tmp_path,
        ("Point", [12.5, 45.25], {"name": "Riverton", "name_pt-BR": "Riveville", "name_es": None}),
        ("Point", [-1, 50], {"name": "Ashby"}),
    )
    geopandas.read_file(geojson_file).to_crs(3857).to_file(tmp_path / "places.gpkg")
    csv = text(tmp_path / "places.csv", "\ufeffname,name_pt-BR,lon,lat\nRiverton,Riveville,12.5,45.25\nAshby,,-1,50\n")
    for path in (geojson_file, tmp_path / "places.gpkg", csv):
        gazetteer = read_gazetteer(path, 30)
        assert gazetteer.names == ({"": "Ashby"}, {"": "Riverton", "pt-BR": "Riveville"})
        np.testing.assert_allclose(gazetteer.lonlat, [[-1, 50], [12.5, 45.25]], atol=1e-9)


@pytest.mark.parametrize(
    ("content", "key", "value"),
    [
        ("name,lon,lat\n", None, None),
        ("name,lon,lat\nX,east,1\n", "line 2", None),
        ("name,x,y\nX,1,1\n", "line 2", None),
        ("name,lon,lat\n ,1,1\n", "line 2", None),
        ("name,lon,lat\nX,1,91\n", "line 2", [1, 91]),
        ("name,lon,lat\nX,600000,5000000\n", "line 2", [6e5, 5e6]),
    ],
)
def test_an_invalid_table_is_rejected(tmp_path, content, key, value):
    path = text(tmp_path / "places.csv", content)
    with pytest.raises(InputError) as caught:
        read_gazetteer(path, 30)
    assert (caught.value.file, caught.value.key, caught.value.value) == (str(path), key, value)


def test_longitudes_may_count_from_zero(tmp_path):
    places = (
        geojson(tmp_path, ("Point", [359, 50], {"name": "Ashby"})),
        text(tmp_path / "a.csv", "name,lon,lat\nA,359,50"),
    )
    assert [read_gazetteer(path, 30).lonlat.tolist() for path in places] == [[[-1, 50]], [[-1, 50]]]


def test_other_geometries_than_points_are_rejected(tmp_path):
    with pytest.raises(InputError) as caught:
        read_gazetteer(geojson(tmp_path, ("LineString", [[0, 0], [1, 1]], {"name": "X"})), 30)
    assert caught.value.key == "feature 1"


@pytest.mark.parametrize("name", ["none.geojson", "none.csv"])
def test_a_missing_file_is_rejected(tmp_path, name):
    with pytest.raises(InputError) as caught:
        read_gazetteer(tmp_path / name, 30)
    assert caught.value.file == str(tmp_path / name)
