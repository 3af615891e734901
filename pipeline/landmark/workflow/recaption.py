"""Recaption a sealed corpus: new thresholds, labels and captions over the same pixels, as a new generation of shards.

Everything follows from label counts and lock: neither the archive nor a label map is read.
"""

import os
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
from landmark.captions.annotate import derive_labels
from landmark.captions.language import Language
from landmark.config.recipe import Recipe
from landmark.core.atomic import folder_lock, remove_partials, write_bytes
from landmark.core.corpus_paths import delete_folder, readable, refuse_links
from landmark.core.errors import InputError, InputsChanged, SealingFailed
from landmark.core.executor import ExecutorConfig, TaskMap, open_executor
from landmark.core.hashing import digest
from landmark.core.journal import Journal, discard
from landmark.core.progress import Progress, silent
from landmark.core.yaml_files import StrictModel, parse_model
from landmark.corpus.lock import Lock, SourceFile
from landmark.corpus.manifest import Manifest, Shard, read_document, read_manifest
from landmark.corpus.reader import read_index
from landmark.corpus.shard_schema import shard_schema
from landmark.domain.schemas import group_edges
from landmark.workflow.annotator import make_annotator
from landmark.workflow.context import BuildContext, load_gazetteer, load_offline_context
from landmark.workflow.finalize import export, provenance, remove_superseded
from landmark.workflow.lock import Plan, gazetteer_file, read_plan
from landmark.workflow.recaption_task import IMAGE_COLUMNS, RecaptionTask, image_of, next_path, run
from landmark.workflow.task import CellRows
from landmark.write.documents import read_facts, refresh_index, refresh_queries, rewrite_documents
from landmark.write.webdataset import tar_tasks

# Every other key decides which pixels there are, or which label maps are read.
MUTABLE_KEYS = (
    "title",
    "taxonomy",
    "thresholds",
    "captions",
    "languages",
    "captions_per_style",
    "questions",
    "hard_negatives",
    "gazetteer",
)
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
        plan = read_plan(corpus)
        if plan is None:
            raise InputsChanged("is missing; the label counts cannot be read without it", file=corpus / "lock.json")
        _refuse_other_keys(plan.lock, recipe)
        context = load_offline_context(recipe, plan.lock.catalog, _embedded_files(manifest, plan.lock))
        places, places_changed = _places(plan.lock, context)
        # After a kill between lock and manifest, the rows may hold the places of another recipe.
        keep_places = plan.lock.digest == manifest.lock_digest and not places_changed
        update = {
            "recipe": recipe,
            "recipe_digest": recipe.digest,
            "inputs_digest": context.inputs_digest,
            "gazetteer": places,
        }
        lock = plan.lock.model_copy(update=update)
        index, changed = _read_index(corpus, manifest), lock.digest != manifest.lock_digest
        before = _count_labels(index["labels"].to_pylist())
        if dry_run:
            return RecaptionResult(manifest, changed, before, _labels_after(index, plan, context))
        remove_superseded(corpus, manifest)
        with open_executor(executor) as map_tasks:
            if changed:
                generation = _Generation(corpus, manifest, replace(plan, lock=lock), context, keep_places)
                manifest = generation.write(map_tasks, progress, keep=keep_generations)
            else:
                _undo_unfinished(corpus, manifest, lock)
            tasks = tar_tasks(corpus, manifest, every=False)
            manifest = export(corpus, manifest, tasks, map_tasks, progress=progress)
        after = _count_labels(_read_index(corpus, manifest)["labels"].to_pylist())
        return RecaptionResult(manifest, changed, before, after)


def _refuse_other_keys(lock: Lock, recipe: Recipe) -> None:
    before, after = lock.recipe.canonical(), recipe.canonical()
    if keys := [key for key in after if after[key] != before.get(key) and key not in MUTABLE_KEYS]:
        raise InputError(
            "recaptioning cannot change this: it needs the archive or the label maps",
            key=", ".join(keys),
            remedy=f"put it back, or build again; recaptioning changes {', '.join(MUTABLE_KEYS)}",
        )


def _places(lock: Lock, context: BuildContext) -> tuple[SourceFile | None, bool]:
    """Return the gazetteer's file, and whether nearest places may differ from those of the lock.

    Where the recipe's entry is unchanged, the file need not exist any more.
    """
    entry = context.recipe.gazetteer
    unchanged = lock.recipe.canonical()["gazetteer"] == context.recipe.canonical()["gazetteer"]
    if unchanged and (entry is None or not os.access(entry.file, os.R_OK)):
        return lock.gazetteer, False
    file = gazetteer_file(context.recipe.gazetteer)
    return file, not unchanged or file != lock.gazetteer


def _embedded_files(manifest: Manifest, lock: Lock) -> dict[tuple[str, str], StrictModel]:
    """Taxonomy and languages of the manifest, by kind and name of the file they were read from."""
    languages = [Language.model_validate(value) for value in manifest.grammar.get("languages", {}).values()]
    names: dict[str, Any] = {"taxonomy": manifest.taxonomy.name, "languages": [entry.lang for entry in languages]}
    if lock.digest == manifest.lock_digest:
        names = lock.recipe.canonical()
    embedded: dict[tuple[str, str], StrictModel] = {("taxonomies", names["taxonomy"]): manifest.taxonomy}
    named_languages = zip(names["languages"], languages, strict=False)
    return embedded | {("taxonomies/captions", name): language for name, language in named_languages}


def _read_index(corpus: Path, manifest: Manifest) -> pa.Table:
    """Read the facts of the manifest's shards, from the shards themselves where the index is stale."""
    index = read_index(corpus, manifest)
    return read_facts(corpus, manifest.shards) if index is None else index


def _labels_after(index: pa.Table, plan: Plan, context: BuildContext) -> dict[str, int]:
    annotator = make_annotator(plan, context)
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

    def write(self, map_tasks: TaskMap[RecaptionTask, Shard], progress: Progress, *, keep: bool) -> Manifest:
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
        annotator, counts = make_annotator(self.plan, context), CellRows(self.plan.label_counts)
        plan = self.plan.samples.sort_by([(name, "ascending") for name in ("sensor", "split", "shard")])
        keys = [plan[name] for name in ("sensor", "split", "shard")]
        edges = group_edges(*keys)
        names = zip(*(key.take(pa.array(edges[:-1])).to_pylist() for key in keys), strict=True)
        bounds = dict(zip(names, pairwise(edges.tolist()), strict=True))
        for shard in shards:
            # A slice would send the complete plan to the worker.
            rows = plan.take(pa.array(range(*bounds[shard.sensor, shard.split, shard.k]))).select(_PLAN_COLUMNS)
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
    discard(corpus, _JOB)
    for folder in {posixpath.dirname(next_path(shard)) for shard in manifest.shards}:
        delete_folder(corpus, folder)
