"""`python -m bench.defects`: every defect planted into the demo's corpus, and those of pixels into the real ones.

Writes `bench/defects.json` and prints it as Markdown. What the gate says of the real corpora as they are stands there
word for word: whether it is right is for people to judge.
"""

import json
import sys
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from bench import DEFECTS
from bench.reseal import opened
from bench.table import markdown
from bench.trial import Result, Trial, tried
from landmark.config.recipe import load_recipe
from landmark.core.atomic import write_bytes
from landmark.core.executor import ExecutorConfig, WorkerLost, open_executor
from landmark.quality.check import check
from landmark.quality.check_profile import load_check_profile
from landmark.quality.findings import Report
from landmark.raster.rate_limit import available_cores
from landmark.workflow.build import BuildRequest, build

RESULT = Path(__file__).with_name("defects.json")
_REAL = Path(__file__).parents[2] / "shared" / "real"
_CATALOGS = {
    "real-five": "catalog",
    "real-29rkh": "scene/S2A_29RKH_20200219_0_L2A/S2A_29RKH_20200219_0_L2A.json",
}


def main() -> None:
    """Run the whole bench, or the kinds named on the command line, and only then write the result."""
    asked = sys.argv[1:] or list(DEFECTS)
    with tempfile.TemporaryDirectory(prefix="landmark-bench-") as folder:
        found = bench(Path(folder), asked)
    if asked == list(DEFECTS):
        write_bytes(RESULT, f"{json.dumps(found, indent=1, ensure_ascii=False)}\n".encode())
    print(markdown(found))


def bench(folder: Path, kinds: Collection[str]) -> dict[str, Any]:
    """The demo with each defect, and the real corpora; `folder` holds what is built meanwhile."""
    where = ExecutorConfig(available_cores())
    build(BuildRequest(load_recipe("demo"), folder / "demo", where))
    clean, results = _planted(folder / "demo", kinds, where)
    pixels = [kind for kind in kinds if DEFECTS[kind].group == "pixels"]
    return {
        "clean": said(clean),
        "defects": results,
        "real": {name: _real(name, folder, pixels, where) for name in _CATALOGS},
    }


def _planted(corpus: Path, kinds: Collection[str], where: ExecutorConfig) -> tuple[Report, list[dict[str, Any]]]:
    """What is said of a corpus as it is, and with each defect."""
    clean = check(corpus, load_check_profile(), executor=where)
    scratch, results = corpus.with_name(f"{corpus.name}-scratch"), dict[str, Result]()
    draft = opened(corpus, scratch)
    scratch.mkdir()
    with open_executor(where) as map_units:
        for trial, result in map_units(tried, [Trial(kind, draft, clean, scratch) for kind in kinds]):
            if isinstance(result, WorkerLost):
                raise MemoryError(f"{trial.kind}: {result.detail}")
            results[trial.kind] = result
            print(f"{corpus.name}: {len(results):3} {trial.kind}", file=sys.stderr)
    return clean, [results[kind].to_json() for kind in DEFECTS if kind in results]


def _real(name: str, folder: Path, kinds: Collection[str], where: ExecutorConfig) -> Mapping[str, Any]:
    """What is said of a real corpus as it is, and which defects of pixels are seen in it: no limit was set by it."""
    catalog = _REAL / _CATALOGS[name]
    if not catalog.exists():
        return {"absent": "the real inputs do not lie beside this checkout"}
    build(BuildRequest(load_recipe(name), folder / name, where, catalog=str(catalog)))
    clean, results = _planted(folder / name, kinds, where)
    return {**said(clean), "defects": results}


def said(report: Report) -> dict[str, Any]:
    """What the gate says of a corpus as it is: errors and warnings in full, and how many checks had nothing to see."""
    return {
        "samples": report.samples,
        "checks": len(report.checks),
        "skipped": {name: verdict.skipped for name, verdict in report.checks.items() if verdict.skipped},
        "findings": [finding.model_dump(mode="json") for finding in report.findings("warning")],
    }


if __name__ == "__main__":
    main()
