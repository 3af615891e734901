"""Selections of cells: all complete cells, those of the neighbouring zone, random ones, and those for warm-up."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bench.scene import CELL_M, CONTIGUOUS, NEIGHBOUR, RANDOM, Scene, offsets, spans
from pyproj import Transformer

from landmark.extract.chips import extract_chips
from landmark.extract.request import Chip

BLOCK_M = 6 * 10 * 512  # of the 60 m bands, the largest blocks on the ground


@pytest.fixture(scope="module")
def real_size(scene: Path) -> Scene:
    """The scene at the size of the benchmark; only its geometry is used."""
    small = Scene(scene)
    (left, top), images = small.images["s2"].origin, dict(small.images)
    images["s2"] = replace(images["s2"], origin=(left - 40_000, top + 40_000), size_px=(10980, 10980))
    large = Scene(scene)
    large.__dict__["images"] = images
    return large


def test_all_complete_cells_of_the_tile_are_selected(real_size: Scene) -> None:
    (left, top), cells = real_size.images["s2"].origin, real_size.select_cells("whole")
    assert len(cells) == len(np.unique(cells, axis=0)) == (10980 // 120) ** 2 == 8281
    west, south, east, north = spans(cells)
    assert (west, north) == (left, top)
    assert east <= left + 109_800 < east + CELL_M and south >= top - 109_800 > south - CELL_M
    assert sorted(cells.tolist(), key=lambda cell: (-cell[1], cell[0])) == cells.tolist()


def test_selections_are_cells_of_the_scene(real_size: Scene) -> None:
    every = {tuple(cell) for cell in real_size.select_cells("whole").tolist()}
    for selection, count in (("contiguous", CONTIGUOUS[0] * CONTIGUOUS[1]), ("random", RANDOM)):
        selected = [tuple(cell) for cell in real_size.select_cells(selection).tolist()]
        assert len(selected) == len(set(selected)) == count == 512
        assert set(selected) <= every
        assert sorted(selected, key=lambda cell: (-cell[1], cell[0])) == selected
    west, south, east, north = spans(real_size.select_cells("contiguous"))
    assert (east - west) * (north - south) == 512 * CELL_M**2


def test_warm_up_reads_no_block_of_the_contiguous_cells(real_size: Scene) -> None:
    left, top = real_size.images["s2"].origin

    def blocks(selection: str) -> set[tuple[int, int]]:
        return {
            (int(left_ - left + dx) // BLOCK_M, int(top - top_ + dy) // BLOCK_M)
            for left_, top_ in real_size.select_cells(selection).tolist()
            for dx in (0, CELL_M - 1)
            for dy in (0, CELL_M - 1)
        }

    assert not blocks("warm-up") & blocks("contiguous")


def test_cells_of_the_neighbouring_zone_are_completely_in_the_tile(real_size: Scene) -> None:
    (left, top), cells = real_size.images["s2"].origin, real_size.neighbours.reshape(-1, 2)
    turn = Transformer.from_crs(NEIGHBOUR, real_size.images["s2"].epsg, always_xy=True)
    assert len(cells) > 512 and not (cells % CELL_M).any()
    for dx in (0, CELL_M):
        for dy in (0, CELL_M):
            x, y = turn.transform(cells[:, 0] + dx, cells[:, 1] - dy)
            assert x.min() > left and x.max() < left + 109_800
            assert y.max() < top and y.min() > top - 109_800


def test_images_are_distinguished_and_every_cell_gives_a_chip(scene: Path) -> None:
    small = Scene(scene)
    assert sorted(small.images) == ["s1", "s1-off", "s2"]
    for image in small.images:
        reading = small.reading(image, "whole", root=f"{scene}/", cores=1)
        chips = list(extract_chips(reading.request))
        assert all(isinstance(chip, Chip) for chip in chips)
        assert [chip.id for chip in chips] == [f"{left}_{top}" for left, top in reading.corners.tolist()]
        assert Path(reading.item.assets[next(iter(reading.item.assets))].href).is_file()


def test_offsets_are_pixels_from_the_corner() -> None:
    assert offsets(np.array([(600_000, 5_000_400), (601_200, 4_999_200)]), (599_880, 5_000_460), 60) == [
        (1, 2),
        (21, 22),
    ]
