"""SIGINT and SIGTERM end a command at any moment: exit code, one line, no process left, and it resumes."""

import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from landmark.config.recipe import load_recipe
from landmark.core.executor import ExecutorConfig
from landmark.workflow.build import BuildRequest, build
from tests.processes import Process, await_, error_lines, running, session_members
from tests.workflow.test_build import files

Write = Callable[..., Path]
Moment = Callable[[Process, Path], object]


def handles_signals(process: Process, out: Path) -> bool:
    """The interpreter has started, and landmark's first imports are under way."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    caught = next(int(line.split()[1], 16) for line in lines if line.startswith("SigCgt"))
    return bool(caught >> (signal.SIGTERM - 1) & 1)


def starts_a_worker(process: Process, out: Path) -> bool:
    return any("spawn_main" in " ".join(child.cmdline()) for child in psutil.Process(process.pid).children())


def has_planned(process: Process, out: Path) -> bool:
    return (out / "lock.json").exists()


def packs(process: Process, out: Path) -> bool:
    return any((out / "journal").glob("*/*/*.json"))


@pytest.fixture(scope="module")
def undisturbed_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("signals") / "corpus"


@pytest.mark.long
@pytest.mark.parametrize(
    ("moment", "send", "number", "code"),
    [
        (handles_signals, os.kill, signal.SIGTERM, 143),
        (starts_a_worker, os.killpg, signal.SIGINT, 130),
        (has_planned, os.kill, signal.SIGTERM, 143),
        (packs, os.killpg, signal.SIGINT, 130),
    ],
)
def test_a_signal_ends_a_build_at_once(
    moment: Moment,
    send: Callable[[int, int], None],
    number: signal.Signals,
    code: int,
    undisturbed_folder: Path,
    recipe: Write,
    tmp_path: Path,
) -> None:
    path, out = recipe(limit=2, output={"shard_mb": 1}), tmp_path / "corpus"
    command = [sys.executable, "-m", "landmark", "build", str(path), "--out", str(out), "--workers", "2"]
    with running(command, tmp_path) as process:
        await_(lambda: moment(process, out), process)
        send(process.pid, number)
        _, err = process.communicate(timeout=300)
        await_(lambda: not session_members(process))
    assert process.returncode == code, err.decode()
    assert len(error_lines(err)) == 1, err.decode()
    build(BuildRequest(load_recipe(str(path)), out, ExecutorConfig()))
    if not undisturbed_folder.exists():
        build(BuildRequest(load_recipe(str(path)), undisturbed_folder, ExecutorConfig()))
    assert files(out) == files(undisturbed_folder)


def test_a_signal_ends_a_command_that_waits_for_a_server(recipe: Write, tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/catalog.json"
        command = [sys.executable, "-m", "landmark", "plan", str(recipe(catalog=url)), "--workers", "0"]
        with running(command, tmp_path) as process:
            server.settimeout(240)
            connection, _ = server.accept()
            with closing(connection):
                process.send_signal(signal.SIGTERM)
                _, err = process.communicate(timeout=300)
    assert process.returncode == 143
    assert len(error_lines(err)) == 1


def test_a_signal_after_the_output_does_not_change_the_exit_code(tmp_path: Path) -> None:
    with running([sys.executable, "-m", "landmark", "--version"], tmp_path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        while process.poll() is None:
            process.send_signal(signal.SIGTERM)
            time.sleep(0.01)
    assert process.returncode in (0, 143)


def test_a_signal_leaves_no_temporary_folder(tmp_path: Path) -> None:
    code = (
        "import time; from landmark.core.signals import end_on_signals; end_on_signals()\n"
        "from landmark.core.temporary import temporary_folder\n"
        "with temporary_folder() as folder: (folder / 'file').write_text('unpacked'); time.sleep(600)"
    )
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with running([sys.executable, "-c", code], tmp_path, TMPDIR=str(scratch)) as process:
        await_(lambda: list(scratch.glob("*/file")), process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 143
    assert list(scratch.iterdir()) == []


def test_a_signal_ends_a_worker_that_waits_for_arguments(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import multiprocessing; from landmark.core.signals import end_on_signals\n"
        "if __name__ == '__main__':\n"
        "    end_on_signals()\n"
        "    multiprocessing.get_context('spawn').Process(target=len, args=(bytes(1 << 28),)).start()"
    )
    with running([sys.executable, str(script)], tmp_path) as process:
        await_(lambda: starts_a_worker(process, tmp_path), process)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
        await_(lambda: not session_members(process))
    assert process.returncode == 143
    assert len(error_lines(err)) == 1, err.decode()


def test_a_signal_ends_a_process_that_keeps_starting_workers(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import multiprocessing, threading; from landmark.core.signals import cleaned_up, end_on_signals\n"
        "def start():\n"
        "    while True:\n"
        "        multiprocessing.get_context('spawn').Process(target=len, args=((),)).start()\n"
        "if __name__ == '__main__':\n"
        "    end_on_signals()\n"
        "    with cleaned_up(lambda: threading.Event().wait(1)):\n"
        "        for _ in range(4):\n"
        "            threading.Thread(target=start).start()\n"
        "        threading.Event().wait()\n"
    )
    with running([sys.executable, str(script)], tmp_path) as process:
        await_(lambda: starts_a_worker(process, tmp_path), process)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
        await_(lambda: not session_members(process))
    assert process.returncode == 143
    assert err.decode() == "error: terminated; run the same command again to resume\n"


@pytest.mark.long
def test_a_signal_leaves_no_unfinished_world(tmp_path: Path) -> None:
    folder = tmp_path / "worlds"
    command = [sys.executable, "-m", "landmark", "world", "make", str(folder / "new"), "--workers", "0"]
    with running(command, tmp_path) as process:
        await_(lambda: list(folder.glob(".new-*")), process)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
    assert list(folder.iterdir()) == []
