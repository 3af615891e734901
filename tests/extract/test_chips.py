import gc
import hashlib
import logging
import math
from dataclasses import replace

import numpy as np
import pytest
import rasterio
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from rasterio.transform import Affine
from rasterio.windows import from_bounds

from landmark.config.profiles import SensorCollection
from landmark.config.recipe import load_recipe
from landmark.corpus.pixels import gamma0_to_stored, remove_offset
from landmark.domain.acquisition import Item
from landmark.domain.drops import DropRecord, Reason
from landmark.extract.chips import extract_chips
from landmark.extract.request import Chip, ChipRejected
from landmark.extract.resample import Shift, interpolate
from landmark.grid.cells import utm_cells
from landmark.labels.label_rules import load_label_rules
from landmark.stac.open_catalog import open_catalog
from landmark.stac.search import search
from tests.extract.scenes import (
    FACTOR,
    LEFT,
    PROVIDER,
    S1,
    S2,
    SIZE,
    TOP,
    chip_window,
    request_of,
    s1_pixels,
    s2_pixels,
    write_item,
)
from tests.parts import examples
from tests.raster.faults import garbled
from tests.raster.rasters import corrupt_block, noise, write_raster
from tests.raster.serving import serving

QUARTERS = [(LEFT + x, TOP - y) for y in (0, 1200) for x in (0, 1200)]


@pytest.fixture(autouse=True)
def _quiet(caplog):
    caplog.set_level(logging.ERROR)


def stored(pixels, group, corner):
    return np.stack([chip_window(pixels, band, corner) for band in group.bands])


def by_id(results):
    indexed = {result.id: result for result in results}
    assert len(indexed) == len(results)
    return indexed


# -- copied pixels -----------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=6, unique=True))
@examples(12)
def test_chips_equal_the_files_pixels_at_native_resolution(tmp_path_factory, steps):
    folder, pixels = tmp_path_factory.mktemp("scene"), s2_pixels()
    corners = [(LEFT + 60 * x, TOP - 60 * y) for x, y in steps]
    chips = by_id(list(extract_chips(request_of(folder, (write_item(folder, pixels),), corners))))
    assert len(chips) == len(corners)
    for number, corner in enumerate(corners):
        for group in S2.groups:
            assert np.array_equal(chips[f"c{number:02d}"].groups[group.column], stored(pixels, group, corner))


@pytest.mark.parametrize("profile", [S1, S2], ids=["s1", "s2"])
def test_chips_of_the_small_world_equal_file_windows(world, recipe, profile):
    parsed = load_recipe(str(recipe(sensors=[profile.name])))
    crosswalks = load_label_rules(parsed).crosswalks
    acquisitions = search(open_catalog(str(world)), parsed, provider=PROVIDER, crosswalks=crosswalks).acquisitions
    cells = utm_cells(parsed.region.geometry, cell_m=1200, block_m=1200).to_pylist()
    checked = 0
    for acquisition in acquisitions[::4]:
        offset_dn = acquisition.offset_dn
        corners = [(cell["x"], cell["y"]) for cell in cells if cell["epsg"] == acquisition.epsg]
        changes = {"sensor": profile, "epsg": acquisition.epsg, "offset_dn": offset_dn, "max_chip_pct": 100}
        request = request_of(world, acquisition.items, corners, **changes)
        for chip in (result for result in extract_chips(request) if isinstance(result, Chip)):
            left, top = request.corners[request.ids.index(chip.id)]
            for group in profile.groups:
                for number, band in enumerate(group.bands):
                    with rasterio.open(world / acquisition.items[0].assets[band]) as data:
                        values = data.read(1, window=from_bounds(left, top - 1200, left + 1200, top, data.transform))
                    assert np.array_equal(chip.groups[group.column][number], as_stored(values, profile.name, offset_dn))
            checked += 1
    assert checked > 10


def as_stored(values, sensor, offset_dn):
    if sensor == "s2":
        return np.array([0 if v == 0 else min(max(int(v) - offset_dn, 1), 65535) for v in values.flat]).reshape(
            values.shape
        )
    return np.array([decibel(v) for v in values.flat]).reshape(values.shape)


def decibel(power):
    power = float(power)
    if math.isnan(power) or math.isinf(power) or power <= 0:
        return -32768
    return max(-32767, min(32767, round(100 * (10 * math.log10(power)))))


def test_chips_are_ordered_from_north_to_south(tmp_path):
    corners = list(reversed(QUARTERS))
    results = list(extract_chips(request_of(tmp_path, (write_item(tmp_path, s2_pixels()),), corners)))
    assert [result.id for result in results] == ["c03", "c02", "c01", "c00"]


