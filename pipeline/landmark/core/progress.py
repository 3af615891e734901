"""Protocol of the progress callbacks of all long work."""

from typing import Protocol


class Progress(Protocol):
    """Callback for the progress of a stage."""

    def __call__(self, stage: str, done: int, total: int, detail: str = "", /) -> None:
        """Report `done` of `total` tasks of a stage, with a short text such as the number of drops or the loss."""


def silent(stage: str, done: int, total: int, detail: str = "", /) -> None:
    """Ignore progress."""
