"""The command line in a process of its own, which runs one command after another; killed if one takes too long."""

import io
import json
import os
import selectors
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Result:
    """Exit code and error output of a command."""

    code: int
    errors: str


class Overdue(Exception):
    """A command took longer than its bound."""


@dataclass
class Commands:
    """A process that runs commands.

    Attributes:
        environment: Variables of the process, beside those of this one.
    """

    environment: dict[str, str]
    process: subprocess.Popen[str] | None = None

    def run(self, *arguments: object, bound_s: float) -> Result:
        """Run `landmark` with some arguments.

        Raises:
            Overdue: it did not end in time, and was killed.
        """
        process = self.process if self.process and self.process.poll() is None else self._start()
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps([str(argument) for argument in arguments]) + "\n")
        process.stdin.flush()
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            if not selector.select(bound_s):
                self.stop()
                raise Overdue(f"{arguments} took longer than {bound_s:g} s")
        return Result(**json.loads(process.stdout.readline() or '{"code": -1, "errors": "the process has died"}'))

    def stop(self) -> None:
        """Kill the process."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None

    def _start(self) -> "subprocess.Popen[str]":
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **self.environment}
        program = [sys.executable, "-c", "from tests.faults.commands import run_each; run_each()"]
        self.process = subprocess.Popen(
            program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        return self.process


@contextmanager
def commands(**environment: Any) -> Iterator[Commands]:
    """Provide a process that runs commands with some environment variables."""
    running = Commands({name: str(value) for name, value in environment.items()})
    try:
        yield running
    finally:
        running.stop()


def run_each() -> None:
    """Run the commands of standard input."""
    answers = os.fdopen(os.dup(1), "w")
    os.chdir(tempfile.gettempdir())
    for line in sys.stdin:
        print(json.dumps(_run(json.loads(line))), file=answers, flush=True)


def _run(arguments: list[str]) -> dict[str, Any]:
    from landmark.cli.main import main

    sys.argv, output = ["landmark", *arguments], io.StringIO()
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(output):
            main()
        code: Any = 0
    except SystemExit as stop:
        code = stop.code or 0
    return {"code": int(code), "errors": output.getvalue()[-4000:]}
