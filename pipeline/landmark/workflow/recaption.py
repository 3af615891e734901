"""A sealed corpus told anew: other thresholds or words over the same pixels, as one more generation of shards.

What is said follows from cover and lock, so that neither the archive nor a label map is asked again.
"""

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa

import landmark
from landmark.captions.annotate import labels, wording_of
from landmark.captions.language import Language
from landmark.config.recipe import Recipe
from landmark.core.atomic import held, write_bytes
from landmark.core.errors import InputError, InputsChanged, SealingFailed
from landmark.core.executor import Lost, MapUnits, Where, running
from landmark.core.hashing import digest
from landmark.core.yaml_files import Strict, parse
from landmark.corpus.manifest import EventFile, Lock, Manifest, Shard, read_document
from landmark.corpus.reader import read_index
from landmark.domain.schemas import runs, shard_schema
from landmark.workflow import lock as lockfile
from landmark.workflow.context import Setting, gazetteer, without_archive
from landmark.workflow.finalize import project
from landmark.workflow.lock import Planned
from landmark.workflow.recaption_task import FOLDER, KNOWN, Rewording, image_of, noted, notes_folder, reword, target
from landmark.workflow.task import rows_by_cell
from landmark.write.documents import index_of, refresh_index, refresh_queries, rewrite_documents
from landmark.write.webdataset import tar_tasks

# All else a recipe says decides which pixels there are, or what maps say of them.
MAY_CHANGE = (
    "title",
    "taxonomy",
    "thresholds",
    "captions",
    "languages",
    "captions_per_style",
    "questions",
    "hard_negatives",
    "places",
)
_GROUND = ("cell", "period", "role", "event")


@dataclass(frozen=True, slots=True)
class Retold:
    """What a recaptioning did, or would do.

    Attributes:
        changed: False where the corpus says all this already.
        before: Samples that carry each label; `""` counts those without one.
        after: The same, told anew.
    """

    manifest: Manifest
    changed: bool
    before: Mapping[str, int]
    after: Mapping[str, int]


def recipe_of(corpus: Path, changes: Mapping[str, Any]) -> Recipe:
    """The recipe of a corpus with some of its keys changed; `thresholds.default` is a key inside another.

    Raises:
        InputError: a key or a value the recipe does not know.
        InvalidCorpus: no lock.
    """
    lock: Lock = read_document(Lock, corpus / "lock.json")
    asked = json.loads(json.dumps(lock.recipe))
    for name, value in changes.items():
        *outer, last = name.split(".")
        inner = asked
        for key in outer:
            inner = inner.setdefault(key, {})
            if not isinstance(inner, dict):
                raise InputError(f"--set {name}: `{key}` holds no keys")
        inner[last] = value
    return parse(Recipe, asked, "--set")


