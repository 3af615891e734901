"""The label products other than WorldCover: format, consistency and accuracy."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.vrt import WarpedVRT
from rasterio.warp import Resampling
from scipy import ndimage

from landmark.world import labels, scenes
from landmark.world.ground import signatures
from landmark.world.places import paint
from landmark.world.plane import to_plane

NAMES = ["water", "trees", "grass", "flooded_vegetation", "crops", "shrub_and_scrub", "built", "bare", "snow_and_ice"]
DYNAMIC_WORLD = {10: 1, 20: 5, 30: 2, 40: 4, 50: 6, 60: 7, 70: 8, 80: 0, 90: 3}  # by WorldCover's codes
LAND_USE = {10: 2, 20: 11, 30: 11, 40: 5, 50: 7, 60: 8, 70: 9, 80: 1, 90: 4}


@pytest.fixture(scope="module")
def corine(world: Path) -> Iterator[rasterio.DatasetReader]:
    (path,) = (world / "labels" / "corine").iterdir()
    assert path.name == "U2018_CLC2018_V2020_20u1.tif"
    with rasterio.open(path) as file:
        yield file


def images(world: Path) -> Iterator[tuple[Path, Path]]:
    """Yield the folder of each Sentinel-2 acquisition and the path of its Dynamic World image."""
    for path in sorted((world / "sentinel-2-l2a").glob("*/*.json")):
        properties = json.loads(path.read_text())["properties"]
        when = properties["s2:datatake_id"].split("_")[1]
        yield path.parent, world / "labels" / "dynamic-world" / f"{when}_{properties['s2:mgrs_tile']}.tif"


def worldcover(world: Path, like: rasterio.DatasetReader, table: dict[int, int]) -> NDArray[np.int64]:
    """Resample WorldCover to the grid of another raster and map its codes; -1 outside."""
    translate = np.full(256, -1)
    translate[list(table)] = list(table.values())
    codes = np.full(like.shape, -1)
    for path in (world / "esa-worldcover").glob("*/*.tif"):
        with rasterio.open(path) as file, WarpedVRT(
            file, crs=like.crs, transform=like.transform, width=like.width, height=like.height,
            resampling=Resampling.nearest, nodata=0,
        ) as warped:  # fmt: skip
            codes = np.maximum(codes, translate[warped.read(1)])
    return codes


def test_corine_format(corine: rasterio.DatasetReader) -> None:
    assert (corine.crs.to_epsg(), corine.dtypes, corine.nodata) == (3035, ("int8",), -128)
    assert tuple(corine.transform)[:6] == (100, 0, corine.transform.c, 0, -100, corine.transform.f)
    assert corine.transform.c % 100 == corine.transform.f % 100 == 0
    assert corine.compression.value == "DEFLATE"
    codes = corine.read(1)
    assert set(np.unique(codes)) <= {-128, *range(1, 45)}
    assert len(np.unique(codes)) > 8
    assert (codes == -128).any()


def test_corine_minimum_mapping_unit(corine: rasterio.DatasetReader) -> None:
    codes = corine.read(1)
    for code in set(np.unique(codes)) - {-128}:
        patches, _ = ndimage.label(codes == code)
        assert np.bincount(patches.ravel())[1:].min() >= 25


def test_corine_covers_the_european_tiles(world: Path, corine: rasterio.DatasetReader) -> None:
    for zone in scenes.zones(tile_px=366, block_px=128, seed=0):
        west, south, east, north = zone.bounds
        x, y = Transformer.from_crs(zone.epsg, 3035, always_xy=True).transform(
            [west, west, east, east], [south, north] * 2
        )
        covered = [int(value[0]) != -128 for value in corine.sample(zip(x, y, strict=True), masked=False)]
        assert covered == [zone.place.name == "europe"] * 4


def test_corine_matches_the_land(corine: rasterio.DatasetReader, monkeypatch: pytest.MonkeyPatch) -> None:
    codes, legend = corine.read(1), np.array(signatures()["corine"])
    europe = [zone for zone in scenes.zones(tile_px=366, block_px=128, seed=0) if zone.place.name == "europe"]
    monkeypatch.setattr(labels, "MIN_PATCH_PX", 1)
    fine = labels.corine(europe, labels.corine_painter(europe[0])).codes
    for code in np.unique(fine):
        patches, _ = ndimage.label(fine == code)
        large = (np.bincount(patches.ravel()) >= 25)[patches] & (patches > 0)
        assert (codes[large] == code).all()
    rows, columns = np.nonzero(codes != -128)
    pick = np.random.default_rng(5).choice(len(rows), 200, replace=False)
    commonest = middle = 0
    grounds = corine_codes_of_ground(europe[0], *corine.xy(rows[pick], columns[pick]))
    for row, column, ground in zip(rows[pick], columns[pick], grounds, strict=True):
        present, counts = np.unique(ground, return_counts=True)
        commonest += present[counts.argmax()] == legend[fine[row, column] - 1]
        middle += ground[5, 5] == legend[codes[row, column] - 1]
    assert commonest >= 190  # of 200; other points of the pixel may tip a narrow majority
    assert middle >= 110  # most of the rest is fields, woods and towns under 25 ha


def corine_codes_of_ground(zone: scenes.Zone, x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.int64]:
    """Return the codes of 10 x 10 points, 10 m apart, about the middles of CORINE pixels: (pixel, y, x)."""
    off_m = 10 * np.arange(10) - 45.0
    east, north = np.broadcast_arrays(x[:, None, None] + off_m, (y[:, None] - off_m)[..., None])
    at = to_plane(zone.lon, zone.lat, 3035).transform(east.reshape(-1, 10), north.reshape(-1, 10))
    codes = np.array([kind["clc"] for kind in signatures()["kinds"].values()])
    return codes[paint(zone.place, at, 0).dominant].reshape(east.shape)


def test_dynamic_world_format(world: Path) -> None:
    pairs = list(images(world))
    assert {path for _, path in pairs} == set((world / "labels" / "dynamic-world").iterdir())
    assert len(pairs) == 37
    for folder, path in pairs:
        with rasterio.open(path) as file, rasterio.open(folder / "B02.tif") as band:
            assert (file.crs, file.transform, file.shape) == (band.crs, band.transform, band.shape)
            assert (set(file.dtypes), file.nodata) == ({"float32"}, None)
            assert list(file.descriptions) == [*NAMES, "label"]


def test_dynamic_world_probabilities_sum_to_1(world: Path) -> None:
    for folder, path in images(world):
        with rasterio.open(path) as file, rasterio.open(folder / "SCL.tif") as scl:
            bands, classes = file.read(), scl.read(1).repeat(2, axis=0).repeat(2, axis=1)
        masked = np.isin(classes, (0, 8, 9, 10))
        assert (np.isnan(bands) == masked).all()
        shares, label = bands[:9, ~masked], bands[9, ~masked]
        assert (shares.sum(axis=0) == 1).all()  # 64ths, exact in binary
        assert shares.min() > 0
        assert (np.argmax(shares, axis=0) == label).all()
        assert (shares.max(axis=0) > 0.35).all()
        assert (shares.max(axis=0) < 0.85).all()


def test_dynamic_world_accuracy(world: Path) -> None:
    for _, path in images(world):
        with rasterio.open(path) as file:
            label, truth = file.read(10), worldcover(world, file, DYNAMIC_WORLD)
        seen = ~np.isnan(label) & (truth >= 0)
        share = (label[seen] == truth[seen]).mean()
        assert 0.75 < share < 0.97


def test_overlapping_tiles_are_classified_alike(world: Path) -> None:
    folder = world / "labels" / "dynamic-world"
    with (
        rasterio.open(folder / "20210612T101031_32TPR.tif") as left,
        rasterio.open(folder / "20210612T101031_32TQR.tif") as right,
    ):
        shift = round((right.transform.c - left.transform.c) / 10)
        np.testing.assert_array_equal(left.read()[:, :, shift:], right.read()[:, :, : left.width - shift])


def test_land_use_per_zone_and_year(world: Path, real: Path) -> None:
    like = json.loads((real / "stac" / "io-lulc-annual-v02-pc.json").read_text())[0]
    tiles: dict[str, list[tuple[str, NDArray[Any]]]] = {}
    for path in sorted((world / "io-lulc-annual-v02").glob("*/*.json")):
        item = json.loads(path.read_text())
        properties, asset = item["properties"], item["assets"]["data"]
        assert set(properties) == set(like["properties"])
        assert asset["file:values"] == like["assets"]["data"]["file:values"]
        assert (properties["datetime"], properties["end_datetime"][4:]) == (None, "-01-01T00:00:00Z")
        with rasterio.open(path.parent / asset["href"]) as file:
            codes, truth = file.read(1), worldcover(world, file, LAND_USE)
            assert (file.dtypes, file.nodata) == (("uint8",), 0)
        assert set(np.unique(codes)) <= {1, 2, 4, 5, 7, 8, 9, 11}
        share = (codes == truth)[truth >= 0].mean()
        assert share > 0.8
        tiles.setdefault(properties["io:tile_id"], []).append((properties["start_datetime"][:4], codes))
    years = {tile: [year for year, _ in maps] for tile, maps in tiles.items()}
    assert years == {tile: ["2021", "2022"] for tile in ("32T", "33T", "34H")}
    for (_, before), (_, after) in tiles.values():
        assert 0 < (before != after).mean() < 0.06
