"""Textures of kinds of land: rows of plantations, ridges of dunes, gaps between shrubs and pools of wetlands."""

from collections.abc import Callable
from typing import Any

import numpy as np

from landmark.world.ground import KINDS, Canvas, rotate
from landmark.world.plane import F, unit

MAX_SHARE = 0.49  # of a pixel, so that it keeps the label of its kind


def draw_patterns(canvas: Canvas, patterns: dict[str, Any], local: Callable[[str], str]) -> None:
    """Cover kinds of land in part by another kind, in their pattern; `local` maps names of the palette to kinds."""
    for kind, pattern in patterns.items():
        where = canvas.kind == KINDS[kind]
        if where.any():
            wave = _FORMS[pattern["form"]](canvas, pattern["period_m"])[where]
            canvas.overlay[where] = KINDS[local(pattern["between"])]
            canvas.share[where] = (MAX_SHARE * wave).astype(np.float32)


def _rows(canvas: Canvas, period_m: float) -> F:
    """Return waves from 0 to 1 in a direction of each parcel."""
    angle = unit(canvas.parcel, 81) * np.pi
    across, _ = rotate(canvas.at, (np.zeros_like(angle), np.zeros_like(angle)), angle)
    return np.asarray(np.sqrt(0.5 + 0.5 * np.sin(2 * np.pi * across / period_m)))


def _ridges(canvas: Canvas, period_m: float) -> F:
    """Return waves from 0 to 1 across winding ridges."""
    return np.asarray(0.5 + 0.5 * np.sin(2 * np.pi * canvas.warped[0] / period_m))


def _gaps(canvas: Canvas, period_m: float) -> F:
    """Return 1 in gaps of irregular form, else 0."""
    return np.asarray(canvas.field("gaps", period_m / 5, 1.0) > 0.3)


def _pools(canvas: Canvas, period_m: float) -> F:
    """Return 1 in narrow winding pools, else 0."""
    return np.asarray(np.abs(canvas.field("pools", period_m / 6, 1.4)) < 0.25)


_FORMS: dict[str, Callable[[Canvas, float], F]] = {"rows": _rows, "ridges": _ridges, "gaps": _gaps, "pools": _pools}
