"""What is asked of an acquisition, and what comes of it."""

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from landmark.config.profiles import Imagery, Sensor
from landmark.domain.acquisition import Acquisition
from landmark.raster.access import OPEN, Access


@dataclass(frozen=True, slots=True)
class Cut:
    """What to cut from one acquisition.

    Attributes:
        ids: Sample ids.
        corners: (left, top) of each chip in metres of its CRS.
        root: Prefix of relative hrefs; access: How others are read.
        max_chip_pct: Limit of cloud plus shadow; min_valid_pct: of pixels with data in every band.
        epsgs: CRS of each chip, the acquisition's where none are given; chips of another are warped.
    """

    acquisition: Acquisition
    ids: tuple[str, ...]
    corners: tuple[tuple[float, float], ...]
    root: str
    sensor: Sensor
    imagery: Imagery
    patch_px: int
    resolution_m: float
    max_chip_pct: float
    min_valid_pct: float
    access: Access = OPEN
    epsgs: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Chip:
    """The pixels of one sample.

    Attributes:
        groups: Per column the stored array (band, y, x).
        valid_pct: Share of pixels with data in every band; cloud, shadow, snow: of the chip, by its mask; None
            without one.
        dark_dn: Smallest first percentile of the digital numbers of the bands that betray an offset, None without such.
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


class Refused(Exception):
    """A chip (or all of them) that cannot be: reason and detail."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail
