"""Chips in a UTM zone other than the image's: targets keep their position on the ground."""

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
from landmark.extract.chips import extract_chips
from landmark.extract.request import Chip
from tests.extract.scenes import FACTOR, S1, S2, request_of, s1_pixels, s2_pixels, write_item
from tests.parts import examples
from tests.raster.rasters import noise

SIZE = 300
# Zone of the cells, zone of the image, and a point near their border.
BORDERS = {
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


class Border:
    """A cell of one zone in the middle of a raster of another; positions straight from PROJ."""

    def __init__(self, cell_epsg, epsg, lon, lat):
        self.cell_epsg, self.epsg = cell_epsg, epsg
        x, y = Transformer.from_crs(4326, cell_epsg, always_xy=True).transform(lon, lat)
        self.corner = (round(x / 1200) * 1200.0 - 600, round(y / 1200) * 1200.0 + 600)
        self.to_raster = Transformer.from_crs(cell_epsg, epsg, always_xy=True).transform
        middle = self.to_raster(self.corner[0] + 600, self.corner[1] - 600)
        self.origin = 60.0 * round((middle[0] - 5 * SIZE) / 60), 60.0 * round((middle[1] + 5 * SIZE) / 60)

    def options(self):
        return {"crs": f"EPSG:{self.epsg}", "origin": self.origin}

    def request(self, folder, pixels, corners=None, *, sensor=S1, **changes):
        corners = [self.corner] if corners is None else corners
        facts = {"sensor": sensor, "epsg": self.epsg, "epsgs": (self.cell_epsg,) * len(corners)} | changes
        options = {"nodata": -32768.0} if sensor is S1 else {}
        return request_of(folder, (write_item(folder, pixels, **self.options(), **options),), corners, **facts)

    def position(self, corner, row, col, pixel_m=10):
        """(row, column) in the raster of a position in a chip, both from the upper left corner."""
        x, y = self.to_raster(corner[0] + col * pixel_m, corner[1] - row * pixel_m)
        return (self.origin[1] - y) / pixel_m, (x - self.origin[0]) / pixel_m


VENICE = Border(*BORDERS["Venice"])


def centres(size):
    return np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5, indexing="ij")


def power_of(stored):
    return np.where(stored == -32768, np.nan, 10 ** (stored / 1000.0))


