"""What lies in each candidate cell, as tables: label codes, and the classes of quality masks. No pixel is kept."""

from landmark.cover.clear import ClearUnit, clear_units, look
from landmark.cover.editions import Period, Source
from landmark.cover.labels import Cover, CoverUnit, cover_units, gathered, measure

__all__ = [
    "ClearUnit",
    "Cover",
    "CoverUnit",
    "Period",
    "Source",
    "clear_units",
    "cover_units",
    "gathered",
    "look",
    "measure",
]
