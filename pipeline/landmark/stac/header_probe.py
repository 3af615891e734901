"""What a file's header says of an acquisition's grid, before anything is planned on it. The header is right."""

from dataclasses import dataclass, replace

from landmark.domain.acquisition import Acquisition
from landmark.domain.drops import DropRecord
from landmark.raster.access import PUBLIC_ACCESS, AccessPolicy
from landmark.raster.reader import open_raster
from landmark.raster.source import Unreadable


@dataclass(frozen=True, slots=True)
class HeaderProbe:
    """An acquisition, and the finest band whose header speaks for its grid."""

    acquisition: Acquisition
    band: str
    root: str
    access: AccessPolicy = PUBLIC_ACCESS


def probe_header(what: HeaderProbe) -> Acquisition | DropRecord:
    """The acquisition on the grid of its own file, or why it has none; the grid is the first item's."""
    one = what.acquisition
    try:
        with open_raster(one.items[0].href(what.band, what.root), what.access) as raster:
            header = raster.header
    except Unreadable as error:
        return DropRecord(one.items[0].id, "", "stac", error.reason, f"{what.band}: {error}")
    if header.epsg is None or not header.north_up:
        points = f"{header.gcp_count} ground control points" if header.gcp_count else "no grid"
        return DropRecord(one.items[0].id, "", "stac", "not_geocoded", f"{what.band} has {points}")
    return replace(one, epsg=header.epsg, origin=header.origin, size_px=header.shape[::-1], pixel_m=header.pixel_size)


def grid_mismatch(said: Acquisition, measured: Acquisition) -> str | None:
    """What a STAC item says wrong of its grid, in one line; None where item and header agree."""
    if said.pixel_m == 0 or _grid(said) == _grid(measured):
        return None
    return f"{said.items[0].id}: the item says {_grid(said)}, its file {_grid(measured)}; the file is right"


def _grid(one: Acquisition) -> str:
    (left, top), (width, height) = one.origin, one.size_px
    return f"{width} x {height} px of {one.pixel_m:g} m from ({left:.2f}, {top:.2f}) in EPSG:{one.epsg}"
