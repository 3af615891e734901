"""Benchmarks: read speed, planning at the size of Europe, and which planted defects `landmark check` detects."""

from bench import (
    acquisitions,
    cells,
    copies,
    damage,
    derived,
    events,
    facts,
    famous,
    foreign,
    labels,
    leaks,
    optical,
    pairs,
    radar,
    scene_levels,
    texts,
    words,
)
from bench.registry import DEFECTS

__all__ = [
    "DEFECTS",
    "acquisitions",
    "cells",
    "copies",
    "damage",
    "derived",
    "events",
    "facts",
    "famous",
    "foreign",
    "labels",
    "leaks",
    "optical",
    "pairs",
    "radar",
    "scene_levels",
    "texts",
    "words",
]
