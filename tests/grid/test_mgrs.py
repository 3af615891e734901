"""Squares of tiles: corners of real tiles, and the zones and bands that exist."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from landmark.grid.mgrs import ROW_CYCLE_M, SQUARE_M, parse_square


def _rasters(value: Any) -> Iterator[tuple[str, int, float, float]]:
    """(tile, EPSG code, west edge, north edge) of the 10 m rasters of all items in a document."""
    if isinstance(value, dict) and "s2:mgrs_tile" in value.get("properties", ()):
        properties, asset = value["properties"], value["assets"]["B02"]
        _, _, left, _, _, top = asset["proj:transform"][:6]
        epsg = properties.get("proj:epsg") or properties["proj:code"].removeprefix("EPSG:")
        yield properties["s2:mgrs_tile"], int(epsg), left, top
    for member in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _rasters(member)


def test_the_corner_of_a_real_tile_is_that_of_the_square(real: Path) -> None:
    documents = [json.loads(path.read_text()) for path in (real / "stac").glob("*json")]
    rasters = {raster for document in documents for raster in _rasters(document)}
    assert len({tile for tile, *_ in rasters}) >= 6
    for tile, epsg, left, top in rasters:
        square = parse_square(tile)
        assert square is not None and square.zone == epsg % 100
        south = (square.bottom_m + SQUARE_M - top + ROW_CYCLE_M / 2) % ROW_CYCLE_M - ROW_CYCLE_M / 2
        assert max(abs(left - square.left_m), abs(south)) <= 60, tile


@pytest.mark.parametrize("name", ["61TQM", "00TQM", "32IQM", "32TIM", "32TQW", "32TAM", "T32TQM", "32tqm", ""])
def test_squares_that_do_not_exist(name: str) -> None:
    assert parse_square(name) is None