def recaption(
    corpus: Path,
    recipe: Recipe,
    where: Where,
    *,
    dry_run: bool = False,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> Retold:
    """Write a new generation of a sealed corpus: the same ids, order, splits and pixels, told by this recipe.

    Interrupted, it goes on where it stopped; the manifest comes last, and no file of an earlier generation changes.

    Raises:
        InvalidCorpus: the folder is not sealed, or a shard of it is damaged.
        InputError: the recipe differs in what only pixels or maps could tell.
        SealingFailed: a worker died on a shard; the corpus is as it was.
    """
    read_document(Manifest, corpus / "corpus.json")
    with held(corpus):
        manifest: Manifest = read_document(Manifest, corpus / "corpus.json")
        planned = _planned(corpus)
        _refuse(planned.lock, recipe)
        setting = without_archive(recipe, planned.lock.catalog, _own(manifest, planned.lock))
        places, moved = _places(planned.lock, setting)
        # Where a kill left lock and manifest apart, the rows may know the places of another recipe.
        keep = planned.lock.digest == manifest.lock_digest and not moved
        lock = planned.lock.model_copy(
            update={
                "recipe": recipe.asked(),
                "recipe_digest": recipe.digest,
                "rules": setting.rules,
                "places": places,
            }
        )
        index, changed = _index(corpus, manifest), lock.digest != manifest.lock_digest
        before = _counts(index["labels"].to_pylist())
        if dry_run:
            return Retold(manifest, changed, before, _would_carry(index, planned, setting))
        with running(where) as map_units:
            if changed:
                anew = replace(planned, lock=lock)
                manifest = _written(corpus, manifest, anew, setting, map_units, progress, keep_places=keep)
            else:
                _restore(corpus, manifest, lock)
            manifest = _projected(corpus, manifest, map_units, progress)
        return Retold(manifest, changed, before, _counts(_index(corpus, manifest)["labels"].to_pylist()))


def _planned(corpus: Path) -> Planned:
    planned = lockfile.read_plan(corpus)
    if planned is None:
        raise InputsChanged(f"{corpus / 'lock.json'} is gone: without it nobody knows what the cover's numbers mean")
    return planned


def _refuse(lock: Lock, recipe: Recipe) -> None:
    """Refuse what cannot be told without pixels or maps."""
    then, now = _asked(lock), recipe.asked()
    if other := [key for key in now if now[key] != then.get(key) and key not in MAY_CHANGE]:
        raise InputError(
            f"a recaptioning cannot change {', '.join(f'`{key}`' for key in other)}: that needs the archive or the"
            f" label maps; put it back, or build anew. It can change {', '.join(f'`{key}`' for key in MAY_CHANGE)}"
        )


def _asked(lock: Lock) -> dict[str, Any]:
    return parse(Recipe, lock.recipe, "lock.json").asked()


def _places(lock: Lock, setting: Setting) -> tuple[EventFile | None, bool]:
    """The gazetteer, and whether other places may be the nearest now: the recipe asks otherwise, or its file changed.

    Where the recipe asks for what it did, the file need not be there any more.
    """
    places = setting.recipe.places
    same = _asked(lock)["places"] == setting.recipe.asked()["places"]
    if same and (places is None or not os.access(places.file, os.R_OK)):
        return lock.places, False
    found = lockfile.places_of(setting)
    return found, not same or found != lock.places


def _own(manifest: Manifest, lock: Lock) -> dict[tuple[str, str], Strict]:
    """Taxonomy and languages of the manifest, by kind and the name of the file they once were."""
    languages = [Language.model_validate(said) for said in manifest.grammar.get("languages", {}).values()]
    asked: dict[str, Any] = {"taxonomy": manifest.taxonomy.name, "languages": [language.lang for language in languages]}
    if lock.digest == manifest.lock_digest:
        asked = _asked(lock)
    own: dict[tuple[str, str], Strict] = {("taxonomies", asked["taxonomy"]): manifest.taxonomy}
    named = zip(asked["languages"], languages, strict=False)
    return own | {("taxonomies/captions", name): language for name, language in named}


def _index(corpus: Path, manifest: Manifest) -> pa.Table:
    """What is known of the manifest's shards, whatever a kill made of the index on disk."""
    index = read_index(corpus, manifest)
    return index_of(corpus, manifest.shards) if index is None else index


def _would_carry(index: pa.Table, planned: Planned, setting: Setting) -> dict[str, int]:
    wording = wording_of(planned, setting)
    facts, plan = wording.facts(planned.cover), {row["id"]: row for row in _ground(planned.plan).to_pylist()}
    told = []
    for row in index.select([name for name in KNOWN if name in index.column_names]).to_pylist():
        where = plan[row["id"]]
        told.append(labels(image_of(row, where, keep_place=True), facts.of(where["cell"], where["period"]), wording))
    return _counts(told)


def _counts(carried: Sequence[Sequence[str]]) -> dict[str, int]:
    found = Counter(key for row in carried for key in row)
    return {**dict(sorted(found.items())), "": sum(not row for row in carried)}


def _written(
    corpus: Path,
    manifest: Manifest,
    planned: Planned,
    setting: Setting,
    map_units: MapUnits[Rewording, Shard],
    progress: Callable[[str, int, int], None],
    *,
    keep_places: bool,
) -> Manifest:
    """Every shard of the new generation, then lock, documents and manifest."""
    targets = {shard.path: target(shard) for shard in manifest.shards}
    notes = notes_folder(
        corpus, digest([landmark.__version__, manifest.content, planned.lock.digest]), targets.values()
    )
    done = {path: found for path, anew in targets.items() if (found := noted(corpus, notes, anew)) is not None}
    pending = [shard for shard in manifest.shards if shard.path not in done]
    if pending and not keep_places:
        setting = replace(setting, gazetteer=gazetteer(setting.recipe.places))
    for task, result in map_units(reword, _tasks(corpus, pending, planned, setting, keep_places=keep_places)):
        if isinstance(result, Lost):
            raise SealingFailed(f"{task.path} could not be written: {result.detail}; run again to resume")
        done[task.shard.path] = result
        write_bytes(notes / f"{PurePosixPath(task.path).stem}.json", result.model_dump_json().encode())
        progress("words", len(done), len(targets))
    write_bytes(corpus / "lock.json", planned.lock.model_dump_json(indent=1).encode())
    told = rewrite_documents(
        corpus,
        manifest,
        [done[shard.path] for shard in manifest.shards],
        title=setting.recipe.title,
        lock=planned.lock,
        taxonomy=setting.meaning.taxonomy,
        grammar=setting.grammar.model_dump(mode="json", by_alias=True, exclude_defaults=True),
        attributions=setting.attributions,
        version=landmark.__version__,
    )
    shutil.rmtree(corpus / FOLDER)
    return told


def _restore(corpus: Path, manifest: Manifest, lock: Lock) -> None:
    """Undo what a recaptioning to another recipe, killed before its manifest stood, wrote over or left behind."""
    refresh_index(corpus, manifest)
    refresh_queries(corpus, manifest)
    text = lock.model_dump_json(indent=1).encode()
    if (corpus / "lock.json").read_bytes() != text:
        write_bytes(corpus / "lock.json", text)
    for folder in {corpus / FOLDER, *((corpus / target(shard)).parent for shard in manifest.shards)}:
        shutil.rmtree(folder, ignore_errors=True)


def _tasks(
    corpus: Path, shards: Sequence[Shard], planned: Planned, setting: Setting, *, keep_places: bool
) -> Iterator[Rewording]:
    wording, cover_rows = wording_of(planned, setting), rows_by_cell(planned.cover)
    plan = planned.plan.sort_by([(name, "ascending") for name in ("sensor", "split", "shard")])
    keys = [plan[name] for name in ("sensor", "split", "shard")]
    edges = runs(*keys)
    first = zip(*(key.take(pa.array(edges[:-1])).to_pylist() for key in keys), strict=True)
    stretch = dict(zip(first, pairwise(edges.tolist()), strict=True))
    for shard in shards:
        # A slice would take the whole plan along to the worker.
        rows = _ground(plan.take(pa.array(range(*stretch[shard.sensor, shard.split, shard.k]))))
        touched = [cover_rows[cell] for cell in sorted(set(rows["cell"].to_pylist())) if cell in cover_rows]
        cover = planned.cover.take(np.concatenate([np.empty(0, np.int64), *touched]))
        schema = shard_schema(setting.sensors[shard.sensor], setting.recipe.patch_px)
        yield Rewording(corpus, shard, target(shard), schema, rows, cover, wording, keep_places)


def _ground(plan: pa.Table) -> pa.Table:
    # Plans made before there were events say nothing of them.
    return plan.select(["id", *(name for name in _GROUND if name in plan.column_names)])


def _projected(
    corpus: Path, manifest: Manifest, map_units: MapUnits[Any, Any], progress: Callable[[str, int, int], None]
) -> Manifest:
    """The .tar files again, where this generation or the one before it has some."""
    if not manifest.projections and not (manifest.earlier and manifest.earlier[-1].projections):
        return manifest
    tasks = tar_tasks(corpus, manifest, every=True)
    return project(corpus, manifest, tasks, map_units, progress=progress) if tasks else manifest
