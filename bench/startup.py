"""`python -m bench.startup`: how soon commands and workers start, and how long the steps of `make corpus` take.

Writes `bench/startup.json` and its tables in docs/bench.md. Each measurement is a new process, with its children, in a
temporary folder with an empty cache. Processor time depends little on other work; wall time needs an idle machine.
`--busy` measures the steps again beside busy processes.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from bench.reading_table import Row, target_table
from landmark.core.atomic import write_bytes
from landmark.core.process_share import available_cores

RESULT = Path(__file__).with_name("startup.json")
PAGE = Path(__file__).parents[1] / "docs" / "bench.md"
MARKERS = ("<!-- bench:startup -->", "<!-- /bench:startup -->")
Result = Mapping[str, Any]

# Prints seconds until a cluster of one worker has done a task, and processor seconds of the worker until its end.
_WORKER = """
import json, resource, time
start = time.perf_counter()
from landmark.core.executor import ExecutorConfig, open_executor
with open_executor(ExecutorConfig(workers=1)) as run:
    list(run(abs, [-1]))
    wall_s = time.perf_counter() - start
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps({"wall_s": round(wall_s, 3), "cpu_s": round(usage.ru_utime + usage.ru_stime, 3)}))
"""
STARTS = {
    "help": ["-m", "landmark", "--help"],
    "import": ["-c", "import landmark"],
    "worker": ["-c", _WORKER],
}
# In the order of `make corpus`, whose build includes the plan; `plan` alone is written to a folder of its own.
STEPS = {
    "world": ["-c", "import landmark.world; landmark.world.demo()"],
    "plan": ["-m", "landmark", "plan", "demo", "--out", "plan"],
    "build": ["-m", "landmark", "build", "demo", "--out", "demo"],
    "check": ["-m", "landmark", "check", "demo", "--fail-on", "error"],
    "validate --smoke": ["-m", "landmark", "validate", "demo", "--smoke"],
}
OF_CORPUS = [name for name in STEPS if name != "plan"]


def main() -> None:
    """Measure, write the result, and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="number of starts; medians are reported")
    parser.add_argument("--busy", action="store_true", help="measure the steps beside a busy process a core, too")
    arguments = parser.parse_args()
    result = bench(arguments.rounds, busy=arguments.busy)
    write_bytes(RESULT, f"{json.dumps(result, indent=1)}\n".encode())
    write_bytes(PAGE, with_table(PAGE.read_text(encoding="utf-8"), result).encode())
    print(markdown(result))


def bench(rounds: int, steps: Mapping[str, Sequence[str]] = STEPS, *, busy: bool = False) -> dict[str, Any]:
    """Measure all starts in turns, then each step once, and if `busy` once more beside a busy process a core."""
    result: dict[str, Any] = {"cores": available_cores(), "load": round(os.getloadavg()[0], 1)}
    with tempfile.TemporaryDirectory(prefix="landmark-startup-") as folder:
        result["starts"] = [_measure_all(STARTS, Path(folder)) for _ in range(rounds)]
        result["steps"] = _measure_all(steps, Path(folder))
    if busy:
        with tempfile.TemporaryDirectory(prefix="landmark-startup-") as folder, _busy_processes(available_cores()):
            result["busy_steps"] = _measure_all({name: steps[name] for name in OF_CORPUS}, Path(folder))
    return result


@contextmanager
def _busy_processes(count: int) -> Iterator[None]:
    """Keep cores busy, at the same priority."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _measure_all(commands: Mapping[str, Sequence[str]], folder: Path) -> dict[str, dict[str, float]]:
    measured = {}
    for name, command in commands.items():
        measured[name] = measure(command, folder)
        print(f"{name}: {measured[name]}", file=sys.stderr)
    return measured


def measure(arguments: Sequence[str], folder: Path) -> dict[str, float]:
    """Seconds and processor seconds of a Python process in a folder; a worker reports its own.

    Raises:
        RuntimeError: it failed.
    """
    root = Path(__file__).parents[1]
    paths = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    variables = {**os.environ, "PYTHONPATH": paths, "LANDMARK_CACHE": str(folder / "cache")}
    start, before = time.perf_counter(), _children_cpu_s()
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=variables, capture_output=True, text=True, check=False
    )
    seconds = {"wall_s": round(time.perf_counter() - start, 3), "cpu_s": round(_children_cpu_s() - before, 3)}
    if done.returncode:
        raise RuntimeError(f"{arguments} failed with exit code {done.returncode}: {done.stderr[-2000:]}")
    if arguments == STARTS["worker"]:
        seconds = json.loads(done.stdout)
    return seconds


def _children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def with_table(page: str, result: Result) -> str:
    """Return the page with the tables of a result between the markers."""
    begin, end = MARKERS
    before, rest = page.split(begin)
    return f"{before}{begin}\n{markdown(result)}\n{end}{rest.split(end)[1]}"


def markdown(result: Result) -> str:
    """Render the targets, and wall and processor time of the steps."""
    rounds, cores = len(result["starts"]), result["cores"]
    first = (
        f"Median of {rounds} starts, and one round of the steps, on {cores} cores beside a load of {result['load']:g}."
    )
    lines = ["| a step of `make corpus`, with a plan of its own | wall, s | processor, s |", "|---|---|---|"]
    for name, entry in result["steps"].items():
        lines.append(f"| {name} | {entry['wall_s']:.1f} | {entry['cpu_s']:.1f} |")
    return "\n".join([first, "", *target_table(rows(result)), "", *lines])


def rows(result: Result) -> Iterator[Row]:
    """Return every row of the table of targets."""

    def start(name: str, key: str) -> float:
        return float(median(entry[name][key] for entry in result["starts"]))

    steps = result["steps"]
    total = {key: sum(steps[name][key] for name in OF_CORPUS) for key in ("wall_s", "cpu_s")}
    yield Row("processor time of `landmark --help`", 0.4, start("help", "cpu_s"), unit=" s", is_minimum=False)
    yield Row("processor time of `import landmark`", 0.25, start("import", "cpu_s"), unit=" s", is_minimum=False)
    yield Row("processor time of a worker with one task", 1, start("worker", "cpu_s"), unit=" s", is_minimum=False)
    yield Row("a cluster of one worker until its first result", None, start("worker", "wall_s"), unit=" s")
    yield Row("the world of the demo", 40, steps["world"]["wall_s"], unit=" s", is_minimum=False)
    yield Row("`landmark plan demo`", 4, steps["plan"]["wall_s"], unit=" s", is_minimum=False)
    yield Row("world, build, check and validation", 200, total["wall_s"], unit=" s", is_minimum=False)
    yield Row("their processor time, divided by the cores", None, total["cpu_s"] / result["cores"], unit=" s")
    if "busy_steps" in result:
        busy_s = sum(entry["wall_s"] for entry in result["busy_steps"].values())
        title = "world, build, check and validation beside a busy process a core, against alone"
        yield Row(title, 3, busy_s / total["wall_s"], unit=" x", is_minimum=False)


if __name__ == "__main__":
    main()
