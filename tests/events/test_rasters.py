"""Masks of floods and fires: their events equal what the raster shows at each point."""

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.transform import Affine

from landmark.core.crs import LONLAT, transformer
from landmark.domain.event import AOI
from landmark.events.geometry import affected_km2
from landmark.events.masks import event_masks
from landmark.grid.points import Points
from tests.events.writers import WEST, has_note, layer, read, read_error, zipped
from tests.labels.maps import write_map
from tests.parts import text

LEFT, TOP, SIZE = 600_000.0, 5_040_000.0, 120
DATES = {"dates": {"flood": "2018-10-29"}}


def blobs(seed: int = 0, height: int = SIZE, width: int = SIZE) -> NDArray[np.int16]:
    """A flood with islands, speckle, and a corner nobody looked at."""
    rows, cols = np.mgrid[:height, :width]
    waves = np.sin(rows / 7 + seed) + np.cos(cols / 9) + np.random.default_rng(seed).normal(0, 0.4, (height, width))
    return np.where((rows + cols < 50) | (waves < -1.6), -1, waves > 0.7).astype("int16")


def mask(path: Path, values: NDArray[Any], crs: str = "EPSG:32632", **options: Any) -> Path:
    """A raster that covers the cell, 10 m in UTM or finer in degrees."""
    if crs == "EPSG:4326":
        west, north = transformer(32632, LONLAT).transform(LEFT - 50, TOP + 50)
        options["transform"] = Affine(1.3e-4, 0, west, 0, -1e-4, north)
    return write_map(path, values, crs=crs, **options)


def points() -> Points:
    steps = 5 + 10 * np.arange(SIZE)
    return Points(32632, LEFT + steps[None], TOP - steps[None])


@pytest.mark.parametrize("crs", ["EPSG:32632", "EPSG:32633", "EPSG:4326"])
def test_an_event_equals_the_mask(tmp_path: Path, crs: str) -> None:
    transform = Affine(10, 0, LEFT, 0, -10, TOP)
    if crs == "EPSG:32633":
        x, y = transformer(32632, 32633).transform(LEFT, TOP)
        transform = Affine(9, 0, x - 200, 0, -9, y + 200)
    values = blobs(height=200, width=180)
    (event,) = read(
        mask(tmp_path / "flood.tif", values, crs, transform=transform), source="flood-masks", **DATES
    ).events
    assert (event.id, event.group, event.type, event.start) == (
        "flood",
        "flood",
        "flood",
        dt.datetime(2018, 10, 29, tzinfo=dt.UTC),
    )
    index, combinations = event_masks([event], points())
    value_of = {((event.id, AOI),): 0, ((event.id, AOI), (event.id, "observed")): 1, (): -1}
    sampled = np.array([value_of[tuple(sorted(combination))] for combination in combinations])[index]
    x, y = points().coordinates(CRS.from_user_input(crs))
    if crs == "EPSG:4326":
        west, north = transformer(32632, LONLAT).transform(LEFT - 50, TOP + 50)
        transform = Affine(1.3e-4, 0, west, 0, -1e-4, north)
    cols, rows = (np.floor(axis).astype(int) for axis in ~transform @ (x, y))
    inside = (rows >= 0) & (rows < 200) & (cols >= 0) & (cols < 180)
    expected = np.where(inside, values[rows.clip(0, 199), cols.clip(0, 179)], -1)
    assert {-1, 0, 1} <= set(expected.tolist()) and (sampled != expected).sum() <= 1


@pytest.mark.parametrize(
    ("values", "options"),
    [
        (blobs().astype("float32"), {}),
        (np.where(blobs() == -1, np.nan, blobs()).astype("float32"), {}),
        (np.where(blobs() == -1, 255, blobs()).astype("uint8"), {"nodata": 255}),
    ],
    ids=["float", "nan", "nodata"],
)
def test_unknown_pixels_are_written_in_many_ways(tmp_path: Path, values: NDArray[Any], options: dict[str, Any]) -> None:
    (expected,) = read(mask(tmp_path / "first/flood.tif", blobs()), source="flood-masks", **DATES).events
    (event,) = read(mask(tmp_path / "flood.tif", values, **options), source="flood-masks", **DATES).events
    assert event == expected


