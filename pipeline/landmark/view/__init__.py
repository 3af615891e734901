"""A corpus as pictures and pages, and one sample explained."""

from landmark.view.explain import Explained, explain
from landmark.view.page import page
from landmark.view.render import rgb
from landmark.view.sheet import contact_sheet

__all__ = ["Explained", "contact_sheet", "explain", "page", "rgb"]
