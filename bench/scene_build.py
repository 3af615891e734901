"""Build the whole scene in one process, run the parts of that work alone, and the necessary steps on all cores."""

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.measure import peak_mb, run_module
from bench.scene import recipe
from bench.server import Server
from landmark.captions.annotate import ImageInfo, annotate_sample
from landmark.core.executor import WORKER_ENVIRONMENT, ExecutorConfig
from landmark.core.process_share import available_cores
from landmark.corpus.pixels import pixel_fields
from landmark.corpus.shard_schema import shard_schema, staging_schema
from landmark.domain.schemas import CELLS
from landmark.extract.chips import extract_chips
from landmark.labels.counts import CountConfig, count_tasks, measure_counts, merge
from landmark.labels.editions import LabelSource, Period
from landmark.labels.files import find_label_files
from landmark.stac.search import label_search_area
from landmark.workflow.build import BuildRequest, build, plan_corpus
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
        stages_s: Seconds of planning, extracting, packing, and writing the documents, in one process: the build.
        parts_s: Seconds of reading, label counts, captions, staging and packing into memory, and of writing the bytes
            of the shards to the disk, each alone, for the same corpus.
        floor_s: Seconds of the steps that no build can omit besides reading: zstd and SHA-256 on all cores.
        worker_mb: Peak memory of a process that runs the scene's extract task.
    """

    samples: int
    stages_s: dict[str, float]
    parts_s: dict[str, float]
    floor_s: dict[str, float]
    worker_mb: float


def measure_build(folder: Path, server: Server) -> SceneBuild:
    """Measure the build, its parts, the floor, and the memory of a worker, each in a new process."""
    with TemporaryDirectory(prefix="landmark-scene-") as scratch:
        arguments = {"folder": str(folder), "port": server.port, "corpus": f"{scratch}/corpus"}
        built, parts, floor = (
            run_module("bench.scene_build", {**arguments, "step": step}) for step in ("build", "parts", "floor")
        )
        worker = run_module("bench.scene_build", {**arguments, "step": "worker"}, WORKER_ENVIRONMENT)
    return SceneBuild(built["samples"], built["stages_s"], parts, floor, worker["peak_mb"])


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
    match arguments["step"]:
        case "build":
            print(json.dumps(_build(request)))
            return
        case "floor":
            print(json.dumps(_measure_floor(request.out)))
            return
    measure = _measure_parts if arguments["step"] == "parts" else _measure_worker
    with TemporaryDirectory(prefix="landmark-scene-", dir=_MEMORY) as memory:
        print(json.dumps(measure(_open_task(request, Path(memory)))))


def _build(request: BuildRequest) -> dict[str, Any]:
    """Plan and build; the last progress of a stage is its end."""
    ends = {"start": time.perf_counter()}

    def progress(stage: str, *_: object) -> None:
        ends[stage] = time.perf_counter()

    plan_corpus(request)
    progress("plan")
    manifest = build(replace(request, progress=progress))
    progress("documents")
    names = {"plan": "plan", "build": "extract", "pack": "pack", "documents": "documents"}
    times = [ends["start"], *(ends[name] for name in names)]
    return {
        "samples": sum(shard.rows for shard in manifest.shards),
        "stages_s": {name: end - start for name, (start, end) in zip(names.values(), pairwise(times), strict=True)},
    }


def _measure_floor(corpus: Path) -> dict[str, float]:
    """Compress and hash the pixels of a sealed corpus, value by value, and hash its shards, in a thread a core."""
    import imagecodecs

    shards = sorted(corpus.glob("shards/*/*"))
    fields = pixel_fields(pq.read_schema(shards[0]))
    columns = [pq.read_table(path, columns=[field.name for field in fields]) for path in shards]
    values = [
        np.frombuffer(value.as_buffer(), np.uint8) for table in columns for column in table.columns for value in column
    ]
    contents = [path.read_bytes() for path in shards]
    steps: dict[str, tuple[Callable[[Any], Any], list[Any]]] = {
        "zstd": (lambda value: imagecodecs.zstd_encode(value, level=1), values),
        "sha256 of pixels": (hashlib.sha256, values),
        "sha256 of shards": (hashlib.sha256, contents),
    }
    with ThreadPoolExecutor(available_cores()) as threads:
        return {name: _timed(partial(_run_all, threads, *step))[1] for name, step in steps.items()}


def _run_all(threads: ThreadPoolExecutor, function: Callable[[Any], Any], values: list[Any]) -> None:
    def run_share(first: int) -> None:
        for value in values[first :: available_cores()]:
            function(value)

    list(threads.map(run_share, range(available_cores())))


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
        "disk": lambda: _copy(scene.folder / "shards", scene.corpus / "copy"),
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
    """Write every byte of the shards to the disk."""
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
