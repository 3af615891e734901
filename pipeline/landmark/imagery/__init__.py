"""(Acquisition, its cells) → chips. Never sees a label."""

from landmark.imagery.chips import cut
from landmark.imagery.headers import Look, disagreement, look
from landmark.imagery.request import Chip, Cut

__all__ = ["Chip", "Cut", "Look", "cut", "disagreement", "look"]
