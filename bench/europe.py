"""`python -m bench.europe`: the plan of Europe's 650,000 samples, from catalogue to lock, in seconds and bytes.

The recipe is `europe-full`, the code that of `landmark plan`. Simulated are the archive (bench/continent.py), and what
units would read from files: headers, land cover and cloud masks; what that takes is not counted. Writes
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
from landmark.domain.schemas import CLOUD_STATS, label_counts_schema
from landmark.domain.taxonomy import LabelEdition
from landmark.labels.cloud_stats import CloudStatTask
from landmark.labels.cloud_stats import measure_mask as measure_mask
from landmark.labels.counts import CountTask, LabelCounts, measure_counts
from landmark.labels.label_rules import LabelRules
from landmark.raster.rate_limit import available_cores
from landmark.stac.catalog import Query
from landmark.stac.header_probe import probe_header
from landmark.workflow import lock as lockfile
from landmark.workflow import planner as planning
from landmark.workflow.context import BuildContext, load_offline_context

RESULT = Path(__file__).with_name("europe.json")
MARKERS = ("<!-- bench:europe -->", "<!-- /bench:europe -->")
RECIPE, LIMIT_S, LIMIT_GB = "europe-full", 180, 3
_KINDS = 9
# What is timed, by where `planning` finds it, in the order of the plan.
_STAGES: dict[str, list[tuple[Any, str]]] = {
    "catalogue": [(planning, "search")],
    "cells": [(planning, "utm_cells")],
    "sample": [(planning, "sample")],
    "label counts": [(planning, "count_tasks"), (planning, "merge")],
    "label rules": [(LabelRules, "apply")],
    "choices": [(planning, "choices_of_draw")],
    "shortlist": [(planning, "shortlist"), (planning, "cloud_stat_tasks")],
    "draw": [(planning, "draw_of_draw")],
    "plan and lock": [(lockfile, "write_plan")],
    "estimate": [(planning, "estimate")],
}


class Clock:
    """Seconds by stage; what is nested in another stage counts there no more."""

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
        """A function whose calls are a stage."""

        def call(*args: Any, **named: Any) -> Any:
            with self.stage(name):
                found = function(*args, **named)
                return list(found) if isinstance(found, Iterator) else found

        return call


def peak_gb() -> float:
    """The most memory this process has held, in 10^9 bytes."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e9


def simulated(clock: Clock) -> Callable[[Callable[..., Any], Iterable[Any]], Iterator[tuple[Any, Any]]]:
    """A `map_units` that reads nothing: what it answers is as large as what files would say."""
    answers = {probe_header: lambda unit: unit.acquisition, measure_counts: _cover, measure_mask: _clear}

    def map_units(function: Callable[..., Any], units: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        for some in _batches(units, clock):
            with clock.stage("simulation"):
                results = [answers[function](unit) for unit in some]
            yield from zip(some, results, strict=True)

    return map_units


def _batches(things: Iterable[Any], clock: Clock) -> Iterator[list[Any]]:
    """Things by the hundred, made by the simulation: a clock asked for each would be what takes the time."""
    waiting = iter(things)
    while True:
        with clock.stage("simulation"):
            some = list(islice(waiting, 100))
        if not some:
            return
        yield some


def _cover(unit: CountTask) -> LabelCounts:
    """Nine combinations of codes in each cell; one cell in fifty has no label."""
    count = unit.cells.num_rows
    chance = np.random.default_rng(rank(0, "cover", unit.cells["cell"][0].as_py()))
    known = [np.array([-1, *source.crosswalk.classes], np.int32) for source in unit.config.sources]
    codes = np.stack([chance.choice(some, (count, _KINDS)) for some in known], axis=2)
    codes[chance.random(count) < 0.02] = -1
    spread = unit.config.patch_px**2 - _KINDS
    cut = np.sort(chance.integers(0, spread, (count, _KINDS - 1), endpoint=True), axis=1)
    pixels = 1 + np.diff(cut, axis=1, prepend=0, append=spread)
    # A combination stands once in a cell.
    number = codes @ np.array([1000**place for place in range(len(known))])
    owner = np.repeat(np.arange(count), _KINDS)
    kinds, first, place = np.unique(np.stack([owner, number.ravel()]), axis=1, return_index=True, return_inverse=True)
    held = np.bincount(place.ravel(), weights=pixels.ravel()).astype(np.int64)
    editions = tuple(dict.fromkeys(raster.edition for raster in unit.rasters))
    schema = label_counts_schema(source.crosswalk.name for source in unit.config.sources)
    columns = {
        "cell": unit.cells["cell"].take(pa.array(kinds[0])),
        "period": pa.array([unit.config.periods[0].name]).take(pa.array(np.zeros(len(first), np.int64))),
        "codes": _lists(codes.reshape(-1, len(known))[first]),
        "pixels": held,
        "editions": _lists(np.tile(_numbers(unit, editions), (len(first), 1))),
    }
    return LabelCounts(pa.table(columns, schema=schema), editions, {})


def _numbers(unit: CountTask, editions: tuple[LabelEdition, ...]) -> list[int]:
    names = [edition.name for edition in editions]
    return [names.index(name) if (name := source.crosswalk.name) in names else -1 for source in unit.config.sources]


def _lists(values: Any) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel().astype(np.int32)), values.shape[1])


