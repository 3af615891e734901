"""How the land's spectra, seasons and backscatter differ between places of the planet, and haze between images."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark.world.ground import signatures
from landmark.world.place import Place
from landmark.world.plane import rng

GAIN_SD, GROUP_SD = 0.15, 0.10  # of a material's reflectance in a place: all bands, and each group of bands
GROUPS = np.repeat([0, 1, 2], [4, 6, 2])  # visible, red edge and near infrared, shortwave infrared
BRIGHTEST = 9500  # reflectance x 10000 of snow in any place; texture and slopes add to it
VIGOUR_SD, SHIFT_SD_DAYS, TROPICS_DEG = 0.08, 18, 18.0
BACKSCATTER_SD_DB = 1.2  # of a kind of land in a place
# Reflectance x 10000 added, nearly flat in the visible as of thin cirrus, so that plants stay brightest in green.
HAZE = np.array([860, 800, 740, 720, 700, 680, 660, 640, 620, 600, 260, 160], np.float32)
HAZE_MEAN, HAZE_MAX, HAZE_LOSS = 0.3, 0.7, 0.25


class Variation(NamedTuple):
    """The nature of a place.

    Attributes:
        materials: Spectrum (band,) of each material, reflectance x 10000.
        vigour: Factor of all seasonal shares.
        shift_days: Shift of the seasons, of kinds with northern and with southern seasons.
        offset_db: (kind,) added to gamma0.
    """

    materials: dict[str, NDArray[np.float64]]
    vigour: float
    shift_days: tuple[float, float]
    offset_db: NDArray[np.float32]


@lru_cache(maxsize=4)
def variation(place: Place, seed: int) -> Variation:
    """Draw the nature of a place of the planet; places of the easy edition do not differ."""
    table = signatures()
    materials = {name: np.array(row, np.float64) for name, row in table["materials"].items()}
    if place.biome is None:
        return Variation(materials, 1.0, (0.0, 0.0), np.zeros(len(table["kinds"]), np.float32))
    draw = rng(seed, "variation")
    for spectrum in materials.values():
        gain = GAIN_SD * draw.standard_normal() + GROUP_SD * draw.standard_normal(3)[GROUPS]
        spectrum[:] = np.minimum(spectrum * np.exp(np.clip(gain, -0.35, 0.35)), BRIGHTEST)
    shift = draw.uniform(0, 365.25) if abs(place.lat) < TROPICS_DEG else SHIFT_SD_DAYS * draw.standard_normal()
    half = 182.6 * (place.lat < 0)
    offset_db = (BACKSCATTER_SD_DB * draw.standard_normal(len(table["kinds"]))).astype(np.float32)
    vigour = float(np.exp(VIGOUR_SD * draw.standard_normal()))
    return Variation(materials, vigour, (shift + half, shift + 182.6 - half), offset_db)


def haze(place: Place, seed: int, day: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the reflectance x 10000 (band,) that haze adds to an image of a place, and the share that it transmits."""
    amount = 0.0 if place.biome is None else min(HAZE_MAX, rng(seed, "haze", day).exponential(HAZE_MEAN))
    return HAZE * np.float32(amount), 1 - np.float32(HAZE_LOSS * amount) * HAZE / HAZE[0]
