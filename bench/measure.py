"""One measurement in a new process: seconds, requests, bytes and peak memory of a tool.

Before the clock starts, the tool reads a few other cells from another URL of the same files: libraries are loaded and
threads started, but the measured cells are in no cache except the server's.
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

from bench.floor import block_bytes, find_layers, floor
from bench.scene import CELL_M, Reading, Scene
from bench.server import Server
from bench.tools import TOOLS, Arrays

_COMPARED = 16  # pixels of every n-th cell are checksummed


@dataclass(frozen=True, slots=True)
class Job:
    """Parameters of a measurement.

    Attributes:
        tool: A name in `TOOLS`, or `floor`.
        cells: Selection of the scene's cells.
        every: Only every n-th of these, for slow tools.
    """

    tool: str
    image: str
    cells: str
    latency_ms: int = 0
    every: int = 1

    @property
    def name(self) -> str:
        """Key of the result."""
        return f"{self.tool} {self.image} {self.cells} {self.latency_ms}"


@dataclass(frozen=True, slots=True)
class Measurement:
    """The cost of a job.

    Attributes:
        seconds: From opening the files to the last cell's arrays.
        peak_mb: Peak resident memory of the process.
        parts: Seconds by part, where the tool measures them.
        digests: Checksums of pixels, by cell, of some cells.
    """

    cells: int
    seconds: float
    requests: int
    bytes: int
    block_bytes: int
    peak_mb: float
    parts: dict[str, float] = field(default_factory=dict)
    digests: dict[str, int] = field(default_factory=dict)


def measure(job: Job, folder: Path, server: Server, cores: int) -> Measurement:
    """Measure in a new process."""
    arguments = {"job": asdict(job), "folder": str(folder), "port": server.port, "cores": cores}
    return Measurement(**run_module("bench.measure", arguments))


def run_module(module: str, arguments: dict[str, Any], environment: Mapping[str, object] = MappingProxyType({})) -> Any:
    """Run a module with JSON as its argument, and return the JSON it prints.

    Raises:
        RuntimeError: the process failed; its error is on the terminal.
    """
    command = [sys.executable, "-m", module, json.dumps(arguments)]
    variables = {name: str(value) for name, value in environment.items()}
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False, env={**os.environ, **variables})
    if done.returncode:
        raise RuntimeError(f"{module} failed with exit code {done.returncode}: {command[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Run the job of the command line, and print the measurement as JSON."""
    arguments = json.loads(sys.argv[1])
    job, scene, server = Job(**arguments["job"]), Scene(Path(arguments["folder"])), Server(arguments["port"])
    warm_up = scene.reading(job.image, "warm-up", root=server.root(0, uncached=True), cores=arguments["cores"])
    sum(1 for _ in _read(job, warm_up))
    reading = scene.reading(job.image, job.cells, root=server.root(job.latency_ms), cores=arguments["cores"])
    print(json.dumps(asdict(_measure(job, replace(reading, corners=reading.corners[:: job.every]), scene, server))))


def _measure(job: Job, reading: Reading, scene: Scene, server: Server) -> Measurement:
    compared: list[tuple[str, Arrays]] = []
    blocks = block_bytes(find_layers(reading, scene.folder)) if reading.epsg == reading.acquisition.epsg else 0
    before, start = server.counts(), time.perf_counter()
    for corner, arrays in zip(reading.corners.tolist(), _read(job, reading), strict=True):
        if (5 * corner[0] + 3 * corner[1]) // CELL_M % _COMPARED == 0:
            compared.append((f"{corner[0]}_{corner[1]}", arrays))
    seconds = sum(reading.parts.values()) if job.tool == "floor" else time.perf_counter() - start
    spent = server.counts() - before
    digests = {} if job.tool == "landmark-chips" else {cell: _digest(arrays) for cell, arrays in compared}
    return Measurement(
        len(reading.corners), seconds, spent.requests, spent.bytes, blocks, peak_mb(), reading.parts, digests
    )


def _read(job: Job, reading: Reading) -> Iterator[Arrays]:
    if job.tool != "floor":
        return TOOLS[job.tool](reading)
    names = [name for names in reading.factors.values() for name in names]
    result = floor(find_layers(reading, Path(reading.context.catalog.root)), reading.cores)
    reading.parts.update(result.seconds)
    return (dict(zip(names, chips, strict=True)) for chips in zip(*result.chips, strict=True))


def _digest(arrays: Arrays) -> int:
    total = 0
    for name in sorted(arrays):
        total = zlib.crc32(arrays[name].tobytes(), total)
    return total


def peak_mb(pid: int | str = "self") -> float:
    """Return the peak resident memory of a process in 10^6 bytes, without its parent's."""
    status = Path(f"/proc/{pid}/status").read_text()
    match: Any = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(match[1]) * 1024 / 1e6


if __name__ == "__main__":
    main()