def test_the_digest_covers_the_stored_bytes(tmp_path):
    (chip,) = extract_chips(request_of(tmp_path, (write_item(tmp_path, s2_pixels()),), QUARTERS[:1]))
    content = b"".join(chip.groups[group.column].tobytes() for group in S2.groups)
    assert chip.sha256 == hashlib.sha256(content).hexdigest()
    assert {values.dtype.str for values in chip.groups.values()} == {"<u2"}


@pytest.mark.parametrize("options", [{"tiled": False, "blockysize": 5}, {"ENDIANNESS": "BIG"}, {"compress": "lzw"}])
def test_the_file_layout_does_not_change_chips(tmp_path, options):
    items = write_item(tmp_path, s2_pixels()), write_item(tmp_path, s2_pixels(), name="odd", **options)
    plain, odd = ([chip.sha256 for chip in extract_chips(request_of(tmp_path, (item,), QUARTERS))] for item in items)
    assert plain == odd


def test_chips_may_have_another_size(tmp_path):
    pixels = s2_pixels()
    (chip,) = extract_chips(request_of(tmp_path, (write_item(tmp_path, pixels),), [(LEFT + 60, TOP - 60)], patch_px=36))
    for group in S2.groups:
        expected = np.stack([chip_window(pixels, band, (LEFT + 60, TOP - 60), 36) for band in group.bands])
        assert np.array_equal(chip.groups[group.column], expected)


# -- radiometry --------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 65535), min_size=4, max_size=64), st.sampled_from([0, 1000, 7000]))
@examples(80)
def test_the_offset_is_removed_with_a_minimum_of_1_and_nodata_stays_zero(numbers, offset_dn):
    values = np.array(numbers, dtype="uint16")
    expected = [0 if v == 0 else (v if offset_dn == 0 else max(v - offset_dn, 1)) for v in numbers]
    remove_offset(values, offset_dn, shifted := np.empty_like(values))
    assert shifted.tolist() == expected


@pytest.mark.parametrize(
    ("number", "expected"), [(0, 0), (1, 1), (999, 1), (1000, 1), (1001, 1), (1002, 2), (3500, 2500), (65535, 64535)]
)
def test_an_offset_of_a_thousand(number, expected):
    remove_offset(np.array([number], "uint16"), 1000, shifted := np.empty(1, "uint16"))
    assert shifted.tolist() == [expected]


def test_the_offset_of_the_acquisition_is_removed_from_every_band(tmp_path):
    pixels = s2_pixels()
    (chip,) = extract_chips(request_of(tmp_path, (write_item(tmp_path, pixels),), QUARTERS[:1], offset_dn=1000))
    for group in S2.groups:
        raw = stored(pixels, group, QUARTERS[0]).astype(int)
        assert np.array_equal(chip.groups[group.column], np.where(raw > 1000, raw - 1000, 1))


def test_the_offset_is_not_removed_from_the_mask(tmp_path):
    pixels = s2_pixels() | {"SCL": np.full((120, 120), 9, "uint8")}
    (chip,) = extract_chips(
        request_of(tmp_path, (write_item(tmp_path, pixels),), QUARTERS[:1], offset_dn=1000, max_chip_pct=100)
    )
    assert chip.cloud_pct == 100


powers = st.one_of(
    st.floats(width=32, allow_nan=True, allow_infinity=True),
    st.floats(2**-20, 16, width=32),
    st.sampled_from([0.0, -0.0, -1.0, -32768.0, math.nan, 1.0, 10.0, 0.1, 1e-40]),
)


@given(st.lists(powers, min_size=1, max_size=50))
@examples(200)
def test_decibels_equal_a_scalar_loop_in_float64(values):
    power = np.array(values, dtype="float32")
    stored_db = gamma0_to_stored(power, power != -32768)
    assert stored_db.dtype == "<i2" and stored_db.tolist() == [decibel(value) for value in power]


def test_radar_chips_are_decibels_with_nodata_where_power_has_no_logarithm(tmp_path):
    pixels = s1_pixels()
    pixels["vv"][0, :5] = [0, -1, np.nan, -32768, np.inf]
    (chip,) = extract_chips(
        request_of(tmp_path, (write_item(tmp_path, pixels, nodata=-32768),), QUARTERS[:1], sensor=S1)
    )
    for number, band in enumerate(("vv", "vh")):
        expected = [decibel(value) for value in chip_window(pixels, band, QUARTERS[0]).flat]
        assert chip.groups["s1"][number].ravel().tolist() == expected
    assert (chip.groups["s1"][0, 0, :5] == -32768).all()
    assert chip.valid_pct == pytest.approx(100 * (14_400 - 5) / 14_400)
    assert chip.cloud_pct is chip.shadow_pct is chip.snow_pct is None


