"""Images serve cells of the zones beside their own: what lies on the ground at a place lies there in the chip."""

import logging
import math

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer
from rasterio.enums import Resampling
from rasterio.transform import Affine
from rasterio.vrt import WarpedVRT

from landmark.domain.drops import DropRecord
from landmark.extract.chips import cut
from landmark.extract.request import Chip
from tests.extract.scenes import FACTOR, S1, S2, cutting, item, s1_pixels, s2_pixels
from tests.parts import examples
from tests.raster.rasters import noise

SIZE = 300
# Cells' zone, images' zone, and a place where they meet.
MEETINGS = {
    "Venice": (32632, 32633, 12.0, 45.4),
    "westward": (32633, 32632, 11.98, 45.4),
    "the Cape": (32734, 32735, 24.0, -33.9),
    "across the equator": (32733, 32633, 12.7, -0.01),
    "the antimeridian": (32660, 32601, 179.99, 65.0),
    "Svalbard, 12 degrees wide": (32633, 32631, 9.0, 78.5),
}


@pytest.fixture(autouse=True)
def _quiet(caplog):
    caplog.set_level(logging.ERROR)


class Meeting:
    """A cell of one zone in the middle of a raster of another, and where things lie on both, straight from PROJ."""

    def __init__(self, cell_epsg, epsg, lon, lat):
        self.cell_epsg, self.epsg = cell_epsg, epsg
        x, y = Transformer.from_crs(4326, cell_epsg, always_xy=True).transform(lon, lat)
        self.corner = (round(x / 1200) * 1200.0 - 600, round(y / 1200) * 1200.0 + 600)
        self.to_raster = Transformer.from_crs(cell_epsg, epsg, always_xy=True).transform
        middle = self.to_raster(self.corner[0] + 600, self.corner[1] - 600)
        self.origin = 60.0 * round((middle[0] - 5 * SIZE) / 60), 60.0 * round((middle[1] + 5 * SIZE) / 60)

    def options(self):
        return {"crs": f"EPSG:{self.epsg}", "origin": self.origin}

    def cutting(self, folder, pixels, corners=None, *, sensor=S1, **changes):
        corners = [self.corner] if corners is None else corners
        said = {"sensor": sensor, "epsg": self.epsg, "epsgs": (self.cell_epsg,) * len(corners)} | changes
        options = {"nodata": -32768.0} if sensor is S1 else {}
        return cutting(folder, (item(folder, pixels, **self.options(), **options),), corners, **said)

    def position(self, corner, row, col, pixel_m=10):
        """(row, column) in the raster, from its corner, of a place in a chip."""
        x, y = self.to_raster(corner[0] + col * pixel_m, corner[1] - row * pixel_m)
        return (self.origin[1] - y) / pixel_m, (x - self.origin[0]) / pixel_m


VENICE = Meeting(*MEETINGS["Venice"])


def centres(size):
    return np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5, indexing="ij")


def power_of(stored):
    return np.where(stored == -32768, np.nan, 10 ** (stored / 1000.0))


# -- sub-pixel truth ---------------------------------------------------------------------------------------------------


def blob(size, row, col, *, sigma_px=2.5):
    rows, cols = centres(size)
    return np.exp(-((rows - row) ** 2 + (cols - col) ** 2) / (2 * sigma_px**2))


def point(size, row, col):
    value = np.zeros((size, size))
    value[math.floor(row), math.floor(col)] = 1
    return value


def centroid(values):
    rows, cols = centres(len(values))
    return (values * rows).sum() / values.sum(), (values * cols).sum() / values.sum()


