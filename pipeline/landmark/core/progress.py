"""The one progress callback of all long work."""

from typing import Protocol


class Progress(Protocol):
    """Receives how far a stage is."""

    def __call__(self, stage: str, done: int, total: int, detail: str = "", /) -> None:
        """Report `done` of `total` tasks of a stage, with a short text on what was dropped or how the loss goes."""


def silent(stage: str, done: int, total: int, detail: str = "", /) -> None:
    """Ignore progress."""
