"""Copies of chips, overlapping chips, and splits that were made again by careless code."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import pairwise

import numpy as np
from scipy import ndimage

from bench.draft import Bands, Draft, Planted, Row
from bench.foreign.detail import through_jpeg
from bench.foreign.optical import TEN, TWENTY, block
from bench.foreign.rows import (
    annotated,
    annotator,
    by_cell,
    cell_counts,
    cell_labels,
    decibels,
    edited,
    generator,
    in_cells,
    independent,
    power,
    reflectance,
    renamed,
    window,
)
from bench.registry import Unsuited


def _copied(
    draft: Draft, salt: str, sensor: str, change: Callable[[Row], Bands | None], *, source: str = "test"
) -> Planted:
    """Put changed copies of chips of one split on rows of train: change(row)."""
    originals = draft.pick(salt, draft.rows(sensor=sensor, split=source), pct=100)
    targets = draft.pick(f"{salt}-rows", draft.rows(sensor=sensor, split="train"), pct=100)
    edits, subjects = {}, []
    for original in originals:
        target = next((row for row in targets if row["cell"] != original["cell"] and row["id"] not in edits), None)
        bands = change(original) if target else None
        if target is None or bands is None:
            continue
        edits[target["id"]] = {"bands": bands}
        subjects.append((target["id"], original["id"]))
        if len(edits) == 8:
            break
    if not edits:
        raise Unsuited("no chip to copy")
    return Planted(tuple(subjects), len(draft.rows(sensor=sensor)), edits)


@independent("splits", "duplicates", "test chips on rows of train")
def test_chips_in_train(draft: Draft) -> Planted:
    return _copied(draft, "exact", "s2", lambda row: draft.bands(row["id"]))


@independent("splits", "near-duplicates", "test chips turned by a quarter on rows of train")
def turned_copies(draft: Draft) -> Planted:
    return _copied(
        draft,
        "turned",
        "s2",
        lambda row: {name: np.rot90(band).copy() for name, band in draft.bands(row["id"]).items()},
    )


@independent("splits", "near-duplicates", "test chips mirrored and 5 % brighter on rows of train")
def mirrored_brighter_copies(draft: Draft) -> Planted:
    def changed(row: Row) -> Bands:
        return {name: reflectance(1.05 * band[:, ::-1]) for name, band in draft.bands(row["id"]).items()}

    return _copied(draft, "mirrored", "s2", changed)


@independent("splits", "near-duplicates", "test chips with noise of 0.004 on rows of train")
def noisy_copies(draft: Draft) -> Planted:
    def changed(row: Row) -> Bands:
        bands = draft.bands(row["id"])
        rng = generator(bands["B02"])
        return {name: reflectance(band + rng.normal(0, 40, band.shape)) for name, band in bands.items()}

    return _copied(draft, "noisy", "s2", changed)


@independent("splits", "near-duplicates", "test chips through JPEG of quality 90 on rows of train")
def copies_through_jpeg(draft: Draft) -> Planted:
    def changed(row: Row) -> Bands:
        bands = draft.bands(row["id"])
        return bands | through_jpeg(bands, (*TEN, *TWENTY), 90)

    return _copied(draft, "jpeg", "s2", changed)


@independent("splits", "near-duplicates", "test chips at half of their resolution on rows of train")
def coarse_copies(draft: Draft) -> Planted:
    def changed(row: Row) -> Bands:
        bands = draft.bands(row["id"])
        coarse = {
            name: reflectance(ndimage.zoom(block(bands[name], 2), 2, order=1, grid_mode=True, mode="nearest"))
            for name in (*TEN, *TWENTY)
        }
        return bands | coarse

    return _copied(draft, "coarse", "s2", changed)


@independent("splits", "near-duplicates", "radar test chips 0.7 dB brighter on rows of train")
def brighter_radar_copies(draft: Draft) -> Planted:
    def changed(row: Row) -> Bands:
        return {name: (band + 70).astype(np.int16) for name, band in draft.bands(row["id"]).items()}

    return _copied(draft, "radar", "s1", changed)


@independent("splits", "near-duplicates", "radar test chips speckle filtered on rows of train")
def filtered_radar_copies(draft: Draft) -> Planted:
    def changed(row: Row) -> Bands:
        return {name: decibels(ndimage.uniform_filter(power(band), 3)) for name, band in draft.bands(row["id"]).items()}

    return _copied(draft, "radar-filtered", "s1", changed)


@independent("splits", "shared-windows", "chips of train cut 42 pixels to the east of test chips: two thirds overlap")
def overlapping_chips(draft: Draft) -> Planted:
    return _copied(draft, "overlap", "s2", lambda row: window(draft, row, right=42, down=0))


@independent("splits", "shared-windows", "chips of train cut 12 pixels to the south-east of test chips")
def slightly_shifted_chips(draft: Draft) -> Planted:
    return _copied(draft, "shifted", "s2", lambda row: window(draft, row, right=12, down=12))


@independent("splits", "shared-windows", "radar chips of train cut 60 pixels to the south of test chips")
def overlapping_radar_chips(draft: Draft) -> Planted:
    return _copied(draft, "radar-overlap", "s1", lambda row: window(draft, row, right=0, down=60))


@independent("splits", "near-duplicates", "turned copies of train chips on other rows of train: stored augmentation")
def stored_augmentation(draft: Draft) -> Planted:
    return _copied(
        draft,
        "augmentation",
        "s2",
        lambda row: {name: np.rot90(band, 2).copy() for name, band in draft.bands(row["id"]).items()},
        source="train",
    )


def _filled_dates(draft: Draft, salt: str, sensor: str, change: Callable[[Bands], Bands]) -> Planted:
    """Give some samples the pixels of the date before in the same cell."""
    earlier = {
        second["id"]: first for rows in by_cell(draft, sensor=sensor).values() for first, second in pairwise(rows)
    }
    if not earlier:
        raise Unsuited("one date per cell")
    rows = draft.pick(salt, [draft.facts[id] for id in earlier], pct=6)
    edits = {row["id"]: {"bands": change(draft.bands(earlier[row["id"]]["id"]))} for row in rows}
    return Planted(tuple((id, earlier[id]["id"]) for id in edits), len(draft.rows(sensor=sensor)), edits)


@independent("splits", "duplicates", "a missing date filled with the pixels of the date before")
def date_filled_with_the_earlier(draft: Draft) -> Planted:
    return _filled_dates(draft, "filled", "s2", lambda bands: bands)


@independent("splits", "near-duplicates", "a missing radar date filled with the date before, 1 dB darker")
def radar_date_filled(draft: Draft) -> Planted:
    return _filled_dates(
        draft, "radar-filled", "s1", lambda bands: {name: (band - 100).astype(np.int16) for name, band in bands.items()}
    )


@independent(
    "splits", "near-duplicates", "an image delivered twice: a second row two seconds later, one count brighter"
)
def delivered_again(draft: Draft) -> Planted:
    tools, extra = annotator(draft), []
    for row in draft.pick("delivered", draft.rows(sensor="s2", split="train"), pct=3):
        time = row["datetime"] + timedelta(seconds=2)
        changes = {"id": renamed(row, time), "datetime": time, "pair": None, "pair_gap_s": None}
        labels = cell_labels(draft, cell_counts(draft, row), tools)
        texts = annotated(draft, row, labels, tools, changes)
        bands = {name: reflectance(band + 1.0) for name, band in draft.bands(row["id"]).items()}
        extra.append((row["id"], texts | changes | {"bands": bands}))
    subjects = tuple((str(edit["id"]), id) for id, edit in extra)
    return Planted(subjects, len(draft.rows(sensor="s2")), extra=tuple(extra))


def _resplit(draft: Draft, rows: Sequence[Row], split: str) -> Planted:
    """Move rows to the first shards of another split."""
    paths = {
        sensor: min(path for path in draft.tables if f"/{sensor}-{split}-" in path) for sensor in draft.manifest.sensors
    }
    edits = {row["id"]: {"split": split} for row in rows}
    moves = {row["id"]: paths[row["sensor"]] for row in rows}
    return Planted(tuple((row["id"], row["cell"]) for row in rows), len(draft.facts), edits, moves=moves)


@independent("splits", "split-cells", "a random split by sample instead of by place")
def split_by_sample(draft: Draft) -> Planted:
    rows = [row for row in draft.rows(split="train") if row["pair"] is None]
    return _resplit(draft, draft.pick("by-sample", rows, pct=40), "val")


@independent("splits", "split-buffer", "cells of train, both sensors and all dates, moved to test among train cells")
def split_by_cell(draft: Draft) -> Planted:
    return _resplit(draft, in_cells(draft, "by-cell", draft.rows(split="train"), pct=4), "test")


@independent("splits", "split-events", "cells of an event moved from train to test", events=True)
def event_on_both_sides(draft: Draft) -> Planted:
    rows = [row for row in draft.rows(split="train") if any(event["fraction"] > 0 for event in row["events"])]
    return _resplit(draft, in_cells(draft, "event-cells", rows, pct=10), "test")


@independent("splits", "split-texts", "captions of test samples copied to train samples of similar labels")
def captions_copied_across_splits(draft: Draft) -> Planted:
    by_labels = {(row["sensor"], *row["labels"]): row for row in draft.rows(split="test")}
    rows = [row for row in draft.rows(split="train") if (row["sensor"], *row["labels"]) in by_labels]
    chosen = draft.pick("captions", rows, pct=15)
    return edited(draft, chosen, lambda row: {"captions": by_labels[row["sensor"], *row["labels"]]["captions"]})
