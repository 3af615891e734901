"""The plan of a sealed corpus with the lock of another recipe, from the corpus alone."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from landmark.captions.grammar import recorded_grammar
from landmark.config.recipe import Recipe
from landmark.core.errors import InputError, InputsChanged
from landmark.core.yaml_files import StrictModel
from landmark.corpus.lock import Lock, SourceFile
from landmark.corpus.manifest import Manifest
from landmark.workflow.context import BuildContext, load_offline_context
from landmark.workflow.lock import Plan, gazetteer_file, read_plan

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


def plan_with(corpus: Path, manifest: Manifest, recipe: Recipe) -> tuple[Plan, BuildContext, bool]:
    """Return the plan with the lock of another recipe, what it refers to, and whether the rows keep their places.

    Raises:
        InputsChanged: the lock or a table of the plan is missing or damaged.
        InputError: the recipe differs in a key that only pixels or label maps could follow.
    """
    plan = read_plan(corpus)
    if plan is None:
        raise InputsChanged("is missing; the label counts cannot be read without it", file=corpus / "lock.json")
    _refuse_other_keys(plan.lock, recipe)
    context = load_offline_context(recipe, plan.lock.catalog, _embedded_files(corpus, manifest, plan.lock))
    places, places_changed = _places(plan.lock, context)
    # After a kill between lock and manifest, the rows may hold the places of another recipe.
    keep_places = plan.lock.digest == manifest.lock_digest and not places_changed
    update = {
        "recipe": recipe,
        "recipe_digest": recipe.digest,
        "inputs_digest": context.inputs_digest,
        "gazetteer": places,
    }
    return replace(plan, lock=plan.lock.model_copy(update=update)), context, keep_places


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


def _embedded_files(corpus: Path, manifest: Manifest, lock: Lock) -> dict[tuple[str, str], StrictModel]:
    """Taxonomy and languages of the manifest, by kind and name of the file they were read from."""
    languages = list(recorded_grammar(manifest, corpus).languages.values())
    names: dict[str, Any] = {"taxonomy": manifest.taxonomy.name, "languages": [entry.lang for entry in languages]}
    if lock.digest == manifest.lock_digest:
        names = lock.recipe.canonical()
    embedded: dict[tuple[str, str], StrictModel] = {("taxonomies", names["taxonomy"]): manifest.taxonomy}
    named_languages = zip(names["languages"], languages, strict=False)
    return embedded | {("taxonomies/captions", name): language for name, language in named_languages}
