"""End the process on SIGINT or SIGTERM at once, whatever it waits for, and its worker processes with it.

Nothing is unwound: files appear by rename, so that the same command resumes after an end at any moment.
"""

import atexit
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

_MESSAGES = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
_SHOW_CURSOR = "\x1b[?25h"
_WRITE_TIMEOUT_S = 1

_ending = threading.RLock()
_cleanups: list[Callable[[], None]] = []
_installed = False


def end_on_signals() -> Callable[[], None]:
    """Exit with 130 on SIGINT and 143 on SIGTERM from now on, with one line on stderr; return what undoes this.

    A thread of its own ends the process: the main thread may be in a library's call that returns only after minutes.
    """
    global _installed
    if _installed or threading.current_thread() is not threading.main_thread():
        return lambda: None
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    previous_fd = signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    previous = {signum: signal.signal(signum, lambda number, _: _end(number)) for signum in _MESSAGES}
    threading.Thread(target=_watch, args=(read_end,), name="signals", daemon=True).start()
    # First registered, so last called: an interpreter that closes resets the handlers, and the command is done by then.
    atexit.register(_ignore_signals)
    _installed = True

    def undo() -> None:
        global _installed
        for signum, handler in previous.items():
            signal.signal(signum, handler)
        signal.set_wakeup_fd(previous_fd)
        os.close(write_end)
        atexit.unregister(_ignore_signals)
        _installed = False

    return undo


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """The same within a block."""
    undo = end_on_signals()
    try:
        yield
    finally:
        undo()


@contextmanager
def cleaned_up(cleanup: Callable[[], None]) -> Iterator[None]:
    """Call `cleanup` at the end of the block, or when a signal ends the process before."""
    _cleanups.append(cleanup)
    try:
        yield
    finally:
        try:
            cleanup()
        finally:
            _cleanups.remove(cleanup)


@contextmanager
def children_without_interrupts() -> Iterator[None]:
    """Block SIGINT in threads and processes that start in the block: a terminal sends it to all processes at once."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _ignore_signals() -> None:
    for signum in _MESSAGES:
        signal.signal(signum, signal.SIG_IGN)


def _watch(read_end: int) -> None:
    """End the process as soon as one of the signals arrives; return once the pipe is closed."""
    while numbers := os.read(read_end, 1):
        if numbers[0] in _MESSAGES:
            _end(numbers[0])
    os.close(read_end)


def _end(number: int) -> None:
    with _ending:
        try:
            _start_no_more_workers()
            _kill_children()
            for cleanup in _cleanups:
                cleanup()
            # A worker that was being started.
            _kill_children()
            _print(f"error: {_MESSAGES[signal.Signals(number)]}; run the same command again to resume\n")
        finally:
            os._exit(128 + number)


def _start_no_more_workers() -> None:
    """Let threads that start a worker process from now on wait: it would lose its parent and print a traceback."""
    # Not imported: another thread may be importing it, and would be waited for.
    util: Any = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.spawnv_passfds = lambda *_: threading.Event().wait()


def _kill_children() -> None:
    """Kill the worker processes; what multiprocessing's tracker cleans up after them is left to it."""
    if "multiprocessing.process" not in sys.modules:
        return
    import psutil

    # Not multiprocessing's own list: a process is on it only once its parent has started it and sent its arguments.
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):
            if not any("resource_tracker" in argument for argument in child.cmdline()):
                child.kill()


def _print(line: str) -> None:
    """Write to stderr, unless it is a pipe that nobody reads."""
    if os.isatty(2):
        line = f"{_SHOW_CURSOR}\n{line}"
    if select.select([], [2], [], _WRITE_TIMEOUT_S)[1]:
        os.write(2, line.encode())