def test_side_cars_and_alpha_hide_pixels_also_in_zips(tmp_path: Path) -> None:
    (expected,) = read(mask(tmp_path / "first/flood.tif", blobs()), source="flood-masks", **DATES).events
    wet, seen = (blobs() == 1).astype("uint8"), (blobs() >= 0).astype("uint8") * 255
    path = mask(tmp_path / "second/flood.tif", wet)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(path, "r+") as dataset:
        dataset.write_mask(seen)
    result = read(path, source="flood-masks", **DATES)
    assert result.events == (expected,) and [file.name for file in result.files] == ["flood.tif", "flood.tif.msk"]
    package = zipped(tmp_path / "flood.zip", path.parent.iterdir())
    assert read(package, source="flood-masks", **DATES).events == (expected,)
    alpha = write_map(tmp_path / "third/flood.tif", wet, seen, photometric="MINISBLACK", alpha="YES")
    assert read(alpha, source="flood-masks", **DATES).events == (expected,)


def test_a_listed_nodata_value_is_unknown_and_noted(tmp_path: Path) -> None:
    wet = (blobs() == 1).astype("uint8")
    result = read(mask(tmp_path / "flood.tif", wet, nodata=0), source="flood-masks", **DATES)
    assert result.events[0].part(AOI) == result.events[0].part("observed") and has_note(result, "flood", "nodata")


def test_a_mask_without_affected_pixels_is_a_true_negative(tmp_path: Path) -> None:
    dry, empty = np.zeros((9, 9), "int16"), np.full((9, 9), -1, "int16")
    files = mask(tmp_path / "dry_20181029.tif", dry), mask(tmp_path / "unseen_20181029.tif", empty)
    result = read(*files, source="flood-masks")
    assert [(event.id, [part.name for part in event.parts]) for event in result.events] == [("dry_20181029", [AOI])]
    assert has_note(result, "unseen_20181029")


def test_names_hold_type_time_and_what_belongs_together(tmp_path: Path) -> None:
    source = text(
        tmp_path / "mine.yaml",
        """
        name: mine
        title: Masks of mine
        licence: CC-BY-4.0
        attribution: me
        masks:
          type: {wet: flood, hot: fire}
          affected: [2]
          unaffected: [1]
          unknown: [0]
          prefix: my
          names: ['(?P<type>wet|hot)_(?P<id>(?P<group>PO)_.)_.+_(?P<start>2018.+)-(?P<end>2.+)_(?P<observed>2.+)']
        """,
    )
    values, far = np.full((9, 9), 2, "uint8"), Affine(10, 0, LEFT + 90, 0, -10, TOP)
    name = "wet_PO_1_{}_20181028-20181101_20181029T101500.tif"
    mask(tmp_path / "masks" / name.format("west"), values)
    mask(tmp_path / "masks" / name.format("east"), values, transform=far)
    mask(tmp_path / "masks" / name.format("west").replace("wet_PO_1", "hot_PO_2"), values)
    package = zipped(tmp_path / "masks.zip", (tmp_path / "masks").iterdir())
    flood, fire = read(package, source=str(source)).events
    assert (flood.id, fire.id, flood.group, fire.group) == ("my-po_1", "my-po_2", "my-po", "my-po")
    assert (flood.type, fire.type, flood.observed) == (
        "flood",
        "fire",
        dt.datetime(2018, 10, 29, 10, 15, tzinfo=dt.UTC),
    )
    assert (flood.start.day, f"{flood.end:%m-%d %H}") == (28, "11-01 23")
    assert affected_km2(flood) == pytest.approx(2 * affected_km2(fire), rel=1e-3)
    (fire_alone,) = read(package, source=str(source), types=["fire"]).events
    assert fire_alone == fire


@pytest.mark.parametrize(
    ("name", "bands", "options", "key", "value"),
    [
        ("flood_20181029", [blobs() + 3], {}, "masks", 2),
        ("flood_20181029", [blobs()] * 2, {}, None, 2),
        ("flood_20181029", [blobs()], {"crs": None}, None, None),
        ("flood_20181029", [blobs()], {"crs": "EPSG:4258"}, "feature 1", None),
        ("flood_20189999", [blobs()], {}, "start", "20189999"),
        ("flood", [blobs()], {}, "events.flood-masks.dates", None),
        ("flood_20181001_20181029", [blobs()], {}, "events.flood-masks.dates", None),
    ],
)
def test_what_cannot_be_read_is_refused(
    tmp_path: Path, name: str, bands: list[Any], options: dict[str, Any], key: str | None, value: object
) -> None:
    error = read_error(write_map(tmp_path / f"{name}.tif", *bands, **options), source="flood-masks")
    assert (error.file, error.key) == (f"{name}.tif", key) and value in (None, error.value)


def test_vector_files_are_no_masks(tmp_path: Path) -> None:
    assert (
        read_error(layer(tmp_path / "a.gpkg", [WEST], {"id": 1}), source="flood-masks").key
        == "events.flood-masks.files"
    )
