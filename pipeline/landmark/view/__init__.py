"""A corpus as pictures."""

from landmark.view.render import s1_rgb, s2_rgb
from landmark.view.sheet import contact_sheet

__all__ = ["contact_sheet", "s1_rgb", "s2_rgb"]
