"""Sentinel-2's radiometric offset: what to subtract from the digital numbers of an item, and why.

From processing baseline 04.00 on, ESA adds 1000 to every digital number. Some providers remove it again, some declare
it, some leave it unsaid, and one declares it after removing it. The day of sensing says nothing: old scenes are
reprocessed. Source: Sentinel-2 Products Specification Document 14.9, BOA_ADD_OFFSET; the STAC raster extension.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import pystac

from landmark.core.errors import InputError

Rule = Literal["baseline", "declared", "none"]

_SINCE = "04.00"
_ADDED_DN = 1000
# Stored values are reflectance x 10000.
_SCALE = 1e-4


def radiometric_offset(
    rule: Rule, *, baseline: str | None, applied: bool | None, declared: float | None
) -> tuple[int, str | None]:
    """What to subtract from valid digital numbers, and the reason; a pure function of what an item says.

    Args:
        rule: What the provider's silence means: `baseline` (the offset follows from the baseline), `declared` (items
            declare one where there is one), `none` (pixels never carry one).
        baseline: Processing baseline, `04.00`; two digits on either side, so that baselines compare as text.
        applied: `earthsearch:boa_offset_applied`.
        declared: Offset in reflectance, as the raster extension has it.

    Raises:
        InputError: what the item says leaves the offset unknown.
    """
    if rule == "none":
        return 0, None
    if applied:
        return 0, "boa_offset_applied: true: none left"
    added = _ADDED_DN if baseline is not None and baseline >= _SINCE else 0
    if declared is not None and not (declared == 0 and applied is False and added):
        offset_dn = round(-declared / _SCALE)
        return offset_dn, f"declared {declared:g}: {offset_dn or 'none'}"
    if baseline is None:
        raise InputError("its processing baseline is unknown, and so is the offset of its pixels")
    if rule == "declared" and applied is None and added:
        raise InputError(
            f"baseline {baseline} adds an offset, but no band declares `raster:offset`:"
            " say `offset: baseline` in the provider's profile if its pixels are ESA's"
        )
    return added, f"baseline {baseline}: {added or 'none'}"


def declared_offset(item: pystac.Item, assets: Mapping[str, pystac.Asset]) -> float | None:
    """The offset the bands declare, at asset or item level, in reflectance; None where none does.

    Raises:
        InputError: bands disagree, a value is no number, or the scale is not 1/10000.
    """
    said = {pair for asset in assets.values() for pair in _said(asset.extra_fields)} or set(_said(item.properties))
    if not said:
        return None
    for offset, scale in said:
        if not isinstance(offset, int | float) or not isinstance(scale, int | float):
            raise InputError(f"item {item.id}: `raster:offset` {offset!r} or `raster:scale` {scale!r} is no number")
        if abs(scale - _SCALE) > 1e-9:
            raise InputError(f"item {item.id}: `raster:scale` is {scale:g}, where reflectance has {_SCALE:g}")
    offsets = sorted(float(offset) for offset, _ in said)
    if len(set(offsets)) > 1:
        raise InputError(f"item {item.id}: its bands declare different offsets: {offsets[0]:g} to {offsets[-1]:g}")
    return offsets[0]


def _said(fields: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    """(offset, scale) as the raster extension's two editions and STAC 1.1's bands have them."""
    bands = [band for key in ("raster:bands", "bands") for band in (fields.get(key) or ()) if isinstance(band, dict)]
    for level, prefix in ((fields, "raster:"), *((band, "raster:") for band in bands), *((band, "") for band in bands)):
        if level.get(f"{prefix}offset") is not None:
            scale = level.get(f"{prefix}scale")
            yield level[f"{prefix}offset"], _SCALE if scale is None else scale
