"""`python -m bench.scale`: how time and memory of a build grow with its samples, and how workers share the work.

Builds archives of 1, 4 and 16 tiles of real files (bench/scale_archive.py), about 20,000 samples, with one worker and
the largest with two. Writes `bench/scale.json`, `bench/scale.svg` and the tables of docs/bench.md. `--quick` measures
once, prints, and writes nothing. Needs 11 GB of disk space.
"""

import argparse
import json
import os
import signal
import sys
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.reading import read_into_memory
from bench.scale_archive import EDGES, make_archives
from bench.scale_build import ScaleBuild, measure_build
from bench.scale_table import MARKERS, markdown, plot
from landmark.core.atomic import write_bytes
from landmark.core.process_share import available_cores

RESULT = Path(__file__).with_name("scale.json")
PLOT = RESULT.with_suffix(".svg")
PAGE = Path(__file__).parents[1] / "docs" / "bench.md"
_LARGEST = max(EDGES) ** 2
# Name of a build → (tiles, workers, cores; None: all).
BUILDS: dict[str, tuple[int, int, int | None]] = {
    **{f"{edge**2}x": (edge**2, 1, None) for edge in EDGES},
    "two workers": (_LARGEST, 2, None),
    "single core": (_LARGEST, 1, 1),
}


def main() -> None:
    """Measure all rounds, write result, plot and tables, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3, help="number of rounds; the median is reported")
    parser.add_argument("--quick", action="store_true", help="measure one round and write nothing")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # removes temporary files
    result = bench(1 if arguments.quick else arguments.repeats)
    if not arguments.quick:
        write_bytes(RESULT, f"{json.dumps(result, indent=1)}\n".encode())
        write_bytes(PLOT, plot(result).encode())
        write_bytes(PAGE, with_table(PAGE.read_text(encoding="utf-8"), result).encode())
    print(markdown(result))


def bench(repeats: int) -> dict[str, Any]:
    """Measure all rounds; builds alternate, so that a slow phase of the machine affects all of them.

    Raises:
        AssertionError: two builds of an archive have different contents.
    """
    contents, load = defaultdict[int, set[str]](set), round(os.getloadavg()[0], 1)
    rounds = []
    with TemporaryDirectory(prefix="landmark-scale-") as scratch:
        archives = make_archives(Path(scratch))
        read_into_memory(Path(scratch))
        for _ in range(repeats):
            builds = {}
            for name, (tiles, workers, cores) in BUILDS.items():
                # What was written before would be flushed during the build.
                os.sync()
                built = measure_build(archives[tiles], workers=workers, cores=cores or available_cores())
                builds[name] = _summarize(built)
                contents[tiles].add(built.content)
                print(name, json.dumps(builds[name]), file=sys.stderr)
            rounds.append(builds)
    if different := [tiles for tiles, digests in contents.items() if len(digests) > 1]:
        raise AssertionError(f"the content of {different[0]} tiles depends on workers or cores")
    return {"cores": available_cores(), "load": load, "rounds": rounds}


def _summarize(built: ScaleBuild) -> dict[str, Any]:
    stages = {
        name: {key: round(getattr(cost, key), 3) for key in cost.__slots__} for name, cost in built.stages.items()
    }
    return {"samples": built.samples, "stages": stages}


def with_table(page: str, result: dict[str, Any]) -> str:
    """Return docs/bench.md with the tables of this result."""
    before, rest = page.split(MARKERS[0])
    _, after = rest.split(MARKERS[1])
    return f"{before}{MARKERS[0]}\n{markdown(result)}\n{MARKERS[1]}{after}"


if __name__ == "__main__":
    main()
