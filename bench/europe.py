"""`python -m bench.europe`: time and memory to plan the 650,000 samples of Europe, from catalogue to lock.

Runs the code of `landmark plan` on the recipe `europe-full`. The archive (bench/continent.py) and the results of tasks
that read files (headers, label maps, cloud masks) are simulated; the time of the simulation is not counted. Writes
`bench/europe.json` when run in full.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pystac
import shapely

from bench.continent import Continent, continent, item_of, part_of
from landmark.config.recipe import load_recipe
from landmark.config.region import Region
from landmark.core.atomic import write_bytes
from landmark.core.hashing import rank
from landmark.core.process_share import available_cores
from landmark.domain.schemas import CLOUD_STATS, label_counts_schema
from landmark.domain.taxonomy import LabelEdition
from landmark.labels.cloud_stats import CloudStatTask, measure_mask
from landmark.labels.counts import CountTask, LabelCounts, measure_counts
from landmark.labels.label_rules import LabelRules
from landmark.raster.versions import WithVersions
from landmark.stac.catalog import Query
from landmark.stac.header_probe import probe_header
from landmark.workflow import planner
from landmark.workflow.context import BuildContext, load_offline_context

RESULT = Path(__file__).with_name("europe.json")
MARKERS = ("<!-- bench:europe -->", "<!-- /bench:europe -->")
RECIPE, LIMIT_S, LIMIT_GB = "europe-full", 180, 3
_KINDS = 9
# The timed functions by stage, each with the object it is an attribute of, in the order of the plan.
STAGES: dict[str, list[tuple[Any, str]]] = {
    "search": [(planner, "search")],
    "find cells": [(planner, "utm_cells")],
    "sample cells": [(planner, "sample_cells")],
    "merge label counts": [(planner, "count_tasks"), (planner, "merge")],
    "label rules": [(LabelRules, "apply")],
    "find candidates": [(planner, "find_candidates")],
    "shortlist": [(planner, "shortlist"), (planner, "cloud_stat_tasks")],
    "choose samples": [(planner, "choose_samples")],
    "write plan and lock": [(planner, "write_plan")],
    "estimate": [(planner, "estimate_plan")],
}


class Clock:
    """Wall time, CPU time and peak memory by stage; nested stages are not counted in the outer one."""

    def __init__(self) -> None:
        self.wall, self.cpu, self.peak_gb = dict[str, float](), dict[str, float](), dict[str, float]()
        self._inner = [(0.0, 0.0)]

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a block."""
        start, self._inner = (time.perf_counter(), time.process_time()), [*self._inner, (0.0, 0.0)]
        try:
            yield
        finally:
            spent = time.perf_counter() - start[0], time.process_time() - start[1]
            inner = self._inner.pop()
            self.wall[name] = self.wall.get(name, 0) + spent[0] - inner[0]
            self.cpu[name] = self.cpu.get(name, 0) + spent[1] - inner[1]
            self._inner[-1] = self._inner[-1][0] + spent[0], self._inner[-1][1] + spent[1]
            self.peak_gb[name] = peak_gb()

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap a function so that its calls are timed as a stage."""

        def call(*args: Any, **named: Any) -> Any:
            with self.stage(name):
                result = function(*args, **named)
                return list(result) if isinstance(result, Iterator) else result

        return call


def peak_gb() -> float:
    """Return the peak resident memory of this process in 10^9 bytes."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e9


def simulate_tasks(clock: Clock) -> Callable[[Callable[..., Any], Iterable[Any]], Iterator[tuple[Any, Any]]]:
    """Return a `TaskMap` that reads no file; its results have the size of real ones, and no versions of files."""
    results = {probe_header: lambda task: task.acquisition, measure_counts: _label_counts, measure_mask: _cloud_stats}

    def map_tasks(call: WithVersions, tasks: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        for batch in _batches(tasks, clock):
            with clock.stage("simulation"):
                batch_results = [(results[call.function](task), {}) for task in batch]
            yield from zip(batch, batch_results, strict=True)

    return map_tasks


def _batches(items: Iterable[Any], clock: Clock) -> Iterator[list[Any]]:
    """Yield batches of 100 simulated items: timing each item would dominate."""
    iterator = iter(items)
    while True:
        with clock.stage("simulation"):
            batch = list(islice(iterator, 100))
        if not batch:
            return
        yield batch


def _label_counts(task: CountTask) -> LabelCounts:
    """Simulate nine combinations of codes per cell; one cell in fifty has no label."""
    count = task.cells.num_rows
    rng = np.random.default_rng(rank(0, "cover", task.cells["cell"][0].as_py()))
    source_codes = [np.array([-1, *source.crosswalk.classes], np.int32) for source in task.config.sources]
    codes = np.stack([rng.choice(choices, (count, _KINDS)) for choices in source_codes], axis=2)
    codes[rng.random(count) < 0.02] = -1
    spread = task.config.patch_px**2 - _KINDS
    cut = np.sort(rng.integers(0, spread, (count, _KINDS - 1), endpoint=True), axis=1)
    pixels = 1 + np.diff(cut, axis=1, prepend=0, append=spread)
    # The combinations of a cell are distinct.
    number = codes @ np.array([1000**place for place in range(len(source_codes))])
    owner = np.repeat(np.arange(count), _KINDS)
    kinds, first, place = np.unique(np.stack([owner, number.ravel()]), axis=1, return_index=True, return_inverse=True)
    held = np.bincount(place.ravel(), weights=pixels.ravel()).astype(np.int64)
    editions = tuple(dict.fromkeys(raster.edition for raster in task.rasters))
    schema = label_counts_schema(source.crosswalk.name for source in task.config.sources)
    columns = {
        "cell": task.cells["cell"].take(pa.array(kinds[0])),
        "period": pa.array([task.config.periods[0].name]).take(pa.array(np.zeros(len(first), np.int64))),
        "codes": _lists(codes.reshape(-1, len(source_codes))[first]),
        "pixels": held,
        "editions": _lists(np.tile(_numbers(task, editions), (len(first), 1))),
    }
    return LabelCounts(pa.table(columns, schema=schema), editions, {})


def _numbers(task: CountTask, editions: tuple[LabelEdition, ...]) -> list[int]:
    names = [edition.name for edition in editions]
    return [names.index(name) if (name := source.crosswalk.name) in names else -1 for source in task.config.sources]


def _lists(values: Any) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel().astype(np.int32)), values.shape[1])


