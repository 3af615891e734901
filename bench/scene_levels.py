"""Defects of whole scenes: gains, offsets, filters and small shifts that single chips do not show."""

from collections.abc import Callable
from functools import partial

import numpy as np
from scipy import ndimage

from bench.draft import Bands, Draft, Planted, Row
from bench.optical import each_band, edit_acquisition
from bench.radar import change_db
from bench.registry import Unsuited, planting

_pixels = partial(planting, "pixels", wide=True)


def change_dn(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """Lift a change of reflectances x 10000 to a stored band; pixels without data are unchanged."""
    return lambda band: np.where(band == 0, 0, np.clip(np.rint(change(band.astype(np.float64))), 1, 65535))


@_pixels("scenes", "one optical acquisition is half as bright again")
def scene_bright(draft: Draft) -> Planted:
    return edit_acquisition(draft, each_band(change_dn(lambda band: 1.5 * band)))


@_pixels("scenes", "an offset of 250 is added to one optical acquisition")
def scene_with_offset(draft: Draft) -> Planted:
    return edit_acquisition(draft, each_band(change_dn(lambda band: band + 250)))


@_pixels("scenes", "the near infrared of one acquisition is a fifth too bright")
def scene_band_bright(draft: Draft) -> Planted:
    brighter = change_dn(lambda band: 1.2 * band)
    return edit_acquisition(draft, lambda bands: {**bands, "B08": brighter(bands["B08"])})


@_pixels("scenes", "one polarisation of one radar acquisition is 2 dB low")
def scene_polarisation_low(draft: Draft) -> Planted:
    lower = change_db(lambda db: db - 2)
    return edit_acquisition(draft, lambda bands: {**bands, "vh": lower(bands)["vh"]}, sensor="s1")


@_pixels("revisits", "one radar acquisition is 3 dB low")
def scene_low(draft: Draft) -> Planted:
    return edit_acquisition(draft, change_db(lambda db: db - 3), sensor="s1")


@_pixels("revisits", "the speckle of one radar acquisition is filtered")
def scene_filtered(draft: Draft) -> Planted:
    def mean(db: np.ndarray) -> np.ndarray:
        return np.asarray(10 * np.log10(ndimage.uniform_filter(10 ** (db / 10), 3)))

    return edit_acquisition(draft, change_db(mean), sensor="s1")


def _moved(draft: Draft, rows: list[Row], change: Callable[[Bands], Bands], name: str, number: int) -> Planted:
    """Move the images of a group, which a finding must name."""
    if not rows:
        raise Unsuited(f"no sample of {name}")
    return Planted(((name,),), number, {row["id"]: {"bands": change(draft.bands(row["id"]))} for row in rows})


@_pixels("registration-groups", "images of one optical platform are shifted by half a pixel")
def platform_moved(draft: Draft) -> Planted:
    def move(band: np.ndarray) -> np.ndarray:
        distance = 0.5 * len(band) / draft.manifest.patch_px
        return np.asarray(np.rint(ndimage.shift(band.astype(np.float64), (0, distance), order=1, mode="nearest")))

    return _moved(draft, draft.rows(sensor="s2", platform="sentinel-2b"), each_band(move), "sentinel-2b", 2)


@_pixels("registration-groups", "radar images of one direction are shifted by a pixel")
def direction_moved(draft: Draft) -> Planted:
    def move(band: np.ndarray) -> np.ndarray:
        return np.roll(band, 1, axis=1)

    return _moved(draft, draft.rows(sensor="s1", orbit_direction="ascending"), each_band(move), "ascending", 2)


@_pixels("class-levels", "all radar images are 3 dB low")
def radar_low(draft: Draft) -> Planted:
    lower = change_db(lambda db: db - 3)
    edits = {row["id"]: {"bands": lower(draft.bands(row["id"]))} for row in draft.rows(sensor="s1")}
    return Planted((("s1",),), 1, edits)
