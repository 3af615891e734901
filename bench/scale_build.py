"""One build of the benchmark of scale in a new process: time, processor time and memory of each stage."""

import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from bench.measure import peak_mb, run_module
from bench.scene import recipe
from landmark.config.recipe import Recipe
from landmark.core.executor import ExecutorConfig
from landmark.workflow.build import BuildRequest, build

# In order. The first includes the start of the workers, the last their end.
STAGES = ("plan", "extract", "pack", "documents")
_STAGE_OF_PROGRESS = {"build": "extract", "pack": "pack"}
# The region has all tiles of the largest archive. Blocks are small, so that the smallest archive has all splits, too.
_CHANGES = {"region": {"bbox": [10.5, 43, 16, 47]}, "splits": {"block_m": 7200, "buffer_m": 0}}


@dataclass(frozen=True, slots=True)
class StageCost:
    """Cost of a stage.

    Attributes:
        wall_s: Seconds.
        client_cpu_s: Processor seconds of the process that runs the build; the cluster's scheduler is part of it.
        workers_cpu_s: Processor seconds of its workers.
        client_mb: Peak resident memory of this process during the stage.
        worker_mb: Peak resident memory of the largest worker during the stage; 0 where there is none any more.
    """

    wall_s: float
    client_cpu_s: float
    workers_cpu_s: float
    client_mb: float
    worker_mb: float


@dataclass(frozen=True, slots=True)
class ScaleBuild:
    """A build; `content` is the digest of the corpus, which depends neither on workers nor on cores."""

    samples: int
    content: str
    stages: dict[str, StageCost]


def measure_build(archive: Path, *, workers: int, cores: int) -> ScaleBuild:
    """Build all cells of an archive in a new process that, with its workers, has only so many cores."""
    with TemporaryDirectory(prefix="landmark-scale-") as scratch:
        arguments = {"archive": str(archive), "corpus": f"{scratch}/corpus", "workers": workers, "cores": cores}
        built = run_module("bench.scale_build", arguments)
    return ScaleBuild(**{**built, "stages": {name: StageCost(**cost) for name, cost in built["stages"].items()}})


class _Recorder:
    """Clocks and peaks of this process and its children, read and reset at the end of each stage."""

    def __init__(self) -> None:
        self.stages = dict[str, StageCost]()
        self._wall_s, self._client_s, self._workers_s = time.perf_counter(), time.process_time(), 0.0
        _reset_peak(os.getpid())

    def end(self, stage: str) -> None:
        """Record the cost since the last call as that of a stage."""
        children = _workers()
        wall_s, client_s = time.perf_counter(), time.process_time()
        workers_s = sum(child.cpu_times().user + child.cpu_times().system for child in children)
        self.stages[stage] = StageCost(
            wall_s - self._wall_s,
            client_s - self._client_s,
            max(0.0, workers_s - self._workers_s),
            peak_mb(),
            max((peak_mb(child.pid) for child in children), default=0.0),
        )
        self._wall_s, self._client_s, self._workers_s = wall_s, client_s, workers_s
        for pid in (os.getpid(), *(child.pid for child in children)):
            _reset_peak(pid)

    def progress(self, stage: str, done: int, total: int, *_: object) -> None:
        """Record a stage that is complete."""
        if done == total and stage in _STAGE_OF_PROGRESS:
            self.end(_STAGE_OF_PROGRESS[stage])

    def consent(self, _: object) -> bool:
        """Record the plan, after which a build asks for consent; consent."""
        self.end("plan")
        return True


def _workers() -> list[psutil.Process]:
    """Child processes, without that of `multiprocessing` which removes what killed processes leave behind."""
    children = psutil.Process().children(recursive=True)
    return [child for child in children if "resource_tracker" not in child.cmdline()[-1]]


def _reset_peak(pid: int) -> None:
    """Set the peak of resident memory to the present value; source: proc_pid_clear_refs(5)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")


def main() -> None:
    """Run the build of the command line, and print its cost as JSON."""
    arguments = json.loads(sys.argv[1])
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments["cores"]])
    print(json.dumps(asdict(_build(Path(arguments["archive"]), Path(arguments["corpus"]), arguments["workers"]))))


def _build(archive: Path, corpus: Path, workers: int) -> ScaleBuild:
    fields: dict[str, Any] = recipe(archive, ["s2"]).model_dump(mode="json", exclude_unset=True)
    recorder = _Recorder()
    manifest = build(
        BuildRequest(
            Recipe.model_validate({**fields, "name": "scale", **_CHANGES}),
            corpus,
            ExecutorConfig(workers),
            catalog=str(archive / "catalog.json"),
            consent=recorder.consent,
            consent_bytes=0,
            progress=recorder.progress,
        )
    )
    recorder.end("documents")
    return ScaleBuild(manifest.counts["written"], manifest.content_digest, recorder.stages)


if __name__ == "__main__":
    main()
