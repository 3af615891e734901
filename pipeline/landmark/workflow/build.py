"""Build a corpus from a recipe: search, plan, extract, seal, export."""

import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from landmark.config.recipe import Recipe
from landmark.core.atomic import folder_lock, remove_partials
from landmark.core.corpus_paths import refuse_links
from landmark.core.errors import ConsentRequired, DiskTooSmall, InputsChanged, RecipeMismatch
from landmark.core.executor import ExecutorConfig, TaskMap, WorkerLost, open_executor
from landmark.core.garbage import rare_collections
from landmark.core.plural import plural
from landmark.core.progress import Progress, silent
from landmark.corpus.lock import Lock
from landmark.corpus.manifest import Manifest, is_sealed, read_document
from landmark.corpus.tables import INPUTS_FILE
from landmark.domain.drops import TaskCounts
from landmark.plan.estimate import Estimate
from landmark.workflow.context import BuildContext, load_context
from landmark.workflow.finalize import export, missing_exports, reopen, seal
from landmark.workflow.inputs import read_versions
from landmark.workflow.lock import Plan, check_inputs, read_plan
from landmark.workflow.planner import estimate_cost, make_plan
from landmark.workflow.recaption import undo_recaption
from landmark.workflow.task import extract_tasks, fail, run
from landmark.write.staging import Staging

log = logging.getLogger(__name__)

_DOCUMENTS: dict[str, type[Manifest] | type[Lock]] = {"corpus.json": Manifest, "lock.json": Lock}

# Builds that fetch or write more than this ask for confirmation.
CONSENT_BYTES = 20 * 10**9

# Files that a planning killed before it wrote the lock leaves behind.
_UNFINISHED_PLAN = {
    "plan.parquet",
    "label_counts.parquet",
    "cloud_stats.parquet",
    "events.parquet",
    "ledger.parquet",
    INPUTS_FILE,
    ".landmark.lock",
}


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """A recipe, a folder, and how to build.

    Attributes:
        recipe: The recipe.
        out: The corpus folder.
        executor: Where tasks run.
        catalog: STAC document by path or URL; None takes the recipe's.
        allow_private: Whether a catalogue that is opened by URL may lead to private addresses.
        locked: Build from the existing plan and the same files; never search.
        retry: Try failed samples again.
        allow_failures: Seal although samples failed, and count these as drops.
        consent: Called with the estimate where the build exceeds `consent_bytes`; False refuses it.
        consent_bytes: Bytes fetched or written that need consent.
        progress: Receives progress.
    """

    recipe: Recipe
    out: Path
    executor: ExecutorConfig
    catalog: str | None = None
    allow_private: bool = False
    locked: bool = False
    retry: bool = False
    allow_failures: bool = False
    consent: Callable[[Estimate], bool] = lambda _: False
    consent_bytes: int = CONSENT_BYTES
    progress: Progress = silent


@rare_collections()
def plan_corpus(request: BuildRequest) -> tuple[Plan, Estimate]:
    """Write plan and lock to the corpus folder. Once a build has started there, its plan is kept.

    Raises:
        LandmarkError: refused; the folder is unchanged.
    """
    with folder_lock(request.out):
        _refuse_foreign_folder(request)
        refuse_links(request.out)
        context = load_context(request.recipe, request.catalog, allow_private=request.allow_private)
        keep = request.locked or Staging(request.out).started or is_sealed(request.out)
        plan = _existing_plan(context, request) if keep else None
        if plan is None:
            with open_executor(request.executor) as map_tasks:
                plan = make_plan(context, request.out, map_tasks, request.progress)
        return plan, estimate_cost(plan, context)


