"""Measure one loader in a new process: samples, seconds, CPU seconds and peak memory, its workers included.

The first epoch is not timed: it starts threads and workers, and fills memory. Epochs are then timed until enough
seconds have passed.
"""

import json
import os
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from bench.loader_floor import open_floor
from bench.loader_landmark import open_finished, open_native
from bench.loader_rivals import RIVALS, Epochs

LITDATA_PYTHON = Path(__file__).parents[1] / ".litdata" / "bin" / "python"
_POLL_S = 0.05

TOOLS: dict[str, Callable[[Path], Epochs]] = {
    "floor": open_floor,
    "floor-in-place": partial(open_floor, in_place=True),
    "landmark": open_native,
    "landmark-10m": open_finished,
    **RIVALS,
}


def python_of(tool: str) -> str:
    """Return the interpreter of a tool: litData has an environment of its own."""
    return str(LITDATA_PYTHON) if tool == "litdata" else sys.executable


def measure(tool: str, corpus: Path, *, seconds: float, watch: bool = False) -> dict[str, Any]:
    """Measure in a new process; `watch` adds the peak memory, which slows it, and a digest of all samples.

    Raises:
        RuntimeError: the process failed; its error is on the terminal.
    """
    arguments = {"tool": tool, "corpus": str(corpus), "seconds": seconds, "check": watch}
    command = [python_of(tool), "-m", "bench.loader_measure", json.dumps(arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        peak_mb = _watch(process) if watch else None
        output, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{tool} failed with exit code {process.returncode}: {command[-1]}")
    result: dict[str, Any] = json.loads(output.splitlines()[-1])
    return result if peak_mb is None else {**result, "peak_mb": round(peak_mb, 1)}


def _watch(process: "subprocess.Popen[str]") -> float:
    """Return the peak memory of a process and its children in 10^6 bytes; pages that they share count once."""
    peak = 0
    while process.poll() is None:
        peak = max(peak, sum(map(_pss, tree(process.pid))))
        time.sleep(_POLL_S)
    return peak / 1e6


def tree(pid: int) -> list[psutil.Process]:
    """Return a process and its descendants."""
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _pss(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:  # it has ended
        return 0


def main() -> None:
    """Measure the tool of the command line, and print the result as JSON."""
    arguments = json.loads(sys.argv[1])
    epochs = TOOLS[arguments["tool"]](Path(arguments["corpus"]))
    result = _check(epochs) if arguments["check"] else {}
    if not result:
        sum(1 for _ in epochs(0))
    print(json.dumps({**result, **_time(epochs, arguments["seconds"])}), flush=True)


def _time(epochs: Epochs, seconds: float) -> dict[str, Any]:
    samples, epoch, cpu_s, start = 0, 0, _cpu_s(), time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds or not epoch:
        epoch += 1
        samples += sum(len(ids) for ids, _ in epochs(epoch))
    # That of a single batch can be below the clock's resolution.
    used_s = max(_cpu_s() - cpu_s, 1e-3)
    return {"samples": samples, "epochs": epoch, "seconds": elapsed, "cpu_s": used_s}


def _cpu_s() -> float:
    times = [process.cpu_times() for process in tree(os.getpid())]
    return sum(entry.user + entry.system for entry in times)


def _check(epochs: Epochs) -> dict[str, Any]:
    """Read an epoch; return how many different samples it has, and a digest of their ids and pixels in any order."""
    digests: dict[str, int] = {}
    for ids, arrays in epochs(0):
        digests |= _digests(ids, arrays)
    return {"different": len(digests), "digest": sum(digests.values()) % 2**63}


def _digests(ids: Sequence[str], arrays: Mapping[str, Any]) -> dict[str, int]:
    values = [np.asarray(arrays[name]) for name in sorted(arrays)]
    return {
        id: zlib.crc32(b"".join([id.encode(), *(np.ascontiguousarray(value[row]).tobytes() for value in values)]))
        for row, id in enumerate(ids)
    }


if __name__ == "__main__":
    main()
