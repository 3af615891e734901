"""Read the grid of an acquisition from the header of its file, before planning."""

from dataclasses import dataclass, replace

from landmark.domain.acquisition import Acquisition
from landmark.domain.drops import DropRecord
from landmark.raster.access import PUBLIC_ACCESS, AccessPolicy
from landmark.raster.reader import describe_bands, open_raster
from landmark.raster.source import Unreadable


@dataclass(frozen=True, slots=True)
class HeaderProbe:
    """A header to read.

    Attributes:
        acquisition: The grid is taken from its first item.
        band: One of the finest bands.
        root: Folder or URL that relative hrefs start at.
        access: Signing and rate limits.
    """

    acquisition: Acquisition
    band: str
    root: str
    access: AccessPolicy = PUBLIC_ACCESS


def probe_header(probe: HeaderProbe) -> Acquisition | DropRecord:
    """The acquisition with the grid of its file; a drop record if the file is unreadable or not geocoded."""
    acquisition, band = probe.acquisition, probe.band
    item = acquisition.items[0]
    try:
        with open_raster(item.href(band, probe.root), probe.access, band=item.bands.get(band)) as raster:
            header, problem = raster.header, raster.grid_problem
    except Unreadable as error:
        return DropRecord(item.id, "", "stac", error.reason, f"{band}: {error}")
    if problem is not None or header.epsg is None:
        problem = problem or "a CRS without EPSG code: assign one (gdal_edit.py -a_srs)"
        return DropRecord(item.id, "", "stac", "not_geocoded", f"{band} has {problem}")
    if header.n_bands > 1 and band not in item.bands:
        return DropRecord(item.id, "", "stac", "encoding", f"{band} has {describe_bands(header.n_bands)}")
    return replace(
        acquisition, epsg=header.epsg, origin=header.origin, size_px=header.shape[::-1], pixel_m=header.pixel_size
    )


def grid_mismatch(cataloged: Acquisition, measured: Acquisition) -> str | None:
    """Finding if the grid of a STAC item differs from that of its file; None if they agree or the item has none."""
    if cataloged.pixel_m == 0 or _format_grid(cataloged) == _format_grid(measured):
        return None
    item, grids = cataloged.items[0], (_format_grid(cataloged), _format_grid(measured))
    return f"{item.id}: grid of the item: {grids[0]}; of its file, which is used: {grids[1]}"


def _format_grid(acquisition: Acquisition) -> str:
    (left, top), (width, height) = acquisition.origin, acquisition.size_px
    return f"{width} x {height} px of {acquisition.pixel_m:g} m from ({left:.2f}, {top:.2f}) in EPSG:{acquisition.epsg}"
