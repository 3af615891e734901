"""Paths and globs that recipes and command lines name files by, with `world:` for the embedded world's folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from landmark.core.errors import InputError
from landmark.core.yaml_files import StrictModel

WORLD_PREFIX = "world:"


def is_in_world(path: str) -> bool:
    """Whether a path is in the embedded world's folder."""
    return path.startswith(WORLD_PREFIX)


def absolute_path(path: str, folder: Path) -> str:
    """A path or glob, joined to a folder if it is relative; `world:` paths stay as they are."""
    return path if is_in_world(path) else str(folder / Path(path).expanduser())


def world_path(path: str, world: Callable[[], Path]) -> str:
    """A path or glob with `world:` replaced by the embedded world's folder; `world` is called only if it is needed."""
    return str(world() / path.removeprefix(WORLD_PREFIX)) if is_in_world(path) else path


def file_name(path: str) -> str:
    """Last part of a path or glob."""
    return Path(path.removeprefix(WORLD_PREFIX)).name


def match_paths(pattern: str, key: str = "files") -> list[Path]:
    """Resolved files and folders of a path or glob, sorted; `key` is the recipe's, for errors.

    Raises:
        InputError: not a valid path or glob.
    """
    try:
        path = Path(pattern).resolve()
        return [path] if path.exists() else sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
    except (ValueError, IndexError) as error:
        raise InputError(f"not a path or glob: {error}", key=key, value=pattern) from error


def match_files(pattern: str, key: str = "files") -> list[Path]:
    """`match_paths` without folders."""
    return [path for path in match_paths(pattern, key) if path.is_file()]


class FileEntry(StrictModel):
    """A recipe's entry of a source that is read from files."""

    source: str
    files: tuple[str, ...]

    @property
    def name(self) -> str:
        """Name of the source, also where `source` is a path."""
        return Path(self.source).stem

    def canonical(self) -> dict[str, Any]:
        """The entry as JSON, independent of the files' folders."""
        files = [file_name(path) for path in self.files]
        return {**self.model_dump(mode="json"), "source": self.name, "files": files}

    def resolve_paths(self, folder: Path) -> Self:
        """The entry with paths relative to a folder made absolute."""
        source = str(folder / self.source) if self.source.endswith((".yaml", ".yml")) else self.source
        return self.model_copy(
            update={"source": source, "files": tuple(absolute_path(path, folder) for path in self.files)}
        )
