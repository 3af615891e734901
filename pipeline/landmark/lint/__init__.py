"""Checks and comparisons of the files of `taxonomies/`."""
