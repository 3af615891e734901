"""What lies in each candidate cell, as tables: pixels per combination of label codes. No pixel is kept."""

from landmark.cover.labels import CoverUnit, cover_units, measure

__all__ = ["CoverUnit", "cover_units", "measure"]
