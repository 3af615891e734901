"""Packages, perimeters and catalogues → events; their masks."""
