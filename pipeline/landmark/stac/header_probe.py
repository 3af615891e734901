"""Read the grid of an acquisition from the header of its file, before planning."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy as np
import shapely

from landmark.core.crs import LONLAT, reproject
from landmark.core.ranges.errors import Unreadable
from landmark.domain.acquisition import Acquisition
from landmark.domain.drops import DropRecord
from landmark.raster.access import PUBLIC_ACCESS, AccessPolicy
from landmark.raster.reader import Header, PendingRaster, describe_bands, open_raster, prefetch

# Footprints are generalized, and straight in degrees.
_MAX_OUTSIDE = 0.02
_HALF_TOLERANCE_PX = 1e-3


@dataclass(frozen=True, slots=True)
class HeaderProbe:
    """A header to read.

    Attributes:
        acquisition: The grid is taken from its first item.
        band: One of the finest bands.
        root: Folder or URL that relative hrefs start at.
        access: Signing and rate limits.
        more_bands: Bands whose headers are checked, too, as far as they can be read.
    """

    acquisition: Acquisition
    band: str
    root: str
    access: AccessPolicy = PUBLIC_ACCESS
    more_bands: tuple[str, ...] = ()


def probe_header(probe: HeaderProbe) -> Acquisition | DropRecord:
    """The acquisition with the grid of its file; a drop record if that is unreadable, or a band's grid is unusable."""
    acquisition, item = probe.acquisition, probe.acquisition.items[0]
    with ExitStack() as stack:
        pending = {
            band: prefetch(item.href(band, probe.root), probe.access, band=item.bands.get(band))
            for band in (probe.band, *probe.more_bands)
        }
        for band, raster in pending.items():
            try:
                header, problem = _read_header(stack, raster)
            except Unreadable as error:
                if band == probe.band or error.reason == "encoding":
                    return DropRecord(item.id, "", "stac", error.reason, f"{band}: {error}")
                continue
            if problem is not None:
                return DropRecord(item.id, "", "stac", "not_geocoded", f"{band} has {problem}")
            if header.n_bands > 1 and band not in item.bands:
                return DropRecord(item.id, "", "stac", "encoding", f"{band} has {describe_bands(header.n_bands)}")
            if band == probe.band:
                assert header.epsg is not None
                acquisition = replace(
                    acquisition,
                    epsg=header.epsg,
                    origin=header.origin,
                    size_px=header.shape[::-1],
                    pixel_m=header.pixel_size,
                )
    return acquisition


def _read_header(stack: ExitStack, pending: PendingRaster) -> tuple[Header, str | None]:
    """A raster's header, and what it has in place of a grid."""
    raster = stack.enter_context(open_raster(pending))
    if raster.header.epsg is None and raster.grid_problem is None:
        return raster.header, "a CRS without EPSG code: assign one (gdal_edit.py -a_srs)"
    return raster.header, raster.grid_problem


def find_implausible_grids(acquisitions: Sequence[Acquisition]) -> list[Acquisition]:
    """Acquisitions whose item is suspect: its grid does not cover its footprint, or begins half a pixel off."""
    suspect = []
    for epsg in sorted({acquisition.epsg for acquisition in acquisitions}):
        of_zone = [acquisition for acquisition in acquisitions if acquisition.epsg == epsg]
        areas = reproject(np.array([acquisition.footprint for acquisition in of_zone], dtype=object), LONLAT, epsg)
        frames = np.array([_frame(acquisition) for acquisition in of_zone])
        outside = shapely.area(shapely.difference(shapely.make_valid(areas), frames)) / shapely.area(areas)
        pairs = zip(of_zone, outside.tolist(), strict=True)
        suspect += [item for item, share in pairs if not share <= _MAX_OUTSIDE or _is_half_off(item)]
    return suspect


def _frame(acquisition: Acquisition) -> shapely.Polygon:
    (left, top), (width, height), pixel_m = acquisition.origin, acquisition.size_px, acquisition.pixel_m
    return shapely.box(left, top - height * pixel_m, left + width * pixel_m, top)


def _is_half_off(acquisition: Acquisition) -> bool:
    """Whether the origin is probably the centre of the first pixel."""
    return all(abs(edge / acquisition.pixel_m % 1 - 0.5) < _HALF_TOLERANCE_PX for edge in acquisition.origin)


def grid_mismatch(cataloged: Acquisition, measured: Acquisition) -> str | None:
    """Finding if the grid of a STAC item differs from that of its file; None if they agree or the item has none."""
    if cataloged.pixel_m == 0 or _format_grid(cataloged) == _format_grid(measured):
        return None
    item, grids = cataloged.items[0], (_format_grid(cataloged), _format_grid(measured))
    return f"{item.id}: grid of the item: {grids[0]}; of its file, which is used: {grids[1]}"


def _format_grid(acquisition: Acquisition) -> str:
    (left, top), (width, height) = acquisition.origin, acquisition.size_px
    return f"{width} x {height} px of {acquisition.pixel_m:g} m from ({left:.2f}, {top:.2f}) in EPSG:{acquisition.epsg}"
