"""Radiometric offset of Sentinel-2: the value to subtract from an item's digital numbers, and the reason.

From processing baseline 04.00 on, ESA adds 1000 to every digital number. Some providers subtract it, some declare it,
some do neither, and one declares it after subtracting it. The sensing date does not determine it: old scenes are
reprocessed. Source: Sentinel-2 Products Specification Document 14.9, BOA_ADD_OFFSET; the STAC raster extension.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import pystac

from landmark.core.errors import InputError

Rule = Literal["baseline", "declared", "none"]

_FIRST_BASELINE = "04.00"
_ADDED_DN = 1000
# Stored values are reflectance x 10000.
_SCALE = 1e-4


def radiometric_offset(
    rule: Rule, *, baseline: str | None, applied: bool | None, declared: float | None
) -> tuple[int, str | None]:
    """Offset to subtract from valid digital numbers, and the reason.

    Args:
        rule: Offset of items that declare none: `baseline` (by the baseline), `declared` (items with an offset declare
            it), `none` (pixels never have one).
        baseline: Processing baseline, `04.00`; two digits on either side, so that baselines compare as text.
        applied: `earthsearch:boa_offset_applied`.
        declared: Offset in reflectance, as in the raster extension.

    Raises:
        InputError: the offset is unknown.
    """
    if rule == "none":
        return 0, None
    if applied:
        return 0, "boa_offset_applied: true: none left"
    added = _ADDED_DN if baseline is not None and baseline >= _FIRST_BASELINE else 0
    if declared is not None and not (declared == 0 and applied is False and added):
        offset_dn = round(-declared / _SCALE)
        return offset_dn, f"declared {declared:g}: {offset_dn or 'none'}"
    if baseline is None:
        raise InputError("unknown, and so is the offset of the pixels", key="s2:processing_baseline")
    if rule == "declared" and applied is None and added:
        raise InputError(
            f"no band declares it, but baseline {baseline} adds an offset",
            key="raster:offset",
            remedy="set `offset: baseline` in the provider's profile if its pixels are ESA's",
        )
    return added, f"baseline {baseline}: {added or 'none'}"


def declared_offset(item: pystac.Item, assets: Mapping[str, pystac.Asset]) -> float | None:
    """Offset in reflectance that the assets or the item declare; None if undeclared.

    Raises:
        InputError: bands disagree, a value is not a number, or the scale is not 1/10000.
    """
    pairs = {pair for asset in assets.values() for pair in _offsets_and_scales(asset.extra_fields)}
    pairs = pairs or set(_offsets_and_scales(item.properties))
    if not pairs:
        return None
    file = f"item {item.id}"
    for offset, scale in pairs:
        for key, value in (("raster:offset", offset), ("raster:scale", scale)):
            if not isinstance(value, int | float):
                raise InputError("must be a number", file=file, key=key, value=value)
        if abs(scale - _SCALE) > 1e-9:
            raise InputError(f"must be {_SCALE:g}", file=file, key="raster:scale", value=scale)
    offsets = sorted({float(offset) for offset, _ in pairs})
    if len(offsets) > 1:
        raise InputError("bands have different offsets", file=file, key="raster:offset", value=offsets)
    return offsets[0]


def _offsets_and_scales(fields: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    """(offset, scale) by both versions of the raster extension and by the bands of STAC 1.1."""
    bands = [band for key in ("raster:bands", "bands") for band in (fields.get(key) or ()) if isinstance(band, dict)]
    for level, prefix in ((fields, "raster:"), *((band, "raster:") for band in bands), *((band, "") for band in bands)):
        if level.get(f"{prefix}offset") is not None:
            scale = level.get(f"{prefix}scale")
            yield level[f"{prefix}offset"], _SCALE if scale is None else scale
