"""Plan → units → shards → sealed corpus. Resumes, and seals only what is whole."""

import json
import logging
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

import landmark
from landmark import draw, lockfile, pack
from landmark.base.errors import DiskTooSmall, InputsChanged, NeedsConsent, OtherRecipe, Unsealed
from landmark.base.hashing import digest
from landmark.base.manifest import Manifest, Shard, is_sealed, read_document
from landmark.base.outcomes import Outcome
from landmark.base.recipe import Recipe
from landmark.base.schemas import shard_schema
from landmark.imagery import Cut
from landmark.io.store import held
from landmark.lockfile import Planned
from landmark.planning import Setting, estimate, locked_vintage, make_plan, prepare, vintages
from landmark.run import Lost, MapUnits, Where, running
from landmark.unit import Tally, Unit, Wording, carry_out, give_up

log = logging.getLogger(__name__)

CONSENT_BYTES = 20 * 10**9


@dataclass(frozen=True, slots=True)
class Request:
    """A build as a person asks for it.

    Attributes:
        catalog: STAC document by path or URL; None takes the recipe's.
        locked: Build from the lock alone and refuse changed inputs.
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
    consent: Callable[[draw.Estimate], bool] = lambda _: False
    progress: Callable[[str, int, int, Tally], None] = lambda *_: None


def plan(request: Request) -> tuple[Planned, draw.Estimate]:
    """Write plan and lock to the corpus folder; once a build has started there, its plan stands.

    Raises:
        LandmarkError: refused; the folder is as it was.
    """
    with held(request.out):
        _refuse_other_recipe(request)
        setting = prepare(request.recipe, request.catalog)
        standing = read_standing_plan(request)
        if standing is None:
            with running(request.where) as map_units:
                standing = make_plan(setting, request.out, map_units, _quiet(request))
        return standing, estimate(standing, setting)


def build(request: Request) -> Manifest:
    """The sealed corpus of a recipe, started or resumed; one already sealed is left as it is.

    Raises:
        Unsealed: samples failed, and neither --retry nor --seal-anyway was said (exit 1).
        LandmarkError: refused before the first unit (exit 2).
    """
    with held(request.out):
        _refuse_other_recipe(request)
        if is_sealed(request.out):
            log.info("%s is sealed already", request.out)
            return _manifest(request.out)
        setting = prepare(request.recipe, request.catalog)
        with running(request.where) as map_units:
            planned = lockfile.read_plan(request.out)
            if planned is None and request.locked:
                raise InputsChanged(
                    f"{request.out}: --locked needs the lock.json of `landmark plan`, and there is none"
                )
            if planned is None:
                planned = make_plan(setting, request.out, map_units, _quiet(request))
            _check(planned, setting, request)
            _carry_out(planned, setting, request, map_units)
            return _seal(planned, setting, request, map_units)


def read_standing_plan(request: Request) -> Planned | None:
    """The plan a started or sealed build rests on."""
    if pack.Staging(request.out).started or is_sealed(request.out) or request.locked:
        return lockfile.read_plan(request.out)
    return None


def _refuse_other_recipe(request: Request) -> None:
    for name in ("corpus.json", "lock.json"):
        if (request.out / name).is_file():
            theirs = json.loads((request.out / name).read_bytes())["recipe_digest"]
            if theirs != request.recipe.digest:
                raise OtherRecipe(
                    f"{request.out} holds a corpus of another recipe (digest {theirs[:12]},"
                    f" this one {request.recipe.digest[:12]}); choose another --out, or delete the folder"
                )
            return


def _check(planned: Planned, setting: Setting, request: Request) -> None:
    if planned.lock.catalog != setting.document.id:
        raise InputsChanged(f"the lock was made from catalogue {planned.lock.catalog!r}, not {setting.document.id!r}")
    if lockfile.meaning_digest(setting.meaning) != planned.lock.meaning or request.locked:
        lockfile.check_inputs(planned.lock, setting.document.root, setting.meaning)
    cost = estimate(planned, setting)
    if max(cost.fetched_bytes, cost.corpus_bytes) > CONSENT_BYTES and not request.consent(cost):
        raise NeedsConsent(
            f"{setting.recipe.name} would fetch {cost.fetched_bytes / 1e9:.0f} GB"
            f" and write {cost.corpus_bytes / 1e9:.0f} GB; say --yes to start it"
        )
    needed, free = cost.corpus_bytes + cost.staging_bytes, shutil.disk_usage(request.out).free
    if free < needed and not pack.Staging(request.out).started:
        raise DiskTooSmall(f"{request.out}: {free / 1e6:,.0f} MB free, but the build needs {needed / 1e6:,.0f} MB")


def _carry_out(planned: Planned, setting: Setting, request: Request, map_units: MapUnits[Unit, Tally]) -> None:
    """Run the units of every sample that is neither written nor dropped (nor failed, unless it is to be retried)."""
    staging = pack.Staging(request.out)
    staging.open()
    status = staging.status()
    settled = {
        id for id, outcome in status.outcomes.items() if outcome.final or not request.retry
    } | status.written.keys()
    units = list(_units(planned, setting, staging, settled))
    todo, total = sum(len(unit.cut.ids) for unit in units), Tally.zero()
    log.info("%d samples to cut from %d acquisitions; %d settled before", todo, len(units), len(settled))
    for unit, result in map_units(carry_out, units):
        total += give_up(unit, "worker_lost", result.detail) if isinstance(result, Lost) else result
        request.progress("build", total.all, todo, total)


def _units(planned: Planned, setting: Setting, staging: pack.Staging, settled: set[str]) -> Iterator[Unit]:
    recipe, acquisitions = setting.recipe, planned.lock.read_acquisitions()
    editions = [locked_vintage(entry) for entry in planned.lock.labels]
    periods = pc.unique(planned.plan["period"]).to_pylist()
    wording = Wording(
        recipe,
        setting.meaning,
        setting.grammar,
        vintages(editions, setting.meaning.sources, periods),
        {name: _licences(setting, name) for name in recipe.sensors},
    )
    pending = planned.plan.filter(np.array([id not in settled for id in planned.plan["id"].to_pylist()], dtype=bool))
    for name in sorted(pc.unique(pending["acquisition"]).to_pylist()):
        rows, one = pending.filter(pc.equal(pending["acquisition"], name)), acquisitions[name]
        cut = Cut(
            acquisition=one,
            ids=tuple(rows["id"].to_pylist()),
            corners=tuple(zip(rows["x"].to_pylist(), rows["y"].to_pylist(), strict=True)),
            root=setting.document.root,
            sensor=setting.sensors[one.sensor],
            imagery=setting.provider.sensors[setting.sensors[one.sensor].name],
            patch_px=recipe.patch_px,
            resolution_m=recipe.resolution_m,
            max_chip_pct=recipe.clouds.max_chip_pct,
            min_valid_pct=recipe.min_valid_pct,
        )
        cover = planned.cover.filter(pc.is_in(planned.cover["cell"], value_set=rows["cell"].combine_chunks()))
        yield Unit(cut, rows, cover, wording, staging.path(name))


def _licences(setting: Setting, sensor: str) -> tuple[str, ...]:
    imagery = setting.provider.sensors[setting.sensors[sensor].name]
    return tuple(sorted({imagery.licence, *(crosswalk.licence for crosswalk in setting.meaning.crosswalks)}))


def _seal(
    planned: Planned,
    setting: Setting,
    request: Request,
    map_units: MapUnits[pack.ShardTask, tuple[Shard, pack.Moments]],
) -> Manifest:
    status = pack.Staging(request.out).status()
    outcomes = _final(planned, status, request)
    if not status.written:
        raise Unsealed(f"{request.out}: every planned sample was dropped: {_reasons(outcomes)}; nothing to seal")
    schemas = {name: shard_schema(sensor, setting.recipe.patch_px) for name, sensor in setting.sensors.items()}
    tasks = pack.shard_tasks(request.out, planned.plan, status, schemas)
    done = pack.packing_folder(request.out, digest([planned.lock.digest, sorted(status.written)]))
    packed = {task.path: found for task in tasks if (found := pack.read_packed(done, task)) is not None}
    for task, result in map_units(pack.write_shard, [task for task in tasks if task.path not in packed]):
        if isinstance(result, Lost):
            raise Unsealed(f"{task.path} could not be written: {result.detail}; run again to resume")
        packed[task.path] = result
        pack.note_packed(done, task, result)
        request.progress("pack", len(packed), len(tasks), Tally.zero())
    manifest = pack.write_documents(
        request.out,
        [packed[task.path] for task in sorted(tasks, key=lambda task: task.path)],
        outcomes,
        recipe=setting.recipe,
        lock=planned.lock,
        planned=planned.plan.num_rows,
        attributions=_attributions(setting),
        version=landmark.__version__,
    )
    shutil.rmtree(request.out / "staging")
    return manifest


def _final(planned: Planned, status: pack.Status, request: Request) -> list[Outcome]:
    """The drops; failures stop the sealing, with the ledger written, unless a person said to count them as drops."""
    failed = [outcome for outcome in status.outcomes.values() if not outcome.final]
    dropped = [outcome for outcome in status.outcomes.values() if outcome.final]
    if failed and not request.seal_anyway:
        pack.write_ledger(request.out, [*dropped, *failed])
        raise Unsealed(
            f"{request.out} is not sealed: planned {planned.plan.num_rows} = written {len(status.written)}"
            f" + dropped {len(dropped)} + failed {len(failed)} ({_reasons(failed)}); ledger.parquet lists them;"
            " run again with --retry to try them again, or with --seal-anyway to count them as drops"
        )
    return dropped + [replace(one, reason="given_up", detail=f"{one.reason}: {one.detail}") for one in failed]


def _manifest(corpus: Path) -> Manifest:
    manifest: Manifest = read_document(Manifest, corpus / "corpus.json")
    pack.refresh_index(corpus, manifest)
    return manifest


def _attributions(setting: Setting) -> list[str]:
    imagery = [setting.provider.sensors[sensor.name].attribution for sensor in setting.sensors.values()]
    return [*imagery, *(crosswalk.attribution for crosswalk in setting.meaning.crosswalks)]


def _reasons(outcomes: Sequence[Outcome]) -> str:
    counts = Counter(outcome.reason for outcome in outcomes)
    return ", ".join(f"{count} {reason}" for reason, count in counts.most_common())


def _quiet(request: Request) -> Callable[[str, int, int], None]:
    return lambda stage, done, of: request.progress(stage, done, of, Tally.zero())
