"""Turn an exception that no command expects into one line and an exit code; the traceback of a fault goes to a log."""

import errno
import os
import re
import sys
import tempfile
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path

from landmark.core.errors import LandmarkError

_MAX_CHARS = 500
# Queries of URLs, where signatures stand; passwords in URLs; tokens in headers; JSON Web Tokens.
_SECRETS = (
    (re.compile(r"(\w://[^\s'\"?]*)\?[^\s'\"]+"), r"\1?…"),
    (re.compile(r"(\w://)[^\s'\"/@]+@"), r"\1…@"),
    (re.compile(r"(?i)\b(bearer|basic) [\w.~+/=-]+"), r"\1 …"),
    (re.compile(r"\beyJ[\w-]+(\.[\w-]*)*"), "…"),
    (re.compile(r"(?i)\b(sig|se|token|secret|password|key|authorization|signature|credential)=[^\s&'\"]+"), r"\1=…"),
)
# Errors of threads, processes and shared libraries that the system has no memory or no process left for.
_EXHAUSTED = re.compile(
    r"can't (start|allocate)|cannot allocate|failed to (map|launch)|out of memory|bad_alloc", re.IGNORECASE
)
_FEWER = "run the same command again with fewer --workers or more memory"


def describe_failure(error: BaseException) -> tuple[str, int]:
    """The lines to print of an exception, and the exit code; writes the log of a fault."""
    if isinstance(error, LandmarkError):
        return str(error), error.exit_code
    if _is_exhausted(error):
        return f"out of memory, threads or processes: {_single_line(error)}; {_FEWER}", 1
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "the disk is full; free some space and run the same command again to resume", 1
    if isinstance(error, OSError) and error.errno is not None:
        return without_secrets(f"{error.filename or ''}: {error.strerror or error}".removeprefix(": ")), 1
    place = "unknown place"
    with suppress(Exception):
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(last.filename).name}, line {last.lineno}"
    log = write_log(error)
    remedy = f"please report it with {log}" if log else "please report it; its log could not be written"
    return f"a fault of landmark: {_single_line(error)} ({place}); {remedy}", os.EX_SOFTWARE


def write_log(error: BaseException) -> Path | None:
    """Write the traceback of a fault, without credentials, for its user alone; None if there is no place to write."""
    header = f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} python {sys.version.split()[0]} {sys.argv}"
    try:
        text = without_secrets(f"{header}\n{''.join(traceback.format_exception(error))}")
    except Exception:  # memory or depth is exhausted, or the exception cannot be printed
        text = f"{header}\n{type(error).__name__}, whose traceback cannot be formatted\n"
    for folder in (_state_folder, tempfile.gettempdir):
        with suppress(Exception):
            handle, name = tempfile.mkstemp(prefix="landmark-", suffix=".log", dir=folder())
            with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
            return Path(name)
    return None


def log_thread_failures() -> None:
    """Print one line for an exception that ends a thread, and write its traceback to a log."""

    def report(arguments: threading.ExceptHookArgs) -> None:
        if arguments.exc_value is not None and not isinstance(arguments.exc_value, SystemExit):
            print(f"warning: a thread ended: {describe_failure(arguments.exc_value)[0]}", file=sys.stderr)

    threading.excepthook = report


def without_secrets(text: str) -> str:
    """A text without queries of URLs, passwords and tokens."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def _state_folder() -> str:
    import platformdirs

    folder = platformdirs.user_log_path("landmark")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return str(folder)


def _is_exhausted(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in (errno.ENOMEM, errno.EAGAIN)):
        return True
    return _EXHAUSTED.search(str(error)) is not None


def _single_line(error: BaseException) -> str:
    """Type and text of an exception on one line."""
    try:
        text = " ".join(without_secrets(str(error)[: 4 * _MAX_CHARS]).split())[:_MAX_CHARS]
    except Exception:  # an exception whose text fails
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
