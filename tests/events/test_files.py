"""Formats and names of event files."""

import json
from pathlib import Path

import geopandas
import numpy as np
import pyogrio
import pytest
import shapely

from landmark.core.hashing import path_sha256
from landmark.events.geometry import affected_km2, area_km2
from tests.events.writers import EAST, WEST, activation, flood, has_note, layer, read, read_error, zipped

ROW = {"id": 101, "FIREDATE": "2022-07-14 12:40:00", "LASTUPDATE": "2022-08-02", "AREA_HA": 900.0, "COUNTRY": "IT"}


def perimeters(path: Path) -> Path:
    """Two burnt areas."""
    frame = geopandas.GeoDataFrame([ROW, {**ROW, "id": 102}], geometry=[WEST, EAST], crs=4326).astype({"id": "int32"})
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        driver = "OpenFileGDB" if path.suffix == ".gdb" else None
        pyogrio.write_dataframe(frame, path, driver=driver, layer="burnt")
    return path


@pytest.mark.parametrize("suffix", ["gpkg", "gdb", "shp", "fgb", "geojson", "parquet"])
@pytest.mark.parametrize("packed", [False, True])
def test_formats_give_the_same_events(tmp_path: Path, suffix: str, packed: bool) -> None:
    path = perimeters(tmp_path / f"a.{suffix}")
    if packed:
        parts = path.iterdir() if path.is_dir() else tmp_path.glob("a.*")
        path = zipped(tmp_path / "a.zip", list(parts), inside=f"data/{path.name}/" if path.is_dir() else "data/")
    result = read(path, source="effis")
    assert [event.id for event in result.events] == ["effis-101", "effis-102"]
    assert affected_km2(result.events[0]) == pytest.approx(area_km2(WEST), rel=1e-6)
    assert path in result.files and path_sha256(path)


def test_times_of_geoparquet(tmp_path: Path) -> None:
    frame = geopandas.read_parquet(perimeters(tmp_path / "a.parquet"))
    before = read(tmp_path / "a.parquet", source="effis").events
    for column in ("FIREDATE", "LASTUPDATE"):
        frame[column] = frame[column].astype("datetime64[ms]")
    frame.to_parquet(tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet", source="effis").events == before
    frame.to_wkb().to_parquet(tmp_path / "a.parquet")
    assert "geo" in str(read_error(tmp_path / "a.parquet", source="effis"))


def test_a_vertex_that_is_no_number_is_left_out_with_a_note(tmp_path: Path) -> None:
    with np.errstate(invalid="ignore"):
        broken = shapely.Polygon([*shapely.get_coordinates(WEST)[:-1], [np.nan, 45.3]])
        nothing = shapely.Polygon([(11.8, 45.3), (np.nan, 45.3), (11.8, np.nan)])
    path = layer(tmp_path / "a.gpkg", [broken, EAST, nothing], ROW, {**ROW, "id": 102}, {**ROW, "id": 103})
    result = read(path, source="effis")
    assert result.repaired == {"effis-101": 1, "effis-102": 0} and has_note(result, "2 polygons repaired")
    assert affected_km2(result.events[0]) == pytest.approx(area_km2(WEST), rel=1e-6)
    assert has_note(result, "1 feature ", "no polygon")


def test_empty_layers_have_no_events(tmp_path: Path) -> None:
    path = perimeters(tmp_path / "a.gpkg")
    frame = geopandas.read_file(path)
    pyogrio.write_dataframe(frame[:0], path, layer="empty", append=True)
    assert len(read(path, source="effis").events) == 2


def test_names_are_those_of_links_and_not_of_their_targets(tmp_path: Path) -> None:
    folder, store = tmp_path / "events", tmp_path / "store"
    flood(store)
    folder.mkdir()
    activation(folder, "EMSR900", "Flood")
    package = zipped(tmp_path / "deadbeef", store.iterdir())
    link = folder / "EMSR900_01PLACE_DEL_v1_vector.zip"
    link.symlink_to(package)
    result = read(link)
    assert [event.id for event in result.events] == ["emsr900-01place"]
    # The activation's document lies beside the link.
    assert result.files == (folder / "EMSR900.json", link)
    names = {path.name for path in read(folder).files}
    assert names == {"EMSR900.json", link.name} and json.loads((folder / "EMSR900.json").read_text())["count"] == 1
