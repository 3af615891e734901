"""A recipe's label sources, and label files given on the command line."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from landmark.config.paths import FileEntry, file_name, is_in_world, match_files
from landmark.core.errors import InputError, invalid
from landmark.core.yaml_files import StrictModel

_OPTION = "--labels"


class LabelFile(StrictModel):
    """A map on disk: a path or glob, or a mapping that adds what names and attributes do not tell."""

    path: str = Field(description="Path or glob relative to the recipe; `world:` for the embedded world's folder")
    layer: str | None = Field(None, description="Layer of a vector file; by default all with codes, but for changes")
    year: int | None = Field(
        None,
        ge=1900,
        le=2100,
        description="Year of the labels; of a vector file, only the layers or attribute of this year are read",
    )

    @model_validator(mode="before")
    @classmethod
    def _from_path(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) else value

    @model_serializer(mode="wrap")
    def _as_path(self, serialize: SerializerFunctionWrapHandler) -> Any:
        return self.path if self.layer is None and self.year is None else serialize(self)

    def __str__(self) -> str:
        return self.path


class LabelEntry(FileEntry):
    """A label source. At a pixel, the first source in the list that has a class there wins."""

    source: str = Field(description="Name of a file in taxonomies/, or path of such a file")
    files: tuple[LabelFile, ...] = Field(
        (),
        description="Maps on disk, used in place of the provider's: paths, globs or mappings",
    )
    year: int | None = Field(
        None,
        ge=1900,
        le=2100,
        description="`year` of all files that have none of their own and no date of one day in their names",
    )
    composite: Literal["mode", "probability"] = Field(
        "mode",
        description="How several maps of one period are merged: the most frequent code (of equally frequent ones the"
        " smallest), or the class of the highest mean probability",
    )
    min_confidence: float = Field(
        0, ge=0, le=1, description="With `composite: probability`: pixels of a lower mean probability have no class"
    )
    scale: float | None = Field(
        None,
        gt=0,
        le=1,
        exclude_if=lambda scale: scale is None,
        description="With `composite: probability`: factor from the files' numbers to probabilities, as 0.003922 for"
        " 0 to 255; by default that of the file's header, else 0.01 for integers and 1 for others",
    )
    max_gap_days: int | None = Field(
        None,
        ge=0,
        description="Maximum distance in time between labels and any time of the period; by default the source's own",
    )
    optional: bool = Field(False, description="Skip the source, with a warning, if none of its files exists")

    @model_validator(mode="after")
    def _check_confidence(self) -> "LabelEntry":
        for key in ("min_confidence", "scale"):
            if (value := getattr(self, key)) and self.composite != "probability":
                raise invalid("needs `composite: probability`", key=key, value=value)
        return self

    def merged_with(self, entry: Self) -> Self:
        """As of every `FileEntry`; different years become those of the files."""
        if self.year == entry.year:
            return super().merged_with(entry)
        return self._with_years_of_files().merged_with(entry._with_years_of_files())

    def _with_years_of_files(self) -> Self:
        files = tuple(file.model_copy(update={"year": file.year or self.year}) for file in self.files)
        return self.model_copy(update={"files": files, "year": None})

    def _change_paths(self, change: Callable[[str], str]) -> Self:
        files = tuple(file.model_copy(update={"path": change(file.path)}) for file in self.files)
        return self.model_copy(update={"files": files})


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
        added = LabelEntry(source=source, files=(LabelFile(path=pattern),)).resolve_paths(Path.cwd())
        if not match_files(added.files[0].path, "labels.files"):
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
        has_files = any(is_in_world(file.path) or match_files(file.path, "labels.files") for file in entry.files)
        if has_files or not entry.optional or (not entry.files and entry.name in published):
            used.append(entry)
            continue
        problem = f"no file matches {', '.join(file_name(file.path) for file in entry.files)}; " if entry.files else ""
        remedy = f"add files with {_OPTION} {entry.name}=PATH (`landmark labels --help` explains how to get them)"
        skipped.append((entry.name, problem + remedy))
    return tuple(used), tuple(skipped)
