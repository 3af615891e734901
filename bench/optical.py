"""Defects of Sentinel-2's pixels: what archives, readers and resamplers do to them."""

from collections.abc import Callable
from functools import partial

import numpy as np

from bench.draft import Bands, Draft, Planted, Row
from bench.registry import Unsuited, planting

_pixels = partial(planting, "pixels")
_FACTORS = {120: 1, 60: 2, 20: 6}
_LONG = ("B05", "B06", "B07", "B8A", "B11", "B12")


def sampled(
    draft: Draft, kind: str, change: Callable[[Bands], Bands], *, sensor: str = "s2", **facts: object
) -> Planted:
    """A change of the pixels of a few samples; `facts` changes their other columns, too."""
    rows = draft.pick(kind, draft.rows(sensor=sensor))
    edits = {row["id"]: {"bands": change(draft.bands(row["id"])), **facts} for row in rows}
    # Where an acquisition has few samples, a finding may name it in their place.
    return Planted(tuple((row["id"], row["items"][0]) for row in rows), len(draft.rows(sensor=sensor)), edits)


def acquisition(draft: Draft, sensor: str, *, wanted: Callable[[Row], bool] = lambda row: True) -> list[Row]:
    """The samples of the acquisition that has most of the wanted ones, a middling share of the corpus."""
    groups: dict[str, list[Row]] = {}
    for row in draft.rows(sensor=sensor):
        groups.setdefault(row["items"][0], []).append(row)
    found = [rows for rows in groups.values() if any(wanted(row) for row in rows)]
    if not found:
        raise Unsuited(f"no {sensor} acquisition of the kind")
    return max(found, key=lambda rows: (sum(wanted(row) for row in rows), rows[0]["id"]))


def acquired(draft: Draft, change: Callable[[Bands], Bands], *, sensor: str = "s2") -> Planted:
    """A change of the pixels of one whole acquisition."""
    rows = acquisition(draft, sensor)
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


@_pixels("nodata", "a corner without data that valid_pct does not know of")
def corner_lost(draft: Draft) -> Planted:
    return sampled(draft, "corner-lost", each_band(_corner_lost))


@_pixels("nodata", "one band lacks data where the others have it")
def one_band_lost(draft: Draft) -> Planted:
    return sampled(draft, "one-band-lost", lambda bands: {**bands, "B11": _corner_lost(bands["B11"])})


@_pixels("nodata", "a failed read filled with zeros")
def zero_filled(draft: Draft) -> Planted:
    return sampled(draft, "zero-filled", each_band(np.zeros_like))


@_pixels("constant", "black chips of ones that pass as data")
def black(draft: Draft) -> Planted:
    return sampled(draft, "black", each_band(np.ones_like))


@_pixels("constant", "one band of one value")
def one_band_flat(draft: Draft) -> Planted:
    return sampled(draft, "one-band-flat", lambda bands: {**bands, "B09": np.full_like(bands["B09"], 1000)})


@_pixels("constant", "dead detector lines")
def dead_lines(draft: Draft) -> Planted:
    def change(bands: Bands) -> Bands:
        dead = bands["B03"].copy()
        dead[40:52] = dead[40]
        return {**bands, "B03": dead}

    return sampled(draft, "dead-lines", change)


@_pixels("constant", "chips padded by repeating their edge")
def edge_repeated(draft: Draft) -> Planted:
    def change(band: np.ndarray) -> np.ndarray:
        edge = len(band) * 3 // 4
        return np.concatenate([band[:, :edge], np.repeat(band[:, edge - 1 : edge], len(band) - edge, axis=1)], axis=1)

    return sampled(draft, "edge-repeated", each_band(change))