def _clear(unit: CloudStatTask) -> pa.Table:
    """Four classes in each cell, most of it land."""
    names, codes = unit.cells["cell"].combine_chunks().sort(), np.array([3, 4, 5, 9], np.int16)
    chance = np.random.default_rng(rank(0, "clear", unit.acquisition.id))
    shares = chance.dirichlet([0.05, 3, 1, 0.15], len(names))
    pixels = np.maximum(1, np.rint(3600 * shares)).astype(np.int32)
    owner = pa.array(np.repeat(np.arange(len(names)), len(codes)))
    acquisition = pa.array([unit.acquisition.id]).take(pa.array(np.zeros(len(owner), np.int64)))
    return pa.table([names.take(owner), acquisition, np.tile(codes, len(names)), pixels.ravel()], schema=CLOUD_STATS)


@dataclass(frozen=True, slots=True)
class _Timed(Continent):
    """The archive, whose making of documents is simulation and no part of the plan."""

    clock: Clock

    def items(self, query: Query) -> Iterator[pystac.Item]:
        for some in _batches(self.answers(query), self.clock):
            yield from map(item_of, some)


def measured(share: float, out: Path) -> dict[str, Any]:
    """The plan of a share of Europe: what it took, by stage, and how large it is.

    For a process of its own: stages are timed by putting a clock round the functions `planning` calls.
    """
    clock, setting = Clock(), _setting(share)
    archive = continent(setting.recipe.region.geometry, share=share)
    timed = _Timed(archive.href, archive.root, archive.id, archive.scenes, archive.frames, clock)
    for name, places in _STAGES.items():
        for owner, function in places:
            setattr(owner, function, clock.timed(name, getattr(owner, function)))
    with clock.stage("the rest"):
        planned = planning.make_plan(replace(setting, document=timed), out, simulated(clock), lambda *_: None)
        planning.estimate_cost(planned, setting)
    return {
        "share": share,
        "scenes": sum(map(len, archive.scenes.values())),
        "cells": planned.lock.considered["cells"],
        "samples": planned.samples.num_rows,
        "acquisitions": len(planned.lock.acquisitions),
        "files_bytes": {path.name: path.stat().st_size for path in sorted(out.iterdir())},
        "stages": [
            {"stage": name, "wall_s": clock.wall[name], "cpu_s": clock.cpu[name], "peak_gb": clock.peak_gb[name]}
            for name in [*_STAGES, "the rest", "simulation"]
        ],
    }


def _setting(share: float) -> BuildContext:
    """The recipe, or as much of it as a part of Europe is of the whole."""
    recipe = load_recipe(RECIPE)
    if share < 1:
        ground = json.loads(shapely.to_geojson(part_of(recipe.region.geometry, share)))
        cells = round(share * (recipe.sampling.cells or 0))
        changes = {"region": Region(geojson=ground), "sampling": recipe.sampling.model_copy(update={"cells": cells})}
        recipe = recipe.model_copy(update=changes)
    return load_offline_context(recipe, "")


def in_a_process(share: float) -> dict[str, Any]:
    """Measure in a fresh interpreter, so that the memory is the plan's own."""
    command = [sys.executable, "-m", "bench.europe", "--inside", "--scale", str(share)]
    return dict(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))


def main() -> None:
    """Measure, print, and where it was the whole of Europe write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="share of Europe, from the west")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.inside:
        with tempfile.TemporaryDirectory(prefix="landmark-bench-") as folder:
            print(json.dumps(measured(asked.scale, Path(folder))))
        return
    libraries = {name: version(name) for name in ("numpy", "pyarrow", "pyproj", "shapely")}
    found = in_a_process(asked.scale) | {"cores": available_cores(), "libraries": libraries}
    if asked.scale == 1:
        write_bytes(RESULT, f"{json.dumps(found, indent=1)}\n".encode())
    print(markdown(found))


def markdown(found: dict[str, Any]) -> str:
    """A row a stage, and the sum against the limits."""
    stages = [one for one in found["stages"] if one["stage"] != "simulation"]
    wall_s, cpu_s = (sum(one[key] for one in stages) for key in ("wall_s", "cpu_s"))
    peak_gb = max(one["peak_gb"] for one in found["stages"])
    total = f"**{wall_s:.0f}** (at most {LIMIT_S}) | **{cpu_s:.0f}** | **{peak_gb:.1f}** (at most {LIMIT_GB})"
    rows = [(one["stage"], *(f"{one[key]:.1f}" for key in ("wall_s", "cpu_s", "peak_gb"))) for one in stages]
    return "\n".join(
        [
            f"{found['samples']:,} samples of {found['scenes']:,} scenes, chosen among {found['cells']:,} cells,"
            f" on {found['cores']} cores:",
            "",
            "| from catalogue to lock | s | CPU s | memory at most so far, GB |",
            "|---|---|---|---|",
            *(f"| {' | '.join(row)} |" for row in rows),
            f"| **together** | {total} |",
        ]
    )


if __name__ == "__main__":
    main()
