"""(Acquisition, its cells) → chips. Never sees a label."""

from landmark.imagery.chips import Chip, Cut, cut
from landmark.imagery.headers import Look, disagreement, look

__all__ = ["Chip", "Cut", "Look", "cut", "disagreement", "look"]