# -- sub-pixel positions -----------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("border", [Border(*case) for case in BORDERS.values()], ids=BORDERS)
@pytest.mark.parametrize(("row", "col"), [(60.0, 60.0), (31.3, 88.8), (97.25, 22.6)])
def test_a_target_is_within_a_tenth_of_a_pixel_in_every_band_of_both_sensors(tmp_path, border, row, col):
    radar, optical = {}, {"SCL": np.full((SIZE // 2,) * 2, 4, "uint8")}
    for band, factor in FACTOR.items():
        target = border.position(border.corner, row / factor, col / factor, 10 * factor)
        if band in S1.order:
            radar[band] = (0.02 + blob(SIZE, *target)).astype("float32")
        elif band in S2.order:
            optical[band] = np.rint(500 + 8000 * blob(SIZE // factor, *target, sigma_px=6 / factor)).astype("uint16")
    (chip,) = extract_chips(border.request(tmp_path / "s1", radar))
    for band in chip.groups["s1"]:
        assert centroid(power_of(band) - 0.02) == pytest.approx((row, col), abs=0.1)
    (chip,) = extract_chips(border.request(tmp_path / "s2", optical, sensor=S2, min_valid_pct=100))
    for group in S2.groups:
        for band in chip.groups[group.column]:
            position = centroid(np.maximum(band - 500.0, 0))
            assert position == pytest.approx((row / group.factor, col / group.factor), abs=0.1)


@pytest.mark.parametrize("epsg", [32632, 32633], ids=["shifted", "other zone"])
def test_a_single_bright_pixel_is_within_a_tenth_of_a_pixel(tmp_path, epsg):
    border = Border(32632, epsg, 12.0, 45.4)
    border.origin = (border.origin[0] - 3.7, border.origin[1] + 6.2)
    row, col = (math.floor(axis) + 0.5 for axis in border.position(border.corner, 40, 70))
    pixels = {band: (1e-4 + point(SIZE, row, col)).astype("float32") for band in S1.order}
    (chip,) = extract_chips(border.request(tmp_path, pixels))
    to_cell = Transformer.from_crs(epsg, 32632, always_xy=True)
    x, y = to_cell.transform(border.origin[0] + 10 * col, border.origin[1] - 10 * row)
    power = power_of(chip.groups["s1"][0])
    expected = (border.corner[1] - y) / 10, (x - border.corner[0]) / 10
    assert centroid(power - power.min()) == pytest.approx(expected, abs=0.1)


# -- oracles -----------------------------------------------------------------------------------------------------------


def naive(border, corner, pixels):
    """Power and weight of every pixel of a chip, each projected by PROJ."""
    rows, cols = border.position(corner, *centres(120))
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
def test_chips_anywhere_in_the_image_equal_a_scalar_loop(tmp_path_factory, east, south, holes):
    folder, rng = tmp_path_factory.mktemp("scene"), np.random.default_rng([east + 100, south + 100])
    pixels = {band: rng.uniform(0.05, 0.1, (SIZE, SIZE)).astype("float32") for band in S1.order}
    if holes:
        pixels["vv"][rng.random((SIZE, SIZE)) < 0.02] = -32768
        pixels["vv"][100:140, 150:151] = 0
    corner = (VENICE.corner[0] + 10 * east, VENICE.corner[1] - 10 * south)
    (chip,) = extract_chips(VENICE.request(folder, pixels, [corner], min_valid_pct=0))
    if isinstance(chip, DropRecord):
        positions = np.stack(VENICE.position(corner, *centres(120)))
        assert (chip.reason, chip.final) == ("outside", True) and (positions.min() < 1 or positions.max() > SIZE - 1)
        return
    for number, band in enumerate(S1.order):
        value, weight = naive(VENICE, corner, pixels[band])
        stored, decided = chip.groups["s1"][number].astype(int), abs(weight - 0.5) > 1e-3
        assert ((stored != -32768) == (weight >= 0.5))[decided].all()
        valid = (stored != -32768) & (weight >= 0.5)
        assert np.abs(stored[valid] - 1000 * np.log10(value[valid] / weight[valid])).max() <= 1


def test_warped_radar_agrees_with_gdal(tmp_path):
    pixels = {band: np.float32(0.05) + noise((SIZE, SIZE), "float32", 3) % np.float32(0.1) for band in S1.order}
    (chip,) = extract_chips(VENICE.request(tmp_path, pixels))
    transform = Affine(10, 0, VENICE.corner[0], 0, -10, VENICE.corner[1])
    with (
        rasterio.open(tmp_path / "one/vv.tif") as source,
        # Without a scale GDAL derives a coarser one from the rotated square's bounds, and blurs.
        WarpedVRT(source, crs="EPSG:32632", transform=transform, width=120, height=120, resampling=Resampling.bilinear,
                  XSCALE=1, YSCALE=1, dtype="float32") as warped,
    ):  # fmt: skip
        expected = 1000 * np.log10(warped.read(1))
    assert np.abs(chip.groups["s1"][0] - expected).max() <= 1


def test_the_mask_is_resampled_by_nearest_neighbour(tmp_path):
    pixels = s2_pixels(SIZE)
    pixels["SCL"] = np.random.default_rng(0).choice(np.array([4, 5, 3, 9, 11], "uint8"), (SIZE // 2,) * 2)
    (chip,) = extract_chips(VENICE.request(tmp_path, pixels, sensor=S2, max_chip_pct=100))
    rows, cols = VENICE.position(VENICE.corner, *centres(60), 20)
    mask = pixels["SCL"][np.floor(rows).astype(int), np.floor(cols).astype(int)]
    # Three of 3,600 pixels may be on an edge.
    shares = [100 * (mask == code).sum() / 3600 for code in (9, 3, 11)]
    assert [chip.cloud_pct, chip.shadow_pct, chip.snow_pct] == pytest.approx(shares, abs=0.1)


@pytest.mark.parametrize("epsg", [32632, 32633], ids=["shifted", "other zone"])
def test_radar_is_averaged_as_power(tmp_path, epsg):
    border = Border(32632, epsg, 12.0, 45.4)
    border.origin = (border.origin[0] - 5, border.origin[1] + 5)
    board = np.where(np.indices((SIZE, SIZE)).sum(axis=0) % 2, 1.0, 0.01).astype("float32")
    (chip,) = extract_chips(border.request(tmp_path, dict.fromkeys(S1.order, board)))
    # The mean of the decibels would be 0.1.
    assert np.nanmean(power_of(chip.groups["s1"][0])) == pytest.approx(0.505, rel=0.01)
    if epsg == 32632:
        assert (chip.groups["s1"] == round(1000 * math.log10(0.505))).all()


def test_reflectance_is_interpolated_before_the_offset_is_removed(tmp_path):
    pixels = s2_pixels(SIZE)
    for band in S2.order:
        pixels[band][:] = 1500
    (chip,) = extract_chips(VENICE.request(tmp_path, pixels, sensor=S2, offset_dn=1000))
    assert all((values == 500).all() for values in chip.groups.values())


def test_oversampled_bands_are_warped_and_then_averaged(tmp_path):
    native, fine = {"SCL": np.full((SIZE // 2,) * 2, 4, "uint8")}, {}
    for band in S2.order:
        size = SIZE // FACTOR[band]
        slope = np.add.outer(np.arange(size), 2 * np.arange(size)) * FACTOR[band]
        native[band] = (1000 + slope + 1.5 * (FACTOR[band] - 1)).astype("uint16")
        fine[band] = (1000 + np.add.outer(np.arange(SIZE), 2 * np.arange(SIZE))).astype("uint16")
    fine_mask = {"SCL": np.full((SIZE, SIZE), 4, "uint8")}
    item = write_item(tmp_path / "fine", fine | fine_mask, pixel_m=10, **VENICE.options())
    facts = {"sensor": S2, "epsg": 32633, "epsgs": (32632,)}
    (chip,) = extract_chips(request_of(tmp_path / "fine", (item,), [VENICE.corner], **facts))
    (plain,) = extract_chips(VENICE.request(tmp_path / "native", native, sensor=S2))
    for column, values in plain.groups.items():
        assert np.abs(chip.groups[column].astype(int) - values).max() <= 1


# -- edges, and requests of several zones ------------------------------------------------------------------------------


def test_nodata_does_not_bleed_into_neighbours(tmp_path):
    pixels = {band: np.full((SIZE, SIZE), 0.1, "float32") for band in S1.order}
    for values in pixels.values():
        values[:, : SIZE // 2] = -32768
        values[::2, -SIZE // 2 :] = 0.100001  # a constant band is rejected
    (chip,) = extract_chips(VENICE.request(tmp_path, pixels, min_valid_pct=40))
    assert set(np.unique(chip.groups["s1"]).tolist()) == {-32768, -1000}
    assert chip.valid_pct == pytest.approx(50, abs=2)


def test_cells_partly_or_far_outside_are_dropped_alone(tmp_path):
    pixels, (x, y) = s1_pixels(SIZE), VENICE.corner
    (alone,) = extract_chips(VENICE.request(tmp_path / "alone", pixels))
    corners = [(x, y), (x + 1200, y), (x, y - 12_000), (x, y), (500_000.0, 5_000_000.0)]
    zones = (32632, 32632, 32632, 32612, 32755)
    results = list(extract_chips(VENICE.request(tmp_path, pixels, corners, epsgs=zones)))
    by_id = {result.id: result for result in results}
    assert len(results) == len(by_id) == 5 and by_id["c00"].sha256 == alone.sha256
    assert {by_id[id].reason for id in ("c01", "c02", "c03", "c04")} == {"outside"}


@pytest.mark.parametrize("sensor", [S1, S2], ids=["s1", "s2"])
def test_chips_of_another_zone_do_not_change_those_of_the_own_zone(tmp_path, sensor):
    pixels = s1_pixels(SIZE) if sensor is S1 else s2_pixels(SIZE)
    left, top = VENICE.origin
    own = [(left + 60 * step, top - 60 * step) for step in (0, 3, 17, 30)]
    foreign = [VENICE.corner, (VENICE.corner[0] + 60, VENICE.corner[1] - 60)]
    facts = {"epsg": 32633, "sensor": sensor}
    item = write_item(tmp_path, pixels, **VENICE.options())
    alone = {chip.id: chip.sha256 for chip in extract_chips(request_of(tmp_path, (item,), own, **facts))}
    facts["epsgs"] = (32633,) * len(own) + (32632,) * len(foreign)
    both = {chip.id: chip.sha256 for chip in extract_chips(request_of(tmp_path, (item,), [*own, *foreign], **facts))}
    assert len(both) == 6 and both.items() >= alone.items()


def test_an_unreadable_band_fails_chips_of_every_zone(tmp_path):
    item = write_item(tmp_path, s1_pixels(SIZE), **VENICE.options())
    (tmp_path / "one/vh.tif").unlink()
    facts = {"sensor": S1, "epsg": 32633, "epsgs": (32632, 32633)}
    records = extract_chips(request_of(tmp_path, (item,), [VENICE.corner, VENICE.origin], **facts))
    assert [(record.id, record.reason) for record in records] == [("c00", "read_error"), ("c01", "read_error")]


def test_a_split_granule_is_combined_before_warping(tmp_path):
    complete, west, east = (s2_pixels(SIZE) for _ in range(3))
    for band, values in west.items():
        width = values.shape[1]
        values[:, width // 2 :] = 0
        east[band][:, : width // 3] = 0
    halves = {"west": west, "east": east}
    items = tuple(write_item(tmp_path, half, name=name, **VENICE.options()) for name, half in halves.items())
    (chip,) = extract_chips(request_of(tmp_path, items, [VENICE.corner], sensor=S2, epsg=32633, epsgs=(32632,)))
    (plain,) = extract_chips(VENICE.request(tmp_path, complete, sensor=S2))
    assert isinstance(chip, Chip) and chip.sha256 == plain.sha256
