"""Build the whole scene in one process, and run the parts of that work alone."""

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bench.measure import peak_mb, run_module
from bench.scene import recipe
from bench.server import Server
from landmark.captions.annotate import ImageInfo, annotate_sample
from landmark.core.executor import WORKER_ENVIRONMENT, ExecutorConfig
from landmark.corpus.shard_schema import shard_schema, staging_schema
from landmark.domain.schemas import CELLS
from landmark.extract.chips import extract_chips
from landmark.labels.counts import CountConfig, count_tasks, measure_counts, merge
from landmark.labels.editions import LabelSource, Period
from landmark.labels.files import find_label_files
from landmark.stac.search import label_search_area
from landmark.workflow.build import BuildRequest, build
from landmark.workflow.context import BuildContext, load_context
from landmark.workflow.lock import Plan, read_plan
from landmark.workflow.task import ExtractTask, extract_tasks, run
from landmark.write.shards import shard_tasks, write_shard
from landmark.write.staging import Staging, write_staging

_SENSOR = "s2"
# Staging and packing are measured without a disk, and the disk without them.
_MEMORY = Path("/dev/shm")
_COPY_BYTES = 2**24


@dataclass(frozen=True, slots=True)
class SceneBuild:
    """Cost of building the whole scene.

    Attributes:
        build_s: From the recipe to the sealed corpus, in one process.
        parts_s: Seconds of reading, label counts, captions, staging and packing into memory, and of writing as many
            bytes to the disk, for the same corpus.
        worker_mb: Peak memory of a process that runs the scene's extract task.
    """

    samples: int
    build_s: float
    parts_s: dict[str, float]
    worker_mb: float


def measure_build(folder: Path, server: Server) -> SceneBuild:
    """Measure the build, its parts, and the memory of a worker, each in a new process."""
    with TemporaryDirectory(prefix="landmark-scene-") as scratch:
        arguments = {"folder": str(folder), "port": server.port, "corpus": f"{scratch}/corpus"}
        built, parts = (run_module("bench.scene_build", {**arguments, "step": step}) for step in ("build", "parts"))
        worker = run_module("bench.scene_build", {**arguments, "step": "worker"}, WORKER_ENVIRONMENT)
    return SceneBuild(built["samples"], built["seconds"], parts, worker["peak_mb"])


def main() -> None:
    """Run the step of the command line, and print its result as JSON."""
    arguments = json.loads(sys.argv[1])
    request = BuildRequest(
        recipe(Path(arguments["folder"]), [_SENSOR]),
        Path(arguments["corpus"]),
        ExecutorConfig(0),
        catalog=f"{Server(arguments['port']).root(0)}catalog.json",
        consent=lambda _: True,
    )
    if arguments["step"] == "build":
        print(json.dumps(_build(request)))
        return
    measure = _measure_parts if arguments["step"] == "parts" else _measure_worker
    with TemporaryDirectory(prefix="landmark-scene-", dir=_MEMORY) as memory:
        print(json.dumps(measure(_open_task(request, Path(memory)))))


def _build(request: BuildRequest) -> dict[str, float]:
    manifest, seconds = _timed(lambda: build(request))
    return {"samples": sum(shard.rows for shard in manifest.shards), "seconds": seconds}


@dataclass(frozen=True, slots=True)
class _SceneTask:
    """The single extract task of a sealed corpus, to be staged in another folder."""

    corpus: Path
    folder: Path
    plan: Plan
    context: BuildContext
    staging: Staging
    task: ExtractTask


def _open_task(request: BuildRequest, folder: Path) -> _SceneTask:
    plan, context = read_plan(request.out), load_context(request.recipe, request.catalog)
    assert plan is not None
    staging = Staging(folder)
    staging.open()
    (task,) = extract_tasks(plan.samples, plan, context, staging)
    return _SceneTask(request.out, folder, plan, context, staging, task)


def _measure_worker(scene: _SceneTask) -> dict[str, float]:
    """Run the task in a new process that receives it pickled, as Dask's workers do."""
    with get_context("spawn").Pool(1) as worker:
        return {"peak_mb": worker.apply(_run_task, (scene.task,))}


def _run_task(task: ExtractTask) -> float:
    run(task)
    return peak_mb()


def _measure_parts(scene: _SceneTask) -> dict[str, float]:
    sensor, patch_px = scene.context.sensors[_SENSOR], scene.context.recipe.patch_px
    rows = [row for path in sorted(scene.corpus.glob("shards/*/*")) for row in pq.read_table(path).to_pylist()]
    parts: dict[str, Callable[[], Any]] = {
        "read": lambda: [None for _ in extract_chips(scene.task.request)],
        "label counts": _label_counting(scene.plan, scene.context),
        "captions": lambda: _annotate(scene.task),
        "staging": lambda: write_staging(scene.task.target, rows, staging_schema(sensor, patch_px)),
        "pack": lambda: _pack(scene, {_SENSOR: shard_schema(sensor, patch_px)}),
        "disk": lambda: _copy(scene.folder, scene.corpus / "copy"),
    }
    return {name: _timed(part)[1] for name, part in parts.items()}


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    return work(), time.perf_counter() - start


def _label_counting(plan: Plan, context: BuildContext) -> Callable[[], Any]:
    """Return a function that counts the label pixels of the planned cells; label files are found beforehand."""
    recipe, crosswalks = context.recipe, context.label_rules.crosswalks
    sources = tuple(LabelSource.from_entry(*pair) for pair in zip(recipe.labels, crosswalks, strict=True))
    rasters = find_label_files(context.label_files, crosswalks, label_search_area(recipe))
    periods = tuple(Period(name, *recipe.time.span(name)) for name in set(plan.samples["period"].to_pylist()))
    config = CountConfig(recipe.cell_m, recipe.patch_px, sources, periods)
    tasks = list(count_tasks(plan.samples.select(CELLS.names), rasters, config))
    return lambda: merge(sources, [measure_counts(task) for task in tasks])


def _annotate(task: ExtractTask) -> None:
    """Derive labels and captions of every sample."""
    labels, moment = task.annotator.fold_counts(task.label_counts), task.request.acquisition.datetime
    for row in task.rows.to_pylist():
        image = ImageInfo(row["id"], row["sensor"], moment, row["lon"], row["lat"])
        annotate_sample(image, labels.get(row["cell"], row["period"]), task.annotator)


def _pack(scene: _SceneTask, schemas: dict[str, pa.Schema]) -> None:
    """Write the staged samples as shards."""
    for task in shard_tasks(scene.folder, scene.plan.samples, scene.staging.status(), schemas):
        (task.corpus / task.path).parent.mkdir(parents=True, exist_ok=True)
        write_shard(task)


def _copy(source: Path, target: Path) -> None:
    """Write every staged and packed byte to the disk."""
    with target.open("wb") as file:
        for path in sorted(path for path in source.rglob("*") if path.is_file()):
            with path.open("rb") as staged:
                while part := staged.read(_COPY_BYTES):
                    file.write(part)
        file.flush()
        os.fsync(file.fileno())
    target.unlink()


if __name__ == "__main__":
    main()
