"""Parse the names of Sentinel products, as ESA and the providers of its data use them for STAC items."""

import datetime as dt
import re
from functools import lru_cache
from typing import NamedTuple

# `S2A_MSIL2A_20220506T101601_N0400_R065_T32TQM_20220506T142203`; the Planetary Computer omits the baseline.
_S2 = re.compile(
    r"(?P<platform>S2[A-D])_MSI(?P<level>L1C|L2A)_(?P<start>\d{8}T\d{6})_(?:N(?P<baseline>\d{4})_)?R(?P<orbit>\d{3})"
    r"_T(?P<tile>\w{5})_(?P<made>\d{8}T\d{6})"
)
# `S2A_32TQM_20220506_0_L2A` and `S2A_T32TQM_20220506T101921_L2A` of Earth Search.
_S2_TILE = re.compile(
    r"(?P<platform>S2[A-D])_T?(?P<tile>\d{1,2}[A-Z]{3})_(?P<day>\d{8})(?:T\d{6}|_\d+)_(?P<level>L1C|L2A)"
)
# `S1A_IW_GRDH_1SDV_20240419T045749_20240419T045814_053498_067DF2_rtc`
_S1 = re.compile(
    r"(?P<platform>S1[A-D])_(?P<mode>IW|EW|WV|S\d)_(?P<type>[A-Z]{3})[FHM_]_\dS(?P<polarisation>[A-Z]{2})"
    r"_(?P<start>\d{8}T\d{6})_(?P<stop>\d{8}T\d{6})_(?P<orbit>\d{6})_[0-9A-F]{6}"
)
_PATTERNS = [re.compile(rf"(?<![A-Za-z0-9]){pattern.pattern}(?![A-Za-z0-9])") for pattern in (_S2, _S2_TILE, _S1)]
_TIME, _DAY = "%Y%m%dT%H%M%S", "%Y%m%d"
_PLATFORM = re.compile(r"(?:sentinel|s)[-_ ]?([12])[-_ ]?([a-d])", re.IGNORECASE)


class ProductName(NamedTuple):
    """What the name of a product states; None for what it does not.

    Attributes:
        sensor: `s1` or `s2`.
        platform: As in the column `platform`, such as `sentinel-1a`.
        start: Start of the slice (S1) or datatake (S2), UTC.
        stop: End of the slice.
        day: Day of the image.
        made: The product discriminator of S2: mostly the time of processing.
        relative_orbit: Of S2.
        absolute_orbit: Of S1.
        baseline: As in the column `baseline`, such as `04.00`.
        tile: MGRS square.
        kind: Parts of the name that say what was measured: level (S2), mode (S1).
        polarisation: `DV` for VV and VH.
    """

    sensor: str
    platform: str
    day: dt.date
    start: dt.datetime | None = None
    stop: dt.datetime | None = None
    made: dt.datetime | None = None
    relative_orbit: int | None = None
    absolute_orbit: int | None = None
    baseline: str | None = None
    tile: str | None = None
    kind: str | None = None
    polarisation: str | None = None


@lru_cache(maxsize=4096)
def parse_product_name(text: str) -> ProductName | None:
    """The product that a text names; None if it holds no such name, or an impossible time."""
    match = next((match for pattern in _PATTERNS if (match := pattern.search(text))), None)
    if match is None:
        return None
    parts = match.groupdict()
    try:
        start, stop, made = (_time(parts.get(name)) for name in ("start", "stop", "made"))
        day = start.date() if start else dt.datetime.strptime(parts["day"], _DAY).replace(tzinfo=dt.UTC).date()
    except ValueError:
        return None
    platform, orbit, baseline = platform_slug(parts["platform"]), parts.get("orbit"), parts.get("baseline")
    is_s1 = platform is not None and platform.startswith("sentinel-1")
    return ProductName(
        sensor="s1" if is_s1 else "s2",
        platform=str(platform),
        day=day,
        start=start,
        stop=stop,
        made=made,
        relative_orbit=int(orbit) if orbit and not is_s1 else None,
        absolute_orbit=int(orbit) if orbit and is_s1 else None,
        baseline=f"{baseline[:2]}.{baseline[2:]}" if baseline else None,
        tile=parts.get("tile"),
        kind=parts.get("mode") or parts.get("level"),
        polarisation=parts.get("polarisation"),
    )


def platform_slug(text: str) -> str | None:
    """A platform as `sentinel-1a`, however it is written; None if no single satellite is named."""
    match = _PLATFORM.fullmatch(text)
    return f"sentinel-{match[1]}{match[2].lower()}" if match else None


def _time(text: str | None) -> dt.datetime | None:
    return dt.datetime.strptime(text, _TIME).replace(tzinfo=dt.UTC) if text else None
