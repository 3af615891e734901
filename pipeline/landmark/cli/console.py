"""Progress on stderr: a bar on a terminal, a line every few seconds in a log."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from landmark.core.progress import Progress

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

_LINE_EVERY_S = 5.0
_TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


@contextmanager
def reporting() -> Iterator[Progress]:
    """Yield a progress callback that suits stderr: a terminal or a log."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

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
        tasks: dict[str, TaskID] = {}
        rates = _Rates()

        def report(stage: str, done: int, total: int, detail: str = "", /) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total, rate="", detail="")
            rate = format_rate(rates.update(stage, done))
            bar.update(tasks[stage], completed=done, rate=rate, detail=detail)

        yield report


class _Lines:
    """A line at the start and end of each stage, and every few seconds."""

    def __init__(self) -> None:
        self._rates = _Rates()
        self._last: dict[str, float] = {}

    def __call__(self, stage: str, done: int, total: int, detail: str = "", /) -> None:
        now, rate = time.monotonic(), self._rates.update(stage, done)
        if done < total and now - self._last.get(stage, float("-inf")) < _LINE_EVERY_S:
            return
        self._last[stage] = now
        left = f"{(total - done) / rate:.0f} s left" if rate and done < total else ""
        parts = ", ".join(filter(None, (f"{stage}: {done} of {total}", format_rate(rate), left)))
        suffix = f"; {detail}" if detail else ""
        moment = time.strftime(_TIME_FORMAT, time.gmtime())
        print(f"{moment} {parts}{suffix}", file=sys.stderr, flush=True)


class _Rates:
    """Rate of each stage since its first report; what an interrupted run had done before does not count."""

    def __init__(self) -> None:
        self._first: dict[str, tuple[float, int]] = {}

    def update(self, stage: str, done: int) -> float:
        """Tasks per second; 0 until a second report."""
        now = time.monotonic()
        start, done_before = self._first.setdefault(stage, (now, done))
        return (done - done_before) / (now - start) if now > start else 0.0


def format_rate(rate: float) -> str:
    """A rate as `12/s`, or below one a second as `5.0 s each`; empty where it is not known."""
    if rate <= 0:
        return ""
    return f"{rate:.0f}/s" if rate >= 1 else f"{1 / rate:.1f} s each"


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to what is stderr at the moment of a message: threads may log when another command has replaced it."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        """The current stderr."""
        return sys.stderr


def _log_to(console: "Console") -> None:
    handler: logging.Handler
    if console.is_terminal:
        from rich.logging import RichHandler

        handler = RichHandler(console=console, show_path=False, show_level=False)
    else:
        handler = _StderrHandler()
        handler.setFormatter(formatter := logging.Formatter("%(asctime)s %(message)s", _TIME_FORMAT))
        formatter.converter = time.gmtime
    logging.getLogger("landmark").handlers = [handler]
    logging.getLogger("landmark").setLevel(logging.INFO)
