"""Near-duplicates across splits are found by their pixels, and those within a split are not listed."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

import landmark
from landmark.corpus.reader import Corpus
from landmark.train.augmentation import orient
from landmark.train.validation.near_duplicates import find_near_duplicates
from tests.train.toy import cell_columns, coloured_row, seal
from tests.write.rows import SENSORS, Row

PATCH_PX = 24


def textured_row(id: str, split: str, place: int, texture: int, orientation: int = 0) -> Row:
    """An image of noise that `texture` determines, with slight noise and a gain of its own, turned or mirrored."""
    chance, sensor = np.random.default_rng(texture), SENSORS[id[:2]]
    own = np.random.default_rng(place)
    gain = 1 + 0.1 * own.random()
    groups = {
        group.column: (
            gain * chance.uniform(1000, 3000, group.shape(PATCH_PX)) + own.normal(0, 5, group.shape(PATCH_PX))
        ).astype(sensor.dtype)
        for group in sensor.groups
    }
    row = coloured_row(id, split, own) | cell_columns(4000 + place, 40_000, patch_px=PATCH_PX)
    groups = {column: np.ascontiguousarray(orient(pixels, orientation)) for column, pixels in groups.items()}
    content = hashlib.sha256(b"".join(pixels.tobytes() for pixels in groups.values())).hexdigest()
    return row | {"sha256": content} | {column: pixels.tobytes() for column, pixels in groups.items()}


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """Images of each sensor, of which the last of test copies the first of train, and the last of train the second."""
    rows = []
    for sensor in ("s1", "s2"):
        splits = ["train"] * 12 + ["test"] * 8
        textures = [*range(11), 1, *range(20, 27), 0]
        for number, (split, texture) in enumerate(zip(splits, textures, strict=True)):
            rows.append(textured_row(f"{sensor}_{split}_{number:03d}", split, number, texture))
    return landmark.open(seal(tmp_path / "corpus", rows, patch_px=PATCH_PX))


def test_copies_in_another_split_are_listed(corpus: Corpus) -> None:
    pairs_of = find_near_duplicates(corpus)
    assert list(pairs_of) == ["s1", "s2"]
    for sensor, pairs in pairs_of.items():
        (pair,) = pairs
        assert {pair.id, pair.copy_id} == {f"{sensor}_train_000", f"{sensor}_test_019"} and pair.similarity > 0.99


def test_turned_and_mirrored_copies_are_listed_once(tmp_path: Path) -> None:
    """The copy of train image n has orientation n; two more copies, in val and in test, are copies of each other."""
    rows = [textured_row(f"s2_train_{n:03d}", "train", n, n) for n in range(8)]
    rows += [textured_row(f"s2_test_{8 + n:03d}", "test", 8 + n, n, n) for n in range(8)]
    rows += [textured_row("s2_val_016", "val", 16, 99, 3), textured_row("s2_test_017", "test", 17, 99, 6)]
    pairs = find_near_duplicates(landmark.open(seal(tmp_path / "corpus", rows, patch_px=PATCH_PX)))["s2"]
    assert {frozenset((pair.id[-3:], pair.copy_id[-3:])) for pair in pairs} == {
        frozenset(pair) for pair in [*((f"{n:03d}", f"{8 + n:03d}") for n in range(8)), ("016", "017")]
    }
    assert len(pairs) == 9 and min(pair.similarity for pair in pairs) > 0.99


def test_images_too_small_for_a_hash_have_no_duplicates(toy_corpus: Corpus) -> None:
    assert find_near_duplicates(toy_corpus) == {"s1": [], "s2": []}
