"""Recipe → acquisitions and label rasters: which items of the archive there are to choose from."""

from landmark.catalog.documents import Document, open_document
from landmark.catalog.search import Found, search

__all__ = ["Document", "Found", "open_document", "search"]
