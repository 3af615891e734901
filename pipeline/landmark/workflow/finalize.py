"""Staging → sealed corpus, once every planned sample is written, dropped, or given up; sealed corpus → projections."""

import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import landmark
from landmark.config.recipe import Recipe
from landmark.core.atomic import sweep
from landmark.core.errors import InvalidCorpus, ExportFailed, SealingFailed
from landmark.core.executor import Lost, MapUnits
from landmark.core.hashing import digest
from landmark.corpus.manifest import Manifest, Projection, Shard, read_document
from landmark.domain.drops import DropRecord
from landmark.domain.schemas import shard_schema
from landmark.workflow.context import Setting
from landmark.workflow.lock import Planned
from landmark.write.documents import refresh_index, refresh_queries, write_documents, write_ledger, write_manifest
from landmark.write.shards import Moments, ShardTask, note_packed, packing_folder, read_packed, shard_tasks, write_shard
from landmark.write.staging import Staging, Status
from landmark.write.webdataset import TarTask, note_projected, read_projected, tar_tasks, with_projections, write_tar

_PROJECTING = "projecting"


def seal(
    planned: Planned,
    setting: Setting,
    corpus: Path,
    map_units: MapUnits[ShardTask, tuple[Shard, Moments]],
    *,
    seal_anyway: bool,
    progress: Callable[[str, int, int], None],
) -> Manifest:
    """Pack the shards and write the documents, the manifest last; an interrupted sealing goes on where it stopped.

    Raises:
        SealingFailed: samples failed or were not tried, or none is left; the ledger says which.
    """
    status = Staging(corpus).status()
    outcomes = _settled(planned, status, corpus, seal_anyway=seal_anyway)
    schemas = {name: shard_schema(sensor, setting.recipe.patch_px) for name, sensor in setting.sensors.items()}
    tasks = shard_tasks(corpus, planned.plan, status, schemas)
    notes = packing_folder(corpus, tasks, digest([planned.lock.digest, sorted(status.written)]))
    packed = {task.path: found for task in tasks if (found := read_packed(notes, task)) is not None}
    for task, result in map_units(write_shard, [task for task in tasks if task.path not in packed]):
        if isinstance(result, Lost):
            raise SealingFailed(f"{task.path} could not be written: {result.detail}; run again to resume")
        packed[task.path] = result
        note_packed(notes, task, result)
        progress("pack", len(packed), len(tasks))
    manifest = write_documents(
        corpus,
        [packed[path] for path in sorted(packed)],
        outcomes,
        recipe=setting.recipe,
        lock=planned.lock,
        planned=planned.plan.num_rows,
        taxonomy=setting.meaning.taxonomy,
        grammar=setting.grammar.model_dump(mode="json", by_alias=True, exclude_defaults=True),
        attributions=setting.attributions,
        version=landmark.__version__,
    )
    shutil.rmtree(corpus / "staging")
    # Packing cleared the shards' folder: what was projected of an earlier corpus is gone.
    shutil.rmtree(corpus / _PROJECTING, ignore_errors=True)
    return manifest


def unprojected(corpus: Path, manifest: Manifest, recipe: Recipe) -> list[TarTask]:
    """What `project` has to write: each .tar that the recipe asks for or the manifest names and that is gone or cut.

    Shard by shard: what a later generation adds is projected beside what stands.
    """
    return tar_tasks(corpus, manifest, every="webdataset" in recipe.output.formats)


def project(
    corpus: Path,
    manifest: Manifest,
    tasks: Sequence[TarTask],
    map_units: MapUnits[TarTask, Projection],
    *,
    progress: Callable[[str, int, int], None],
) -> Manifest:
    """Write .tar files, then the manifest with them and else as it was; interrupted, it goes on where it stopped.

    Raises:
        ExportFailed: a worker died on a shard; the sealed corpus is as it was.
    """
    # Named by the samples and who writes them: what was noted under another name is no use.
    notes = corpus / _PROJECTING / digest([landmark.__version__, manifest.content])
    notes.mkdir(parents=True, exist_ok=True)
    written = {task.shard.path: found for task in tasks if (found := read_projected(notes, task)) is not None}
    for task, result in map_units(write_tar, [task for task in tasks if task.shard.path not in written]):
        if isinstance(result, Lost):
            raise ExportFailed(f"{task.path} could not be written: {result.detail}; run again to resume")
        written[task.shard.path] = result
        note_projected(notes, result)
        progress("tars", len(written), len(tasks))
    whole = with_projections(manifest, written)
    if whole != manifest:
        write_manifest(corpus, whole)
    shutil.rmtree(corpus / _PROJECTING)
    return whole


def reopen(corpus: Path) -> Manifest:
    """The manifest of a sealed corpus, its shards counted, its index and queries rewritten where they are gone.

    A projection that is gone is no damage: `unprojected` finds it, and `project` writes it again.

    Raises:
        InvalidCorpus: a shard is missing or not as long as the manifest says.
    """
    manifest: Manifest = read_document(Manifest, corpus / "corpus.json")
    for shard in manifest.shards:
        path = corpus / shard.path
        if not path.is_file() or path.stat().st_size != shard.size_bytes:
            raise InvalidCorpus(f"{path} is missing or damaged; delete {corpus / 'corpus.json'} and build again")
    shutil.rmtree(corpus / "staging", ignore_errors=True)
    for folder in {(corpus / shard.path).parent for shard in manifest.shards}:
        sweep(folder)
    # Before the manifest names them, written .tar files and their notes wait for a build that asks again.
    if manifest.projections:
        shutil.rmtree(corpus / _PROJECTING, ignore_errors=True)
    refresh_index(corpus, manifest)
    refresh_queries(corpus, manifest)
    return manifest


def _settled(planned: Planned, status: Status, corpus: Path, *, seal_anyway: bool) -> list[DropRecord]:
    """The drops; failures stop the sealing, with the ledger written, unless a person said to count them as drops."""
    failed = [outcome for outcome in status.outcomes.values() if not outcome.final]
    dropped = [outcome for outcome in status.outcomes.values() if outcome.final]
    untried = planned.plan.num_rows - len(status.written) - len(status.outcomes)
    counts = (
        f"planned {planned.plan.num_rows} = written {len(status.written)} + dropped {len(dropped)}"
        f" + failed {len(failed)}"
    )
    if untried or (failed and not seal_anyway) or not status.written:
        write_ledger(corpus, [*dropped, *failed])
    if untried:
        raise SealingFailed(f"{corpus} is not sealed: {counts} + not tried {untried}; run again to resume")
    if failed and not seal_anyway:
        raise SealingFailed(
            f"{corpus} is not sealed: {counts} ({_reasons(failed)}); ledger.parquet lists them;"
            " run again with --retry to try them again, or with --seal-anyway to count them as drops"
        )
    if not status.written:
        raise SealingFailed(f"{corpus} is not sealed: {counts} ({_reasons(dropped)}): nothing is left; see ledger.parquet")
    return dropped + [replace(one, reason="given_up", detail=f"{one.reason}: {one.detail}") for one in failed]


def _reasons(outcomes: Sequence[DropRecord]) -> str:
    counts = Counter(outcome.reason for outcome in outcomes)
    return ", ".join(f"{count} {reason}" for reason, count in counts.most_common())
