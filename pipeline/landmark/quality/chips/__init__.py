"""Measures of the pixels of one chip."""
