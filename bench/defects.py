"""`python -m bench.defects [KIND ...]`: plant every defect into demos and real corpora, one at a time.

All defects are planted into the easy demo with several seeds, those of events into the crisis demo instead, and all but
those of events into the real corpora; those with a rate also at the rates of `RATES_PCT`. Without kinds, the result is
written to `bench/defects.json`, and its tables to docs/bench.md and docs/famous.md.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import DEFECTS
from bench.remeasure import CleanCorpus, measure_clean
from bench.reseal import open_draft
from bench.table import markdown, update_pages
from bench.trial import Result, Trial, run_trial
from landmark.config.recipe import Recipe, load_recipe
from landmark.core.atomic import write_bytes
from landmark.core.executor import ExecutorConfig, TaskMap, WorkerLost, open_executor
from landmark.core.process_share import available_cores
from landmark.quality.findings import Report
from landmark.workflow.build import BuildRequest, build

RESULT = Path(__file__).with_name("defects.json")
RATES_PCT = (1, 5, 20, 50)
_REAL = Path(__file__).parents[2] / "shared" / "real"
_CATALOGS = {
    "real-five": "catalog",
    "real-29rkh": "scene/S2A_29RKH_20200219_0_L2A/S2A_29RKH_20200219_0_L2A.json",
}


@dataclass(frozen=True, slots=True)
class Bed:
    """A corpus that defects are planted into.

    Attributes:
        catalog: Of real corpora; None for that of the recipe.
        seed: Of the recipe's sampling; None for its own.
        events: Whether defects of events are planted, or all others.
        rates_pct: Shares of samples, besides each kind's own.
    """

    recipe: str
    catalog: Path | None = None
    seed: int | None = None
    events: bool = False
    rates_pct: tuple[float, ...] = ()

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.recipe if self.seed is None else f"{self.recipe}-{self.seed}"

    def load(self) -> Recipe:
        """The recipe with the seed."""
        recipe = load_recipe(self.recipe)
        if self.seed is None:
            return recipe
        return recipe.model_copy(update={"sampling": recipe.sampling.model_copy(update={"seed": self.seed})})

    def trials(self, kinds: Iterable[str], clean: CleanCorpus, scratch: Path) -> list[Trial]:
        """All trials of these kinds."""
        suited = [kind for kind in kinds if DEFECTS[kind].events == self.events]
        return [Trial(kind, clean, scratch, rate_pct) for rate_pct in (None, *self.rates_pct) for kind in suited]


def beds(seeds: int, rates_pct: Sequence[float] = RATES_PCT) -> list[Bed]:
    """The corpora: the easy demo with `seeds` seeds, of which the first gets the rates, crises, and the real ones."""
    demos = [Bed("demo-easy", seed=seed, rates_pct=() if seed else tuple(rates_pct)) for seed in range(seeds)]
    return [
        *demos,
        Bed("crisis-demo", seed=0, events=True),
        *(Bed(recipe, catalog=_REAL / catalog) for recipe, catalog in _CATALOGS.items()),
    ]


def main() -> None:
    """Run all kinds and write the result, or run the kinds named on the command line and only print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--rates", type=float, nargs="*", default=RATES_PCT, help="percent of the samples")
    parser.add_argument("--corpora", type=Path, help="folder of the clean corpora: made there where absent, and kept")
    parser.add_argument("--only", nargs="+", help="names of corpora; the result is not written")
    options = parser.parse_args()
    kinds = options.kinds or list(DEFECTS)
    chosen = [bed for bed in beds(options.seeds, options.rates) if not options.only or bed.name in options.only]
    with tempfile.TemporaryDirectory(prefix="landmark-bench-") as folder:
        result = bench(options.corpora or Path(folder), kinds, chosen)
    if kinds == list(DEFECTS) and not options.only:
        write_bytes(RESULT, to_text(result).encode())
        update_pages(RESULT.parents[1] / "docs", result)
    print(markdown(result))


def bench(folder: Path, kinds: Collection[str], chosen: Collection[Bed]) -> dict[str, Any]:
    """Measure corpora without defects and with each defect; corpora are built in `folder`."""
    started, executor = time.monotonic(), ExecutorConfig(available_cores())
    present = [bed for bed in chosen if bed.catalog is None or bed.catalog.exists()]
    paths = {bed: _build(bed, folder, executor) for bed in present}
    corpora: dict[str, Any] = {}
    with open_executor(executor) as map_trials:
        for bed in chosen:
            absent = {"absent": "the real inputs are not beside this checkout"}
            corpora[bed.name] = _plant_all(bed, paths[bed], kinds, map_trials) if bed in paths else absent
    about = {kind: DEFECTS[kind].describe() for kind in kinds}
    return {"minutes": round((time.monotonic() - started) / 60, 1), "kinds": about, "corpora": corpora}


def _build(bed: Bed, folder: Path, executor: ExecutorConfig) -> Path:
    if not (folder / bed.name / "corpus.json").is_file():
        catalog = None if bed.catalog is None else str(bed.catalog)
        build(BuildRequest(bed.load(), folder / bed.name, executor, catalog=catalog))
    return folder / bed.name


def _plant_all(bed: Bed, corpus: Path, kinds: Iterable[str], map_trials: TaskMap) -> dict[str, Any]:
    """Check a corpus without defects, and with each defect."""
    with tempfile.TemporaryDirectory(prefix=f".{corpus.name}-", dir=corpus.parent) as name:
        scratch, results = Path(name), dict[tuple[str, float | None], Result]()
        clean = measure_clean(open_draft(corpus, scratch / "resealed"))
        trials = bed.trials(kinds, clean, scratch)
        for trial, result in map_trials(run_trial, trials):
            if isinstance(result, WorkerLost):
                raise MemoryError(f"{trial.kind}: {result.detail}")
            results[trial.kind, trial.rate_pct] = result
            print(f"{corpus.name}: {len(results):4} of {len(trials)} {trial.kind}", file=sys.stderr)
    in_order = [results[trial.kind, trial.rate_pct] for trial in trials]
    suited = [result for result in in_order if result.rate_pct is None or result.unsuited is None]
    return {**summarize(clean.report), "trials": [result.to_json() for result in suited]}


def summarize(report: Report) -> dict[str, Any]:
    """Summarise a report: errors and warnings in full, and the checks that were skipped."""
    return {
        "samples": report.samples,
        "checks": len(report.checks),
        "skipped": {name: verdict.skipped for name, verdict in report.checks.items() if verdict.skipped},
        "findings": [finding.model_dump(mode="json") for finding in report.findings("warning")],
    }


def to_text(result: dict[str, Any]) -> str:
    """JSON with a line per kind and per trial."""
    kinds = {kind: json.dumps(about, ensure_ascii=False) for kind, about in result["kinds"].items()}
    lines = [f'{{\n"minutes": {result["minutes"]},\n"kinds": {{']
    lines += [",\n".join(f"{json.dumps(kind)}: {text}" for kind, text in kinds.items()), '},\n"corpora": {']
    corpora = []
    for name, corpus in result["corpora"].items():
        trials = ",\n".join(json.dumps(trial, ensure_ascii=False) for trial in corpus.get("trials", ()))
        head = json.dumps({key: value for key, value in corpus.items() if key != "trials"}, ensure_ascii=False)
        corpora.append(f'{json.dumps(name)}: {head[:-1]}, "trials": [\n{trials}\n]}}')
    return "\n".join([*lines, ",\n".join(corpora), "}}"]) + "\n"


if __name__ == "__main__":
    main()
