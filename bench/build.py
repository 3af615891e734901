"""`python -m bench.build`: how long a build of the full-size scene takes, stage by stage, compared with a lower bound.

Writes `bench/build.json` and the table of docs/bench.md. `--quick` measures once, prints, and writes nothing.
"""

import argparse
import json
import signal
import sys
from pathlib import Path
from typing import Any

from bench.build_table import MARKERS, markdown
from bench.measure import Job, Measurement, measure
from bench.reading import read_into_memory
from bench.scene_build import SceneBuild, measure_build
from bench.server import serving
from landmark import world
from landmark.core.atomic import write_bytes
from landmark.core.process_share import available_cores

RESULT = Path(__file__).with_name("build.json")
PAGE = Path(__file__).parents[1] / "docs" / "bench.md"
_JOBS = {tool: Job(tool, "s2", "whole") for tool in ("floor", "landmark")}


def main() -> None:
    """Measure all rounds, write result and table, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3, help="number of rounds; the median is reported")
    parser.add_argument("--quick", action="store_true", help="measure one round and write nothing")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # stops the server and removes temporary files
    result = bench(world.full_size().parent, 1 if arguments.quick else arguments.repeats)
    if not arguments.quick:
        write_bytes(RESULT, f"{json.dumps(result, indent=1)}\n".encode())
        write_bytes(PAGE, with_table(PAGE.read_text(encoding="utf-8"), result).encode())
    print(markdown(result))


def bench(folder: Path, repeats: int) -> dict[str, Any]:
    """Measure all rounds."""
    rounds = []
    read_into_memory(folder)
    with serving(folder) as server:
        for _ in range(repeats):
            reads = {tool: measure(job, folder, server, available_cores()) for tool, job in _JOBS.items()}
            rounds.append(_summarize(measure_build(folder, server), reads))
            print(json.dumps(rounds[-1]), file=sys.stderr)
    return {"cores": available_cores(), "rounds": rounds}


def _summarize(build: SceneBuild, reads: dict[str, Measurement]) -> dict[str, Any]:
    return {
        "samples": build.samples,
        "stages_s": _rounded(build.stages_s),
        "parts_s": _rounded(build.parts_s),
        "floor_s": _rounded({**reads["floor"].parts, **build.floor_s}),
        "arrays_s": round(reads["landmark"].seconds, 3),
        "worker_mb": round(build.worker_mb, 1),
    }


def _rounded(seconds: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 3) for name, value in seconds.items()}


def with_table(page: str, result: dict[str, Any]) -> str:
    """Return docs/bench.md with the table of this result."""
    before, rest = page.split(MARKERS[0])
    _, after = rest.split(MARKERS[1])
    return f"{before}{MARKERS[0]}\n{markdown(result)}\n{MARKERS[1]}{after}"


if __name__ == "__main__":
    main()
