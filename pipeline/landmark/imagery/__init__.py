"""(Acquisition, its cells) → chips. Never sees a label."""

from landmark.imagery.chips import Chip, Cut, cut

__all__ = ["Chip", "Cut", "cut"]
