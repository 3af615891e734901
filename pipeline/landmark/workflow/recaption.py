"""Recaption a sealed corpus: new thresholds, labels and captions over the same pixels, as a new generation of shards.

Everything follows from label counts and lock: neither the archive nor a label map is read.
"""

import posixpath
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa

import landmark
from landmark.captions.annotate import derive_labels, image_of
from landmark.config.recipe import Recipe
from landmark.core.atomic import folder_lock, remove_partials, write_bytes
from landmark.core.corpus_paths import delete_folder, readable, refuse_links
from landmark.core.errors import InputError, InvalidCorpus, SealingFailed
from landmark.core.executor import ExecutorConfig, TaskMap, open_executor
from landmark.core.hashing import digest
from landmark.core.journal import Journal, discard, is_open
from landmark.core.progress import Progress, silent
from landmark.core.yaml_files import parse_model
from landmark.corpus.index import read_index
from landmark.corpus.lock import Lock
from landmark.corpus.manifest import Manifest, Shard, read_document, read_manifest
from landmark.corpus.shard_schema import shard_schema
from landmark.domain.schemas import group_edges
from landmark.labels.cell_rows import CellRows
from landmark.workflow.context import BuildContext, load_gazetteer
from landmark.workflow.finalize import export, provenance, remove_superseded
from landmark.workflow.lock import Plan
from landmark.workflow.recaption_plan import plan_with
from landmark.workflow.recaption_task import IMAGE_COLUMNS, RecaptionTask, next_path, run
from landmark.write.documents import read_facts, refresh_index, refresh_queries, rewrite_documents
from landmark.write.webdataset import tar_tasks

_JOB = "recaption"
_PLAN_COLUMNS = ("id", "cell", "period", "role", "event")


@dataclass(frozen=True, slots=True)
class RecaptionResult:
    """Changes made by a recaptioning, or found by its dry run.

    Attributes:
        manifest: The corpus's manifest afterwards.
        changed: False where the corpus already has these labels and captions.
        before: Samples per label; `""` counts those without one.
        after: The same, after recaptioning.
    """

    manifest: Manifest
    changed: bool
    before: Mapping[str, int]
    after: Mapping[str, int]


def recipe_of(corpus: Path, changes: Mapping[str, Any]) -> Recipe:
    """Return the recipe of a corpus with some keys changed; `thresholds.default` names a nested key.

    Raises:
        InputError: unknown key or invalid value.
        InvalidCorpus: no lock.
    """
    lock: Lock = read_document(Lock, corpus / "lock.json")
    recipe = lock.recipe.canonical()
    for name, value in changes.items():
        *outer, last = name.split(".")
        mapping = recipe
        for key in outer:
            mapping = mapping.setdefault(key, {})
            if not isinstance(mapping, dict):
                raise InputError(f"`{key}` holds no keys", file="--set", key=name)
        mapping[last] = value
    return parse_model(Recipe, recipe, "--set")


def recaption(
    corpus: Path,
    recipe: Recipe,
    executor: ExecutorConfig,
    *,
    keep_generations: bool = False,
    dry_run: bool = False,
    progress: Progress = silent,
) -> RecaptionResult:
    """Replace a sealed corpus by a new generation: the same ids, order, splits and pixels, annotated by this recipe.

    Interrupted, it resumes. The manifest is written after the files it names; then the files of the generation before
    are deleted, unless `keep_generations`. Generations kept by an earlier call stay.

    Raises:
        InvalidCorpus: the folder is not sealed, holds a link to a folder, or a shard is damaged.
        InputError: the recipe differs in a key that only pixels or label maps could follow.
        SealingFailed: a worker died on a shard; the corpus is unchanged.
    """
    read_manifest(corpus)
    with folder_lock(corpus):
        refuse_links(corpus)
        remove_partials(corpus)
        manifest = read_manifest(corpus)
        plan, context, keep_places = plan_with(corpus, manifest, recipe)
        index, changed = _read_index(corpus, manifest), plan.lock.digest != manifest.lock_digest
        before = _count_labels(index["labels"].to_pylist())
        if dry_run:
            return RecaptionResult(manifest, changed, before, _labels_after(index, plan, context))
        remove_superseded(corpus, manifest)
        with open_executor(executor) as map_tasks:
            if changed:
                generation = _Generation(corpus, manifest, plan, context, keep_places)
                manifest = generation.write(map_tasks, progress, keep=keep_generations)
            else:
                _undo_unfinished(corpus, manifest, plan.lock)
            tasks = tar_tasks(corpus, manifest, every=False)
            manifest = export(corpus, manifest, tasks, map_tasks, progress=progress)
        after = _count_labels(_read_index(corpus, manifest)["labels"].to_pylist())
        return RecaptionResult(manifest, changed, before, after)