@pytest.mark.parametrize("meeting", [Meeting(*one) for one in MEETINGS.values()], ids=MEETINGS)
@pytest.mark.parametrize(("row", "col"), [(60.0, 60.0), (31.3, 88.8), (97.25, 22.6)])
def test_a_target_lands_within_a_tenth_of_a_pixel_in_every_band_of_both_sensors(tmp_path, meeting, row, col):
    radar, optical = {}, {"SCL": np.full((SIZE // 2,) * 2, 4, "uint8")}
    for band, factor in FACTOR.items():
        lies = meeting.position(meeting.corner, row / factor, col / factor, 10 * factor)
        if band in S1.order:
            radar[band] = (0.02 + blob(SIZE, *lies)).astype("float32")
        elif band in S2.order:
            optical[band] = np.rint(500 + 8000 * blob(SIZE // factor, *lies, sigma_px=6 / factor)).astype("uint16")
    (chip,) = cut(meeting.cutting(tmp_path / "s1", radar))
    for band in chip.groups["s1"]:
        assert centroid(power_of(band) - 0.02) == pytest.approx((row, col), abs=0.1)
    (chip,) = cut(meeting.cutting(tmp_path / "s2", optical, sensor=S2, min_valid_pct=100))
    for group in S2.groups:
        for band in chip.groups[group.column]:
            there = centroid(np.maximum(band - 500.0, 0))
            assert there == pytest.approx((row / group.factor, col / group.factor), abs=0.1)


@pytest.mark.parametrize("epsg", [32632, 32633], ids=["shifted", "other zone"])
def test_a_single_bright_pixel_lands_within_a_tenth_of_a_pixel(tmp_path, epsg):
    meeting = Meeting(32632, epsg, 12.0, 45.4)
    meeting.origin = (meeting.origin[0] - 3.7, meeting.origin[1] + 6.2)
    row, col = (math.floor(axis) + 0.5 for axis in meeting.position(meeting.corner, 40, 70))
    pixels = {band: (1e-4 + point(SIZE, row, col)).astype("float32") for band in S1.order}
    (chip,) = cut(meeting.cutting(tmp_path, pixels))
    back = Transformer.from_crs(epsg, 32632, always_xy=True)
    x, y = back.transform(meeting.origin[0] + 10 * col, meeting.origin[1] - 10 * row)
    there = centroid(power_of(chip.groups["s1"][0]) - power_of(chip.groups["s1"][0]).min())
    assert there == pytest.approx(((meeting.corner[1] - y) / 10, (x - meeting.corner[0]) / 10), abs=0.1)


# -- against what is known to be right ---------------------------------------------------------------------------------


def naive(meeting, corner, pixels):
    """Power and weight of every pixel of a chip, each placed by PROJ."""
    rows, cols = meeting.position(corner, *centres(120))
    value, weight = np.zeros((120, 120)), np.zeros((120, 120))
    for at in np.ndindex(120, 120):
        row, col = rows[at] - 0.5, cols[at] - 0.5
        for down in (0, 1):
            for right in (0, 1):
                share = abs(1 - down - row % 1) * abs(1 - right - col % 1)
                power = float(pixels[math.floor(row) + down, math.floor(col) + right])
                if power > 0:
                    value[at], weight[at] = value[at] + share * power, weight[at] + share
    return value, weight


@given(*[st.one_of(st.integers(-95, 95), st.integers(82, 88), st.integers(-88, -82))] * 2, st.booleans())
@examples(14)
def test_chips_anywhere_in_the_image_equal_a_plain_loop_over_their_pixels(tmp_path_factory, east, south, holes):
    folder, chance = tmp_path_factory.mktemp("scene"), np.random.default_rng([east + 100, south + 100])
    pixels = {band: chance.uniform(0.05, 0.1, (SIZE, SIZE)).astype("float32") for band in S1.order}
    if holes:
        pixels["vv"][chance.random((SIZE, SIZE)) < 0.02] = -32768
        pixels["vv"][100:140, 150:151] = 0
    corner = (VENICE.corner[0] + 10 * east, VENICE.corner[1] - 10 * south)
    (chip,) = cut(VENICE.cutting(folder, pixels, [corner], min_valid_pct=0))
    if isinstance(chip, DropRecord):
        places = np.stack(VENICE.position(corner, *centres(120)))
        assert (chip.reason, chip.final) == ("outside", True) and (places.min() < 1 or places.max() > SIZE - 1)
        return
    for place, band in enumerate(S1.order):
        value, weight = naive(VENICE, corner, pixels[band])
        stored, sure = chip.groups["s1"][place].astype(int), abs(weight - 0.5) > 1e-3
        assert ((stored != -32768) == (weight >= 0.5))[sure].all()
        known = (stored != -32768) & (weight >= 0.5)
        assert np.abs(stored[known] - 1000 * np.log10(value[known] / weight[known])).max() <= 1


def test_inside_the_image_radar_equals_gdals_warper(tmp_path):
    pixels = {band: np.float32(0.05) + noise((SIZE, SIZE), "float32", 3) % np.float32(0.1) for band in S1.order}
    (chip,) = cut(VENICE.cutting(tmp_path, pixels))
    lattice = Affine(10, 0, VENICE.corner[0], 0, -10, VENICE.corner[1])
    with (
        rasterio.open(tmp_path / "one/vv.tif") as source,
        # GDAL takes the box round a turned square for a coarser scale, and would blur, unless told otherwise.
        WarpedVRT(source, crs="EPSG:32632", transform=lattice, width=120, height=120, resampling=Resampling.bilinear,
                  XSCALE=1, YSCALE=1, dtype="float32") as warped,
    ):  # fmt: skip
        expected = 1000 * np.log10(warped.read(1))
    assert np.abs(chip.groups["s1"][0] - expected).max() <= 1


def test_a_mask_takes_the_code_of_the_pixel_that_a_centre_lies_in(tmp_path):
    pixels = s2_pixels(SIZE)
    pixels["SCL"] = np.random.default_rng(0).choice(np.array([4, 5, 3, 9, 11], "uint8"), (SIZE // 2,) * 2)
    (chip,) = cut(VENICE.cutting(tmp_path, pixels, sensor=S2, max_chip_pct=100))
    rows, cols = VENICE.position(VENICE.corner, *centres(60), 20)
    seen = pixels["SCL"][np.floor(rows).astype(int), np.floor(cols).astype(int)]
    # Three of 3,600 pixels may lie on an edge.
    shares = [100 * (seen == code).sum() / 3600 for code in (9, 3, 11)]
    assert [chip.cloud_pct, chip.shadow_pct, chip.snow_pct] == pytest.approx(shares, abs=0.1)


@pytest.mark.parametrize("epsg", [32632, 32633], ids=["shifted", "other zone"])
def test_radar_averages_power_not_decibels(tmp_path, epsg):
    meeting = Meeting(32632, epsg, 12.0, 45.4)
    meeting.origin = (meeting.origin[0] - 5, meeting.origin[1] + 5)
    board = np.where(np.indices((SIZE, SIZE)).sum(axis=0) % 2, 1.0, 0.01).astype("float32")
    (chip,) = cut(meeting.cutting(tmp_path, dict.fromkeys(S1.order, board)))
    # Of decibels the mean is that of 0.1.
    assert np.nanmean(power_of(chip.groups["s1"][0])) == pytest.approx(0.505, rel=0.01)
    if epsg == 32632:
        assert (chip.groups["s1"] == round(1000 * math.log10(0.505))).all()


def test_reflectance_is_interpolated_before_its_offset_is_taken(tmp_path):
    pixels = s2_pixels(SIZE)
    for band in S2.order:
        pixels[band][:] = 1500
    (chip,) = cut(VENICE.cutting(tmp_path, pixels, sensor=S2, offset_dn=1000))
    assert all((values == 500).all() for values in chip.groups.values())


def test_bands_stored_finer_than_native_are_warped_and_then_averaged(tmp_path):
    native, finer = {"SCL": np.full((SIZE // 2,) * 2, 4, "uint8")}, {}
    for band in S2.order:
        size = SIZE // FACTOR[band]
        slope = np.add.outer(np.arange(size), 2 * np.arange(size)) * FACTOR[band]
        native[band] = (1000 + slope + 1.5 * (FACTOR[band] - 1)).astype("uint16")
        finer[band] = (1000 + np.add.outer(np.arange(SIZE), 2 * np.arange(SIZE))).astype("uint16")
    fine_mask = {"SCL": np.full((SIZE, SIZE), 4, "uint8")}
    one = item(tmp_path / "finer", finer | fine_mask, pixel_m=10, **VENICE.options())
    said = {"sensor": S2, "epsg": 32633, "epsgs": (32632,)}
    (chip,) = cut(cutting(tmp_path / "finer", (one,), [VENICE.corner], **said))
    (plain,) = cut(VENICE.cutting(tmp_path / "native", native, sensor=S2))
    for column, values in plain.groups.items():
        assert np.abs(chip.groups[column].astype(int) - values).max() <= 1


# -- edges, and units of several zones ---------------------------------------------------------------------------------


def test_what_is_beyond_the_data_is_no_data_and_darkens_nothing(tmp_path):
    pixels = {band: np.full((SIZE, SIZE), 0.1, "float32") for band in S1.order}
    for values in pixels.values():
        values[:, : SIZE // 2] = -32768
        values[::2, -SIZE // 2 :] = 0.100001  # one value everywhere is refused
    (chip,) = cut(VENICE.cutting(tmp_path, pixels, min_valid_pct=40))
    assert set(np.unique(chip.groups["s1"]).tolist()) == {-32768, -1000}
    assert chip.valid_pct == pytest.approx(50, abs=2)


def test_a_cell_half_outside_or_on_the_other_side_of_the_earth_is_an_outcome_and_harms_no_other(tmp_path):
    pixels, (x, y) = s1_pixels(SIZE), VENICE.corner
    (alone,) = cut(VENICE.cutting(tmp_path / "alone", pixels))
    corners = [(x, y), (x + 1200, y), (x, y - 12_000), (x, y), (500_000.0, 5_000_000.0)]
    zones = (32632, 32632, 32632, 32612, 32755)
    results = list(cut(VENICE.cutting(tmp_path, pixels, corners, epsgs=zones)))
    found = {result.id: result for result in results}
    assert len(results) == len(found) == 5 and found["c00"].sha256 == alone.sha256
    assert {found[id].reason for id in ("c01", "c02", "c03", "c04")} == {"outside"}


@pytest.mark.parametrize("sensor", [S1, S2], ids=["s1", "s2"])
def test_chips_of_the_own_zone_are_what_they_are_without_others(tmp_path, sensor):
    pixels = s1_pixels(SIZE) if sensor is S1 else s2_pixels(SIZE)
    left, top = VENICE.origin
    mine = [(left + 60 * step, top - 60 * step) for step in (0, 3, 17, 30)]
    said = {"epsg": 32633, "sensor": sensor}
    one = item(tmp_path, pixels, **VENICE.options())
    alone = {chip.id: chip.sha256 for chip in cut(cutting(tmp_path, (one,), mine, **said))}
    beside = [VENICE.corner, (VENICE.corner[0] + 60, VENICE.corner[1] - 60)]
    zones = (32633,) * len(mine) + (32632,) * len(beside)
    both = {chip.id: chip.sha256 for chip in cut(cutting(tmp_path, (one,), [*mine, *beside], epsgs=zones, **said))}
    assert len(both) == 6 and both.items() >= alone.items()


def test_a_spoiled_band_fails_chips_of_every_zone(tmp_path):
    one = item(tmp_path, s1_pixels(SIZE), **VENICE.options())
    (tmp_path / "one/vh.tif").unlink()
    what = cutting(tmp_path, (one,), [VENICE.corner, VENICE.origin], sensor=S1, epsg=32633, epsgs=(32632, 32633))
    assert [(result.id, result.reason) for result in cut(what)] == [("c00", "read_error"), ("c01", "read_error")]


def test_a_split_granule_is_put_together_before_it_is_warped(tmp_path):
    whole, west, east = (s2_pixels(SIZE) for _ in range(3))
    for band, values in west.items():
        wide = values.shape[1]
        values[:, wide // 2 :] = 0
        east[band][:, : wide // 3] = 0
    items = tuple(
        item(tmp_path, half, name=f"half{place}", **VENICE.options()) for place, half in enumerate((west, east))
    )
    (chip,) = cut(cutting(tmp_path, items, [VENICE.corner], sensor=S2, epsg=32633, epsgs=(32632,)))
    (plain,) = cut(VENICE.cutting(tmp_path, whole, sensor=S2))
    assert isinstance(chip, Chip) and chip.sha256 == plain.sha256
