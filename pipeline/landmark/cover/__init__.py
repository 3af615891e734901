"""What lies in each candidate cell, as tables: label codes, and the classes of quality masks. No pixel is kept."""

from landmark.cover.clear import ClearUnit, clear_units, look
from landmark.cover.labels import CoverUnit, cover_units, measure

__all__ = ["ClearUnit", "CoverUnit", "clear_units", "cover_units", "look", "measure"]
