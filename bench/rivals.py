"""`python -m bench.rivals`: CLOSP `tiny` against its rivals on the two demos.

Writes `bench/rivals.json`, and its tables in docs/bench.md, docs/train.md and README.md. `--smoke` trains one seed and
writes nothing.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import landmark
from bench.rivals_table import PAGES, RESULT, ROOT, with_table
from landmark import world
from landmark.config.recipe import load_recipe
from landmark.core.atomic import write_bytes
from landmark.core.executor import ExecutorConfig
from landmark.core.process_share import available_cores
from landmark.corpus.reader import Corpus
from landmark.train.profile import load_profile
from landmark.train.validation.comparison import SensorResult
from landmark.train.validation.validate import ValidationConfig, validate
from landmark.workflow.build import BuildRequest, build

_WORLDS = {"demo": world.demo, "demo-easy": world.easy}
_SEEDS = 3


def main() -> None:
    """Measure, write the result and the pages, and print the result's tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="train one seed and write nothing")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="landmark-rivals-") as folder:
        result = bench(Path(folder), seeds=1 if arguments.smoke else _SEEDS)
    if not arguments.smoke:
        write_bytes(RESULT, f"{json.dumps(result, indent=1)}\n".encode())
        for name, render in PAGES.items():
            path = ROOT / name
            write_bytes(path, with_table(path.read_text(encoding="utf-8"), render(result)).encode())
    print(PAGES["docs/bench.md"](result))


def bench(folder: Path, *, seeds: int, corpora: Mapping[str, Callable[[], Path]] = _WORLDS) -> dict[str, Any]:
    """Paint the worlds, build the corpora and validate them, all in `folder`."""
    os.environ["LANDMARK_CACHE"] = str(folder / "cache")
    return {
        "cores": available_cores(),
        "seeds": seeds,
        "model": "tiny",
        "corpora": {name: _measure(name, paint, folder / name, seeds) for name, paint in corpora.items()},
    }


def _measure(name: str, paint: Callable[[], Path], folder: Path, seeds: int) -> dict[str, Any]:
    catalog = paint()
    build(BuildRequest(load_recipe(name), folder, ExecutorConfig(available_cores())))
    corpus, runs = landmark.open(folder), folder.with_name(f"{name}-runs")
    config = ValidationConfig(load_profile("tiny"), runs, list(range(seeds)), smoke=seeds < _SEEDS, device="cpu")
    report = validate(corpus, config)
    return {
        "world_mb": round(sum(path.stat().st_size for path in catalog.parent.rglob("*") if path.is_file()) / 1e6, 1),
        "samples": len(corpus),
        "margin": report.margin,
        "state": report.verdict.state,
        "reasons": [asdict(reason) for reason in report.verdict.reasons],
        "sensors": {result.sensor: _summarize(result, corpus) for result in report.results},
    }


def _summarize(result: SensorResult, corpus: Corpus) -> dict[str, Any]:
    rivals = {
        name: {"map": rival.map, "above_chance": rival.above_chance, "lead": _bounds(rival.lead)}
        for name, rival in result.rivals.items()
    }
    values = {name: getattr(result, name) for name in ("n_images", "n_blocks", "map", "chance_map", "above_chance")}
    classes = {name: asdict(own) for name, own in result.classes.items()}
    leakage = corpus.manifest.leakage[result.sensor].above_chance
    document = {**values, "null_p": result.null_p, "leakage": leakage, "rivals": rivals, "classes": classes}
    return {key: _rounded(value) for key, value in document.items()}


def _bounds(interval: Any) -> list[float]:
    return [interval.mean, interval.low, interval.high]


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return round(value, 4) if isinstance(value, float) else value


if __name__ == "__main__":
    main()
