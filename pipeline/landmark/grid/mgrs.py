"""Squares of the Military Grid Reference System, which Sentinel-2 tiles are named after.

Source: NGA.STND.0037, Universal Grids and Grid Reference Systems. Letters omit I and O.
"""

import re
from typing import NamedTuple

SQUARE_M = 100_000
# Tiles of Sentinel-2 reach from the north-west corner of their square to the east and south.
TILE_M = 109_800
_TILE = re.compile(r"(\d{1,2})([C-HJ-NP-X])([A-HJ-NP-Z])([A-HJ-NP-V])")
_COLUMNS, _ROWS, _BANDS = "ABCDEFGHJKLMNPQRSTUVWXYZ", "ABCDEFGHJKLMNPQRSTUV", "CDEFGHJKLMNPQRSTUVWX"
_COLUMNS_PER_ZONE, _EVEN_ZONE_ROWS = 8, 5
_BAND_DEG, _SOUTH_DEG = 8, -80
# Northings repeat the letters of rows after this distance.
ROW_CYCLE_M = len(_ROWS) * SQUARE_M


class Square(NamedTuple):
    """A square of 100 km.

    Attributes:
        zone: Number of the UTM zone.
        south_deg: Southern edge of the latitude band, 8 degrees high (X: 12).
        left_m: Easting of the west edge.
        bottom_m: Northing of the south edge modulo `ROW_CYCLE_M`, in both hemispheres.
    """

    zone: int
    south_deg: int
    left_m: int
    bottom_m: int


def parse_square(name: str) -> Square | None:
    """The square of a name such as `32TQM`; None if there is none of that name."""
    match = _TILE.fullmatch(name)
    if match is None or not 1 <= (zone := int(match[1])) <= 60:
        return None
    # Letters of columns repeat after three zones; rows of even zones start at F.
    column = _COLUMNS.index(match[3]) - (zone - 1) % 3 * _COLUMNS_PER_ZONE
    row = (_ROWS.index(match[4]) - (zone % 2 == 0) * _EVEN_ZONE_ROWS) % len(_ROWS)
    if not 0 <= column < _COLUMNS_PER_ZONE:
        return None
    south_deg = _SOUTH_DEG + _BAND_DEG * _BANDS.index(match[2])
    return Square(zone, south_deg, (column + 1) * SQUARE_M, row * SQUARE_M)
