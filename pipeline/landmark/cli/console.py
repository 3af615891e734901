"""Progress on stderr: a bar on a terminal, a line every few seconds in a log."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from landmark.core.progress import Progress

_LINE_EVERY_S = 5.0


@contextmanager
def reporting() -> Iterator[Progress]:
    """Yield a progress callback that suits stderr: a terminal or a log."""
    console = Console(stderr=True)
    _log_to(console)
    if not console.is_terminal:
        yield _Lines()
        return
    columns = (
        TextColumn("{task.description:<6}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
    )
    with Bar(*columns, TimeRemainingColumn(), TextColumn("{task.fields[detail]}"), console=console) as bar:
        tasks: dict[str, tuple[TaskID, float]] = {}

        def report(stage: str, done: int, total: int, detail: str = "", /) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total, rate="", detail=""), time.monotonic()
            number, start = tasks[stage]
            rate = f"{done / max(time.monotonic() - start, 1e-3):.0f}/s"
            bar.update(number, completed=done, rate=rate, detail=detail)

        yield report


class _Lines:
    """A line at the start and end of each stage, and every few seconds."""

    def __init__(self) -> None:
        self._start: dict[str, float] = {}
        self._last: dict[str, float] = {}

    def __call__(self, stage: str, done: int, total: int, detail: str = "", /) -> None:
        now = time.monotonic()
        start = self._start.setdefault(stage, now)
        if done < total and now - self._last.get(stage, float("-inf")) < _LINE_EVERY_S:
            return
        self._last[stage] = now
        rate = done / (now - start) if now > start else 0.0
        eta = f", {(total - done) / rate:.0f} s left" if rate and done < total else ""
        suffix = f"; {detail}" if detail else ""
        print(f"{stage}: {done} of {total}, {rate:.0f}/s{eta}{suffix}", file=sys.stderr, flush=True)


def _log_to(console: Console) -> None:
    handler: logging.Handler
    if console.is_terminal:
        handler = RichHandler(console=console, show_path=False, show_level=False)
    else:
        handler = logging.StreamHandler(sys.stderr)
    logging.getLogger("landmark").handlers = [handler]
    logging.getLogger("landmark").setLevel(logging.INFO)
