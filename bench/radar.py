"""Defects of Sentinel-1 pixels: units, polarisations, borders, calibration."""

from collections.abc import Callable
from functools import partial

import numpy as np

from bench.draft import Bands, Draft, Planted, ids
from bench.optical import edit_acquisition, edit_samples, pick_acquisition
from bench.registry import planting
from landmark.corpus.pixels import S1_NODATA

_pixels = partial(planting, "pixels")


def change_db(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Bands], Bands]:
    """Lift a change of values in dB to stored bands; nodata pixels are unchanged."""

    def each(band: np.ndarray) -> np.ndarray:
        return np.where(band == S1_NODATA, S1_NODATA, np.clip(np.rint(100 * change(band / 100)), -32767, 32767))

    return lambda bands: {name: each(band) for name, band in bands.items()}


@_pixels("s1-scale", "linear power is stored as if it were dB")
def linear_power(draft: Draft) -> Planted:
    return edit_acquisition(draft, change_db(lambda db: 10 ** (db / 10)), sensor="s1")


@_pixels("s1-scale", "10 log10 of amplitude instead of power: half the dB")
def amplitude(draft: Draft) -> Planted:
    return edit_acquisition(draft, change_db(lambda db: db / 2), sensor="s1")


@_pixels("s1-scale", "10 ln instead of 10 log10")
def natural_logarithm(draft: Draft) -> Planted:
    return edit_acquisition(draft, change_db(lambda db: db * np.log(10)), sensor="s1")


@_pixels("s1-range", "uncalibrated digital numbers")
def uncalibrated(draft: Draft) -> Planted:
    return edit_samples(draft, "uncalibrated", change_db(lambda db: db + 55), sensor="s1")


@_pixels("s1-range", "border noise of the swath as data")
def border_noise(draft: Draft) -> Planted:
    def change(db: np.ndarray) -> np.ndarray:
        noisy = db.copy()
        noisy[:, :30] = -60 + 0.3 * db[:, :30]
        return noisy

    return edit_samples(draft, "border-noise", change_db(change), sensor="s1")


@_pixels("s1-polarisation", "VV and VH are exchanged in one acquisition")
def polarisations_exchanged(draft: Draft) -> Planted:
    return edit_acquisition(draft, lambda bands: {"vv": bands["vh"], "vh": bands["vv"]}, sensor="s1")


@_pixels("s1-polarisation", "both bands contain one polarisation")
def polarisation_copied(draft: Draft) -> Planted:
    return edit_samples(draft, "polarisation-copied", lambda bands: {"vv": bands["vv"], "vh": bands["vv"]}, sensor="s1")


@_pixels("constant", "zero power without a nodata tag, stored as the minimum of dB")
def radar_zero_filled(draft: Draft) -> Planted:
    return edit_samples(
        draft, "radar-zero-filled", lambda bands: {n: np.full_like(b, -32767) for n, b in bands.items()}, sensor="s1"
    )


@_pixels("drift", "images of one orbit direction are 2 dB low", wide=True)
def direction_low(draft: Draft) -> Planted:
    rows = draft.rows(sensor="s1", orbit_direction="descending")
    lower = change_db(lambda db: db - 2)
    edits = {row["id"]: {"bands": lower(draft.bands(row["id"]))} for row in rows}
    return Planted((("descending",),), 2, edits)


@_pixels("drift", "radar images of the test split are 2 dB low", wide=True)
def radar_split_low(draft: Draft) -> Planted:
    lower = change_db(lambda db: db - 2)
    edits = {row["id"]: {"bands": lower(draft.bands(row["id"]))} for row in draft.rows(sensor="s1", split="test")}
    return Planted((("s1 test",),), 3, edits)


@_pixels("registration", "one radar acquisition is upside down", wide=True)
def radar_flipped(draft: Draft) -> Planted:
    rows = pick_acquisition(draft, "s1", where=lambda row: row["pair"] is not None)
    edits = {row["id"]: {"bands": {name: band[::-1] for name, band in draft.bands(row["id"]).items()}} for row in rows}
    pairs = [draft.facts[row["pair"]] for row in rows if row["pair"]]
    names = {rows[0]["items"][0], *(pair["items"][0] for pair in pairs), *(row["id"] for row in [*rows, *pairs])}
    return Planted((tuple(sorted(names)),), len({row["items"][0] for row in draft.rows(sensor="s1")}), edits)


@_pixels("registration-single", "a few radar chips are shifted by 8 pixels", wide=True)
def radar_chips_shifted(draft: Draft) -> Planted:
    rows = draft.pick("radar-chips-shifted", [row for row in draft.rows(sensor="s1") if row["pair"]])
    edits = {
        row["id"]: {"bands": {name: np.roll(band, 8, axis=0) for name, band in draft.bands(row["id"]).items()}}
        for row in rows
    }
    return Planted(
        tuple((*names, row["pair"]) for names, row in zip(ids(rows), rows, strict=True)),
        len([row for row in draft.rows(sensor="s1") if row["pair"]]),
        edits,
    )
