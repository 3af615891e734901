"""Recipe → acquisitions and label maps: which items of the archive, and which files, there are to choose from."""

from landmark.catalog.documents import Document, NoArchive, Query
from landmark.catalog.labels import Given, file_digest, given_files, label_collection
from landmark.catalog.opening import open_document
from landmark.catalog.search import Found, Window, search

__all__ = [
    "Document",
    "Found",
    "Given",
    "NoArchive",
    "Query",
    "Window",
    "file_digest",
    "given_files",
    "label_collection",
    "open_document",
    "search",
]
