"""The scene for benchmarks: a mirrored patch of the world, published like other scenes."""

from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio

from landmark.world import full, full_size, make_scene
from landmark.world.sensors import BANDS
from tests.world.test_world import digests, pixels

SIDE, PATCH = 720, 120


def test_the_patch_is_mirrored_and_reflectance_noisy(scene: Path) -> None:
    for path in scene.glob("sentinel-*/*/*.tif"):
        values = pixels(path).astype(float)
        side = PATCH * len(values) // SIDE if "sentinel-2" in str(path) else PATCH
        noise = full.NOISE_DN - 1 if path.stem in BANDS else 0
        mirrored = np.pad(values[:side, :side], ((0, values.shape[0] - side), (0, values.shape[1] - side)), "symmetric")
        assert np.abs(values - mirrored).max() <= noise
        assert (np.abs(values - mirrored).max() > 0) == (noise > 0)
        assert values[:side, :side].std() > 0


def test_radar_covers_the_tile_on_and_off_the_lattice(scene: Path) -> None:
    with rasterio.open(next(scene.glob("sentinel-2-l2a/*/B02.tif"))) as file:
        tile = file.bounds
    offsets = set()
    for path in scene.glob("sentinel-1-rtc/*/vv.tif"):
        with rasterio.open(path) as file:
            bounds = file.bounds
            assert bounds.left < tile.left and bounds.bottom < tile.bottom
            assert bounds.right > tile.right and bounds.top > tile.top
            offsets.add((bounds.left % 10, bounds.top % 10))
        power = pixels(path)
        assert (power > 0).all()
        # Real files use every bit of the mantissa, which makes them large.
        assert np.bincount(power.view(np.uint32).ravel() & 15).min() > power.size / 32
    assert offsets == {(0, 0), (4, 7)}


def test_items_and_labels(scene: Path) -> None:
    items = pystac.Catalog.from_file(str(scene / "catalog.json")).get_items(recursive=True)
    assert sorted(item.collection_id for item in items) == [
        "sentinel-1-rtc", "sentinel-1-rtc", "sentinel-2-l2a",
    ]  # fmt: skip
    label, cover = pixels(next(scene.glob("labels/dynamic-world/*"))), pixels(next(scene.glob("labels/corine/*")))
    assert set(np.unique(label)) <= {*range(9), 255} and len(np.unique(label)) > 3
    assert cover.min() >= 1 and cover.max() <= 44


@pytest.mark.long
def test_scene_is_reproducible(scene: Path, tmp_path: Path) -> None:
    make_scene(tmp_path / "again", tile_px=SIDE, block_px=64, workers=2)
    assert digests(tmp_path / "again") == digests(scene)


def test_full_size_scene_is_built_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANDMARK_CACHE", str(tmp_path))
    sizes: list[int] = []

    def fake(out: Path, maker: object, parameters: dict[str, int], workers: int) -> Path:
        sizes.append(parameters["tile_px"])
        out.mkdir()
        (out / "catalog.json").touch()
        return out / "catalog.json"

    monkeypatch.setattr("landmark.world._build", fake)
    assert full_size() == full_size()
    assert sizes == [10980]
