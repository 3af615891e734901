"""Paths below a corpus folder: their type, and file operations that never leave the folder.

A corpus may come from a stranger. Paths it names are relative and stay inside. Below the corpus folder, which may
itself be a link, every folder is a real one; a file may be a link only where it is read, as in the caches of DVC and
the Hugging Face Hub.
"""

import os
import re
import shutil
import stat
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from landmark.core.atomic import make_folders
from landmark.core.errors import InvalidCorpus, invalid

_MAX_PART_BYTES, _MAX_PATH_BYTES = 255, 1024
# Of Windows: separator, drives and streams. Line and control characters would also forge lines of text.
_FORBIDDEN = re.compile(r"[\\:\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_FOLDER_REMEDY = "make it a folder of its own; only the corpus folder itself may be a link"


def _problem(path: str) -> str | None:
    """Why a path is not relative, inside and normalized; None if it is."""
    if _FORBIDDEN.search(path):
        return "a backslash, a colon, or a control character is not allowed in a path"
    parts = path.split("/")
    if not all(part not in ("", ".", "..") for part in parts):
        return "must be a relative path inside the folder, without empty parts, `.` and `..`"
    if len(path.encode()) > _MAX_PATH_BYTES or any(len(part.encode()) > _MAX_PART_BYTES for part in parts):
        return f"longer than {_MAX_PART_BYTES} bytes a name, or {_MAX_PATH_BYTES} in all"
    return None


def _check_path(path: str) -> str:
    if problem := _problem(path):
        raise invalid(problem, value=path)
    return path


def _check_name(name: str) -> str:
    if "/" in _check_path(name):
        raise invalid("must be a name, not a path", value=name)
    return name


# Path relative to a corpus folder and inside it.
RelativePath = Annotated[str, AfterValidator(_check_path)]
# Name of a file.
PlainName = Annotated[str, AfterValidator(_check_name)]


def inside(root: Path, path: str) -> Path:
    """`root / path`, where every existing folder between the two is a real one; the path itself is not looked at.

    Raises:
        InvalidCorpus: the path is not relative and inside, or one of its folders is a link or no folder.
    """
    if problem := _problem(path):
        raise InvalidCorpus(problem, file=root, value=path)
    folder = root
    for part in path.split("/")[:-1]:
        folder /= part
        mode = _mode(folder)
        if mode is not None and not stat.S_ISDIR(mode):
            raise InvalidCorpus("is a link, or no folder", file=folder, remedy=_FOLDER_REMEDY)
    return root / path


def readable(root: Path, path: str) -> Path:
    """Path of a file to read, which may be a link to a file; it may be missing.

    Raises:
        InvalidCorpus: it is outside, or neither a file nor a link to one: opening a pipe would wait for ever.
    """
    file = inside(root, path)
    if file.exists() and not file.is_file():
        raise InvalidCorpus("is neither a file nor a link to one", file=file, remedy="delete it")
    return file


def writable(root: Path, path: str) -> Path:
    """Path of a file to write by renaming, or to delete: a link there is replaced, never followed.

    Raises:
        InvalidCorpus: it is outside, or a folder.
    """
    file = inside(root, path)
    if stat.S_ISDIR(_mode(file) or 0):
        raise InvalidCorpus("is a folder, not a file", file=file, remedy="delete it")
    return file


def make_folder(root: Path, path: str) -> Path:
    """Make a folder and those between, unless they exist.

    Raises:
        InvalidCorpus: it is outside, or one of the folders is a link or no folder.
    """
    folder = inside(root, f"{path}/_").parent
    make_folders(folder)
    return folder


def delete_file(root: Path, path: str) -> None:
    """Delete a file, or a link to one, if there is one.

    Raises:
        InvalidCorpus: it is outside, or a folder.
    """
    writable(root, path).unlink(missing_ok=True)


def delete_folder(root: Path, path: str) -> None:
    """Delete a folder with its contents, if there is one.

    Raises:
        InvalidCorpus: it is outside, or one of the folders is a link or no folder.
    """
    folder = inside(root, f"{path}/_").parent
    if folder.exists():
        shutil.rmtree(folder)


def delete_empty_folder(root: Path, path: str) -> None:
    """Delete a folder if it is there and empty.

    Raises:
        InvalidCorpus: it is outside, or one of the folders is a link or no folder.
    """
    folder = inside(root, f"{path}/_").parent
    if folder.exists() and not any(folder.iterdir()):
        folder.rmdir()


def delete_contents(root: Path, path: str, *, keep: Collection[str]) -> None:
    """Delete everything in a folder but the names to keep; links are deleted, not what they lead to.

    Raises:
        InvalidCorpus: it is outside, or one of the folders is a link or no folder.
    """
    folder = inside(root, f"{path}/_").parent
    for entry in [entry for entry in folder.iterdir() if entry.name not in keep]:
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink(missing_ok=True)


def refuse_links(root: Path) -> None:
    """Require that everything below a folder is a real folder, a file, or a link to a file.

    Called before the first write, so that work is refused before it starts. Broken links are missing files.

    Raises:
        InvalidCorpus: naming the first other entry.
    """
    for entry in _entries(root):
        # Of a path, as those of an entry raise on a link to itself.
        path = Path(entry.path)
        if path.is_dir():
            raise InvalidCorpus("is a link to a folder", file=path, remedy=_FOLDER_REMEDY)
        if not path.is_file() and (not path.is_symlink() or path.exists()):
            raise InvalidCorpus("is neither a file nor a folder", file=path, remedy="delete it")


def _entries(root: Path) -> Iterator[os.DirEntry[str]]:
    """Entries of a folder and the real folders below it, but not these folders; none of a missing folder."""
    folders = [str(root)] if root.is_dir() else []
    while folders:
        # A folder may be deleted meanwhile, where a corpus is only read.
        with suppress(FileNotFoundError), os.scandir(folders.pop()) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    yield entry


def _mode(path: Path) -> int | None:
    """Mode of a path without following a link; None if there is nothing."""
    try:
        return path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
