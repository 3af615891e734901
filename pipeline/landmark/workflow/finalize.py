"""Seal a corpus once every planned sample is written, dropped or allowed to fail; export sealed corpora."""

import posixpath
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pyarrow as pa

import landmark
from landmark.config.recipe import Recipe
from landmark.core.atomic import remove_partials
from landmark.core.corpus_paths import (
    delete_empty_folder,
    delete_file,
    delete_folder,
    inside,
    readable,
)
from landmark.core.errors import CoverageLost, ExportFailed, InvalidCorpus, SealingFailed
from landmark.core.executor import TaskMap
from landmark.core.hashing import digest
from landmark.core.journal import Journal, discard, matches
from landmark.core.progress import Progress, silent
from landmark.corpus.coverage import emptied_groups, read_emptied_groups
from landmark.corpus.manifest import Export, Manifest, read_manifest
from landmark.corpus.shard_schema import shard_schema
from landmark.corpus.tables import INDEX_FILE, TableFile, read_table
from landmark.domain.drops import DropRecord, ledger_table
from landmark.domain.schemas import INDEX
from landmark.workflow.context import BuildContext
from landmark.workflow.inputs import update_inputs
from landmark.workflow.lock import Plan
from landmark.write.documents import (
    Provenance,
    refresh_index,
    refresh_queries,
    write_documents,
    write_ledger,
    write_manifest,
)
from landmark.write.shards import PackedShard, shard_tasks, write_shard
from landmark.write.staging import STAGING, Staging, Status
from landmark.write.webdataset import TarTask, tar_path, tar_tasks, with_exports, write_tar

_EXPORTS = "exports"


def seal(
    corpus: Path,
    plan: Plan,
    context: BuildContext,
    map_tasks: TaskMap,
    *,
    allow_failures: bool = False,
    progress: Progress = silent,
) -> Manifest:
    """Pack the shards and write the documents, the manifest last. Interrupted, it resumes.

    Raises:
        SealingFailed: samples failed or were not tried, or none was written; the ledger lists them.
    """
    status = Staging(corpus).status()
    drops = _settle(plan, status, corpus, allow_failures=allow_failures)
    schemas = {name: shard_schema(sensor, context.recipe.patch_px) for name, sensor in context.sensors.items()}
    tasks = {task.path: task for task in shard_tasks(corpus, plan.samples, status, schemas)}
    # The key names the set of samples: shards packed from another set are of no use.
    key = digest([landmark.__version__, plan.lock.digest, sorted(status.written)])
    journal = Journal(corpus, "shards", key, PackedShard, failed=SealingFailed, reread=True)
    folders = {posixpath.dirname(path) for path in tasks}
    for folder in folders:
        journal.clear_folder(folder)
    # Generations of an earlier corpus whose manifest was deleted.
    for stale in {f"shards/{path.name}" for path in (corpus / "shards").glob("g*")} - folders:
        delete_folder(corpus, stale)
    packed = journal.run(
        write_shard,
        sorted(tasks),
        lambda pending: [tasks[path] for path in pending],
        map_tasks,
        partial(progress, "pack"),
    )
    written, limited = pa.array(sorted(status.written), pa.string()), context.recipe.limit is not None
    emptied = emptied_groups(plan.samples, ledger_table(drops), written, limited=limited)
    findings = tuple(f"{group} is empty: {detail}" for group, detail in emptied.items())
    update_inputs(corpus, plan.lock, context.catalog, Staging(corpus).versions())
    manifest = write_documents(
        corpus,
        [packed[path] for path in sorted(packed)],
        drops,
        context.recipe,
        replace(provenance(plan, context), findings=findings),
    )
    delete_folder(corpus, STAGING)
    journal.close()
    # Clearing the shards' folder deleted exports of an earlier corpus.
    discard(corpus, _EXPORTS)
    return manifest


def provenance(plan: Plan, context: BuildContext) -> Provenance:
    """Collect what the manifest records of lock, label rules and grammar."""
    return Provenance(
        lock=plan.lock,
        n_planned=plan.samples.num_rows,
        title=context.recipe.title,
        taxonomy=context.label_rules.taxonomy,
        grammar=context.grammar.model_dump(mode="json", by_alias=True, exclude_defaults=True),
        attributions=tuple(context.attributions),
        version=landmark.__version__,
    )


def missing_exports(corpus: Path, manifest: Manifest, recipe: Recipe) -> list[TarTask]:
    """Return a task for each .tar that the recipe requests or the manifest names and that is missing or incomplete."""
    return tar_tasks(corpus, manifest, every="webdataset" in recipe.output.formats)


