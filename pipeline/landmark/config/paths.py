"""Paths and globs that recipes and command lines name files by, with `world:` for the embedded world's folder.

`world-easy:` is the folder of its easy edition.
"""

import glob
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Self

from landmark.core.errors import InputError, invalid
from landmark.core.yaml_files import StrictModel

WORLDS = ("world", "world-easy")


def is_in_world(path: str) -> bool:
    """Whether a path is in the folder of an embedded world."""
    return ":" in path and path.split(":")[0] in WORLDS


def absolute_path(path: str, folder: Path) -> str:
    """A path or glob, joined to a folder if it is relative; `world:` paths stay as they are."""
    return path if is_in_world(path) else str(folder / Path(path).expanduser())


def world_path(path: str, world: Callable[[str], Path]) -> str:
    """A path or glob with `world:` replaced by the folder of that world, which `world` returns by its name.

    `world:/labels` is in that folder, too.
    """
    name, _, rest = path.partition(":")
    return str(world(name) / rest.lstrip("/")) if is_in_world(path) else path


def lexical_path(path: str | Path) -> Path:
    """A path made absolute by its names alone: those the user gave, not those of a link's target."""
    return Path(os.path.abspath(path))  # noqa: PTH100 (`resolve` follows links)


def file_name(path: str) -> str:
    """Last part of a path or glob."""
    return Path(path.partition(":")[2] if is_in_world(path) else path).name


def match_paths(pattern: str, key: str = "files") -> list[Path]:
    """Files and folders of a path or glob as absolute paths, sorted; `key` is the recipe's, for errors.

    Folders that exist as they are written are no glob.

    Raises:
        InputError: not a valid path or glob.
    """
    try:
        if "\0" in pattern:
            raise ValueError("null character")
        path = lexical_path(pattern)
        if path.exists() or not glob.has_magic(str(path)):
            return [path] if path.exists() else []
        folder = next(parent for parent in path.parents if parent.is_dir())
        # Unlike `Path.glob`, it follows links of `**`, and leaves out hidden files, as `._map.tif` of macOS.
        matches = glob.glob(str(path.relative_to(folder)), root_dir=folder, recursive=True)  # noqa: PTH207
        return _unique_files(folder / match for match in matches)
    except (ValueError, IndexError) as error:
        raise InputError(f"not a path or glob: {error}", key=key, value=pattern) from error


def _unique_files(paths: Iterable[Path]) -> list[Path]:
    """Sorted paths; of those with the same name that links lead to one file by, the shortest."""
    shortest_first = sorted(paths, key=lambda path: (len(path.parts), path))
    return sorted({(path.name, path.resolve()): path for path in reversed(shortest_first)}.values())


def match_files(pattern: str, key: str = "files") -> list[Path]:
    """`match_paths` without folders, but with file geodatabases (`*.gdb`), which are folders."""
    return [path for path in match_paths(pattern, key) if path.is_file() or is_geodatabase(path)]


def is_geodatabase(path: Path) -> bool:
    """Whether a path is a folder that holds a file geodatabase."""
    return path.suffix.lower() == ".gdb" and path.is_dir()


class FileEntry(StrictModel):
    """A recipe's entry of a source that is read from files."""

    source: str
    files: tuple[Any, ...]

    @property
    def name(self) -> str:
        """Name of the source, also where `source` is a path."""
        return Path(self.source).stem

    def canonical(self) -> dict[str, Any]:
        """The entry as JSON, independent of the files' folders."""
        return {**self._change_paths(file_name).model_dump(mode="json"), "source": self.name}

    def resolve_paths(self, folder: Path) -> Self:
        """The entry with paths relative to a folder made absolute."""
        source = str(folder / self.source) if self.source.endswith((".yaml", ".yml")) else self.source
        changed = self._change_paths(lambda path: absolute_path(path, folder))
        return changed.model_copy(update={"source": source})

    def merged_with(self, entry: Self) -> Self:
        """One entry with the files of two of the same source, for pydantic validators of the list of entries."""
        if not (self.files and entry.files):
            raise invalid("duplicate source", value=self.name, remedy="name all its files in one entry")
        for key in type(self).model_fields.keys() - {"files"}:
            if getattr(self, key) != getattr(entry, key):
                value, remedy = [getattr(self, key), getattr(entry, key)], "give both the same value"
                raise invalid("entries of one source differ", key=f"{self.name}.{key}", value=value, remedy=remedy)
        return self.model_copy(update={"files": (*self.files, *entry.files)})

    def _change_paths(self, change: Callable[[str], str]) -> Self:
        """The entry with each path of `files` changed."""
        return self.model_copy(update={"files": tuple(change(path) for path in self.files)})


def merge_entries(entries: Iterable[FileEntry]) -> tuple[FileEntry, ...]:
    """Merge the entries of each source into one, at the place of its first; for pydantic validators."""
    merged: dict[str, FileEntry] = {}
    for entry in entries:
        merged[entry.name] = merged[entry.name].merged_with(entry) if entry.name in merged else entry
    return tuple(merged.values())