def _cloud_stats(task: CloudStatTask) -> pa.Table:
    """Simulate four mask classes per cell, mostly land."""
    names, codes = task.cells["cell"].combine_chunks().sort(), np.array([3, 4, 5, 9], np.int16)
    rng = np.random.default_rng(rank(0, "clear", task.acquisition.id))
    shares = rng.dirichlet([0.05, 3, 1, 0.15], len(names))
    pixels = np.maximum(1, np.rint(3600 * shares)).astype(np.int32)
    owner = pa.array(np.repeat(np.arange(len(names)), len(codes)))
    acquisition = pa.array([task.acquisition.id]).take(pa.array(np.zeros(len(owner), np.int64)))
    return pa.table([names.take(owner), acquisition, np.tile(codes, len(names)), pixels.ravel()], schema=CLOUD_STATS)


@dataclass(frozen=True, slots=True)
class _Timed(Continent):
    """The archive; the time to make its documents is counted as simulation."""

    clock: Clock

    def items(self, query: Query) -> Iterator[pystac.Item]:
        """Iterate over the items that intersect the query's region."""
        for batch in _batches(self.documents(query), self.clock):
            yield from map(item_of, batch)


def measure(share: float, out: Path) -> dict[str, Any]:
    """Plan a share of Europe; return time and memory by stage, and the size of the plan.

    Call this in a new process: the functions of the planner are replaced by timed ones.
    """
    clock, context = Clock(), _load_scaled(share)
    archive = continent(context.recipe.region.geometry, share=share)
    timed = _Timed(archive.href, archive.root, archive.id, archive.scenes, archive.frames, clock)
    for name, places in STAGES.items():
        for owner, function in places:
            setattr(owner, function, clock.timed(name, getattr(owner, function)))
    with clock.stage("other"):
        plan = planner.make_plan(replace(context, catalog=timed), out, simulate_tasks(clock), lambda *_: None)
        planner.estimate_cost(plan, context)
    return {
        "share": share,
        "scenes": sum(map(len, archive.scenes.values())),
        "cells": plan.lock.considered["cells"],
        "samples": plan.samples.num_rows,
        "acquisitions": len(plan.lock.acquisitions),
        "files_bytes": {path.name: path.stat().st_size for path in sorted(out.iterdir())},
        "stages": [
            {"stage": name, "wall_s": clock.wall[name], "cpu_s": clock.cpu[name], "peak_gb": clock.peak_gb[name]}
            for name in [*STAGES, "other", "simulation"]
        ],
    }


def _load_scaled(share: float) -> BuildContext:
    """Load the recipe, scaled to a share of Europe."""
    recipe = load_recipe(RECIPE)
    if share < 1:
        outline = json.loads(shapely.to_geojson(part_of(recipe.region.geometry, share)))
        cells = round(share * (recipe.sampling.cells or 0))
        changes = {"region": Region(geojson=outline), "sampling": recipe.sampling.model_copy(update={"cells": cells})}
        recipe = recipe.model_copy(update=changes)
    return load_offline_context(recipe, "")


def measure_in_process(share: float) -> dict[str, Any]:
    """Measure in a new process, so that peak memory is the planner's own."""
    command = [sys.executable, "-m", "bench.europe", "--inside", "--scale", str(share)]
    return dict(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))


def main() -> None:
    """Measure and print; write the result if all of Europe was planned."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="share of Europe, counted from the west")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside:
        with tempfile.TemporaryDirectory(prefix="landmark-bench-") as folder:
            print(json.dumps(measure(arguments.scale, Path(folder))))
        return
    libraries = {name: version(name) for name in ("numpy", "pyarrow", "pyproj", "shapely")}
    result = measure_in_process(arguments.scale) | {"cores": available_cores(), "libraries": libraries}
    if arguments.scale == 1:
        write_bytes(RESULT, f"{json.dumps(result, indent=1)}\n".encode())
    print(markdown(result))


def markdown(result: dict[str, Any]) -> str:
    """Render a row per stage, and the sum with its limits."""
    stages = [stage for stage in result["stages"] if stage["stage"] != "simulation"]
    wall_s, cpu_s = (sum(stage[key] for stage in stages) for key in ("wall_s", "cpu_s"))
    peak_gb = max(stage["peak_gb"] for stage in result["stages"])
    total = f"**{wall_s:.0f}** (limit {LIMIT_S}) | **{cpu_s:.0f}** | **{peak_gb:.1f}** (limit {LIMIT_GB})"
    rows = [(stage["stage"], *(f"{stage[key]:.1f}" for key in ("wall_s", "cpu_s", "peak_gb"))) for stage in stages]
    return "\n".join(
        [
            f"{result['samples']:,} samples of {result['scenes']:,} scenes, chosen from {result['cells']:,} cells,"
            f" on {result['cores']} cores:",
            "",
            "| stage | wall time, s | CPU time, s | peak memory so far, GB |",
            "|---|---|---|---|",
            *(f"| {' | '.join(row)} |" for row in rows),
            f"| **total** | {total} |",
        ]
    )


if __name__ == "__main__":
    main()
