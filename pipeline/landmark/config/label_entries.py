"""A recipe's label sources, and label files given on the command line."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from landmark.config.paths import FileEntry, is_in_world, match_files
from landmark.core.errors import InputError, invalid

_OPTION = "--labels"


class LabelEntry(FileEntry):
    """A label source. At a pixel, the first source in the list that has a class there wins."""

    source: str = Field(description="Name of a file in taxonomies/, or path of such a file")
    files: tuple[str, ...] = Field(
        (),
        description="Maps on disk, used in place of the provider's: paths or globs relative to the recipe; `world:` for"
        " the embedded world's folder",
    )
    year: int | None = Field(
        None, ge=1900, le=2100, description="Year the files describe, if their names do not contain it"
    )
    composite: Literal["mode", "probability"] = Field(
        "mode",
        description="How several maps of one period are merged: the most frequent code (of equally frequent ones the"
        " smallest), or the class of the highest mean probability",
    )
    min_confidence: float = Field(
        0, ge=0, le=1, description="With `composite: probability`: pixels of a lower mean probability have no class"
    )
    max_gap_days: int | None = Field(
        None,
        ge=0,
        description="Maximum distance in time between labels and any time of the period; by default the source's own",
    )
    optional: bool = Field(False, description="Skip the source, with a warning, if none of its files exists")

    @model_validator(mode="after")
    def _check_confidence(self) -> "LabelEntry":
        if self.min_confidence and self.composite != "probability":
            raise invalid("needs `composite: probability`", key="min_confidence", value=self.min_confidence)
        return self


def add_label_files(labels: Sequence[LabelEntry], options: Sequence[str]) -> tuple[LabelEntry, ...]:
    """Add the files of `SOURCE=PATH` options to the entries; a source that has no entry is appended.

    Raises:
        InputError: an option has another form, or no file matches it.
    """
    entries = {entry.name: entry for entry in labels}
    for option in options:
        source, _, pattern = option.partition("=")
        if not source or not pattern:
            raise InputError(
                "not SOURCE=PATH", file=_OPTION, value=option, remedy="give a path or glob, as in corine=clc2018.gpkg"
            )
        added = LabelEntry(source=source, files=(pattern,)).resolve_paths(Path.cwd())
        if not match_files(added.files[0], "labels.files"):
            raise InputError(f"no file matches {added.files[0]}", file=_OPTION, value=option)
        entry = entries.get(added.name)
        entries[added.name] = added if entry is None else entry.model_copy(update={"files": entry.files + added.files})
    return tuple(entries.values())


def split_available(
    labels: Sequence[LabelEntry], published: Collection[str]
) -> tuple[tuple[LabelEntry, ...], tuple[tuple[str, str], ...]]:
    """Split off the optional entries that have no map.

    Args:
        labels: The entries of a recipe.
        published: Names of the sources the provider has maps of.

    Returns:
        The entries to use, and (source, how to add it) of the skipped ones.
    """
    used, skipped = [], []
    for entry in labels:
        has_files = any(is_in_world(pattern) or match_files(pattern, "labels.files") for pattern in entry.files)
        if has_files or not entry.optional or (not entry.files and entry.name in published):
            used.append(entry)
            continue
        problem = f"no file matches {', '.join(entry.canonical()['files'])}; " if entry.files else ""
        remedy = f"add files with {_OPTION} {entry.name}=PATH (`landmark labels --help` explains how to get them)"
        skipped.append((entry.name, problem + remedy))
    return tuple(used), tuple(skipped)