def undo_recaption(corpus: Path, manifest: Manifest, recipe: Recipe) -> None:
    """Undo a recaptioning of a sealed corpus of this recipe that was killed before it wrote its manifest.

    Raises:
        InvalidCorpus: the lock is of that recaptioning, and what the recipe refers to has changed since.
    """
    if not is_open(corpus, _JOB):
        return
    plan, _, _ = plan_with(corpus, manifest, recipe)
    if plan.lock.digest != manifest.lock_digest:
        raise InvalidCorpus(
            "is of a recaptioning that was interrupted",
            file=corpus / "lock.json",
            remedy="run `landmark recaption` again to finish it",
        )
    _undo_unfinished(corpus, manifest, plan.lock)


def _read_index(corpus: Path, manifest: Manifest) -> pa.Table:
    """Read the facts of the manifest's shards, from the shards themselves where the index is stale."""
    index = read_index(corpus, manifest)
    return read_facts(corpus, manifest.shards) if index is None else index


def _labels_after(index: pa.Table, plan: Plan, context: BuildContext) -> dict[str, int]:
    annotator = context.annotator(plan.lock)
    cell_labels = annotator.fold_counts(plan.label_counts)
    plan_rows = {row["id"]: row for row in plan.samples.select(_PLAN_COLUMNS).to_pylist()}
    label_sets = []
    for row in index.select(IMAGE_COLUMNS).to_pylist():
        plan_row = plan_rows[row["id"]]
        counts = cell_labels.get(plan_row["cell"], plan_row["period"])
        label_sets.append(derive_labels(image_of(row, plan_row, keep_place=True), counts, annotator))
    return _count_labels(label_sets)


def _count_labels(label_sets: Sequence[Sequence[str]]) -> dict[str, int]:
    counts = Counter(label for label_set in label_sets for label in label_set)
    return {**dict(sorted(counts.items())), "": sum(not label_set for label_set in label_sets)}


@dataclass(frozen=True, slots=True)
class _Generation:
    """The next generation of a corpus."""

    corpus: Path
    manifest: Manifest
    plan: Plan
    context: BuildContext
    keep_places: bool

    def write(self, map_tasks: TaskMap, progress: Progress, *, keep: bool) -> Manifest:
        """Write every shard, then lock, documents and manifest; delete the superseded files."""
        shards = {next_path(shard): shard for shard in self.manifest.shards}
        key = digest([landmark.__version__, self.manifest.content_digest, self.plan.lock.digest])
        journal = Journal(self.corpus, _JOB, key, Shard, failed=SealingFailed, reread=True)
        # Another recaptioning writes shards of the same names: they are deleted.
        for folder in {posixpath.dirname(path) for path in shards}:
            journal.clear_folder(folder)
        written = journal.run(
            run,
            list(shards),
            lambda pending: self._tasks([shards[path] for path in pending]),
            map_tasks,
            partial(progress, "captions"),
        )
        write_bytes(self.corpus / "lock.json", self.plan.lock.model_dump_json(indent=1).encode())
        new_shards = [written[path] for path in shards]
        record = provenance(self.plan, self.context)
        manifest = rewrite_documents(self.corpus, self.manifest, new_shards, record, keep=keep)
        journal.close()
        remove_superseded(self.corpus, manifest)
        return manifest

    def _tasks(self, shards: Sequence[Shard]) -> Iterator[RecaptionTask]:
        context = self.context
        if not self.keep_places:
            context = replace(context, gazetteer=load_gazetteer(context.recipe.gazetteer))
        annotator, counts = context.annotator(self.plan.lock), CellRows(self.plan.label_counts)
        plan = self.plan.samples.sort_by([(name, "ascending") for name in ("sensor", "split", "shard")])
        keys = [plan[name] for name in ("sensor", "split", "shard")]
        edges = group_edges(*keys)
        names = zip(*(key.take(pa.array(edges[:-1])).to_pylist() for key in keys), strict=True)
        bounds = dict(zip(names, pairwise(edges.tolist()), strict=True))
        for shard in shards:
            # A slice would send the complete plan to the worker.
            if (name := (shard.sensor, shard.split, shard.k)) not in bounds:
                file = self.corpus / "corpus.json"
                raise InvalidCorpus("names a shard that the plan lacks", file=file, key="shards", value=shard.path)
            rows = plan.take(pa.array(range(*bounds[name]))).select(_PLAN_COLUMNS)
            yield RecaptionTask(
                self.corpus,
                shard,
                next_path(shard),
                shard_schema(context.sensors[shard.sensor], context.recipe.patch_px),
                rows,
                counts.select(rows["cell"].to_pylist()),
                annotator,
                self.keep_places,
            )


def _undo_unfinished(corpus: Path, manifest: Manifest, lock: Lock) -> None:
    """Undo what another recaptioning, killed before it wrote its manifest, overwrote or left behind."""
    refresh_index(corpus, manifest)
    refresh_queries(corpus, manifest)
    text = lock.model_dump_json(indent=1).encode()
    if readable(corpus, "lock.json").read_bytes() != text:
        write_bytes(corpus / "lock.json", text)
    for folder in {posixpath.dirname(next_path(shard)) for shard in manifest.shards}:
        delete_folder(corpus, folder)
    # The journal last: as long as it exists, an interrupted clean-up starts again.
    discard(corpus, _JOB)
