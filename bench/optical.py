"""Defects of Sentinel-2 pixels: errors of archives, readers and resamplers."""

from collections.abc import Callable
from functools import partial

import numpy as np

from bench.draft import Bands, Draft, Planted, Row
from bench.registry import Unsuited, planting

_pixels = partial(planting, "pixels")
_FACTORS = {120: 1, 60: 2, 20: 6}
_LONG = ("B05", "B06", "B07", "B8A", "B11", "B12")


def edit_samples(
    draft: Draft, salt: str, change: Callable[[Bands], Bands], *, sensor: str = "s2", **facts: object
) -> Planted:
    """Change the pixels of a few samples, and other columns as `facts`."""
    rows = draft.pick(salt, draft.rows(sensor=sensor))
    edits = {row["id"]: {"bands": change(draft.bands(row["id"])), **facts} for row in rows}
    # A finding may name the acquisition instead, if it has few samples.
    return Planted(tuple((row["id"], row["items"][0]) for row in rows), len(draft.rows(sensor=sensor)), edits)


def pick_acquisition(draft: Draft, sensor: str, *, where: Callable[[Row], bool] = lambda row: True) -> list[Row]:
    """Return all samples of the acquisition with the most samples that satisfy a condition."""
    groups: dict[str, list[Row]] = {}
    for row in draft.rows(sensor=sensor):
        groups.setdefault(row["items"][0], []).append(row)
    suitable = [rows for rows in groups.values() if any(where(row) for row in rows)]
    if not suitable:
        raise Unsuited(f"no suitable {sensor} acquisition")
    return max(suitable, key=lambda rows: (sum(where(row) for row in rows), rows[0]["id"]))


def edit_acquisition(draft: Draft, change: Callable[[Bands], Bands], *, sensor: str = "s2") -> Planted:
    """Change the pixels of all samples of an acquisition."""
    rows = pick_acquisition(draft, sensor)
    edits = {row["id"]: {"bands": change(draft.bands(row["id"]))} for row in rows}
    names = {row["items"][0] for row in draft.rows(sensor=sensor)}
    # A finding may name the acquisition, or any of its samples.
    return Planted(((rows[0]["items"][0], *(row["id"] for row in rows)),), len(names), edits)


def each_band(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Bands], Bands]:
    return lambda bands: {name: change(band) for name, band in bands.items()}


# -- No data, constants ----------------------------------------------------------------------------------------------


def _corner_lost(band: np.ndarray) -> np.ndarray:
    size = len(band) // 2
    return np.where(np.add.outer(np.arange(len(band)), np.arange(len(band))) < size, 0, band)


@_pixels("nodata", "a corner without data that valid_pct does not count")
def corner_lost(draft: Draft) -> Planted:
    return edit_samples(draft, "corner-lost", each_band(_corner_lost))


@_pixels("nodata", "a band lacks data where the others have data")
def band_without_data(draft: Draft) -> Planted:
    return edit_samples(draft, "one-band-lost", lambda bands: {**bands, "B11": _corner_lost(bands["B11"])})


@_pixels("nodata", "a failed read filled with zeros")
def zero_filled(draft: Draft) -> Planted:
    return edit_samples(draft, "zero-filled", each_band(np.zeros_like))


@_pixels("constant", "black chips of ones that pass as data")
def black(draft: Draft) -> Planted:
    return edit_samples(draft, "black", each_band(np.ones_like))


@_pixels("constant", "a constant band")
def flat_band(draft: Draft) -> Planted:
    return edit_samples(draft, "one-band-flat", lambda bands: {**bands, "B09": np.full_like(bands["B09"], 1000)})


@_pixels("constant", "dead detector lines")
def dead_lines(draft: Draft) -> Planted:
    def change(bands: Bands) -> Bands:
        dead = bands["B03"].copy()
        dead[40:52] = dead[40]
        return {**bands, "B03": dead}

    return edit_samples(draft, "dead-lines", change)


@_pixels("constant", "chips padded by repeating their edge")
def edge_repeated(draft: Draft) -> Planted:
    def change(band: np.ndarray) -> np.ndarray:
        edge = len(band) * 3 // 4
        return np.concatenate([band[:, :edge], np.repeat(band[:, edge - 1 : edge], len(band) - edge, axis=1)], axis=1)

    return edit_samples(draft, "edge-repeated", each_band(change))


