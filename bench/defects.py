"""`python -m bench.defects`: every defect planted into the demo's corpus, then the real corpora as they are.

Writes `bench/defects.json` and prints it as Markdown. What the gate says of the real corpora stands there word for
word: whether it is right is for people to judge.
"""

import json
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bench import DEFECTS
from bench.reseal import opened
from bench.table import markdown
from bench.trial import Result, Trial, tried
from landmark.base.recipe import load_recipe
from landmark.build import Request, build
from landmark.io.store import write_bytes
from landmark.quality import Report, check, load_rules
from landmark.run import Lost, Where, cores, running

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


def bench(folder: Path, kinds: Iterable[str]) -> dict[str, Any]:
    """The demo with each defect, and the real corpora; `folder` holds what is built meanwhile."""
    demo, where = folder / "demo", Where(cores())
    build(Request(load_recipe("demo"), demo, where))
    clean = check(demo, load_rules(), where=where)
    draft, results = opened(demo, folder / "resealed"), dict[str, Result]()
    (folder / "scratch").mkdir()
    with running(where) as map_units:
        for trial, result in map_units(tried, [Trial(kind, draft, clean, folder / "scratch") for kind in kinds]):
            if isinstance(result, Lost):
                raise MemoryError(f"{trial.kind}: {result.detail}")
            results[trial.kind] = result
            print(f"{len(results):3} {trial.kind}", file=sys.stderr)
    return {
        "clean": said(clean),
        "defects": [results[kind].to_json() for kind in DEFECTS if kind in results],
        "real": {name: _real(name, folder, where) for name in _CATALOGS},
    }


def _real(name: str, folder: Path, where: Where) -> Mapping[str, Any]:
    catalog = _REAL / _CATALOGS[name]
    if not catalog.exists():
        return {"absent": "the real inputs do not lie beside this checkout"}
    build(Request(load_recipe(name), folder / name, where, catalog=str(catalog)))
    return said(check(folder / name, load_rules(), where=where))


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