def export(
    corpus: Path,
    manifest: Manifest,
    tasks: Sequence[TarTask],
    map_tasks: TaskMap,
    *,
    progress: Progress = silent,
) -> Manifest:
    """Write .tar files, then the manifest that names them. Interrupted, it resumes.

    Raises:
        ExportFailed: a worker died on a shard; the sealed corpus is unchanged.
    """
    if not tasks:
        # Of a run that was killed after it wrote the manifest.
        if manifest.exports:
            discard(corpus, _EXPORTS)
        return manifest
    by_path = {task.path: task for task in tasks}
    # The key names the samples and the version that writes them.
    journal = Journal(
        corpus,
        _EXPORTS,
        digest([landmark.__version__, manifest.content_digest]),
        Export,
        failed=ExportFailed,
        reread=False,
    )
    written = journal.run(
        write_tar,
        list(by_path),
        lambda pending: [by_path[path] for path in pending],
        map_tasks,
        partial(progress, "export"),
    )
    exported = with_exports(manifest, written.values())
    if exported != manifest:
        write_manifest(corpus, exported)
    journal.close()
    return exported


def remove_superseded(corpus: Path, manifest: Manifest) -> None:
    """Delete the files of superseded generations that were not kept on request. Interrupted, it resumes."""
    named = {file.path for file in manifest.files}
    named |= {file.path for generation in manifest.superseded if generation.retained for file in generation.files}
    shards = [shard for generation in manifest.superseded for shard in generation.shards]
    # The manifest does not name the .tar files of an export that was not completed.
    for path in sorted({path for shard in shards for path in (shard.path, tar_path(shard))} - named):
        delete_file(corpus, path)
    for folder in {posixpath.dirname(shard.path) for shard in shards}:
        remove_partials(inside(corpus, f"{folder}/_").parent)
        delete_empty_folder(corpus, folder)


def reopen(corpus: Path) -> Manifest:
    """Check the shards of a sealed corpus and rewrite its index and queries where they are missing or stale.

    Superseded files that an interrupted recaptioning left behind are deleted.

    A missing export is no damage: `missing_exports` finds it, and `export` writes it again.

    Raises:
        InvalidCorpus: the manifest is damaged, or a shard is missing, has another size than the manifest records, or
            another footer.
    """
    manifest = read_manifest(corpus)
    for shard in manifest.shards:
        if not matches(corpus, shard, hashed=False):
            raise InvalidCorpus(
                "missing or damaged shard",
                file=corpus / shard.path,
                remedy=f"delete {corpus / 'corpus.json'} and build again",
            )
        TableFile.open_shard(corpus / shard.path, shard.rows).close()
    delete_folder(corpus, STAGING)
    discard(corpus, "shards")
    for folder in {(corpus / shard.path).parent for shard in manifest.shards}:
        remove_partials(folder)
    # Until the manifest names them, written .tar files and their journal wait for a build that requests them again.
    if manifest.exports:
        discard(corpus, _EXPORTS)
    refresh_index(corpus, manifest)
    refresh_queries(corpus, manifest)
    remove_superseded(corpus, manifest)
    return manifest


def require_coverage(corpus: Path, *, limited: bool) -> None:
    """Require a sample of every planned sensor and, without a limit, of every planned split of a sealed corpus.

    Raises:
        CoverageLost: a sensor or split was planned, and none of its samples was written.
    """
    path = readable(corpus, INDEX_FILE)
    written = read_table(path, pa.schema([INDEX.field("id")]))["id"].combine_chunks()
    if groups := read_emptied_groups(corpus, written, limited=limited):
        raise CoverageLost.combined(
            CoverageLost(
                f"sealed without a sample of it: {detail}",
                file=corpus,
                key=group.split()[0],
                value=group.split()[1],
                remedy="see ledger.parquet, mend recipe or archive, and build into a new --out",
            )
            for group, detail in groups.items()
        )


def _settle(plan: Plan, status: Status, corpus: Path, *, allow_failures: bool) -> list[DropRecord]:
    """Return the drops, with failures among them where these are allowed; otherwise failures stop the sealing."""
    failed = [record for record in status.drops.values() if not record.final]
    dropped = [record for record in status.drops.values() if record.final]
    n_planned, n_written = plan.samples.num_rows, len(status.written)
    n_untried = n_planned - n_written - len(status.drops)
    counts = f"planned {n_planned} = written {n_written} + dropped {len(dropped)} + failed {len(failed)}"
    if n_untried or (failed and not allow_failures) or not status.written:
        write_ledger(corpus, [*dropped, *failed])
    if n_untried:
        raise SealingFailed(f"not sealed: {counts} + not tried {n_untried}", file=corpus, remedy="run again to resume")
    if failed and not allow_failures:
        raise SealingFailed(
            f"not sealed: {counts} ({_reasons(failed)}); ledger.parquet lists them",
            file=corpus,
            remedy="run again with --retry to try them again, or with --allow-failures to count them as drops",
        )
    if not status.written:
        raise SealingFailed(
            f"not sealed: {counts} ({_reasons([*dropped, *failed])}): no sample was written",
            file=corpus,
            remedy="see ledger.parquet",
        )
    return dropped + [
        replace(record, reason="allowed_failure", detail=f"{record.reason}: {record.detail}") for record in failed
    ]


def _reasons(records: Sequence[DropRecord]) -> str:
    counts = Counter(record.reason for record in records)
    return ", ".join(f"{count} {reason}" for reason, count in counts.most_common())