@_pixels("constant", "a block of ones where a range of the file was not read")
def block_black(draft: Draft) -> Planted:
    def change(band: np.ndarray) -> np.ndarray:
        lost = band.copy()
        lost[: len(band) // 3, : len(band) // 2] = 1
        return lost

    return edit_samples(draft, "block-black", each_band(change))


@_pixels("saturation", "a fifth of the pixels at the data type's maximum")
def saturated(draft: Draft) -> Planted:
    def change(band: np.ndarray) -> np.ndarray:
        return np.where(band >= np.quantile(band, 0.8), 65535, band)

    return edit_samples(draft, "saturated", each_band(change))


# -- Radiometry ------------------------------------------------------------------------------------------------------


@_pixels("s2-offset", "the offset of baseline 04.00 (1000) is not removed from an acquisition")
def offset_left(draft: Draft) -> Planted:
    return edit_acquisition(
        draft, each_band(lambda band: np.where(band == 0, 0, np.minimum(band.astype(np.int64) + 1000, 65535)))
    )


@_pixels("s2-offset-twice", "the offset is removed twice from one acquisition")
def double_offset(draft: Draft) -> Planted:
    return edit_acquisition(
        draft, each_band(lambda band: np.where(band == 0, 0, np.maximum(band.astype(np.int64) - 1000, 1)))
    )


@_pixels("drift", "one platform's reflectances are a fifth too low", wide=True)
def platform_low(draft: Draft) -> Planted:
    rows = draft.rows(sensor="s2", platform="sentinel-2b")
    if not rows:
        raise Unsuited("no sample of sentinel-2b")
    scale = each_band(lambda band: np.where(band == 0, 0, np.maximum(np.rint(0.8 * band), 1)))
    edits = {row["id"]: {"bands": scale(draft.bands(row["id"]))} for row in rows}
    return Planted((("sentinel-2b",),), len({row["platform"] for row in draft.rows(sensor="s2")}), edits)


@_pixels("drift", "the test split was processed differently: a fifth too low", wide=True)
def split_low(draft: Draft) -> Planted:
    scale = each_band(lambda band: np.where(band == 0, 0, np.maximum(np.rint(0.8 * band), 1)))
    edits = {row["id"]: {"bands": scale(draft.bands(row["id"]))} for row in draft.rows(sensor="s2", split="test")}
    return Planted((("s2 test",),), 3, edits)


# -- Bands exchanged -------------------------------------------------------------------------------------------------


def exchange_bands(*names: str) -> Callable[[Bands], Bands]:
    """Give each named band the next one's pixels, and the last one the first one's."""

    def change(bands: Bands) -> Bands:
        return {
            **bands,
            **{
                target: _resize(bands[source], len(bands[target]))
                for target, source in zip(names, (*names[1:], names[0]), strict=True)
            },
        }

    return change


def _resize(band: np.ndarray, size: int) -> np.ndarray:
    """Repeat or average pixels to another size."""
    if size >= len(band):
        return band.repeat(size // len(band), axis=0).repeat(size // len(band), axis=1)
    factor = len(band) // size
    return np.asarray(np.rint(band.reshape(size, factor, size, factor).mean(axis=(1, 3))))


@_pixels("band-order", "red and blue are exchanged")
def rgb_reversed(draft: Draft) -> Planted:
    return edit_acquisition(draft, exchange_bands("B02", "B04"))


@_pixels("band-order", "red and near infrared are exchanged")
def red_for_infrared(draft: Draft) -> Planted:
    return edit_acquisition(draft, exchange_bands("B04", "B08"))


@_pixels("band-order", "the two short-wave infrared bands are exchanged")
def swir_exchanged(draft: Draft) -> Planted:
    return edit_acquisition(draft, exchange_bands("B11", "B12"))


@_pixels("band-order", "near and short-wave infrared are exchanged")
def infrared_for_swir(draft: Draft) -> Planted:
    return edit_acquisition(draft, exchange_bands("B08", "B11"))


@_pixels("band-order", "bands in alphabetical order, B8A last")
def b8a_last(draft: Draft) -> Planted:
    return edit_acquisition(draft, exchange_bands("B8A", "B09", "B11", "B12"))


@_pixels("band-order", "red edge in reverse order")
def red_edge_reversed(draft: Draft) -> Planted:
    return edit_acquisition(draft, exchange_bands("B05", "B07"))


# -- Clouds, registration --------------------------------------------------------------------------------------------


def overcast(bands: Bands) -> Bands:
    """Add a thick cloud over the upper two thirds: bright and nearly flat from blue to NIR, darker in SWIR."""
    level = {"B11": 3000, "B12": 2200}
    made: Bands = {}
    for name, band in bands.items():
        rows = np.arange(len(band))[:, None] / len(band)
        wave = 1 + 0.05 * np.sin(9 * rows + 7 * np.arange(len(band))[None, :] / len(band))
        cloud = np.clip(4 * (0.75 - rows), 0, 1)
        made[name] = np.where(band == 0, 0, np.rint((1 - cloud) * band + cloud * wave * level.get(name, 6000)))
    return made


@_pixels("clouds", "overcast chips with a cloud fraction of 0")
def cloud_unmasked(draft: Draft) -> Planted:
    return edit_samples(draft, "cloud-unmasked", overcast, cloud_pct=0.0, shadow_pct=0.0)


@_pixels("clouds", "chips with more cloud than the recipe allows")
def cloud_over_limit(draft: Draft) -> Planted:
    return edit_samples(draft, "cloud-over-limit", overcast, cloud_pct=66.0, shadow_pct=0.0)


@_pixels("registration", "one optical acquisition is shifted by 6 pixels east and south", wide=True)
def optical_shifted(draft: Draft) -> Planted:
    def change(band: np.ndarray) -> np.ndarray:
        return np.roll(band, 6 * len(band) // draft.manifest.patch_px, axis=(0, 1))

    return edit_acquisition(draft, each_band(change))
