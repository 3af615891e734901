"""Recipe → acquisitions and label rasters: which items of the archive there are to choose from."""

from landmark.catalog.documents import Document, Query
from landmark.catalog.opening import open_document
from landmark.catalog.search import Found, search

__all__ = ["Document", "Found", "Query", "open_document", "search"]
