"""The world is reproducible, and its files are consistent with each other and with its items."""

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
import shapely
from numpy.typing import NDArray
from pyproj import Transformer

from landmark.core.errors import InputError
from landmark.world import Edition, demo, labels, make, publish, scenes
from landmark.world.ground import COVER
from landmark.world.places import PLACES, paint
from landmark.world.plane import Plane

BANDS_10M, CLOUDS = ("B02", "B03", "B04", "B08"), (8, 9, 10)


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def items(world: Path, collection: str) -> Iterator[tuple[dict[str, Any], Path]]:
    for path in sorted((world / collection).glob("*/*.json")):
        yield json.loads(path.read_text()), path.parent


def pixels(path: Path) -> NDArray[Any]:
    with rasterio.open(path) as file:
        return np.asarray(file.read(1))


@pytest.mark.long
@pytest.mark.parametrize("edition", ["easy", "planet"])
def test_bytes_do_not_depend_on_workers(edition: Edition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    units = publish.units
    # Of the planet, the events and a few places of all continents.
    monkeypatch.setattr(publish, "units", lambda parameters: units(parameters)[:: 1 if edition == "easy" else 12])
    first, second = tmp_path / "one", tmp_path / "two"
    make(first, edition=edition, tile_px=180, block_px=64)
    make(second, edition=edition, tile_px=180, block_px=64, workers=2)
    assert digests(first) == digests(second)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_pixels_do_not_depend_on_strips(monkeypatch: pytest.MonkeyPatch, world: Path, tmp_path: Path) -> None:
    monkeypatch.setattr(publish, "STRIP_ROWS", 90)
    monkeypatch.setattr(labels, "MAX_POINTS", 100_000)
    parameters = {"edition": "easy", "tile_px": 366, "block_px": 128, "seed": 0}
    for unit in (("s2", "32734", "34HEH"), ("s1", "32734"), ("wc", "south"), ("clc", "europe")):
        publish.write_unit(unit, out=tmp_path, parameters=parameters)
    made = digests(tmp_path)
    assert made.items() <= digests(world).items()


def test_invalid_arguments(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    with pytest.raises(InputError) as caught:
        make(tmp_path)
    assert caught.value.file == str(tmp_path)
    with pytest.raises(InputError) as caught:
        make(tmp_path / "new", tile_px=1000)
    assert (caught.value.key, caught.value.value) == ("tile_px", 1000)


@pytest.mark.parametrize(("key", "value"), [("edition", "moon"), ("tile_px", 0), ("block_px", 0)])
def test_unknown_editions_and_empty_sizes(key: str, value: object, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        make(tmp_path / "new", **{key: value})
    assert (caught.value.key, caught.value.value) == (key, value)


def test_demo_is_built_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANDMARK_CACHE", str(tmp_path))
    calls: list[Path] = []

    def fake(out: Path, **_: Any) -> Path:
        calls.append(out)
        out.mkdir()
        (out / "catalog.json").touch()
        return out / "catalog.json"

    monkeypatch.setattr("landmark.world.make", fake)
    assert demo() == demo()
    assert len(calls) == 1
    assert calls[0].parent == tmp_path


def test_catalogue_is_complete(world: Path) -> None:
    catalog = pystac.Catalog.from_file(str(world / "catalog.json"))
    counts = {child.id: len(list(child.get_items())) for child in catalog.get_children()}
    assert counts == {"sentinel-2-l2a": 37, "sentinel-1-rtc": 26, "esa-worldcover": 2, "io-lulc-annual-v02": 6}
    for item in catalog.get_items(recursive=True):
        collection = item.get_collection()
        assert collection is not None
        extent = shapely.box(*collection.extent.spatial.bboxes[0])
        assert extent.buffer(1e-6).covers(shapely.geometry.shape(item.geometry))
        assert all(Path(str(asset.get_absolute_href())).is_file() for asset in item.assets.values())


def test_headers_and_items_agree(world: Path) -> None:
    for name in ("sentinel-2-l2a", "sentinel-1-rtc", "esa-worldcover", "io-lulc-annual-v02"):
        for item, folder in items(world, name):
            for asset in item["assets"].values():
                properties = {**item["properties"], **asset}
                with rasterio.open(folder / asset["href"]) as file:
                    assert list(file.shape) == properties["proj:shape"]
                    np.testing.assert_allclose(tuple(file.transform)[:6], properties["proj:transform"][:6], rtol=1e-13)
                    assert file.crs.to_epsg() == properties["proj:epsg"]
                    assert file.block_shapes == [(128, 128)]
                    assert file.compression.value == "DEFLATE"


def test_tiles_are_aligned_to_60_m(world: Path) -> None:
    for parameters in ({"tile_px": 366}, {"tile_px": 1098}, {"tile_px": 10980}):
        corners = []
        for zone in scenes.zones(**parameters, block_px=128, seed=0):
            origins = [(west, north - zone.false_northing_m) for west, north in zone.corners.values()]
            corners += [axis for corner in origins for axis in corner]
            if len(origins) == 2:
                overlap_m = parameters["tile_px"] * 10 - (origins[1][0] - origins[0][0])
                assert overlap_m == pytest.approx(0.1257 * parameters["tile_px"] * 10, abs=60)
        assert all(axis % 60 == 0 for axis in corners)
        assert any(axis % 1200 for axis in corners)
    assert {item["properties"]["proj:epsg"] for item, _ in items(world, "sentinel-2-l2a")} == {32632, 32633, 32734}


def test_overlapping_tiles_have_equal_pixels(world: Path) -> None:
    datatakes: dict[str, list[tuple[dict[str, Any], Path]]] = {}
    for item, folder in items(world, "sentinel-2-l2a"):
        datatakes.setdefault(item["properties"]["s2:datatake_id"], []).append((item, folder))
    pairs = [pair for pair in datatakes.values() if len(pair) == 2]
    assert len(pairs) == 14
    for (left_item, left), (right_item, right) in pairs:
        assert left_item["properties"]["datetime"] == right_item["properties"]["datetime"]
        for band in ("B01", "B04", "B8A", "SCL"):
            a, b = pixels(left / f"{band}.tif"), pixels(right / f"{band}.tif")
            west, east = (item["assets"][band]["proj:transform"] for item in (left_item, right_item))
            shift = round((east[2] - west[2]) / west[0])
            np.testing.assert_array_equal(a[:, shift:], b[:, : a.shape[1] - shift])


def test_offset_of_baseline_4(world: Path) -> None:
    for item, folder in items(world, "sentinel-2-l2a"):
        dark = min(
            float(np.percentile(band[band > 0], 1))
            for band in (pixels(folder / f"{name}.tif") for name in ("B01", "B02", "B04", "B08", "B11", "B12"))
        )
        if item["properties"]["s2:processing_baseline"] == "04.00":
            assert 1000 < dark < 1700
        else:
            assert 0 < dark < 700
    years = {item["properties"]["datetime"][:4] for item, _ in items(world, "sentinel-2-l2a")}
    assert years == {"2021", "2022"}


def test_scene_classes_agree_with_bands_and_item(world: Path) -> None:
    for item, folder in items(world, "sentinel-2-l2a"):
        properties, classes = item["properties"], pixels(folder / "SCL.tif")
        fine = classes.repeat(2, axis=0).repeat(2, axis=1)
        for band in BANDS_10M:
            np.testing.assert_array_equal(pixels(folder / f"{band}.tif") == 0, fine == 0)
        valid = classes[classes > 0]
        assert properties["s2:nodata_pixel_percentage"] == pytest.approx(100 * (classes == 0).mean(), abs=1e-5)
        assert properties["eo:cloud_cover"] == pytest.approx(100 * np.isin(valid, CLOUDS).mean(), abs=1e-5)
        assert properties["s2:water_percentage"] == pytest.approx(100 * (valid == 6).mean(), abs=1e-5)
        if (fine == 9).any():
            offset = 1000 if properties["s2:processing_baseline"] >= "04.00" else 0
            assert np.median(pixels(folder / "B02.tif")[fine == 9]) - offset > 2500


def test_nodata_matches_the_outline(world: Path) -> None:
    cut = [(i, f) for i, f in items(world, "sentinel-2-l2a") if i["properties"]["s2:nodata_pixel_percentage"] > 0]
    assert cut
    for item, folder in cut:
        with rasterio.open(folder / "B02.tif") as file:
            valid = file.read(1) > 0
            to_map = Transformer.from_crs("EPSG:4326", file.crs, always_xy=True)
            lon, lat = np.array(item["geometry"]["coordinates"][0]).T
            outline = shapely.Polygon(np.stack(to_map.transform(lon, lat), axis=1))
            assert outline.area / 100 == pytest.approx(valid.sum(), rel=0.02)
        assert item["properties"]["s2:nodata_pixel_percentage"] == pytest.approx(100 * (1 - valid.mean()), abs=1e-5)


def test_radar_is_linear_power_on_the_10_m_lattice(world: Path) -> None:
    for item, folder in items(world, "sentinel-1-rtc"):
        with rasterio.open(folder / "vv.tif") as file:
            vv, transform = file.read(1), file.transform
            assert (file.dtypes[0], file.nodata) == ("float32", -32768)
        vh = pixels(folder / "vh.tif")
        np.testing.assert_array_equal(vv == -32768, vh == -32768)
        valid = vv != -32768
        assert (vv[valid] > 0).all()
        assert np.median(vv[valid]) > np.median(vh[valid])
        assert -20 < 10 * np.log10(np.median(vv[valid])) < -5
        assert transform.c % 10 == transform.f % 10 == 0
        assert transform.c % 60 != 0
        assert " " in item["properties"]["start_datetime"]
        assert len(item["properties"]["proj:transform"]) == 9


def test_radar_covers_the_tiles(world: Path) -> None:
    outlines = [(i["properties"], shapely.geometry.shape(i["geometry"])) for i, _ in items(world, "sentinel-1-rtc")]
    for item, _ in items(world, "sentinel-2-l2a"):
        tile = shapely.geometry.shape(item["geometry"])
        epsg = item["properties"]["proj:epsg"]
        covered = [outline.covers(tile) for properties, outline in outlines if properties["proj:epsg"] == epsg]
        assert len(covered) == (8 if epsg == 32632 else 9)
        assert all(covered)


def test_worldcover_matches_the_land(world: Path) -> None:
    for zone in (next(z for z in scenes.zones(tile_px=366, block_px=128, seed=0) if z.place.name == p) for p in PLACES):
        middle = shapely.Point(zone.lon, zone.lat)
        item, folder = next(
            pair for pair in items(world, "esa-worldcover") if shapely.box(*pair[0]["bbox"]).covers(middle)
        )
        with rasterio.open(folder / item["assets"]["map"]["href"]) as file:
            label, transform = file.read(1), file.transform
            assert file.nodata == 0
            assert file.colormap(1)[80] == (0, 100, 200, 255)
        assert transform.a == pytest.approx(1 / 12000)
        assert (transform.c * 12000) % 1 == pytest.approx(0, abs=1e-6)
        draw = np.random.default_rng(7)
        rows, columns = draw.integers(0, label.shape[0], 40), draw.integers(0, label.shape[1], 40)
        lon, lat = transform.c + (columns + 0.5) * transform.a, transform.f + (rows + 0.5) * transform.e
        local = f"+proj=tmerc +lon_0={zone.lon} +lat_0={zone.lat} +k=1 +datum=WGS84"
        u, v = Transformer.from_crs("EPSG:4326", local, always_xy=True).transform(lon, lat)
        at = np.asarray(u)[None, :], np.asarray(v)[None, :]
        truth = COVER[paint(zone.place, at, 0).dominant[0]]
        # Rounding may move a point across a border.
        assert (truth == label[rows, columns]).sum() >= 39


def test_zones_share_a_plane() -> None:
    lon, lat = np.array([11.93, 12.05]), np.array([45.41, 45.49])
    places = []
    for epsg in (32632, 32633):
        x, y = Transformer.from_crs("EPSG:4326", f"EPSG:{epsg}", always_xy=True).transform(lon, lat)
        u, v = Plane(12.0, 45.45, epsg).at(np.asarray(x), np.asarray(y))
        places.append(np.stack([np.diag(u), np.diag(v)]))
    np.testing.assert_allclose(places[0], places[1], atol=1e-3)


def test_each_tile_has_clear_and_cloudy_days(world: Path) -> None:
    tiles: dict[str, list[tuple[str, float]]] = {}
    for item, _ in items(world, "sentinel-2-l2a"):
        properties = item["properties"]
        if properties["datetime"] < "2022-06":
            days = tiles.setdefault(properties["s2:mgrs_tile"], [])
            days.append((properties["datetime"][:4], properties["eo:cloud_cover"]))
    assert len(tiles) == 5
    for days in tiles.values():
        assert {year: sum(1 for y, _ in days if y == year) for year in ("2021", "2022")} == {"2021": 3, "2022": 2}
        assert all(min(cloud for y, cloud in days if y == year) < 15 for year in ("2021", "2022"))