# -- drops -------------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 11), min_size=12, max_size=12, unique=True), st.integers(0, 2**32 - 1))
@examples(10)
def test_mask_shares_are_of_the_chip_alone(tmp_path_factory, codes, seed):
    folder, pixels = tmp_path_factory.mktemp("scene"), s2_pixels()
    pixels["SCL"] = np.random.default_rng(seed).choice(np.array(codes, "uint8"), (120, 120))
    chips = by_id(list(extract_chips(request_of(folder, (write_item(folder, pixels),), QUARTERS, max_chip_pct=100))))
    for number, corner in enumerate(QUARTERS):
        mask = chip_window(pixels, "SCL", corner).ravel().tolist()
        shares = [100 * sum(code in group for code in mask) / 3600 for group in ((8, 9, 10), (3,), (11,))]
        chip = chips[f"c{number:02d}"]
        assert [chip.cloud_pct, chip.shadow_pct, chip.snow_pct] == pytest.approx(shares)


@pytest.mark.parametrize(
    ("cloud_px", "shadow_px", "accepted"),
    [(900, 0, True), (0, 900, True), (450, 450, True), (901, 0, False), (450, 451, False), (3600, 0, False)],
)
def test_cloud_plus_shadow_may_reach_but_not_exceed_the_limit(tmp_path, cloud_px, shadow_px, accepted):
    mask = np.full(3600, 4, "uint8")
    mask[:cloud_px] = 9
    mask[cloud_px : cloud_px + shadow_px] = 3
    pixels = s2_pixels(120) | {"SCL": mask.reshape(60, 60)}
    (result,) = extract_chips(request_of(tmp_path, (write_item(tmp_path, pixels),), QUARTERS[:1]))
    assert isinstance(result, Chip) if accepted else result.reason == "cloud" and result.final


def test_snow_does_not_drop_a_chip(tmp_path):
    pixels = s2_pixels(120) | {"SCL": np.full((60, 60), 11, "uint8")}
    (chip,) = extract_chips(request_of(tmp_path, (write_item(tmp_path, pixels),), QUARTERS[:1]))
    assert (chip.cloud_pct, chip.shadow_pct, chip.snow_pct) == (0, 0, 100)


@pytest.mark.parametrize(
    ("band", "empty_px", "pixels_each"), [("B02", 720, 1), ("B05", 180, 4), ("B01", 20, 36), ("B12", 180, 4)]
)
def test_a_pixel_is_valid_where_every_band_has_data_on_the_finest_grid(tmp_path, band, empty_px, pixels_each):
    assert empty_px * pixels_each == 720
    pixels = s2_pixels(120)
    pixels[band].ravel()[:empty_px] = 0
    (chip,) = extract_chips(request_of(tmp_path, (write_item(tmp_path, pixels),), QUARTERS[:1]))
    assert chip.valid_pct == 95.0
    pixels[band].ravel()[empty_px] = 0
    (record,) = extract_chips(request_of(tmp_path, (write_item(tmp_path, pixels, name="two"),), QUARTERS[:1]))
    assert isinstance(record, DropRecord)
    assert (record.reason, record.final, record.stage) == ("nodata", True, "extract")


def test_a_chip_of_zeros_is_nodata(tmp_path):
    pixels = {band: np.zeros_like(values) for band, values in s2_pixels(120).items()}
    (result,) = extract_chips(request_of(tmp_path, (write_item(tmp_path, pixels),), QUARTERS[:1], offset_dn=1000))
    assert result.reason == "nodata"


@pytest.mark.parametrize("fill", [0.0, -32768.0, math.nan])
def test_a_constant_fill_of_radar_is_nodata(tmp_path, fill):
    pixels = {band: np.full((120, 120), fill, "float32") for band in S1.order}
    (result,) = extract_chips(request_of(tmp_path, (write_item(tmp_path, pixels),), QUARTERS[:1], sensor=S1))
    assert result.reason == "nodata"


# -- unreadable files --------------------------------------------------------------------------------------------------


def remove(path):
    path.unlink()


def garble(path):
    path.write_bytes(bytes(range(256)) * 50)


def empty(path):
    path.write_bytes(b"")


def truncate(path):
    path.write_bytes(path.read_bytes()[:50])


