"""Defects of cells: everything that follows from a cell is that of another one."""

import re
from collections.abc import Callable, Iterable
from functools import partial

import numpy as np
import shapely

from bench.acquisitions import sample_id
from bench.draft import Draft, Planted, Row
from bench.facts import edit_rows
from bench.registry import Unsuited, planting
from landmark.core.crs import LONLAT, reproject, transformer
from landmark.grid.cells import cell_corner
from landmark.grid.majortom import majortom_names

_integrity = partial(planting, "integrity")


def _moved(draft: Draft, row: Row, cell: str) -> Row:
    """The columns of a row in another cell."""
    edge_m = draft.manifest.patch_px * draft.manifest.resolution_m
    corner = cell_corner(cell, edge_m)
    assert corner
    epsg, left, top = corner
    lon, lat = transformer(epsg, LONLAT).transform(left + edge_m / 2, top - edge_m / 2)
    square = shapely.box(left, top - edge_m, left + edge_m, top)
    width, skew, _, tilt, height, _ = row["transform"]
    return {
        "cell": cell,
        "epsg": epsg,
        "transform": [width, skew, left, tilt, height, top],
        "lon": lon,
        "lat": lat,
        "geometry": shapely.to_wkb(reproject(square, epsg, LONLAT)),
        "majortom": majortom_names(np.array([lon]), np.array([lat]))[0].as_py(),
    }


def _move_cells(draft: Draft, salt: str, rename: Callable[[str], str]) -> Planted:
    """Change everything that follows from the cell, in all samples of a few cells."""
    cells = {row["cell"] for row in draft.pick(salt, _with_utm_cells(draft.rows()))}
    moved = {row["id"]: _moved(draft, row, rename(row["cell"])) for row in draft.rows() if row["cell"] in cells}
    names = {id: sample_id({**draft.facts[id], **columns}) for id, columns in moved.items()}
    edits = {
        id: {**columns, "id": names[id], "pair": names.get(draft.facts[id]["pair"], draft.facts[id]["pair"])}
        for id, columns in moved.items()
    }
    return Planted(tuple((name,) for name in names.values()), len(draft.facts), edits)


def _with_utm_cells(rows: Iterable[Row]) -> list[Row]:
    suitable = [row for row in rows if re.fullmatch(r"\d\d[ns]_\d+_\d+", row["cell"])]
    if not suitable:
        raise Unsuited("no cell is named after a UTM zone")
    return suitable


@_integrity("acquisition", "cells, with all that follows from them, are in the other hemisphere")
def cells_in_the_other_hemisphere(draft: Draft) -> Planted:
    swap = {"n": "s", "s": "n"}
    return _move_cells(draft, "other-hemisphere", lambda cell: f"{cell[:2]}{swap[cell[2]]}{cell[3:]}")


@_integrity("acquisition", "cells, with all that follows from them, are in the next UTM zone")
def cells_in_the_next_zone(draft: Draft) -> Planted:
    return _move_cells(draft, "next-zone", lambda cell: f"{int(cell[:2]) % 60 + 1:02d}{cell[2:]}")


@_integrity("acquisition", "cells, with all that follows from them, are 60 km to the north")
def cells_to_the_north(draft: Draft) -> Planted:
    def rename(cell: str) -> str:
        zone, col, row = cell.split("_")
        return f"{zone}_{col}_{int(row) + (50 if zone[2] == 'n' else -50)}"

    return _move_cells(draft, "to-the-north", rename)


@_integrity("placement", "Major-TOM names of the next row")
def majortom_of_the_next_row(draft: Draft) -> Planted:
    def change(row: Row) -> Row:
        number = re.match(r"\d+", row["majortom"])
        assert number
        return {"majortom": f"{int(number[0]) + 1}{row['majortom'][number.end() :]}"}

    return edit_rows(draft, "majortom-of-the-next-row", change)