@rare_collections()
def build(request: BuildRequest) -> Manifest:
    """Build, or resume, the corpus of a recipe. A sealed corpus only gains the exports it lacks.

    Raises:
        SealingFailed: samples failed, and neither `retry` nor `allow_failures` is set (exit code 1).
        LandmarkError: refused before the first task (exit code 2).
    """
    with folder_lock(request.out):
        _refuse_foreign_folder(request)
        refuse_links(request.out)
        remove_partials(request.out)
        if is_sealed(request.out):
            log.info("%s is already sealed", request.out)
            manifest = reopen(request.out)
            undo_recaption(request.out, manifest, request.recipe)
            return _add_exports(manifest, request)
        context = load_context(request.recipe, request.catalog, allow_private=request.allow_private)
        with open_executor(request.executor) as map_tasks:
            plan = _existing_plan(context, request) or make_plan(context, request.out, map_tasks, request.progress)
            _require_consent_and_space(estimate_cost(plan, context), request)
            _extract(plan, context, request, map_tasks)
            manifest = seal(
                request.out,
                plan,
                context,
                map_tasks,
                allow_failures=request.allow_failures,
                progress=request.progress,
            )
            tasks = missing_exports(request.out, manifest, request.recipe)
            return export(request.out, manifest, tasks, map_tasks, progress=request.progress)


def _add_exports(manifest: Manifest, request: BuildRequest) -> Manifest:
    tasks = missing_exports(request.out, manifest, request.recipe)
    if not tasks:
        return manifest
    with open_executor(request.executor) as map_tasks:
        return export(request.out, manifest, tasks, map_tasks, progress=request.progress)


def _refuse_foreign_folder(request: BuildRequest) -> None:
    """Refuse a folder that holds another corpus, or files that belong to no corpus."""
    for name, model in _DOCUMENTS.items():
        if (request.out / name).exists():
            digest = read_document(model, request.out / name).recipe_digest
            if digest != request.recipe.digest:
                raise RecipeMismatch(
                    f"holds a corpus of another recipe (digest {digest[:12]}, this one {request.recipe.digest[:12]})",
                    file=request.out,
                    remedy="choose another --out, or delete the folder",
                )
            return
    names = {path.name for path in request.out.iterdir() if not path.name.endswith(".partial")}
    if foreign := sorted(names - _UNFINISHED_PLAN):
        raise RecipeMismatch(
            f"is no corpus, but holds {foreign[0]}", file=request.out, remedy="name a new folder with --out"
        )


def _existing_plan(context: BuildContext, request: BuildRequest) -> Plan | None:
    """Read the folder's plan and compare its inputs with the lock; None where there is no plan."""
    plan = read_plan(request.out)
    if plan is not None:
        check_inputs(plan.lock, context)
    elif request.locked:
        raise InputsChanged("no lock.json, which --locked needs", file=request.out, remedy="run `landmark plan` first")
    return plan


def _require_consent_and_space(cost: Estimate, request: BuildRequest) -> None:
    if max(cost.fetched_bytes, cost.corpus_bytes) > request.consent_bytes and not request.consent(cost):
        raise ConsentRequired(
            f"{request.recipe.name} would fetch {cost.fetched_bytes / 1e9:.0f} GB"
            f" and write {cost.corpus_bytes / 1e9:.0f} GB",
            remedy="start it with --yes",
        )
    required, free = cost.corpus_bytes + cost.staging_bytes, shutil.disk_usage(request.out).free
    if free < required and not Staging(request.out).started:
        raise DiskTooSmall(f"{free / 1e6:,.0f} MB free, but the build needs {required / 1e6:,.0f} MB", file=request.out)


def _extract(plan: Plan, context: BuildContext, request: BuildRequest, map_tasks: TaskMap) -> None:
    """Run the tasks of all samples that are neither written nor dropped (nor failed, unless `retry` is set)."""
    staging = Staging(request.out)
    staging.open()
    status = staging.status()
    failed = {id for id, record in status.drops.items() if not record.final}
    settled = status.written.keys() | (status.drops.keys() - (failed if request.retry else set()))
    keep = np.array([id not in settled for id in plan.samples["id"].to_pylist()], dtype=bool)
    pending, counts = plan.samples.filter(keep), TaskCounts.zero()
    log.info("%s to extract; %d settled before", plural(pending.num_rows, "sample"), len(settled))
    recorded = read_versions(request.out)
    expected = recorded if request.locked else {}
    for task, result in map_tasks(run, extract_tasks(pending, plan, context, staging, expected)):
        counts += fail(task, "worker_lost", result.detail) if isinstance(result, WorkerLost) else result
        request.progress("build", counts.total, pending.num_rows, counts.losses())
    for route, rasters in sorted(counts.routes.items()):
        log.info("%s read %s", plural(rasters, "raster"), route)