@pytest.mark.parametrize("fault", [remove, garble, empty, truncate])
@pytest.mark.parametrize("band", ["B02", "B12", "B09", "SCL"])
def test_an_unreadable_band_fails_every_chip(tmp_path, fault, band):
    request = request_of(tmp_path, (write_item(tmp_path, s2_pixels()),), QUARTERS)
    fault(tmp_path / "one" / f"{band}.tif")
    results = by_id(list(extract_chips(request)))
    assert sorted(results) == sorted(request.ids)
    for record in results.values():
        assert (record.reason, record.final, record.acquisition) == ("read_error", False, request.acquisition.id)
        assert band in record.detail and str(tmp_path) not in record.detail


@pytest.mark.parametrize("band", ["B03", "B8A", "B01", "SCL"])
@pytest.mark.parametrize("offset_dn", [0, 1000])
def test_a_damaged_block_fails_only_overlapping_chips(tmp_path, band, offset_dn):
    item = write_item(tmp_path, s2_pixels(), blockxsize=16, blockysize=16)
    request = request_of(tmp_path, (item,), QUARTERS, offset_dn=offset_dn)
    before = by_id(list(extract_chips(request)))
    corrupt_block(tmp_path / "one" / f"{band}.tif", 0, 0)
    after = by_id(list(extract_chips(request)))
    assert after["c00"].reason == "read_error" and not after["c00"].final
    assert all(after[id].sha256 == before[id].sha256 for id in ("c01", "c02", "c03"))


@pytest.mark.parametrize("tag", ["ModelTiepointTag", "ModelPixelScaleTag", "GeoKeyDirectoryTag"])
def test_a_header_that_arrives_damaged_is_no_final_drop(tmp_path, tag):
    item = write_item(tmp_path, s2_pixels())
    with tifffile.TiffFile(tmp_path / "one" / "B03.tif") as file:
        value = file.pages.first.tags[tag]
    with serving(tmp_path) as files:
        request = replace(request_of(tmp_path, (item,), QUARTERS), root=f"{files.url}/")
        files.plan("one/B03.tif", garbled(range(value.valueoffset, value.valueoffset + value.valuebytecount)), times=1)
        assert {(result.reason, result.final) for result in extract_chips(request)} == {("read_error", False)}
        assert all(isinstance(result, Chip) for result in extract_chips(request))


def test_a_truncated_file_fails_the_chips_after_the_end(tmp_path):
    request = request_of(tmp_path, (write_item(tmp_path, s2_pixels()),), QUARTERS)
    before = by_id(list(extract_chips(request)))
    path = tmp_path / "one" / "B04.tif"
    with rasterio.open(path) as data:
        end = int(data.get_tag_item("BLOCK_OFFSET_0_3", "TIFF", bidx=1))
    path.write_bytes(path.read_bytes()[:end])
    after = by_id(list(extract_chips(request)))
    assert [after[id].sha256 for id in ("c00", "c01")] == [before[id].sha256 for id in ("c00", "c01")]
    assert [after[id].reason for id in ("c02", "c03")] == ["read_error", "read_error"]


@given(st.binary(min_size=0, max_size=300), st.integers(0, 400))
@examples(25)
def test_random_bytes_in_a_file_raise_nothing(tmp_path_factory, junk, start):
    folder = tmp_path_factory.mktemp("scene")
    request = request_of(folder, (write_item(folder, s2_pixels(120)),), QUARTERS[:1])
    path = folder / "one" / "B02.tif"
    content = bytearray(path.read_bytes())
    content[start : start + len(junk)] = junk
    path.write_bytes(content)
    (result,) = extract_chips(request)
    assert isinstance(result, Chip) or result.reason in Reason.__members__


# -- rasters that contradict the profile -------------------------------------------------------------------------------

MISMATCHES = [
    ("another zone", "encoding", {"crs": "EPSG:32633"}),
    ("degrees", "encoding", {"crs": "EPSG:4326"}),
    ("no CRS", "encoding", {"crs": None}),
    ("rotated", "encoding", {"transform": Affine(10, 1, LEFT, 1, -10, TOP)}),
    ("twice the pixel", "resolution", {"transform": Affine(20, 0, LEFT, 0, -20, TOP)}),
    ("half a pixel off", "off_lattice", {"transform": Affine(10, 0, LEFT + 5, 0, -10, TOP)}),
    ("a hundredth of a pixel off", "off_lattice", {"transform": Affine(10, 0, LEFT, 0, -10, TOP + 0.1)}),
    ("huge origin", "outside", {"transform": Affine(10, 0, 1e300, 0, -10, TOP)}),
    ("elsewhere", "outside", {"transform": Affine(10, 0, LEFT + 60_000, 0, -10, TOP)}),
]


