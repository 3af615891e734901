"""What nobody foresaw ends in one line, with the traceback in a log that holds no credentials."""

import os
import re
import resource
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pyarrow as pa
import pytest

from landmark.cli.failures import describe_failure, log_thread_failures, without_secrets
from landmark.core.errors import InputError
from tests.conftest import Run

SIGNED = "https://account.blob.core.windows.net/c/B04.tif?sv=2021&sig=abcDEF%3D"


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (KeyError(f"at {SIGNED}"), 70),
        (ValueError("two\nlines"), 70),
        (RecursionError("maximum recursion depth exceeded"), 70),
        (MemoryError(), 1),
        (RuntimeError("can't start new thread"), 1),
        (ImportError("libx.so: failed to map segment from shared object"), 1),
        (pa.ArrowException("Failed to launch worker thread: Resource temporarily unavailable"), 1),
        (OSError(12, "Cannot allocate memory"), 1),
        (OSError(28, "No space left on device"), 1),
        (InputError("wrong", file="a.yaml"), 2),
    ],
)
def test_a_fault_is_a_line_and_a_private_log(state: Path, error: Exception, code: int) -> None:
    message, status = describe_failure(error)
    assert status == code and "\n" not in message and "abcDEF" not in message
    logs = list(state.rglob("*.log"))
    assert len(logs) == (code == 70)
    for log in logs:
        assert str(log) in message and stat.S_IMODE(log.stat().st_mode) == 0o600
        assert type(error).__name__ in log.read_text() and "abcDEF" not in log.read_text()


def test_a_fault_without_a_state_folder_is_logged_in_the_temporary_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    (tmp_path / "file").touch()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert str(tmp_path / "landmark-") in describe_failure(KeyError("a"))[0]


@pytest.mark.parametrize(
    "text",
    [SIGNED, "https://user:abcDEF@host/a", "Authorization: Bearer abcDEF.x", "eyJabcDEF.eyJhbGci.x", "token=abcDEF"],
)
def test_credentials_are_removed(text: str) -> None:
    assert "abcDEF" not in without_secrets(f"cannot read {text}")


def test_a_thread_that_ends_with_an_exception_is_a_line(
    state: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    log_thread_failures()
    thread = threading.Thread(target=lambda: {}["a"])
    thread.start()
    thread.join()
    assert len(capfd.readouterr().err.splitlines()) == 1 and list(state.rglob("*.log"))


def test_a_fault_of_a_command_names_the_log(
    landmark: Run, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyError("a bug")

    # No input is known that raises an unexpected exception.
    monkeypatch.setattr("landmark.corpus.manifest.read_document", fail)
    code, out, err = landmark("files", tmp_path)
    assert (code, out, len(err.splitlines())) == (70, "", 1) and str(next(state.rglob("*.log"))) in err


@pytest.mark.parametrize(
    ("command", "code"),
    [(" --help | head -n 1; exit ${PIPESTATUS[0]}", 1), (" --version > /dev/full", 1), (" --version >&-", 0)],
)
def test_a_closed_or_full_stdout_is_no_traceback(command: str, code: int) -> None:
    shell = ["bash", "-c", f"exec 2>&1; {sys.executable} -m landmark{command}"]
    done = subprocess.run(shell, capture_output=True, text=True)
    assert "Traceback" not in done.stdout and "Exception" not in done.stdout and done.returncode in (0, code)


# A thread of multiprocessing prints its own traceback where memory ends in it.
_FEEDER = re.compile(r"Traceback [^\n]*\n  File \S*multiprocessing/queues\.py.*?\nMemoryError\n", re.DOTALL)


def _limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (700 << 20, 700 << 20))


def test_too_little_memory_is_a_line(tmp_path: Path, world: Path, recipe: object) -> None:
    command = [sys.executable, "-m", "landmark", "build", str(recipe()), "--workers", "2"]  # type: ignore[operator]
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")}
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env=environment, preexec_fn=_limit_memory, timeout=300
    )
    assert done.returncode in (1, 70) and "Traceback" not in _FEEDER.sub("", done.stderr), done.stderr[-3000:]
