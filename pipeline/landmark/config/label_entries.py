"""Label maps on disk: what their names and bands say, and what a recipe says of a source that is read from them."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from landmark.core.errors import InputError
from landmark.core.yaml_files import Strict

WORLD = "world:"
_BY_HAND = "; `landmark labels --help` tells how to get them"


class LabelFiles(Strict):
    """How files of a source on disk say what they hold, and of when."""

    dates: tuple[str, ...] = Field(
        (r"(?<!\d)(?P<year>(?:19|20)\d{2})(?!\d)",),
        min_length=1,
        description="Patterns searched in a file's name, the first that matches counts: groups `moment` (20210612 or"
        " 20210612T101031, UTC) or `year`, and perhaps `version`",
    )
    version: str = Field("unknown", description="Of maps that say none")
    band: str | None = Field(None, description="Description of the band of codes, where a file has several bands")
    fields: tuple[str, ...] = Field(
        (), description="Attributes that may hold a polygon's code, in any case; the first that a layer has counts"
    )

    @field_validator("dates")
    @classmethod
    def _say_when(cls, dates: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in dates:
            try:
                groups = re.compile(pattern).groupindex.keys()
            except re.error as error:
                raise ValueError(f"{pattern!r} is no regular expression: {error}") from error
            if ("year" in groups) == ("moment" in groups):
                raise ValueError(f"{pattern!r} must have exactly one of the groups `year` and `moment`")
        return dates


class FromFiles(Strict):
    """A recipe's entry of a source whose files it names."""

    source: str
    files: tuple[str, ...]

    @property
    def name(self) -> str:
        """Name of the source, also where `source` is a path."""
        return Path(self.source).stem

    def asked(self) -> dict[str, Any]:
        """What is asked for, as JSON, wherever it lies: files by their names."""
        names = [Path(pattern.removeprefix(WORLD)).name for pattern in self.files]
        return {**self.model_dump(mode="json"), "source": self.name, "files": names}

    def beside(self, folder: Path) -> Self:
        """The entry with the paths that are relative to a folder made whole."""
        is_file = self.source.endswith((".yaml", ".yml"))
        files = tuple(
            pattern if pattern.startswith(WORLD) else str(folder / Path(pattern).expanduser()) for pattern in self.files
        )
        return self.model_copy(update={"source": str(folder / self.source) if is_file else self.source, "files": files})


class Labels(FromFiles):
    """One label source; the first in the list with a class at a pixel wins."""

    source: str = Field(description="Name of a file in taxonomies/")
    files: tuple[str, ...] = Field(
        (),
        description="Maps on disk, in place of the provider's: paths or globs from the recipe; `world:` leads into the"
        " embedded world's folder",
    )
    year: int | None = Field(
        None, ge=1900, le=2100, description="What the files describe, where their names do not say"
    )
    composite: Literal["mode", "probability"] = Field(
        "mode",
        description="How several exports of one period become one map: the most frequent code (of two the smaller),"
        " or the class of the greatest mean probability",
    )
    min_confidence: float = Field(
        0, ge=0, le=1, description="With composite: probability; a pixel of a smaller mean has no class"
    )
    max_gap_days: int | None = Field(
        None,
        ge=0,
        description="Labels farther from any moment of the period are not taken; by default the source's own",
    )
    optional: bool = Field(False, description="Left out, with a word, where no file is found")

    @model_validator(mode="after")
    def _confident(self) -> "Labels":
        if self.min_confidence and self.composite != "probability":
            raise ValueError("min_confidence needs `composite: probability`")
        return self


def matching(pattern: str) -> list[Path]:
    """The files of a path or glob, sorted.

    Raises:
        InputError: neither can be made of it.
    """
    try:
        whole = Path(pattern).resolve()
        if whole.is_file():
            return [whole]
        found = Path(whole.anchor).glob(str(whole.relative_to(whole.anchor)))
        return sorted(path for path in found if path.is_file())
    except (ValueError, IndexError) as error:
        raise InputError(f"labels: files: {pattern!r} is no path and no pattern of files: {error}") from error


def with_given(labels: Sequence[Labels], given: Sequence[str]) -> tuple[Labels, ...]:
    """The entries with the files of `SOURCE=PATH`; a source the recipe does not name comes last.

    Raises:
        InputError: not of that form, or no file there.
    """
    entries = {entry.name: entry for entry in labels}
    for text in given:
        source, _, pattern = text.partition("=")
        if not source or not pattern:
            raise InputError(f"--labels {text}: give a source and a path or glob, as in corine=clc2018.gpkg")
        added = Labels(source=source, files=(pattern,)).beside(Path.cwd())
        if not matching(added.files[0]):
            raise InputError(f"--labels {text}: no file matches {added.files[0]}")
        known = entries.get(added.name)
        entries[added.name] = added if known is None else known.model_copy(update={"files": known.files + added.files})
    return tuple(entries.values())


def present(
    labels: Sequence[Labels], published: Collection[str]
) -> tuple[tuple[Labels, ...], tuple[tuple[str, str], ...]]:
    """The entries without the optional ones no map is found for, and (source, how to add it) of those."""
    kept, left_out = [], []
    for entry in labels:
        there = any(pattern.startswith(WORLD) or matching(pattern) for pattern in entry.files)
        if there or not entry.optional or (not entry.files and entry.name in published):
            kept.append(entry)
        else:
            looked = f"no file matches {', '.join(entry.asked()['files'])}: " if entry.files else ""
            left_out.append((entry.name, f"{looked}give its files with --labels {entry.name}=PATH{_BY_HAND}"))
    return tuple(kept), tuple(left_out)