@pytest.mark.parametrize(("reason", "options"), [pytest.param(*row, id=name) for name, *row in MISMATCHES])
def test_a_mismatching_band_drops_every_chip(tmp_path, reason, options):
    request = request_of(tmp_path, (write_item(tmp_path, s2_pixels()),), QUARTERS)
    write_raster(tmp_path / "one" / "B03.tif", noise((SIZE, SIZE), "uint16"), **options)
    results = by_id(list(extract_chips(request)))
    assert sorted(results) == sorted(request.ids)
    assert {(record.reason, record.final) for record in results.values()} == {(reason, True)}


@pytest.mark.parametrize(
    ("sensor", "band", "dtype"),
    [(S2, "B03", "int16"), (S2, "B03", "float32"), (S2, "SCL", "uint16"), (S1, "vh", "uint16"), (S1, "vv", "int16")],
)
def test_a_band_of_another_dtype_drops_every_chip(tmp_path, sensor, band, dtype):
    pixels = s2_pixels() if sensor is S2 else s1_pixels()
    item = write_item(tmp_path, pixels | {band: noise(pixels[band].shape, dtype)})
    request = request_of(tmp_path, (item,), QUARTERS, sensor=sensor)
    assert {result.reason for result in extract_chips(request)} == {"encoding"}


@pytest.mark.parametrize(
    ("x", "y", "reason"),
    [
        (0, 0, None),
        (1200, 1200, None),
        (-60, 0, "outside"),
        (0, -60, "outside"),
        (1260, 0, "outside"),
        (0, 1260, "outside"),
        (10, 0, "off_lattice"),
        (0, 30, "off_lattice"),
        (60, 60, None),
    ],
)
def test_chips_must_be_inside_the_raster_and_aligned_with_every_band(tmp_path, x, y, reason):
    request = request_of(tmp_path, (write_item(tmp_path, s2_pixels()),), [(LEFT + x, TOP - y), (LEFT, TOP)])
    results = by_id(list(extract_chips(request)))
    assert isinstance(results["c01"], Chip)
    assert isinstance(results["c00"], Chip) if reason is None else results["c00"].reason == reason


# -- split granules ----------------------------------------------------------------------------------------------------


