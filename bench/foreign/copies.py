"""Copies of chips, overlapping chips, and splits that were made again by careless code."""

import io
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from bench.draft import Bands, Draft, Planted, Row, ids
from bench.foreign.detail import _jpeg
from bench.foreign.optical import TEN, TWENTY
from bench.foreign.rows import (
    by_cell,
    decibels,
    independent,
    power,
    reflectance,
    renamed,
    window,
)
from bench.registry import Unsuited

__all__ = ["Path", "Image", "io", "Callable"]


def _onto(
    draft: Draft, salt: str, sensor: str, change: Callable[[Bands], Bands], *, split: str = "train"
) -> Planted:
    """Replace the pixels of some samples of a split by changed copies of test samples."""
    originals = draft.pick(salt, draft.rows(sensor=sensor, split="test"), pct=12)
    rows = draft.pick(f"{salt}-target", draft.rows(sensor=sensor, split=split), pct=100)[: len(originals)]
    edits = {row["id"]: {"bands": change(draft.bands(original["id"]))} for row, original in zip(rows, originals)}
    subjects = tuple((row["id"], original["id"]) for row, original in zip(rows, originals))
    return Planted(subjects, len(draft.rows(sensor=sensor)), edits)


@independent("splits", "duplicates", "pixels of test chips on the rows of train samples")
def test_chips_in_train(draft: Draft) -> Planted:
    return _onto(draft, "exact", "s2", lambda bands: bands)
