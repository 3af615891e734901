"""Defects of images that are copies of others: turned, in other bands, or in part."""

from collections.abc import Callable
from functools import partial

import numpy as np

from bench.draft import Bands, Draft, Planted, Row
from bench.registry import Unsuited, planting
from bench.relabel import facts_of
from landmark.core.hashing import rank

_splits = partial(planting, "splits")

# Origin's bands, own bands → bands of the copy; the number is pseudo-random and belongs to the sample.
Change = Callable[[Bands, Bands, int], Bands]


def _copy(draft: Draft, salt: str, change: Change, *, sensor: str = "s2", split: str = "test") -> Planted:
    """Make images of a split from images of train at other places, with the labels of those."""
    targets = draft.pick(salt, draft.rows(sensor=sensor, split=split), least=2)
    cells = {row["cell"] for row in targets}
    varied = [
        row for row in draft.rows(sensor=sensor, split="train") if len(row["labels"]) >= 3 and row["cell"] not in cells
    ]
    origins = draft.pick(f"{salt}-origin", varied, pct=0, least=len(targets))
    if len(origins) < len(targets):
        raise Unsuited("too few samples of train with three classes")
    edits: dict[str, Row] = {}
    for row, origin in zip(targets, origins, strict=True):
        bands = change(draft.bands(origin["id"]), draft.bands(row["id"]), rank(0, salt, row["id"]))
        edits[row["id"]] = {"bands": bands, **facts_of(draft, row, origin)}
    names = tuple((row["id"], origin["id"]) for row, origin in zip(targets, origins, strict=True))
    return Planted(names, len(draft.facts), edits)


def _turn(bands: Bands, number: int) -> Bands:
    """One of the seven other orientations."""
    quarters, mirrored = divmod(1 + number % 7, 2)
    turned = {name: np.rot90(band, quarters) for name, band in bands.items()}
    return {name: band[:, ::-1] if mirrored else band for name, band in turned.items()}


def _noisy(bands: Bands, number: int, relative: float) -> Bands:
    random = np.random.default_rng(number)
    return {name: np.rint(band * random.normal(1, relative, band.shape)) for name, band in bands.items()}


@_splits("near-duplicates", "pixels of train are in test, turned or mirrored, with slight noise", wide=True)
def copied_and_turned(draft: Draft) -> Planted:
    return _copy(draft, "copied-and-turned", lambda origin, own, number: _noisy(_turn(origin, number), number, 0.01))


@_splits("near-duplicates", "radar images of train are in test, turned or mirrored, 1 dB brighter", wide=True)
def copied_radar_turned(draft: Draft) -> Planted:
    def change(origin: Bands, own: Bands, number: int) -> Bands:
        return {name: band + 100 for name, band in _turn(origin, number).items()}

    return _copy(draft, "copied-radar-turned", change, sensor="s1")


@_splits("near-duplicates", "the 10 m bands of train are in test, with slight noise", wide=True)
def copied_10_m_bands(draft: Draft) -> Planted:
    def change(origin: Bands, own: Bands, number: int) -> Bands:
        fine = {name: band for name, band in origin.items() if len(band) == len(origin["B02"])}
        return {**own, **_noisy(fine, number, 0.005)}

    return _copy(draft, "copied-10-m-bands", change)


@_splits("duplicates", "pixels of train are in test, with bands exchanged", wide=True)
def copied_with_bands_exchanged(draft: Draft) -> Planted:
    def change(origin: Bands, own: Bands, number: int) -> Bands:
        return {**origin, "B02": origin["B08"], "B08": origin["B03"], "B03": origin["B02"]}

    return _copy(draft, "copied-with-bands-exchanged", change)


@_splits("duplicates", "one band of train is in test, turned", wide=True)
def copied_single_band(draft: Draft) -> Planted:
    return _copy(draft, "copied-single-band", lambda origin, own, number: {**own, "B11": _turn(origin, number)["B11"]})


def _shift(origin: Bands, own: Bands, south_px: int, east_px: int) -> Bands:
    """Own bands with the origin's content, moved by pixels of the finest band, where it reaches."""
    finest = max(len(band) for band in origin.values())
    moved = {}
    for name, band in own.items():
        scale = finest // len(band)
        south, east = south_px // scale, east_px // scale
        moved[name] = band.copy()
        moved[name][south:, east:] = origin[name][: len(band) - south, : len(band) - east]
    return moved


@_splits("shared-windows", "parts of images of train are in test, moved", wide=True)
def shifted_into_test(draft: Draft) -> Planted:
    def change(origin: Bands, own: Bands, number: int) -> Bands:
        return _shift(origin, own, 6 * (number % 9), 6 * (1 + number // 9 % 9))

    return _copy(draft, "shifted-into-test", change)


@_splits("shared-windows", "parts of radar images are in other cells of their split, moved", wide=True)
def shifted_within_train(draft: Draft) -> Planted:
    def change(origin: Bands, own: Bands, number: int) -> Bands:
        return _shift(origin, own, 1 + number % 50, number // 50 % 50)

    return _copy(draft, "shifted-within-train", change, sensor="s1", split="train")


@_splits("shared-windows", "parts of images of train are in test, moved, 10 % brighter, with slight noise", wide=True)
def shifted_and_brightened(draft: Draft) -> Planted:
    def change(origin: Bands, own: Bands, number: int) -> Bands:
        moved = _shift(origin, own, 6 * (number % 7), 6 * (1 + number // 7 % 7))
        return _noisy({name: 1.1 * band for name, band in moved.items()}, number, 0.005)

    return _copy(draft, "shifted-and-brightened", change)


@_splits("shared-windows", "an acquisition is stored under another datetime too, 5 % brighter", wide=True)
def copied_to_another_date(draft: Draft) -> Planted:
    dates: dict[str, list[Row]] = {}
    for row in draft.rows(sensor="s2"):
        dates.setdefault(row["cell"], []).append(row)
    rows = draft.pick("copied-to-another-date", [dates[cell][0] for cell in dates if len(dates[cell]) > 1], least=2)
    origins = {row["id"]: dates[row["cell"]][1]["id"] for row in rows}
    if not origins:
        raise Unsuited("no cell has two optical images")
    edits: dict[str, Row] = {
        id: {"bands": {name: np.rint(1.05 * band) for name, band in draft.bands(origin).items()}}
        for id, origin in origins.items()
    }
    return Planted(tuple(origins.items()), len(draft.facts), edits)


@_splits("near-duplicates", "a missing radar date is filled with another one of its cell, 1 dB darker", wide=True)
def radar_date_copied(draft: Draft) -> Planted:
    dates: dict[str, list[Row]] = {}
    for row in draft.rows(sensor="s1"):
        dates.setdefault(row["cell"], []).append(row)
    rows = draft.pick("radar-date-copied", [rows[0] for rows in dates.values() if len(rows) > 1], least=2)
    origins = {row["id"]: dates[row["cell"]][1]["id"] for row in rows}
    if not origins:
        raise Unsuited("no cell has two radar images")
    edits: dict[str, Row] = {
        id: {"bands": {name: band - 100 for name, band in draft.bands(origin).items()}}
        for id, origin in origins.items()
    }
    return Planted(tuple(origins.items()), len(draft.facts), edits)