def halves():
    """Pixels of two items of one acquisition, with data in the left and in the right part; a few columns overlap."""
    left, right = s2_pixels(seed=1), s2_pixels(seed=100)
    for band in left:
        width = left[band].shape[1]
        left[band][:, width * 3 // 4 :] = 0
        right[band][:, : width // 4] = 0
    return left, right


def test_the_second_item_fills_nodata_of_the_first(tmp_path):
    left, right = halves()
    items = (write_item(tmp_path, left), write_item(tmp_path, right, name="two"))
    chips = by_id(list(extract_chips(request_of(tmp_path, items, QUARTERS))))
    for number, corner in enumerate(QUARTERS):
        for group in S2.groups:
            first, second = (stored(pixels, group, corner) for pixels in (left, right))
            assert np.array_equal(chips[f"c{number:02d}"].groups[group.column], np.where(first == 0, second, first))
        assert chips[f"c{number:02d}"].valid_pct == 100


def test_the_masks_of_a_split_granule_are_combined(tmp_path):
    left, right = halves()
    right["SCL"][right["SCL"] > 0] = 9
    items = (write_item(tmp_path, left), write_item(tmp_path, right, name="two"))
    chips = by_id(list(extract_chips(request_of(tmp_path, items, QUARTERS, max_chip_pct=100))))
    assert [chips[id].cloud_pct for id in sorted(chips)] == [0, 50, 0, 50]


@pytest.mark.parametrize("broken", ["one", "two"])
def test_a_damaged_block_of_either_item_fails_the_chip(tmp_path, broken):
    left, right = halves()
    items = (write_item(tmp_path, left), write_item(tmp_path, right, name="two"))
    corrupt_block(tmp_path / broken / "B04.tif", 0, 1)
    results = by_id(list(extract_chips(request_of(tmp_path, items, QUARTERS))))
    assert results["c00"].reason == "read_error" and isinstance(results["c02"], Chip)


def test_items_on_different_grids_are_rejected(tmp_path):
    items = (write_item(tmp_path, s2_pixels()), write_item(tmp_path, s2_pixels(), name="two", origin=(LEFT + 60, TOP)))
    assert {result.reason for result in extract_chips(request_of(tmp_path, items, QUARTERS))} == {"encoding"}


def test_chips_without_a_mask_have_no_shares(tmp_path):
    pixels = s2_pixels()
    del pixels["SCL"]
    for chip in extract_chips(request_of(tmp_path, (write_item(tmp_path, pixels),), QUARTERS)):
        assert chip.cloud_pct is chip.shadow_pct is chip.snow_pct is None


def test_a_mask_of_a_single_item_is_ignored(tmp_path):
    left, right = halves()
    del right["SCL"]
    items = (write_item(tmp_path, left), write_item(tmp_path, right, name="two"))
    assert [result.id for result in extract_chips(request_of(tmp_path, items, QUARTERS))] == [
        "c00",
        "c01",
        "c02",
        "c03",
    ]


# -- oversampled bands, shifted radar, other units ---------------------------------------------------------------------


def test_bands_stored_at_ten_metres_are_reduced_to_native(tmp_path):
    native = s2_pixels()
    item = write_item(tmp_path, native)
    for band in S2.order:
        fine = native[band].repeat(FACTOR[band], axis=0).repeat(FACTOR[band], axis=1)
        write_raster(tmp_path / "one" / f"{band}.tif", fine, pixel_m=10)
    chips = list(extract_chips(request_of(tmp_path, (item,), QUARTERS, offset_dn=1000)))
    plain = list(
        extract_chips(
            request_of(tmp_path / "plain", (write_item(tmp_path / "plain", native),), QUARTERS, offset_dn=1000)
        )
    )
    assert [chip.sha256 for chip in chips] == [chip.sha256 for chip in plain]


@pytest.mark.parametrize(("east_m", "south_m"), [(3.0, 0.0), (0.0, 4.0), (6.5, 2.5)])
def test_shifted_radar_is_interpolated_in_linear_power(tmp_path, east_m, south_m):
    pixels = s1_pixels(SIZE + 1)
    pixels["vv"][100:110, 100:110] = -32768
    item = write_item(tmp_path, pixels, transform=Affine(10, 0, LEFT - east_m, 0, -10, TOP + south_m), nodata=-32768.0)
    chips = by_id(list(extract_chips(request_of(tmp_path, (item,), QUARTERS, sensor=S1))))
    for id, corner in zip(chips, sorted(QUARTERS, key=lambda c: (-c[1], c[0])), strict=True):
        row, col = int(TOP - corner[1]) // 10, int(corner[0] - LEFT) // 10
        for number, band in enumerate(S1.order):
            window = pixels[band][row : row + 121, col : col + 121].astype(np.float64)
            power, valid = interpolate((window, window > 0), Shift.from_offset(south_m / 10, east_m / 10))
            assert (chips[id].groups["s1"][number] == gamma0_to_stored(power, valid)).all()


def test_aligned_radar_is_not_resampled(tmp_path):
    pixels = s1_pixels()
    chips = by_id(list(extract_chips(request_of(tmp_path, (write_item(tmp_path, pixels),), QUARTERS, sensor=S1))))
    for id, corner in zip(chips, sorted(QUARTERS, key=lambda c: (-c[1], c[0])), strict=True):
        window = np.stack([chip_window(pixels, band, corner) for band in S1.order])
        assert (chips[id].groups["s1"] == gamma0_to_stored(window, window > 0)).all()


def s1_collection(stored, **changes):
    return SensorCollection.model_validate(PROVIDER.sensors["s1"].model_dump() | {"stored": stored, **changes})


@pytest.mark.parametrize(
    ("collection", "convert", "tolerance"),
    [
        (s1_collection("gamma0_db"), lambda power: (10 * np.log10(power)).astype("float32"), 1),
        (s1_collection("gamma0_dn", calibration_db=-83, nodata=65535),
         lambda power: np.clip(10 ** ((10 * np.log10(power) + 83) / 20), 1, 65534).astype("uint16"), 4),
    ],
    ids=["dB", "scaled"],
)  # fmt: skip
def test_radar_in_other_units_gives_the_same_decibels(tmp_path, collection, convert, tolerance):
    pixels = {band: np.clip(values, 0.01, 2) for band, values in s1_pixels().items()}
    (linear,) = extract_chips(request_of(tmp_path, (write_item(tmp_path, pixels),), QUARTERS[:1], sensor=S1))
    converted = {band: convert(values.astype(np.float64)) for band, values in pixels.items()}
    item = write_item(tmp_path, converted, name="converted")
    (chip,) = extract_chips(request_of(tmp_path, (item,), QUARTERS[:1], sensor=S1, collection=collection))
    assert np.abs(chip.groups["s1"].astype(int) - linear.groups["s1"]).max() <= tolerance


REJECTED = {
    "dB where the profile declares power": ("encoding", "", lambda v: (10 * np.log10(v) - 10).astype("float32")),
    "the file declares dB": ("encoding", "dB", lambda v: v),
    "constant": ("constant", "", lambda v: np.full_like(v, 0.25)),
    "half empty": ("nodata", "", lambda v: np.where(np.arange(len(v))[:, None] < 60, np.float32(0), v)),
}


@pytest.mark.parametrize(("reason", "unit", "convert"), REJECTED.values(), ids=REJECTED)
def test_radar_that_contradicts_the_profile_is_rejected(tmp_path, reason, unit, convert):
    item = write_item(tmp_path, {band: convert(values) for band, values in s1_pixels(120).items()})
    for band in S1.order:
        with rasterio.open(tmp_path / "one" / f"{band}.tif", "r+") as data:
            data.units = (unit,)
    (record,) = extract_chips(request_of(tmp_path, (item,), QUARTERS[:1], sensor=S1))
    assert (record.reason, record.final) == (reason, True)


# -- chips of one batch ------------------------------------------------------------------------------------------------


def test_chips_of_a_batch_are_finished_as_alone(tmp_path):
    pixels = s2_pixels(360)
    pixels["B03"][:120, 120:240] = 0
    pixels["SCL"][:60, 120:] = 9
    pixels["SCL"][60:120, :10] = 9
    item = write_item(tmp_path, pixels, blockxsize=16, blockysize=16)
    corrupt_block(tmp_path / "one" / "B8A.tif", 4, 4)
    corners = [(LEFT + x, TOP - y) for y in (0, 1200) for x in (0, 1200, 2400)]
    request = request_of(tmp_path, (item,), corners, offset_dn=1000)
    together = list(extract_chips(request))
    alone = [
        result
        for id, corner in zip(request.ids, corners, strict=True)
        for result in extract_chips(replace(request, ids=(id,), corners=(corner,)))
    ]
    reasons = {result.id: result.reason for result in together if isinstance(result, DropRecord)}
    assert reasons == {"c01": "nodata", "c02": "cloud", "c04": "read_error"}
    for result, expected in zip(by_id(together).values(), by_id(alone).values(), strict=True):
        assert type(result) is type(expected) and result.id == expected.id
        if isinstance(result, DropRecord):
            assert result == expected
        else:
            assert replace(result, groups={}) == replace(expected, groups={})
            assert all(np.array_equal(result.groups[column], expected.groups[column]) for column in result.groups)


def test_a_rejected_radar_chip_keeps_no_pixels_in_memory(tmp_path):
    pixels = s1_pixels()
    pixels["vv"][:120, :120] = 0.1
    request = request_of(tmp_path, (write_item(tmp_path, pixels),), QUARTERS, sensor=S1)
    gc.collect()
    gc.disable()
    try:
        reasons = [result.reason for result in extract_chips(request) if isinstance(result, DropRecord)]
        # Whose traceback would refer to the pixels.
        remaining = [value for value in gc.get_objects() if type(value) is ChipRejected]
    finally:
        gc.enable()
    assert reasons == ["constant"] and remaining == []


# -- files as people have them -----------------------------------------------------------------------------------------

HOLE = np.s_[30:60, 30:60]
COLLECTIONS = {"s2": PROVIDER.sensors["s2"], "s1": PROVIDER.sensors["s1"]}


def with_nodata(sensor, nodata):
    return SensorCollection.model_validate(COLLECTIONS[sensor].model_dump() | {"nodata": nodata})


@pytest.mark.parametrize(
    ("options", "collection"),
    [({"nodata": 65535}, COLLECTIONS["s2"]), ({}, with_nodata("s2", 65535)), ({"nodata": 9}, with_nodata("s2", 65535))],
    ids=["header", "profile", "both"],
)
def test_nodata_of_header_and_profile_and_zero_are_no_reflectance(tmp_path, options, collection):
    pixels = s2_pixels(120)
    del pixels["SCL"]
    for band in S2.order:
        np.clip(pixels[band], 10, 60_000, out=pixels[band])
    pixels["B02"][HOLE] = 65535
    pixels["B03"][0, :5] = options.get("nodata", 65535)
    pixels["B04"][1, :5] = 0
    item = write_item(tmp_path, pixels, **options)
    facts = {"collection": collection, "offset_dn": 1000, "min_valid_pct": 0}
    (chip,) = extract_chips(request_of(tmp_path, (item,), QUARTERS[:1], **facts))
    first = chip.groups["s2_x1"]
    assert (first[0][HOLE] == 0).all() and np.count_nonzero(first[0] == 0) == 900
    assert chip.valid_pct == pytest.approx(100 * (14_400 - 910) / 14_400) and first.max() <= 59_000


@pytest.mark.parametrize(("header", "profile"), [(200, None), (None, 200), (201, 200)])
def test_nodata_of_the_mask_is_neither_cloud_nor_shadow(tmp_path, header, profile):
    pixels = s2_pixels(120)
    pixels["SCL"][:30] = 9
    pixels["SCL"][:15] = 200 if header is None else header
    item = write_item(tmp_path, pixels)
    write_raster(tmp_path / "one/SCL.tif", pixels["SCL"], pixel_m=20, nodata=header)
    facts = {"collection": with_nodata("s2", profile)}
    (chip,) = extract_chips(request_of(tmp_path, (item,), QUARTERS[:1], **facts))
    assert (chip.cloud_pct, chip.shadow_pct) == (25, 0)


def test_nodata_of_radar_is_compared_in_the_type_of_the_pixels(tmp_path):
    pixels = s1_pixels(120)
    for values in pixels.values():
        values[HOLE] = 0.1
    item = write_item(tmp_path, pixels, nodata=0.1)
    (chip,) = extract_chips(request_of(tmp_path, (item,), QUARTERS[:1], sensor=S1, min_valid_pct=0))
    assert (chip.groups["s1"][:, 30:60, 30:60] == -32768).all()
    assert chip.valid_pct == pytest.approx(100 * (14_400 - 900) / 14_400)


@pytest.mark.parametrize("internal", [True, False], ids=["inside", "beside"])
def test_masked_pixels_are_no_reflectance(tmp_path, internal):
    item = write_item(tmp_path, s2_pixels(120))
    mask = np.full((120, 120), 255, "uint8")
    mask[HOLE] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=internal), rasterio.open(tmp_path / "one/B08.tif", "r+") as data:
        data.write_mask(mask)
    (chip,) = extract_chips(request_of(tmp_path, (item,), QUARTERS[:1], min_valid_pct=0))
    assert chip.valid_pct == pytest.approx(100 * (14_400 - 900) / 14_400)
    assert (chip.groups["s2_x1"][3][HOLE] == 0).all()


@pytest.mark.parametrize("interleave", ["band", "pixel"])
def test_bands_of_the_same_file_are_read_by_number_and_refused_without(tmp_path, interleave):
    pixels = s2_pixels()
    plain = write_item(tmp_path, pixels)
    stack = [pixels[band] for band in ("B04", "B03", "B02", "B08")]
    write_raster(tmp_path / "one/stack.tif", np.stack(stack), interleave=interleave)
    places = {"B04": 1, "B03": 2, "B02": 3, "B08": 4}
    assets = plain.assets | dict.fromkeys(places, "one/stack.tif")
    expected, read, unnumbered, missing = (
        by_id(list(extract_chips(request_of(tmp_path, (Item("one", *values),), QUARTERS))))
        for values in ((plain.assets, ""), (assets, "", places), (assets, ""), (assets, "", places | {"B08": 5}))
    )
    assert [chip.sha256 for chip in read.values()] == [chip.sha256 for chip in expected.values()]
    for refused in (unnumbered, missing):
        assert {(record.reason, record.final) for record in refused.values()} == {("encoding", True)}


def test_a_mask_in_a_file_of_several_bands_may_have_their_type(tmp_path):
    pixels = s2_pixels(120)
    pixels["SCL"][:15] = 9
    plain = write_item(tmp_path, pixels)
    write_raster(tmp_path / "one/stack.tif", np.stack([pixels["B05"], pixels["SCL"].astype("uint16")]), pixel_m=20)
    stacked = Item("one", plain.assets | dict.fromkeys(("B05", "SCL"), "one/stack.tif"), "", {"B05": 1, "SCL": 2})
    chips = [next(extract_chips(request_of(tmp_path, (item,), QUARTERS[:1]))) for item in (plain, stacked)]
    assert chips[0].sha256 == chips[1].sha256 and chips[0].cloud_pct == chips[1].cloud_pct == 25


@pytest.mark.parametrize("sensor", [S1, S2], ids=["s1", "s2"])
def test_images_with_rows_from_south_to_north_give_the_same_chips(tmp_path, sensor):
    pixels = s1_pixels() if sensor is S1 else s2_pixels()
    plain, turned = write_item(tmp_path, pixels), Item("two", {band: f"two/{band}.tif" for band in pixels}, "")
    for band, values in pixels.items():
        size_m = 10 * FACTOR[band]
        transform = Affine(size_m, 0, LEFT, 0, size_m, TOP - 10 * SIZE)
        write_raster(tmp_path / turned.assets[band], values[::-1], transform=transform)
    results = (list(extract_chips(request_of(tmp_path, (item,), QUARTERS, sensor=sensor))) for item in (plain, turned))
    assert [chip.sha256 for chip in next(results)] == [chip.sha256 for chip in next(results)]
