"""`python -m bench.reading`: how fast a scene of real size is read, by landmark, by its peers, and at the most.

Writes `bench/reading.json` and the plot beside it, and prints the README's table. `--quick` measures once and writes
nothing.
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

from bench.measure import Job, Taken, measured
from bench.scene import Scene
from bench.server import Server, serving
from bench.shown import markdown, plot
from bench.whole import Whole, whole
from landmark import world
from landmark.core.atomic import write_bytes
from landmark.raster.rate_limit import available_cores

RESULT = Path(__file__).with_name("reading.json")
PLOT = RESULT.with_suffix(".svg")
LATENCIES_MS = (0, 30)
_SLOW = 32  # the tool that opens each cell by itself cuts one of so many
_LIBRARIES = ("landmark", "numpy", "rasterio", "odc-stac", "stackstac", "dask", "obstore", "imagecodecs")


def jobs() -> list[Job]:
    """Everything measured in one round, peers beside what they are compared with."""
    both = [
        Job(tool, "s2", cells, latency_ms, _SLOW if tool == "odc-each" else 1)
        for latency_ms in LATENCIES_MS
        for cells, tools in (
            ("contiguous", ("ours", "judged", "odc-eager", "stackstac-lazy", "odc-lazy", "odc-each")),
            ("random", ("ours", "judged", "odc-eager")),
            ("whole", ("ours", "judged")),
        )
        for tool in tools
    ]
    floors = [Job("floor", "s2", cells) for cells in ("contiguous", "random", "whole")]
    radar = [Job(tool, "s1", "whole") for tool in ("floor", "ours", "judged", "odc-eager")]
    warped = [Job("judged", "s1-off", "whole"), Job("odc-eager", "s1-off", "whole")]
    return [*both, *floors, *radar, *warped, Job("judged", "s2", "neighbours")]


def main() -> None:
    """Measure, and only then write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3, help="rounds; the median counts")
    parser.add_argument("--quick", action="store_true", help="one round, and nothing is written")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # the server and half a corpus go, too
    found = bench(world.full_size().parent, 1 if asked.quick else asked.repeats)
    if not asked.quick:
        write_bytes(RESULT, f"{json.dumps(found, indent=1)}\n".encode())
        write_bytes(PLOT, plot(found).encode())
    print(markdown(found))


def bench(folder: Path, repeats: int) -> dict[str, Any]:
    """All rounds over the scene in a folder; a slow minute of the machine hits all tools of a round."""
    taken: dict[Job, list[Taken]] = defaultdict(list)
    wholes: list[Whole] = []
    _into_memory(folder)
    with serving(folder) as server:
        for number in range(repeats):
            for job in jobs():
                taken[job].append(_told(job, folder, server, number))
            wholes.append(whole(folder, server))
    compared = _same_pixels(taken)
    return {
        "cores": available_cores(),
        "repeats": repeats,
        "scene": _scene(folder),
        "versions": {name: version(name) for name in _LIBRARIES},
        "cells_compared": compared,
        "taken": {job.name: _gathered(every) for job, every in taken.items()},
        "whole": {
            "samples": wholes[0].samples,
            "build_s": [round(one.build_s, 3) for one in wholes],
            "parts_s": {part: [round(one.parts_s[part], 3) for one in wholes] for part in wholes[0].parts_s},
            "worker_mb": [round(one.worker_mb, 1) for one in wholes],
        },
    }


def _told(job: Job, folder: Path, server: Server, number: int) -> Taken:
    result = measured(job, folder, server, available_cores())
    print(f"{number + 1}: {job.name}: {result.cells / result.seconds:.1f} cells/s", file=sys.stderr)
    return result


def _into_memory(folder: Path) -> None:
    """Have every file in the page cache: the disk is not what is measured."""
    for path in folder.rglob("*.tif"):
        with path.open("rb") as file:
            while file.read(2**24):
                pass


def _same_pixels(taken: Mapping[Job, Iterable[Taken]]) -> int:
    """How many cells were compared between tools.

    Raises:
        AssertionError: two tools handed out different pixels of a cell.
    """
    known: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for job, every in taken.items():
        for one in every:
            for cell, digest in one.digests.items():
                known[job.image, cell][job.tool] = digest
    if different := sorted(cell for cell, digests in known.items() if len(set(digests.values())) > 1):
        raise AssertionError(f"tools disagree on the pixels of {different[:5]}")
    return sum(len(digests) > 1 for digests in known.values())


def _gathered(every: list[Taken]) -> dict[str, Any]:
    """A job's rounds: what varies as a list, what does not once."""
    first = every[0]
    return {
        "cells": first.cells,
        "seconds": [round(one.seconds, 4) for one in every],
        "requests": first.requests,
        "bytes": max(one.bytes for one in every),
        "block_bytes": first.block_bytes,
        "peak_mb": round(max(one.peak_mb for one in every), 1),
        "parts_s": {part: [round(one.parts[part], 4) for one in every] for part in first.parts},
    }


def _scene(folder: Path) -> dict[str, Any]:
    """What was read: how large it is, and how well it is compressed."""
    scene = Scene(folder)
    sizes = {
        image: sum((folder / href).stat().st_size for href in one.items[0].assets.values())
        for image, one in scene.images.items()
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
