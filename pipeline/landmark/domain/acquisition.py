"""What the archive holds: acquisitions of the two sensors, and label rasters."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

from shapely.geometry.base import BaseGeometry

from landmark.domain.taxonomy import LabelVintage


@dataclass(frozen=True, slots=True)
class Item:
    """One STAC item of an acquisition.

    Attributes:
        id: The provider's id.
        assets: Band (or mask band) → href, unsigned, relative to the catalogue's root where it lies under it.
        digest: Digest of the item's properties and assets, for the lock.
    """

    id: str
    assets: dict[str, str]
    digest: str

    def href(self, band: str, root: str) -> str:
        """Where a band lies: under `root` (a folder or URL, ending in a slash) unless its href is whole."""
        href = self.assets[band]
        return href if "://" in href else root + href


@dataclass(frozen=True, slots=True)
class Acquisition:
    """The items of one datatake and tile (S2) or one item (S1).

    Attributes:
        id: `<sensor>_<tile, or EPSG code for S1>_<UTC second>_<relative orbit>`.
        moment: UTC second that names the samples: the datatake's start for S2, the slice's start for S1.
        epsg: UTM zone of the rasters.
        origin: (left, top) of the finest raster in metres, from the catalogue or a header asked while planning; when
            reading, headers decide.
        size_px: (width, height) of the finest raster.
        pixel_m: Pixel size of the finest raster in metres.
        cloud_pct: Of the whole item, None where unknown.
        offset_dn: Subtracted from each valid digital number (S2).
        offset_rule: Why `offset_dn` is what it is.
        footprint: Where the item has data, in EPSG:4326.
    """

    id: str
    sensor: str
    moment: dt.datetime
    epsg: int
    origin: tuple[float, float]
    size_px: tuple[int, int]
    pixel_m: float
    items: tuple[Item, ...]
    footprint: BaseGeometry
    tile: str | None = None
    platform: str | None = None
    orbit_direction: str | None = None
    relative_orbit: int | None = None
    baseline: str | None = None
    cloud_pct: float | None = None
    offset_dn: int = 0
    offset_rule: str | None = None

    def sample_id(self, cell: str) -> str:
        """Id of the sample this acquisition gives in a cell; the same at every provider."""
        return f"{self.sensor}_{cell}_{self.moment:%Y%m%dt%H%M%S}_r{self.relative_orbit or 0:03d}"

    def to_json(self) -> dict[str, Any]:
        """For the lock: everything but the footprint, which only the plan needs."""
        fields = {name: getattr(self, name) for name in self.__slots__ if name not in ("footprint", "items", "moment")}
        items = [{"id": item.id, "assets": item.assets, "digest": item.digest} for item in self.items]
        return {**fields, "moment": self.moment.isoformat(), "items": items}

    @classmethod
    def from_json(cls, value: dict[str, Any], footprint: BaseGeometry) -> "Acquisition":
        """Read back from the lock."""
        items = tuple(Item(**item) for item in value["items"])
        moment = dt.datetime.fromisoformat(value["moment"])
        pairs = {"origin": tuple(value["origin"]), "size_px": tuple(value["size_px"])}
        return cls(**{**value, **pairs, "items": items, "moment": moment, "footprint": footprint})


@dataclass(frozen=True, slots=True)
class LabelRaster:
    """A map of one source: a class raster, or a layer of polygons.

    Attributes:
        vintage: Edition, and the interval its labels describe.
        item: The provider's id; of a file on disk its name without ending.
        href: Unsigned and absolute.
        recorded_href: As the lock records it, relative to the catalogue's root where it lies under it; of a file on
            disk its name alone.
        digest: Digest of the item's properties and asset, for the lock; of a file on disk that of its bytes.
        footprint: Where it may have labels, in EPSG:4326.
        local: True where a recipe or a person named the file, and no catalogue.
        layer: Of polygons.
        field: Attribute that holds the polygons' code; None for a raster.
    """

    vintage: LabelVintage
    item: str
    href: str
    recorded_href: str
    digest: str
    footprint: BaseGeometry
    local: bool = False
    layer: str | None = None
    field: str | None = None
