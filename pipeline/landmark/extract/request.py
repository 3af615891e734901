"""Request for the chips of one acquisition, and its results."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from landmark.config.profiles import Sensor, SensorCollection
from landmark.core.ranges.answers import Validators
from landmark.domain.acquisition import Acquisition
from landmark.raster.access import PUBLIC_ACCESS, AccessPolicy


@dataclass(frozen=True, slots=True)
class ExtractRequest:
    """Chips to extract from one acquisition.

    Attributes:
        ids: Sample ids.
        corners: (left, top) of each chip in metres of its CRS.
        root: Prefix of relative hrefs.
        collection: How the provider stores the sensor.
        max_chip_pct: Largest allowed share of cloud and shadow.
        min_valid_pct: Smallest allowed share of pixels with data in every band.
        access: How absolute hrefs are read.
        epsgs: CRS of each chip; empty if all are in the acquisition's CRS. Chips in another CRS are warped.
        expected: Href of an asset → the versions it may have; other assets may have any.
    """

    acquisition: Acquisition
    ids: tuple[str, ...]
    corners: tuple[tuple[float, float], ...]
    root: str
    sensor: Sensor
    collection: SensorCollection
    patch_px: int
    resolution_m: float
    max_chip_pct: float
    min_valid_pct: float
    access: AccessPolicy = PUBLIC_ACCESS
    epsgs: tuple[int, ...] = ()
    expected: Mapping[str, tuple[Validators, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Chip:
    """Pixels of one sample.

    Attributes:
        groups: Column → stored array (band, y, x).
        valid_pct: Share of pixels with data in every band.
        cloud_pct: Share of the chip's mask pixels, as `shadow_pct` and `snow_pct`; None without a mask.
        dark_dn: Smallest first percentile of the digital numbers of the sensor's `dark_bands`; None without such bands.
        sha256: Of the stored arrays.
    """

    id: str
    groups: dict[str, NDArray[Any]]
    valid_pct: float
    cloud_pct: float | None
    shadow_pct: float | None
    snow_pct: float | None
    dark_dn: int | None
    sha256: str


class ChipRejected(Exception):
    """A chip, or every chip of a request, cannot be extracted.

    Attributes:
        reason: Name of a `Reason` of the ledger.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail
