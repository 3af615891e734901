"""A corpus as pictures."""

from landmark.view.page import page
from landmark.view.render import rgb
from landmark.view.sheet import contact_sheet

__all__ = ["contact_sheet", "page", "rgb"]
