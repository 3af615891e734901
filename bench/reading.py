"""`python -m bench.reading`: how fast landmark and its peers read a full-size scene, compared with a lower bound.

Writes `bench/reading.json` and `bench/reading.svg`, and prints the tables of docs/bench.md. `--quick` measures once and
writes nothing.
"""

import argparse
import json
import signal
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.measure import Job, Measurement, measure
from bench.reading_table import markdown, plot
from bench.scene import Scene
from bench.server import Server, serving
from landmark import world
from landmark.core.atomic import write_bytes
from landmark.core.process_share import available_cores

RESULT = Path(__file__).with_name("reading.json")
PLOT = RESULT.with_suffix(".svg")
LATENCIES_MS = (0, 30)
_SLOW = 32  # odc-each, which opens the files for each cell, reads every n-th cell only
_LIBRARIES = ("landmark", "numpy", "rasterio", "odc-stac", "stackstac", "dask", "obstore", "imagecodecs")


def jobs() -> list[Job]:
    """Return the jobs of one round, peers next to the jobs they are compared with."""
    both = [
        Job(tool, "s2", cells, latency_ms, _SLOW if tool == "odc-each" else 1)
        for latency_ms in LATENCIES_MS
        for cells, tools in (
            ("contiguous", ("landmark", "landmark-chips", "odc-eager", "stackstac-lazy", "odc-lazy", "odc-each")),
            ("random", ("landmark", "landmark-chips", "odc-eager")),
            ("whole", ("landmark", "landmark-chips")),
        )
        for tool in tools
    ]
    floors = [Job("floor", "s2", cells) for cells in ("contiguous", "random", "whole")]
    radar = [Job(tool, "s1", "whole") for tool in ("floor", "landmark", "landmark-chips", "odc-eager")]
    warped = [Job("landmark-chips", "s1-off", "whole"), Job("odc-eager", "s1-off", "whole")]
    return [*both, *floors, *radar, *warped, Job("landmark-chips", "s2", "neighbours")]


def main() -> None:
    """Measure all rounds, write the result, and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3, help="number of rounds; the median is reported")
    parser.add_argument("--quick", action="store_true", help="measure one round and write nothing")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # stops the server and removes temporary files
    result = bench(world.full_size().parent, 1 if arguments.quick else arguments.repeats)
    if not arguments.quick:
        write_bytes(RESULT, f"{json.dumps(result, indent=1)}\n".encode())
        write_bytes(PLOT, plot(result).encode())
    print(markdown(result))


def bench(folder: Path, repeats: int) -> dict[str, Any]:
    """Measure all rounds; tools alternate, so that a slow phase of the machine affects all of them."""
    measurements: dict[Job, list[Measurement]] = defaultdict(list)
    read_into_memory(folder)
    with serving(folder) as server:
        for number in range(repeats):
            for job in jobs():
                measurements[job].append(_measure_and_log(job, folder, server, number))
    compared = count_compared(measurements)
    return {
        "cores": available_cores(),
        "repeats": repeats,
        "scene": _scene(folder),
        "versions": {name: version(name) for name in _LIBRARIES},
        "cells_compared": compared,
        "measurements": {job.name: _summarize(rounds) for job, rounds in measurements.items()},
    }


def _measure_and_log(job: Job, folder: Path, server: Server, number: int) -> Measurement:
    result = measure(job, folder, server, available_cores())
    print(f"{number + 1}: {job.name}: {result.cells / result.seconds:.1f} cells/s", file=sys.stderr)
    return result


def read_into_memory(folder: Path) -> None:
    """Read every file into the page cache: disk speed is not measured."""
    for path in folder.rglob("*.tif"):
        with path.open("rb") as file:
            while file.read(2**24):
                pass


def count_compared(measurements: Mapping[Job, Iterable[Measurement]]) -> int:
    """Return how many cells were compared between tools.

    Raises:
        AssertionError: two tools returned different pixels of a cell.
    """
    digests_of: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for job, rounds in measurements.items():
        for measurement in rounds:
            for cell, digest in measurement.digests.items():
                digests_of[job.image, cell][job.tool] = digest
    if different := sorted(cell for cell, digests in digests_of.items() if len(set(digests.values())) > 1):
        raise AssertionError(f"tools disagree on the pixels of {different[:5]}")
    return sum(len(digests) > 1 for digests in digests_of.values())


def _summarize(rounds: list[Measurement]) -> dict[str, Any]:
    """Summarise the rounds of a job: varying values as a list, constant ones once."""
    first = rounds[0]
    return {
        "cells": first.cells,
        "seconds": [round(measurement.seconds, 4) for measurement in rounds],
        "requests": first.requests,
        "bytes": max(measurement.bytes for measurement in rounds),
        "block_bytes": first.block_bytes,
        "peak_mb": round(max(measurement.peak_mb for measurement in rounds), 1),
        "parts_s": {part: [round(measurement.parts[part], 4) for measurement in rounds] for part in first.parts},
    }


def _scene(folder: Path) -> dict[str, Any]:
    """Describe the scene: its size and compression."""
    scene = Scene(folder)
    sizes = {
        image: sum((folder / href).stat().st_size for href in acquisition.items[0].assets.values())
        for image, acquisition in scene.images.items()
    }
    width, height = scene.images["s2"].size_px
    stored = sum(
        len(names) / factor**2 for factor, names in scene.reading("s2", "whole", root="", cores=1).factors.items()
    )
    return {
        "tile_px": [width, height],
        "cells": scene.cells.size // 2,
        "s2_bytes_per_px": round(sizes["s2"] / (width * height * stored), 2),
        "s1_bytes_per_px": round(sizes["s1"] / 2 / (scene.images["s1"].size_px[0] * scene.images["s1"].size_px[1]), 2),
    }


if __name__ == "__main__":
    main()
