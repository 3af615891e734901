"""The plan: which sample is taken, its split, its pair, its shard.

Pure functions of tables; after this room nothing chooses.
"""

from landmark.draw.around import around
from landmark.draw.choosing import choices
from landmark.draw.clearest import shortlist
from landmark.draw.distance import gaps_below
from landmark.draw.estimate import Estimate, amplification, estimate
from landmark.draw.meaning import Selection, select
from landmark.draw.plan import Drawn, draw
from landmark.draw.sample import Sampled, sample

__all__ = [
    "amplification",
    "around",
    "choices",
    "draw",
    "estimate",
    "gaps_below",
    "sample",
    "select",
    "shortlist",
    "Drawn",
    "Estimate",
    "Sampled",
    "Selection",
]
