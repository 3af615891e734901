"""A sealed corpus of eight classes in twelve regions, which differ in colour, texture, and how frequent a class is.

Two classes each share a spectrum and differ in texture. Months differ in colour. Regions have 3 x 3 blocks of
2 x 2 cells, and each cell an image of each sensor; two of nine blocks are test.
"""

import datetime as dt
import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from landmark.core.yaml_files import load_model
from landmark.domain.taxonomy import Taxonomy
from tests.train.toy import BLOCK_CELLS, cell_columns, seal
from tests.write.rows import SENSORS, Row, sample_row

CLASSES = ("trees", "crops", "shrub_and_scrub", "water", "grass", "built", "flooded_vegetation", "bare")
PATCH_PX = 24
REGIONS, REGION_BLOCKS = (4, 3), 3
_SPLITS = ("train", "train", "test", "train", "val", "train", "test", "train", "train")
_MIN_SHARE = 0.1


def build_regional(folder: Path, seed: int = 0) -> Path:
    """Seal 432 cells with an image of each sensor."""
    chance = np.random.default_rng(seed)
    looks = {name: _Looks(chance, len(sensor.order)) for name, sensor in SENSORS.items()}
    taxonomy: Taxonomy = load_model(Taxonomy, "taxonomies", "landmark")
    names = [taxonomy.classes[key].name["en"] for key in CLASSES]
    rows: list[Row] = []
    edge = REGION_BLOCKS * BLOCK_CELLS
    for col, row in np.ndindex(REGIONS[0] * edge, REGIONS[1] * edge):
        region = col // edge * REGIONS[1] + row // edge
        block = col // BLOCK_CELLS % REGION_BLOCKS * REGION_BLOCKS + row // BLOCK_CELLS % REGION_BLOCKS
        split = _SPLITS[(block + region) % len(_SPLITS)]
        month = int(chance.integers(12))
        classes = _paint_classes(chance, looks["s2"].frequencies[region])
        shares = np.bincount(classes.ravel(), minlength=len(CLASSES)) / classes.size
        present = sorted(np.flatnonzero(shares >= _MIN_SHARE), key=lambda number: -shares[number])
        for sensor, look in looks.items():
            columns = {
                **cell_columns(2000 + col, 20_000 + row, patch_px=PATCH_PX),
                "split": split,
                "datetime": dt.datetime(2021, 1 + month, 1, 10, tzinfo=dt.UTC),
                "labels": [CLASSES[number] for number in present],
                "captions": [_caption([names[number] for number in present])],
                **_pixels(sensor, look.paint(classes, region, month, chance)),
            }
            rows.append(sample_row(f"{sensor}_{col:02d}_{row:02d}", 0, **columns))
    return seal(folder, rows, patch_px=PATCH_PX)


class _Looks:
    """Colours of one sensor: of classes, regions and months."""

    def __init__(self, chance: np.random.Generator, bands: int) -> None:
        n_regions = REGIONS[0] * REGIONS[1]
        self.spectra = chance.uniform(-1, 1, (len(CLASSES) // 2, bands)).repeat(2, axis=0)
        self.waves = chance.uniform(0.15, 0.45, (len(CLASSES), 2))
        self.waves[1::2, 1] *= -1
        self.region_waves = chance.uniform(-0.5, 0.5, (n_regions, 2))
        self.regions = chance.normal(0, 0.8, (n_regions, bands))
        self.months = chance.normal(0, 0.4, (12, bands))
        self.frequencies = chance.dirichlet(np.full(len(CLASSES), 2.0), n_regions)

    def paint(
        self, classes: NDArray[np.int64], region: int, month: int, chance: np.random.Generator
    ) -> NDArray[np.float64]:
        """(band, y, x) around 0, for classes (y, x)."""
        bands = self.spectra[classes].transpose(2, 0, 1) + 0.6 * _wave(self.waves[classes], classes, chance)
        bands += 0.6 * _wave(self.region_waves[region], np.zeros_like(classes), chance)
        bands += (self.regions[region] + self.months[month])[:, None, None]
        return bands + chance.normal(0, 0.3, bands.shape)


def _wave(frequency: NDArray[np.float64], part: NDArray[np.int64], chance: np.random.Generator) -> NDArray[np.float64]:
    """(y, x): waves of a frequency (2,) or (y, x, 2) in cycles per pixel, of a random phase in each part (y, x)."""
    y, x = np.indices(part.shape)
    phase = chance.random(part.max() + 1)[part]
    return np.asarray(np.sin(2 * np.pi * (frequency[..., 0] * y + frequency[..., 1] * x + phase)))


def _paint_classes(chance: np.random.Generator, frequencies: NDArray[np.float64]) -> NDArray[np.int64]:
    """Classes (y, x): the nearest of four points."""
    points, drawn = chance.uniform(0, PATCH_PX, (4, 2)), chance.choice(len(CLASSES), 4, p=frequencies)
    offsets = np.indices((PATCH_PX, PATCH_PX))[:, None] - points.T[:, :, None, None]
    return np.asarray(drawn[(offsets**2).sum(axis=0).argmin(axis=0)], np.int64)


def _pixels(name: str, bands: NDArray[np.float64]) -> Row:
    """Columns of the pixels: each group of bands averaged to its own resolution."""
    sensor, columns = SENSORS[name], {}
    low, step = (2000, 300) if name == "s2" else (-1500, 300)
    for group in sensor.groups:
        own = bands[[sensor.order.index(band) for band in group.bands]]
        factor = PATCH_PX // group.shape(PATCH_PX)[1]
        means = own.reshape(len(own), PATCH_PX // factor, factor, -1, factor).mean(axis=(2, 4))
        columns[group.column] = np.rint(low + step * means).astype(sensor.dtype).tobytes()
    return {"sha256": hashlib.sha256(b"".join(columns.values())).hexdigest(), **columns}


def _caption(names: list[str]) -> Row:
    return {"style": "structured", "lang": "en", "text": ". ".join(names), "template": "structured@1", "evidence": []}
