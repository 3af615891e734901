"""Temporary folders that a signal does not leave behind."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from landmark.core.signals import cleaned_up


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A private folder that is removed at the end of the block, or when a signal ends the process before."""
    folder = tempfile.TemporaryDirectory(prefix="landmark-", ignore_cleanup_errors=True)
    with cleaned_up(folder.cleanup):
        yield Path(folder.name)
