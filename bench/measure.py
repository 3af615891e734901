"""One measurement, in a process of its own: how long a tool takes, what it asks the server for, and how much it holds.

Before the clock starts the tool reads a few other cells from another address of the same files: libraries are loaded,
threads started, and nothing of what is measured is in any cache but the server's.
"""

import json
import os
import re
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bench.floor import block_bytes, floor, layers
from bench.scene import CELL_M, Reading, Scene
from bench.server import Server
from bench.tools import TOOLS, Arrays

_COMPARED = 16  # every so manieth cell has its pixels digested


@dataclass(frozen=True, slots=True)
class Job:
    """What to measure.

    Attributes:
        tool: A name in `TOOLS`, or `floor`.
        cells: Which of the scene's; `every`: only every so manieth of them, of tools too slow for all.
    """

    tool: str
    image: str
    cells: str
    latency_ms: int = 0
    every: int = 1

    @property
    def name(self) -> str:
        """How the result is called."""
        return f"{self.tool} {self.image} {self.cells} {self.latency_ms}"


@dataclass(frozen=True, slots=True)
class Taken:
    """What it took.

    Attributes:
        seconds: From opening the files to the last cell's arrays.
        parts: Seconds of the parts of it, where the tool tells them.
        peak_mb: Most memory the process held.
        digests: Cell → checksum of its pixels, of some cells.
    """

    cells: int
    seconds: float
    requests: int
    bytes: int
    block_bytes: int
    peak_mb: float
    parts: dict[str, float] = field(default_factory=dict)
    digests: dict[str, int] = field(default_factory=dict)


def measured(job: Job, folder: Path, server: Server, cores: int) -> Taken:
    """Measure in a new process."""
    asked = {"job": asdict(job), "folder": str(folder), "port": server.port, "cores": cores}
    return Taken(**in_process("bench.measure", asked))


def in_process(module: str, asked: dict[str, Any], environment: Mapping[str, object] = MappingProxyType({})) -> Any:
    """What a module prints when it is run with some JSON, as JSON.

    Raises:
        RuntimeError: it failed; what it said is on the terminal.
    """
    command = [sys.executable, "-m", module, json.dumps(asked)]
    said = {name: str(value) for name, value in environment.items()}
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False, env={**os.environ, **said})
    if done.returncode:
        raise RuntimeError(f"{module} failed with exit code {done.returncode}: {command[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure what the command line says, and print it."""
    asked = json.loads(sys.argv[1])
    job, scene, server = Job(**asked["job"]), Scene(Path(asked["folder"])), Server(asked["port"])
    warm_up = scene.reading(job.image, "warm-up", root=server.at(0, again=True), cores=asked["cores"])
    sum(1 for _ in _read(job, warm_up))
    reading = scene.reading(job.image, job.cells, root=server.at(job.latency_ms), cores=asked["cores"])
    print(json.dumps(asdict(_taken(job, replace(reading, corners=reading.corners[:: job.every]), scene, server))))


def _taken(job: Job, reading: Reading, scene: Scene, server: Server) -> Taken:
    kept: list[tuple[str, Arrays]] = []
    blocks = block_bytes(layers(reading, scene.folder)) if reading.epsg == reading.acquisition.epsg else 0
    before, start = server.counts(), time.perf_counter()
    for corner, arrays in zip(reading.corners.tolist(), _read(job, reading), strict=True):
        if (5 * corner[0] + 3 * corner[1]) // CELL_M % _COMPARED == 0:
            kept.append((f"{corner[0]}_{corner[1]}", arrays))
    seconds = sum(reading.parts.values()) if job.tool == "floor" else time.perf_counter() - start
    spent = server.counts() - before
    digests = {} if job.tool == "judged" else {cell: _digest(arrays) for cell, arrays in kept}
    return Taken(len(reading.corners), seconds, spent.requests, spent.bytes, blocks, peak_mb(), reading.parts, digests)


def _read(job: Job, reading: Reading) -> Iterator[Arrays]:
    if job.tool != "floor":
        return TOOLS[job.tool](reading)
    names = [name for names in reading.factors.values() for name in names]
    result = floor(layers(reading, Path(reading.setting.catalog.root)), reading.cores)
    reading.parts.update(result.seconds)
    return (dict(zip(names, chips, strict=True)) for chips in zip(*result.chips, strict=True))


def _digest(arrays: Arrays) -> int:
    total = 0
    for name in sorted(arrays):
        total = zlib.crc32(arrays[name].tobytes(), total)
    return total


def peak_mb() -> float:
    """Most memory this process held so far, in 10^6 bytes; not what its parent held when it was forked."""
    status = Path("/proc/self/status").read_text()
    found: Any = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) * 1024 / 1e6


if __name__ == "__main__":
    main()
