"""Acquisitions of the two sensors, and label maps."""

import datetime as dt
from dataclasses import dataclass, field

from landmark.domain.geometry import Geometry
from landmark.domain.taxonomy import LabelEdition


@dataclass(frozen=True, slots=True)
class Item:
    """A STAC item of an acquisition.

    Attributes:
        id: The provider's item id.
        assets: Band or mask band to unsigned href, relative to the catalogue's root where it is below that.
        digest: Digest of the item's properties and assets.
        bands: Band to its number, from 1, in a file of several bands; a file without a number must have one band.
    """

    id: str
    assets: dict[str, str]
    digest: str
    bands: dict[str, int] = field(default_factory=dict)

    def href(self, band: str, root: str) -> str:
        """Absolute href of a band; `root` is the catalogue's folder or URL and ends in a slash."""
        href = self.assets[band]
        return href if "://" in href else root + href


@dataclass(frozen=True, slots=True)
class Acquisition:
    """The STAC items of one datatake and tile (S2), or one item (S1).

    Attributes:
        id: `<sensor>_<tile, or EPSG code for S1>_<UTC second>_<relative orbit>`.
        datetime: UTC second used in sample ids: start of the datatake (S2) or of the slice (S1).
        epsg: UTM zone of the rasters.
        origin: (left, top) of the finest raster in metres, from the item or a header read while planning; extraction
            uses the headers.
        size_px: (width, height) of the finest raster.
        pixel_m: Pixel size of the finest raster in metres.
        items: One for S1; several where S2 publishes granules of a tile separately.
        footprint: Area with data, EPSG:4326.
        cloud_pct: Of the whole item; None if unknown.
        offset_dn: Subtracted from valid digital numbers (S2).
        offset_rule: The rule `offset_dn` follows from.
    """

    id: str
    sensor: str
    datetime: dt.datetime
    epsg: int
    origin: tuple[float, float]
    size_px: tuple[int, int]
    pixel_m: float
    items: tuple[Item, ...]
    footprint: Geometry
    tile: str | None = None
    platform: str | None = None
    orbit_direction: str | None = None
    relative_orbit: int | None = None
    baseline: str | None = None
    cloud_pct: float | None = None
    offset_dn: int = 0
    offset_rule: str | None = None

    def sample_id(self, cell: str) -> str:
        """Id of this acquisition's sample in a cell; the same for every provider."""
        return f"{self.sensor}_{cell}_{self.datetime:%Y%m%dt%H%M%S}_r{self.relative_orbit or 0:03d}"


@dataclass(frozen=True, slots=True)
class LabelRaster:
    """A label map: a class raster, or a layer of polygons.

    Attributes:
        edition: Edition, and the interval its labels describe.
        item_id: The provider's item id; of a local file its name without suffix.
        href: Absolute and unsigned.
        recorded_href: As in the lock: relative to the catalogue's root where possible; of a local file its name.
        digest: Digest of the item's properties and asset; of a local file, of its bytes.
        footprint: Area that may have labels, EPSG:4326.
        local: True for a file named by a recipe or on the command line, False for one of a catalogue.
        layer: Layer of polygons; None for a raster.
        field: Attribute with the polygons' code; None for a raster.
        lon_offsets: The polygons' longitudes are those of EPSG:4326 plus one of these.
    """

    edition: LabelEdition
    item_id: str
    href: str
    recorded_href: str
    digest: str
    footprint: Geometry
    local: bool = False
    layer: str | None = None
    field: str | None = None
    lon_offsets: tuple[int, ...] = (0,)