@_pixels("constant", "a block of ones where a range of the file was not read")
def block_black(draft: Draft) -> Planted:
    def change(band: np.ndarray) -> np.ndarray:
        lost = band.copy()
        lost[: len(band) // 3, : len(band) // 2] = 1
        return lost

    return sampled(draft, "block-black", each_band(change))


@_pixels("saturation", "a fifth of the pixels at the type's ceiling")
def saturated(draft: Draft) -> Planted:
    def change(band: np.ndarray) -> np.ndarray:
        return np.where(band >= np.quantile(band, 0.8), 65535, band)

    return sampled(draft, "saturated", each_band(change))


# -- Radiometry ------------------------------------------------------------------------------------------------------


@_pixels("s2-offset", "baseline 04.00's offset of 1000 is still in one acquisition")
def offset_left(draft: Draft) -> Planted:
    return acquired(
        draft, each_band(lambda band: np.where(band == 0, 0, np.minimum(band.astype(np.int64) + 1000, 65535)))
    )


@_pixels("s2-offset-twice", "the offset is removed twice from one acquisition")
def offset_twice(draft: Draft) -> Planted:
    return acquired(draft, each_band(lambda band: np.where(band == 0, 0, np.maximum(band.astype(np.int64) - 1000, 1))))


@_pixels("drift", "one platform's reflectances are a fifth too low", wide=True)
def platform_low(draft: Draft) -> Planted:
    rows = draft.rows(sensor="s2", platform="sentinel-2b")
    if not rows:
        raise Unsuited("no sample of sentinel-2b")
    scale = each_band(lambda band: np.where(band == 0, 0, np.maximum(np.rint(0.8 * band), 1)))
    edits = {row["id"]: {"bands": scale(draft.bands(row["id"]))} for row in rows}
    return Planted((("sentinel-2b",),), len({row["platform"] for row in draft.rows(sensor="s2")}), edits)


@_pixels("drift", "the test split was processed otherwise: a fifth too low", wide=True)
def split_low(draft: Draft) -> Planted:
    scale = each_band(lambda band: np.where(band == 0, 0, np.maximum(np.rint(0.8 * band), 1)))
    edits = {row["id"]: {"bands": scale(draft.bands(row["id"]))} for row in draft.rows(sensor="s2", split="test")}
    return Planted((("s2 test",),), 3, edits)


# -- Bands exchanged -------------------------------------------------------------------------------------------------


def exchange_bands(*names: str) -> Callable[[Bands], Bands]:
    """The first band holds the second's pixels, and so on, the last the first's."""

    def change(bands: Bands) -> Bands:
        return {
            **bands,
            **{to: _sized(bands[of], len(bands[to])) for to, of in zip(names, (*names[1:], names[0]), strict=True)},
        }

    return change


def _sized(band: np.ndarray, size: int) -> np.ndarray:
    """Repeated or averaged to another size."""
    if size >= len(band):
        return band.repeat(size // len(band), axis=0).repeat(size // len(band), axis=1)
    factor = len(band) // size
    return np.asarray(np.rint(band.reshape(size, factor, size, factor).mean(axis=(1, 3))))


@_pixels("band-order", "red and blue are exchanged")
def rgb_reversed(draft: Draft) -> Planted:
    return acquired(draft, exchange_bands("B02", "B04"))


@_pixels("band-order", "red and near infrared are exchanged")
def red_for_infrared(draft: Draft) -> Planted:
    return acquired(draft, exchange_bands("B04", "B08"))


@_pixels("band-order", "the two short-wave infrared bands are exchanged")
def swir_exchanged(draft: Draft) -> Planted:
    return acquired(draft, exchange_bands("B11", "B12"))


@_pixels("band-order", "near and short-wave infrared are exchanged")
def infrared_for_swir(draft: Draft) -> Planted:
    return acquired(draft, exchange_bands("B08", "B11"))


@_pixels("band-order", "bands in alphabetical order, B8A the last")
def b8a_last(draft: Draft) -> Planted:
    return acquired(draft, exchange_bands("B8A", "B09", "B11", "B12"))


@_pixels("band-order", "red edge in reverse order")
def red_edge_reversed(draft: Draft) -> Planted:
    return acquired(draft, exchange_bands("B05", "B07"))


# -- Clouds, registration --------------------------------------------------------------------------------------------


def overcast(bands: Bands) -> Bands:
    """A thick cloud over the upper two thirds: bright and nearly flat from blue to near infrared, darker in SWIR."""
    level = {"B11": 3000, "B12": 2200}
    made: Bands = {}
    for name, band in bands.items():
        rows = np.arange(len(band))[:, None] / len(band)
        wave = 1 + 0.05 * np.sin(9 * rows + 7 * np.arange(len(band))[None, :] / len(band))
        cloud = np.clip(4 * (0.75 - rows), 0, 1)
        made[name] = np.where(band == 0, 0, np.rint((1 - cloud) * band + cloud * wave * level.get(name, 6000)))
    return made


@_pixels("clouds", "overcast chips whose mask calls them clear")
def cloud_unmasked(draft: Draft) -> Planted:
    return sampled(draft, "cloud-unmasked", overcast, cloud_pct=0.0, shadow_pct=0.0)


@_pixels("clouds", "chips with more cloud than the recipe allows")
def cloud_over_limit(draft: Draft) -> Planted:
    return sampled(draft, "cloud-over-limit", overcast, cloud_pct=66.0, shadow_pct=0.0)


@_pixels("registration", "one optical acquisition is shifted by 6 pixels east and south", wide=True)
def optical_shifted(draft: Draft) -> Planted:
    def change(band: np.ndarray) -> np.ndarray:
        return np.roll(band, 6 * len(band) // draft.manifest.patch_px, axis=(0, 1))

    return acquired(draft, each_band(change))
