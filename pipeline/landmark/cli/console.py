"""What a person sees while work goes on: a bar on a terminal, a line now and then in a log. Always on stderr."""

import logging
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from landmark.domain.drops import Tally

_LINE_EVERY_S = 5.0

Report = Callable[[str, int, int, Tally], None]


@contextmanager
def reporting() -> Iterator[Report]:
    """A progress callback fit for where stderr goes, for as long as the block lasts."""
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
    with Progress(*columns, TimeRemainingColumn(), TextColumn("{task.fields[lost]}"), console=console) as progress:
        tasks: dict[str, tuple[TaskID, float]] = {}

        def report(stage: str, done: int, of: int, tally: Tally) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=of, rate="", lost=""), time.monotonic()
            number, start = tasks[stage]
            rate = f"{done / max(time.monotonic() - start, 1e-3):.0f}/s"
            progress.update(number, completed=done, rate=rate, lost=_lost(tally))

        yield report


class _Lines:
    """A line at the start, every few seconds, and at the end of each stage."""

    def __init__(self) -> None:
        self._start: dict[str, float] = {}
        self._last: dict[str, float] = {}

    def __call__(self, stage: str, done: int, of: int, tally: Tally) -> None:
        now = time.monotonic()
        start = self._start.setdefault(stage, now)
        if done < of and now - self._last.get(stage, float("-inf")) < _LINE_EVERY_S:
            return
        self._last[stage] = now
        rate = done / (now - start) if now > start else 0.0
        eta = f", {(of - done) / rate:.0f} s left" if rate and done < of else ""
        print(f"{stage}: {done} of {of}, {rate:.0f}/s{eta}{_lost(tally)}", file=sys.stderr, flush=True)


def _lost(tally: Tally) -> str:
    parts = [_counts("dropped", tally.dropped), _counts("failed", tally.failed)]
    return "".join(f"; {part}" for part in parts if part)


def _counts(word: str, counts: Counter[str]) -> str:
    reasons = ", ".join(f"{reason} {count}" for reason, count in counts.most_common())
    return f"{word} {counts.total()} ({reasons})" if counts else ""


def _log_to(console: Console) -> None:
    handler: logging.Handler
    if console.is_terminal:
        handler = RichHandler(console=console, show_path=False, show_level=False)
    else:
        handler = logging.StreamHandler(sys.stderr)
    logging.getLogger("landmark").handlers = [handler]
    logging.getLogger("landmark").setLevel(logging.INFO)
