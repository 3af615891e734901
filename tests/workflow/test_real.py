"""Real pixels, from recipe to sealed corpus: five places of both sensors, and a full scene of another provider."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
from rasterio.enums import Resampling
from rasterio.transform import Affine
from rasterio.vrt import WarpedVRT

import landmark
from landmark.config.recipe import load_recipe
from landmark.core.executor import ExecutorConfig
from landmark.workflow.build import BuildRequest, build

S2 = ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12"]
LULC = {
    1: "water",
    2: "trees",
    4: "flooded_vegetation",
    5: "crops",
    7: "built",
    8: "bare",
    9: "snow_and_ice",
    11: "grass",
}


@pytest.fixture(scope="module")
def five(real, tmp_path_factory):
    out = tmp_path_factory.mktemp("five") / "five"
    build(BuildRequest(load_recipe("real-five"), out, ExecutorConfig(), catalog=str(real / "catalog")))
    return landmark.open(out)


@pytest.fixture(scope="module")
def desert(real, tmp_path_factory):
    out = tmp_path_factory.mktemp("desert") / "29rkh"
    name = "S2A_29RKH_20200219_0_L2A"
    build(
        BuildRequest(
            load_recipe("real-29rkh"), out, ExecutorConfig(), catalog=str(real / "scene" / name / f"{name}.json")
        )
    )
    return landmark.open(out)


def place(sample):
    """The part of the item's id that the files of a place share, such as `637U_59R`."""
    return "_".join(sample.items[0].split("_")[2:4])


def test_five_places_give_a_pair_each_in_all_three_splits(five):
    assert len(five) == 10 and {sample.sensor for sample in five} == {"s1", "s2"}
    assert {sample.split for sample in five} == {"train", "val", "test"}
    gaps = sorted(abs(sample.pair_gap_s) / 86_400 for sample in five if sample.sensor == "s2")
    assert gaps == pytest.approx([0.2, 0.3, 0.35, 2.2, 3.4], abs=0.05)


def test_optical_pixels_are_the_files_less_the_offset(five, real):
    for sample in five.select(sensor="s2"):
        folder = real / "catalog/sentinel-2-l2a" / sample.items[0]
        raw = np.stack([rasterio.open(folder / f"{band}.tif").read(1)[:120, :120] for band in S2]).astype(int)
        offset_dn = 1000 if sample.items[0] == "S2_20200408_433D_629L_3_1" else 0
        assert (sample.s2 == np.where(raw == 0, 0, np.clip(raw - offset_dn, 1, None))).all()
        assert sample.offset_rule == ("baseline 05.00: 1000" if offset_dn else "baseline 02.14: none")
        assert (sample.dark_dn >= 1000) == bool(offset_dn)
        # Bottom-of-atmosphere reflectance of dark ground, on either side of the offset.
        assert np.percentile(sample.s2[1], 1) < 1000 or sample.labels == ["snow_and_ice"]


def test_radar_pixels_are_decibels_of_the_files_and_vv_is_above_vh(five, real):
    for sample in five.select(sensor="s1"):
        folder = real / "catalog/sentinel-1-rtc" / sample.items[0]
        power = np.stack([rasterio.open(folder / f"{band}.tif").read(1)[:120, :120] for band in ("vv", "vh")])
        expected = np.round(10 * np.log10(power.astype(np.float64)), 2)
        np.testing.assert_allclose(sample.s1[sample.s1 == sample.s1], expected[sample.s1 == sample.s1], atol=0.0051)
        vv, vh = np.nanmedian(sample.s1, axis=(1, 2))
        assert -25 < vh < vv < 0


def test_radar_off_the_lattice_is_resampled_as_by_gdal(real, tmp_path):
    """The real scenes are off the lattice; three of the five contain a complete cell of the UTM grid."""
    recipe = load_recipe("real-five", sensors="s1").model_copy(update={"grid": "utm"})
    build(BuildRequest(recipe, tmp_path / "utm", ExecutorConfig(), catalog=str(real / "catalog")))
    corpus = landmark.open(tmp_path / "utm")
    assert len(corpus) == 3
    for sample in corpus:
        for number, band in enumerate(("vv", "vh")):
            path = real / "catalog/sentinel-1-rtc" / sample.items[0] / f"{band}.tif"
            grid = {"transform": Affine(*sample.transform), "width": 120, "height": 120, "dtype": "float64"}
            with (
                rasterio.open(path) as source,
                WarpedVRT(source, crs=source.crs, resampling=Resampling.bilinear, **grid) as warped,
            ):
                assert source.transform.c % 10 and source.transform.f % 10
                np.testing.assert_allclose(sample.s1[number], 10 * np.log10(warped.read(1)), atol=0.0051)


def test_labels_are_the_land_use_of_the_images_year(five, real):
    for sample in five:
        (path,) = (real / "catalog/io-lulc-annual-v02").glob(f"*{place(sample)}*/data.tif")
        codes = rasterio.open(path).read(1)[:120, :120]
        share = {name: (codes == code).mean() for code, name in LULC.items()}
        assert sample.fractions == pytest.approx({name: value for name, value in share.items() if value}, abs=1e-6)
        assert set(sample.labels) == {name for name, value in share.items() if value >= 0.05}
        (source,) = sample.sources
        assert (source["name"], source["year"], source["gap_days"]) == ("io-lulc", sample.datetime.year, 0)


def test_captions_name_the_visible_classes(five):
    """Compared with the contact sheet docs/real-five.png."""
    seen = {
        "637U_59R": "crops. grass",
        "609U_541L": "snow and ice",
        "433D_629L": "trees. crops. built. grass",
        "282D_485L": "trees. water",
        "38D_378R": "grass. crops",
    }
    assert {place(sample): sample.caption() for sample in five} == seen


def test_samples_of_a_scene_have_the_pixels_of_the_files(desert, real):
    assert len(desert) == 81 and {sample.s2.shape for sample in desert} == {(12, 120, 120)}
    folder = real / "scene/S2A_29RKH_20200219_0_L2A"
    for sample in list(desert)[::20]:
        x, y = sample.transform[2], sample.transform[5]
        row, col = round((2_800_020 - y) / 100), round((x - 199_980) / 100)
        for number, band in enumerate(S2):
            with rasterio.open(folder / f"{band}.tif") as data:
                times = round(data.transform.a / 100)
                window = data.read(1)[row // times :, col // times :][: 120 // times, : 120 // times]
            assert (sample.s2[number] == window.repeat(times, axis=0).repeat(times, axis=1)).all()


def test_wrong_item_properties_are_a_finding_in_lock_and_manifest(desert):
    (finding,) = json.loads((desert.root / "lock.json").read_text())["findings"]
    assert all(size in finding for size in ("10980 x 10980 px", "1098 x 1098 px"))
    assert finding in desert.manifest.findings


def test_cloud_cover_equals_that_of_the_mask_and_labels_are_empty(desert, real):
    with rasterio.open(real / "scene/S2A_29RKH_20200219_0_L2A/SCL.tif") as data:
        cloudy = np.isin(data.read(1), (8, 9, 10))[:540, :540]
    clouds = sum(sample.cloud_pct for sample in desert) / 81 / 100
    assert clouds == pytest.approx(cloudy.mean(), abs=1e-6)
    assert max(sample.cloud_pct for sample in desert) > 80
    assert all(sample.labels == [] and sample.offset_rule == "declared 0: none" for sample in desert)
    assert {row["stage"] for row in pq.read_table(desert.root / "ledger.parquet").to_pylist()} <= {"plan"}
