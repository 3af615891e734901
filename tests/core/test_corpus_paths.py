"""Paths that a corpus names, and file operations that stay below its folder."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from landmark.core.atomic import atomic_file, folder_lock, remove_partials, wait_for_lock, write_bytes
from landmark.core.corpus_paths import (
    PlainName,
    RelativePath,
    delete_contents,
    delete_empty_folder,
    delete_file,
    delete_folder,
    inside,
    make_folder,
    readable,
    refuse_links,
    writable,
)
from landmark.core.errors import InputError, InvalidCorpus
from tests.parts import raises

OUTSIDE = [
    "",
    ".",
    "..",
    "/",
    "/etc/passwd",
    "//server/share",
    "../a",
    "a/../../b",
    "a/..",
    "a/./b",
    "./a",
    "a//b",
    "a/",
    "a\\..\\b",
    "C:/a",
    "a:stream",
    "a\0b",
    "a\nb",
    "a\x1b[2Jb",
    "a\x9bb",
    "a\u2028b",
    "a" * 256,
    "/".join(["a" * 200] * 6),
]
OPERATIONS: list[Callable[[Path, str], object]] = [
    inside,
    readable,
    writable,
    make_folder,
    delete_file,
    delete_folder,
    delete_empty_folder,
    lambda root, path: delete_contents(root, path, keep=()),
]


@pytest.mark.parametrize("path", OUTSIDE)
def test_paths_outside_are_neither_valid_nor_used(path: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(RelativePath).validate_python(path)
    for operation in OPERATIONS:
        with raises(InvalidCorpus, file=str(tmp_path), exit_code=2):
            operation(tmp_path, path)


@pytest.mark.parametrize("path", ["a", "shards/g0000/s1-train-00000-of-00004.parquet", "été/..a/b..", "a" * 255])
def test_paths_inside_are_valid(path: str, tmp_path: Path) -> None:
    assert TypeAdapter(RelativePath).validate_python(path) == path
    assert inside(tmp_path, path) == tmp_path / path


def test_a_name_is_no_path() -> None:
    assert TypeAdapter(PlainName).validate_python("model.safetensors") == "model.safetensors"
    with pytest.raises(ValidationError):
        TypeAdapter(PlainName).validate_python("a/b")


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """A folder whose `a` leads to `outside/`, which holds a file and a folder; the way to the folder is a link, too."""
    (tmp_path / "outside" / "b").mkdir(parents=True)
    (tmp_path / "outside" / "b" / "file").write_text("canary")
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a").symlink_to(tmp_path / "outside")
    (tmp_path / "root").symlink_to(tmp_path / "real")
    return tmp_path / "root"


@pytest.mark.parametrize("operation", OPERATIONS)
def test_no_operation_passes_a_link_to_a_folder(operation: Callable[[Path, str], object], linked: Path) -> None:
    with raises(InvalidCorpus, file=str(linked / "a")):
        operation(linked, "a/b/file")
    with raises(InvalidCorpus, file=str(linked / "a")):
        refuse_links(linked)
    assert (linked.parent / "outside/b/file").read_text() == "canary"


@pytest.mark.parametrize("operation", OPERATIONS[3:4] + OPERATIONS[5:])
def test_a_linked_folder_itself_is_no_folder(operation: Callable[[Path, str], object], linked: Path) -> None:
    with raises(InvalidCorpus, file=str(linked / "a")):
        operation(linked, "a")
    assert (linked.parent / "outside/b/file").read_text() == "canary"


def test_links_to_files_are_read_and_replaced_but_never_written_through(tmp_path: Path) -> None:
    corpus, target = tmp_path / "corpus", tmp_path / "target"
    target.write_bytes(b"cached")
    make_folder(corpus, "shards/g0000").joinpath("x").symlink_to(target)
    refuse_links(corpus)
    assert readable(corpus, "shards/g0000/x").read_bytes() == b"cached"
    write_bytes(writable(corpus, "shards/g0000/x"), b"new")
    assert target.read_bytes() == b"cached" and not (corpus / "shards/g0000/x").is_symlink()
    (corpus / "shards/g0000/y").symlink_to(target)
    delete_contents(corpus, "shards/g0000", keep=["x"])
    assert target.exists() and [path.name for path in (corpus / "shards/g0000").iterdir()] == ["x"]


def test_missing_files_and_broken_links_are_no_fault_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    refuse_links(tmp_path)
    refuse_links(tmp_path / "missing")
    for path in ("gone", "missing", "missing/too"):
        assert readable(tmp_path, path) == tmp_path / path
        delete_file(tmp_path, path)
        delete_folder(tmp_path, path)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_pipes_and_devices_are_refused_before_they_are_opened(make: Callable[[Path], object], tmp_path: Path) -> None:
    make(tmp_path / "file")
    with raises(InvalidCorpus, file=str(tmp_path / "file")):
        readable(tmp_path, "file")
    with raises(InvalidCorpus, file=str(tmp_path / "file")):
        refuse_links(tmp_path)


def test_a_folder_is_no_file_to_read_or_write(tmp_path: Path) -> None:
    (tmp_path / "index.parquet").mkdir()
    for operation in (readable, writable, delete_file):
        with raises(InvalidCorpus, file=str(tmp_path / "index.parquet")):
            operation(tmp_path, "index.parquet")


def test_a_partial_file_of_another_is_replaced_not_written_through(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"canary")
    (tmp_path / f".a.{os.getpid()}.partial").symlink_to(target)
    with atomic_file(tmp_path / "a") as file:
        file.write(b"new")
    assert target.read_bytes() == b"canary" and (tmp_path / "a").read_bytes() == b"new"


def test_partial_links_are_removed_and_folders_stay(tmp_path: Path) -> None:
    (tmp_path / "target").touch()
    (tmp_path / ".a.1.partial").symlink_to(tmp_path / "target")
    (tmp_path / ".b.1.partial").mkdir()
    remove_partials(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".b.1.partial", "target"]


@pytest.mark.parametrize("make", [Path.symlink_to, Path.hardlink_to, lambda lock, _: os.mkfifo(lock)])
def test_a_lock_that_leads_to_another_file_is_refused(make: Callable[[Path, Path], object], tmp_path: Path) -> None:
    target, lock = tmp_path / "target", tmp_path / "corpus" / ".landmark.lock"
    target.write_bytes(b"canary")
    lock.parent.mkdir()
    make(lock, target)
    with raises(InputError, file=str(lock), exit_code=2), folder_lock(lock.parent):
        pass
    with raises(InputError, file=str(lock)), wait_for_lock(lock, print):
        pass
    assert target.read_bytes() == b"canary"
