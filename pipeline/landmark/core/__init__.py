"""Errors, time, CRS, hashing, YAML, atomic files, HTTP, progress and the executor."""
