"""Record which versions of remote files a task reads."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from landmark.core.ranges.answers import FileVersion, Validators

_recorded: ContextVar[dict[str, Validators] | None] = ContextVar("_recorded", default=None)


@contextmanager
def recording_versions() -> Iterator[dict[str, Validators]]:
    """Provide the versions, by href, of the remote rasters that this thread opens and closes in the block."""
    versions: dict[str, Validators] = {}
    token = _recorded.set(versions)
    try:
        yield versions
    finally:
        _recorded.reset(token)


@contextmanager
def record_version(href: str) -> Iterator[None]:
    """Record the version of a file that is read in the block; none without an answer that names its range."""
    version = FileVersion.of(href)
    try:
        yield
    finally:
        versions = _recorded.get()
        if versions is not None and version.first is not None:
            versions[href] = version.first


@dataclass(frozen=True, slots=True)
class WithVersions:
    """A function of a task that also returns the versions of the files it read; picklable as the function is."""

    function: Callable[[Any], Any]

    def __call__(self, task: Any) -> tuple[Any, dict[str, Validators]]:
        """Call the function."""
        with recording_versions() as versions:
            return self.function(task), versions
