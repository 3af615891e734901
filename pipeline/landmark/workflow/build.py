"""Recipe → sealed corpus: plans, or takes up the plan that stands, carries it out, and seals only what is whole."""

import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from landmark.config.recipe import Recipe
from landmark.core.atomic import held, sweep
from landmark.core.errors import DiskTooSmall, InputsChanged, ConsentRequired, RecipeMismatch
from landmark.core.executor import Lost, MapUnits, Where, running
from landmark.corpus.manifest import Lock, Manifest, Projection, is_sealed, read_document
from landmark.domain.drops import Tally
from landmark.plan.estimate import Estimate
from landmark.workflow import lock as lockfile
from landmark.workflow.context import Setting, prepare
from landmark.workflow.finalize import project, reopen, seal, unprojected
from landmark.workflow.lock import Planned
from landmark.workflow.planner import estimate, make_plan
from landmark.workflow.task import Unit, carry_out, give_up, units
from landmark.write.staging import Staging
from landmark.write.webdataset import TarTask

log = logging.getLogger(__name__)

CONSENT_BYTES = 20 * 10**9

# What a plan killed before its lock leaves behind.
_UNFINISHED_PLAN = {
    "plan.parquet",
    "cover.parquet",
    "clear.parquet",
    "events.parquet",
    "ledger.parquet",
    ".landmark.lock",
}


@dataclass(frozen=True, slots=True)
class Request:
    """A build as a person asks for it.

    Attributes:
        catalog: STAC document by path or URL; None takes the recipe's.
        locked: Build from the plan that stands, never search.
        retry: Try failed samples again; seal_anyway: count them as drops.
        consent: Asked once where more than `CONSENT_BYTES` would be fetched or written.
        progress: Told (stage, done, of, tally of the units so far).
    """

    recipe: Recipe
    out: Path
    where: Where
    catalog: str | None = None
    locked: bool = False
    retry: bool = False
    seal_anyway: bool = False
    consent: Callable[[Estimate], bool] = lambda _: False
    progress: Callable[[str, int, int, Tally], None] = lambda *_: None

    def report(self, stage: str, done: int, of: int) -> None:
        """Progress of a stage that drops nothing."""
        self.progress(stage, done, of, Tally.zero())


def plan(request: Request) -> tuple[Planned, Estimate]:
    """Write plan and lock to the corpus folder; once a build has started there, its plan stands.

    Raises:
        LandmarkError: refused; the folder is as it was.
    """
    with held(request.out):
        _refuse_foreign(request)
        setting = prepare(request.recipe, request.catalog)
        keep = request.locked or Staging(request.out).started or is_sealed(request.out)
        planned = _standing(setting, request) if keep else None
        if planned is None:
            with running(request.where) as map_units:
                planned = make_plan(setting, request.out, map_units, request.report)
        return planned, estimate(planned, setting)


def build(request: Request) -> Manifest:
    """The sealed corpus of a recipe, started or resumed; one already sealed only gains the formats it lacks.

    Raises:
        SealingFailed: samples failed, and neither --retry nor --seal-anyway was said (exit 1).
        LandmarkError: refused before the first unit (exit 2).
    """
    with held(request.out):
        _refuse_foreign(request)
        sweep(request.out)
        if is_sealed(request.out):
            log.info("%s is sealed already", request.out)
            return _reopened(request)
        setting = prepare(request.recipe, request.catalog)
        with running(request.where) as map_units:
            planned = _standing(setting, request) or make_plan(setting, request.out, map_units, request.report)
            _ask(estimate(planned, setting), request)
            _carry_out(planned, setting, request, map_units)
            manifest = seal(
                planned, setting, request.out, map_units, seal_anyway=request.seal_anyway, progress=request.report
            )
            return _projected(manifest, request, map_units)


def _reopened(request: Request) -> Manifest:
    """A sealed corpus, with what it lacks of the formats asked for."""
    manifest = reopen(request.out)
    if not unprojected(request.out, manifest, request.recipe):
        return manifest
    with running(request.where) as map_units:
        return _projected(manifest, request, map_units)


def _projected(manifest: Manifest, request: Request, map_units: MapUnits[TarTask, Projection]) -> Manifest:
    tasks = unprojected(request.out, manifest, request.recipe)
    return project(request.out, manifest, tasks, map_units, progress=request.report) if tasks else manifest


def _refuse_foreign(request: Request) -> None:
    """Refuse a folder that holds another corpus, or things that are no corpus at all."""
    for name, model in (("corpus.json", Manifest), ("lock.json", Lock)):
        if (request.out / name).is_file():
            theirs = read_document(model, request.out / name).recipe_digest
            if theirs != request.recipe.digest:
                raise RecipeMismatch(
                    f"{request.out} holds a corpus of another recipe (digest {theirs[:12]},"
                    f" this one {request.recipe.digest[:12]}); choose another --out, or delete the folder"
                )
            return
    there = [path.name for path in request.out.iterdir() if not path.name.endswith(".partial")]
    if strange := sorted(set(there) - _UNFINISHED_PLAN):
        raise RecipeMismatch(f"{request.out} is no corpus, but holds {strange[0]}; name a new folder with --out")


def _standing(setting: Setting, request: Request) -> Planned | None:
    """The plan that lies in the folder, once its inputs are known to be the locked ones; None where there is none."""
    planned = lockfile.read_plan(request.out)
    if planned is not None:
        lockfile.check_inputs(planned.lock, setting)
    elif request.locked:
        raise InputsChanged(f"{request.out}: --locked needs the lock.json of `landmark plan`, and there is none")
    return planned


def _ask(cost: Estimate, request: Request) -> None:
    if max(cost.fetched_bytes, cost.corpus_bytes) > CONSENT_BYTES and not request.consent(cost):
        raise ConsentRequired(
            f"{request.recipe.name} would fetch {cost.fetched_bytes / 1e9:.0f} GB"
            f" and write {cost.corpus_bytes / 1e9:.0f} GB; say --yes to start it"
        )
    needed, free = cost.corpus_bytes + cost.staging_bytes, shutil.disk_usage(request.out).free
    if free < needed and not Staging(request.out).started:
        raise DiskTooSmall(f"{request.out}: {free / 1e6:,.0f} MB free, but the build needs {needed / 1e6:,.0f} MB")


def _carry_out(planned: Planned, setting: Setting, request: Request, map_units: MapUnits[Unit, Tally]) -> None:
    """Run the units of every sample that is neither written nor dropped (nor failed, unless it is to be retried)."""
    staging = Staging(request.out)
    staging.open()
    status = staging.status()
    failed = {id for id, outcome in status.outcomes.items() if not outcome.final}
    settled = status.written.keys() | (status.outcomes.keys() - (failed if request.retry else set()))
    keep = np.array([id not in settled for id in planned.plan["id"].to_pylist()], dtype=bool)
    pending, total = planned.plan.filter(keep), Tally.zero()
    log.info("%d samples to cut; %d settled before", pending.num_rows, len(settled))
    for unit, result in map_units(carry_out, units(pending, planned, setting, staging)):
        total += give_up(unit, "worker_lost", result.detail) if isinstance(result, Lost) else result
        request.progress("build", total.all, pending.num_rows, total)
    for route, rasters in sorted(total.routes.items()):
        log.info("%d rasters read %s", rasters, route)
