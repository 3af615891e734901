"""What lies in each candidate cell, as tables: pixels per combination of label codes. No pixel is kept."""

from landmark.cover.editions import Period, Source
from landmark.cover.labels import Cover, CoverUnit, cover_units, gathered, measure

__all__ = ["Cover", "CoverUnit", "Period", "Source", "cover_units", "gathered", "measure"]
