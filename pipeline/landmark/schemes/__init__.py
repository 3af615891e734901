"""The files of `taxonomies/`: every mistake in them by name, and what they say as tables."""

from landmark.schemes.check import Checked, Mistake, check
from landmark.schemes.tables import Table, diff, show

__all__ = ["Checked", "Mistake", "Table", "check", "diff", "show"]
