"""Which cells are read: all whole ones, neighbours, scattered ones, and others to warm up with."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bench.scene import CELL_M, CONTIGUOUS, NEIGHBOUR, RANDOM, Scene, offsets, spans
from pyproj import Transformer

from landmark.extract.chips import extract_chips
from landmark.extract.request import Chip

BLOCK_M = 6 * 10 * 512  # of the coarsest bands, the largest on the ground


@pytest.fixture(scope="module")
def real_size(scene: Path) -> Scene:
    """The scene as large as it is for measuring; only where things lie is asked of it."""
    small = Scene(scene)
    (left, top), images = small.images["s2"].origin, dict(small.images)
    images["s2"] = replace(images["s2"], origin=(left - 40_000, top + 40_000), size_px=(10980, 10980))
    whole = Scene(scene)
    whole.__dict__["images"] = images
    return whole


def test_every_whole_cell_lies_in_the_tile(real_size: Scene) -> None:
    (left, top), cells = real_size.images["s2"].origin, real_size.chosen("whole")
    assert len(cells) == len(np.unique(cells, axis=0)) == (10980 // 120) ** 2 == 8281
    west, south, east, north = spans(cells)
    assert (west, north) == (left, top)
    assert east <= left + 109_800 < east + CELL_M and south >= top - 109_800 > south - CELL_M
    assert sorted(cells.tolist(), key=lambda cell: (-cell[1], cell[0])) == cells.tolist()


def test_choices_are_cells_of_the_scene(real_size: Scene) -> None:
    every = {tuple(cell) for cell in real_size.chosen("whole").tolist()}
    for which, count in (("contiguous", CONTIGUOUS[0] * CONTIGUOUS[1]), ("random", RANDOM)):
        chosen = [tuple(cell) for cell in real_size.chosen(which).tolist()]
        assert len(chosen) == len(set(chosen)) == count == 512
        assert set(chosen) <= every
        assert sorted(chosen, key=lambda cell: (-cell[1], cell[0])) == chosen
    west, south, east, north = spans(real_size.chosen("contiguous"))
    assert (east - west) * (north - south) == 512 * CELL_M**2


def test_warming_up_touches_no_block_of_the_contiguous_cells(real_size: Scene) -> None:
    left, top = real_size.images["s2"].origin

    def blocks(which: str) -> set[tuple[int, int]]:
        return {
            (int(left_ - left + dx) // BLOCK_M, int(top - top_ + dy) // BLOCK_M)
            for left_, top_ in real_size.chosen(which).tolist()
            for dx in (0, CELL_M - 1)
            for dy in (0, CELL_M - 1)
        }

    assert not blocks("warm-up") & blocks("contiguous")


def test_cells_of_the_neighbouring_zone_lie_wholly_in_the_tile(real_size: Scene) -> None:
    (left, top), cells = real_size.images["s2"].origin, real_size.neighbours.reshape(-1, 2)
    turn = Transformer.from_crs(NEIGHBOUR, real_size.images["s2"].epsg, always_xy=True)
    assert len(cells) > 512 and not (cells % CELL_M).any()
    for dx in (0, CELL_M):
        for dy in (0, CELL_M):
            x, y = turn.transform(cells[:, 0] + dx, cells[:, 1] - dy)
            assert x.min() > left and x.max() < left + 109_800
            assert y.max() < top and y.min() > top - 109_800


def test_images_are_told_apart_and_read_as_a_build_reads(scene: Path) -> None:
    found = Scene(scene)
    assert sorted(found.images) == ["s1", "s1-off", "s2"]
    for image in found.images:
        reading = found.reading(image, "whole", root=f"{scene}/", cores=1)
        chips = list(extract_chips(reading.cut))
        assert all(isinstance(chip, Chip) for chip in chips)
        assert [chip.id for chip in chips] == [f"{left}_{top}" for left, top in reading.corners.tolist()]
        assert Path(reading.item.assets[next(iter(reading.item.assets))].href).is_file()


def test_offsets_count_pixels_from_the_corner() -> None:
    assert offsets(np.array([(600_000, 5_000_400), (601_200, 4_999_200)]), (599_880, 5_000_460), 60) == [
        (1, 2),
        (21, 22),
    ]
