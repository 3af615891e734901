"""A whole scene from catalogue to sealed corpus in one process, against the parts of that work, each done alone."""

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

import pyarrow.parquet as pq

from bench.measure import in_process, peak_mb
from bench.scene import recipe
from bench.server import Server
from landmark.captions.annotate import ImageInfo, annotate_sample
from landmark.core.executor import WORKER_ENVIRONMENT, ExecutorConfig
from landmark.corpus.shard_schema import shard_schema, staging_schema
from landmark.domain.schemas import CELLS
from landmark.extract.chips import extract_chips
from landmark.labels.counts import CountConfig, count_tasks, measure_counts, merge
from landmark.labels.editions import LabelSource, Period
from landmark.stac.search import search
from landmark.workflow.build import BuildRequest, build
from landmark.workflow.context import BuildContext, load_context
from landmark.workflow.lock import Plan, read_plan
from landmark.workflow.task import ExtractTask, extract_tasks, run
from landmark.write.shards import packing_folder, shard_tasks, write_shard
from landmark.write.staging import Staging, write_staging

_SENSOR = "s2"
# Staging and packing are measured without a disk, and the disk without them.
_MEMORY = Path("/dev/shm")
_COPIED_BYTES = 2**24


@dataclass(frozen=True, slots=True)
class Whole:
    """What a whole scene took.

    Attributes:
        build_s: From the recipe to the sealed corpus, in one process.
        parts_s: Of the same corpus: reading, cover, text, staging and packing into memory, as many bytes to the disk.
        worker_mb: Most memory of a process that carries out the scene's unit.
    """

    samples: int
    build_s: float
    parts_s: dict[str, float]
    worker_mb: float


def whole(folder: Path, server: Server) -> Whole:
    """Build, do the parts, and stream, each in a process of its own."""
    with TemporaryDirectory(prefix="landmark-whole-") as scratch:
        asked = {"folder": str(folder), "port": server.port, "corpus": f"{scratch}/corpus"}
        built, parts = (in_process("bench.whole", {**asked, "do": do}) for do in ("build", "parts"))
        worker = in_process("bench.whole", {**asked, "do": "worker"}, WORKER_ENVIRONMENT)
    return Whole(built["samples"], built["seconds"], parts, worker["peak_mb"])


def main() -> None:
    """Do what the command line says, and print what it took."""
    asked = json.loads(sys.argv[1])
    catalog = f"{Server(asked['port']).at(0)}catalog.json"
    request = BuildRequest(
        recipe(Path(asked["folder"]), [_SENSOR]),
        Path(asked["corpus"]),
        ExecutorConfig(0),
        catalog=catalog,
        consent=lambda _: True,
    )
    if asked["do"] == "build":
        print(json.dumps(_built(request)))
        return
    with TemporaryDirectory(prefix="landmark-whole-", dir=_MEMORY) as memory:
        print(json.dumps((_parts if asked["do"] == "parts" else _worker)(_Again(request, Path(memory)))))


def _built(request: BuildRequest) -> dict[str, float]:
    manifest, seconds = _timed(lambda: build(request))
    return {"samples": sum(shard.rows for shard in manifest.shards), "seconds": seconds}


class _Again:
    """The one unit of a corpus that was built, to be staged in another folder."""

    def __init__(self, request: BuildRequest, folder: Path) -> None:
        planned = read_plan(request.out)
        assert planned is not None
        self.corpus, self.folder, self.planned = request.out, folder, planned
        self.setting: BuildContext = load_context(request.recipe, request.catalog)
        self.staging = Staging(folder)
        self.staging.open()
        (self.unit,) = extract_tasks(planned.samples, planned, self.setting, self.staging)


def _worker(again: _Again) -> dict[str, float]:
    """A process that is handed the unit and knows nothing else, as Dask's are."""
    with get_context("spawn").Pool(1) as worker:
        return {"peak_mb": worker.apply(_streamed, (again.unit,))}


def _streamed(unit: ExtractTask) -> float:
    run(unit)
    return peak_mb()


def _parts(again: _Again) -> dict[str, float]:
    sensor, patch_px = again.setting.sensors[_SENSOR], again.setting.recipe.patch_px
    rows = [row for path in sorted(again.corpus.glob("shards/*/*")) for row in pq.read_table(path).to_pylist()]
    cover = _cover(again.planned, again.setting)
    parts: dict[str, Callable[[], Any]] = {
        "read": lambda: sum(1 for _ in extract_chips(again.unit.cut)),
        "cover": cover,
        "text": lambda: _text(again.unit),
        "staging": lambda: write_staging(again.unit.target, rows, staging_schema(sensor, patch_px)),
        "pack": lambda: _pack(again, {_SENSOR: shard_schema(sensor, patch_px)}),
        "disk": lambda: _copied(again.folder, again.corpus / "copy"),
    }
    return {name: _timed(part)[1] for name, part in parts.items()}


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    return work(), time.perf_counter() - start


def _cover(planned: Plan, setting: BuildContext) -> Callable[[], Any]:
    """Measures the cover of the planned cells as planning does, once the maps are found."""
    recipe, crosswalks = setting.recipe, setting.label_rules.crosswalks
    sources = tuple(LabelSource.from_entry(*pair) for pair in zip(recipe.labels, crosswalks, strict=True))
    found = search(setting.catalog, recipe, provider=setting.provider, crosswalks=crosswalks, files=setting.label_files)
    periods = tuple(Period(name, *recipe.time.span(name)) for name in set(planned.samples["period"].to_pylist()))
    config = CountConfig(recipe.cell_m, recipe.patch_px, sources, periods)
    batches = list(count_tasks(planned.samples.select(CELLS.names), found.labels, config))
    return lambda: merge(sources, [measure_counts(batch) for batch in batches])


def _text(unit: ExtractTask) -> None:
    """The words of every sample."""
    facts, moment = unit.wording.facts(unit.cover), unit.cut.acquisition.datetime
    for row in unit.rows.to_pylist():
        image = ImageInfo(row["id"], row["sensor"], moment, row["lon"], row["lat"])
        annotate_sample(image, facts.of(row["cell"], row["period"]), unit.wording)


def _pack(again: _Again, schemas: dict[str, Any]) -> None:
    """What was staged as shards."""
    tasks = shard_tasks(again.folder, again.planned.samples, again.staging.status(), schemas)
    packing_folder(again.folder, tasks, "bench")
    for task in tasks:
        write_shard(task)


def _copied(source: Path, target: Path) -> None:
    """Every byte staged and packed, on the disk."""
    with target.open("wb") as file:
        for path in sorted(path for path in source.rglob("*") if path.is_file()):
            with path.open("rb") as held:
                while part := held.read(_COPIED_BYTES):
                    file.write(part)
        file.flush()
        os.fsync(file.fileno())
    target.unlink()


if __name__ == "__main__":
    main()
