"""`python -m bench.defects`: plant every defect into a demo, and pixel defects into real corpora.

Defects of events are planted into the crisis demo, all others into the easy one.

Writes `bench/defects.json` and prints it as Markdown. Findings of the real corpora without defects are recorded in
full: people judge them.
"""

import json
import sys
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from bench import DEFECTS
from bench.reseal import open_draft
from bench.table import markdown
from bench.trial import Result, Trial, run_trial
from landmark.config.recipe import load_recipe
from landmark.core.atomic import write_bytes
from landmark.core.executor import ExecutorConfig, WorkerLost, open_executor
from landmark.core.process_share import available_cores
from landmark.quality.check import check
from landmark.quality.check_profile import load_check_profile
from landmark.quality.findings import Report
from landmark.workflow.build import BuildRequest, build

RESULT = Path(__file__).with_name("defects.json")
_REAL = Path(__file__).parents[2] / "shared" / "real"
_CATALOGS = {
    "real-five": "catalog",
    "real-29rkh": "scene/S2A_29RKH_20200219_0_L2A/S2A_29RKH_20200219_0_L2A.json",
}


def main() -> None:
    """Run all kinds and write the result, or run the kinds named on the command line and only print them."""
    kinds = sys.argv[1:] or list(DEFECTS)
    with tempfile.TemporaryDirectory(prefix="landmark-bench-") as folder:
        result = bench(Path(folder), kinds)
    if kinds == list(DEFECTS):
        write_bytes(RESULT, f"{json.dumps(result, indent=1, ensure_ascii=False)}\n".encode())
    print(markdown(result))


def bench(folder: Path, kinds: Collection[str]) -> dict[str, Any]:
    """Measure the demos with each defect, and the real corpora; corpora are built in `folder`."""
    executor = ExecutorConfig(available_cores())
    for name in ("demo-easy", "crisis-demo"):
        build(BuildRequest(load_recipe(name), folder / name, executor))
    without_events = [kind for kind in kinds if not DEFECTS[kind].events]
    clean, results = _plant_all(folder / "demo-easy", without_events, executor)
    crises, results_of_events = _plant_all(
        folder / "crisis-demo", [kind for kind in kinds if DEFECTS[kind].events], executor
    )
    order = list(DEFECTS)
    pixels = [kind for kind in kinds if DEFECTS[kind].group == "pixels"]
    return {
        "clean": summarize(clean),
        "crises": summarize(crises),
        "defects": sorted([*results, *results_of_events], key=lambda result: order.index(result["kind"])),
        "real": {name: _real(name, folder, pixels, executor) for name in _CATALOGS},
    }


def _plant_all(corpus: Path, kinds: Collection[str], executor: ExecutorConfig) -> tuple[Report, list[dict[str, Any]]]:
    """Check a corpus without defects, and with each defect."""
    clean = check(corpus, load_check_profile(), executor=executor)
    scratch, results = corpus.with_name(f"{corpus.name}-scratch"), dict[str, Result]()
    draft = open_draft(corpus, scratch)
    scratch.mkdir()
    with open_executor(executor) as map_tasks:
        for trial, result in map_tasks(run_trial, [Trial(kind, draft, clean, scratch) for kind in kinds]):
            if isinstance(result, WorkerLost):
                raise MemoryError(f"{trial.kind}: {result.detail}")
            results[trial.kind] = result
            print(f"{corpus.name}: {len(results):3} {trial.kind}", file=sys.stderr)
    return clean, [results[kind].to_json() for kind in DEFECTS if kind in results]


def _real(name: str, folder: Path, kinds: Collection[str], executor: ExecutorConfig) -> Mapping[str, Any]:
    """Check a real corpus without defects, and with pixel defects. No threshold was tuned on it."""
    catalog = _REAL / _CATALOGS[name]
    if not catalog.exists():
        return {"absent": "the real inputs are not beside this checkout"}
    build(BuildRequest(load_recipe(name), folder / name, executor, catalog=str(catalog)))
    clean, results = _plant_all(folder / name, kinds, executor)
    return {**summarize(clean), "defects": results}


def summarize(report: Report) -> dict[str, Any]:
    """Summarise a report: errors and warnings in full, and the checks that were skipped."""
    return {
        "samples": report.samples,
        "checks": len(report.checks),
        "skipped": {name: verdict.skipped for name, verdict in report.checks.items() if verdict.skipped},
        "findings": [finding.model_dump(mode="json") for finding in report.findings("warning")],
    }


if __name__ == "__main__":
    main()
