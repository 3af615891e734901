"""Load target classes, and the crosswalk of a label source to them."""

from collections.abc import Iterable
from typing import Any

from landmark.core.errors import InputError, UnknownName
from landmark.core.resources import available, find_resource
from landmark.core.yaml_files import Resources, load_extended
from landmark.domain.taxonomy import Crosswalk, Taxonomy

_KIND = "taxonomies"
# Crosswalks of shipped sources to another taxonomy than that of their own file: `<source>-to-<taxonomy>.yaml`.
_FOLDER = "crosswalks"


def load_taxonomy(name: str, resources: Resources, file: str) -> Taxonomy:
    """Load the target classes that a recipe names.

    Raises:
        InputError: no such file, an invalid one, or one without target classes.
    """
    try:
        return resources.load(Taxonomy, _KIND, name)
    except InputError as error:
        _locate(error, file, "taxonomy")
        keys = _keys(name)
        if not keys or _is_target(keys):
            raise
        noun = "a label source" if _is_source(keys) else "another kind of file"
        remedy = f"use {', '.join(targets())}, or a file with target classes"
        raise InputError(f"{noun}, not a taxonomy", file=file, key="taxonomy", value=name, remedy=remedy) from error


def load_crosswalk(source: str, taxonomy: str, resources: Resources, file: str) -> Crosswalk:
    """Load the crosswalk of a recipe's label source to its taxonomy.

    Args:
        source: Name or path of the source.
        taxonomy: Name of the taxonomy.
        resources: Where files are read from.
        file: The recipe, for errors.

    Raises:
        InputError: no such source, an invalid one, or one without a crosswalk to the taxonomy.
    """
    key = f"labels.{source}"
    try:
        crosswalk = resources.load(Crosswalk, _KIND, source)
    except InputError as error:
        _locate(error, file, key)
        if isinstance(error, UnknownName) and resources.embedded:
            error.remedy = "a corpus has no copy of its sources' files: name the recipe with --recipe"
        keys = _keys(source)
        if not keys or _is_source(keys):
            raise
        noun = "a taxonomy" if _is_target(keys) else "another kind of file"
        remedy = f"use {', '.join(_sources_of(taxonomy))}, or a file of your own"
        raise InputError(f"{noun}, not a label source", file=file, key=key, value=source, remedy=remedy) from error
    if crosswalk.target == taxonomy or source not in available(_KIND):
        return crosswalk
    if (name := f"{source}-to-{taxonomy}") in available(f"{_KIND}/{_FOLDER}"):
        return resources.load(Crosswalk, _KIND, f"{_FOLDER}/{name}")
    names = [*_sources_of(taxonomy), f"a file of your own with `extends: {source}` and `target: {taxonomy}`"]
    remedy = f"use {' or '.join(names)}"
    raise InputError(f"{source} has no crosswalk to {taxonomy}", file=file, key=key, value=source, remedy=remedy)


def shipped_crosswalks(sources: Iterable[str], taxonomy: str) -> list[Crosswalk]:
    """Crosswalks to a taxonomy of those sources that landmark ships, sorted by name."""
    names = sorted(set(sources) & set(_sources_of(taxonomy)))
    return [load_crosswalk(name, taxonomy, Resources(), "") for name in names]


def targets() -> list[str]:
    """Names of the shipped files with target classes."""
    return [name for name in available(_KIND) if _is_target(_keys(name))]


def _sources_of(taxonomy: str) -> list[str]:
    """Names of the shipped sources with a crosswalk to a taxonomy."""
    folder = available(f"{_KIND}/{_FOLDER}")
    keys = {name: keys for name in available(_KIND) if _is_source(keys := _keys(name))}
    return [name for name in keys if keys[name]["target"] == taxonomy or f"{name}-to-{taxonomy}" in folder]


def _locate(error: InputError, file: str, key: str) -> None:
    """Name the recipe in the error of an unknown name."""
    if isinstance(error, UnknownName):
        error.value = error.value or error.file
        error.file, error.key = file, key


def _keys(name: str) -> dict[str, Any]:
    """Keys of a file, none if it cannot be read."""
    try:
        return load_extended(_KIND, find_resource(_KIND, name))
    except InputError:
        return {}


def _is_source(keys: dict[str, Any]) -> bool:
    return "classes" in keys and bool({"target", "licence", "asset"} & keys.keys())


def _is_target(keys: dict[str, Any]) -> bool:
    return "as_target" in keys or ("classes" in keys and not _is_source(keys))
