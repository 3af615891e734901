"""Atomic writes and folder locks."""

import multiprocessing
import os
import threading

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from landmark.core.atomic import atomic_path, folder_lock, remove_partials, wait_for_lock, write_bytes, write_table
from landmark.core.errors import FolderLocked


def names(folder):
    return [path.name for path in folder.iterdir()]


def test_files_exist_only_after_the_block(tmp_path):
    target = tmp_path / "a.bin"
    with atomic_path(target) as partial:
        partial.write_bytes(b"new")
        assert not target.exists()
    assert target.read_bytes() == b"new" and names(tmp_path) == ["a.bin"]


def test_errors_keep_the_old_file_and_no_partial(tmp_path):
    target = tmp_path / "a.bin"
    write_bytes(target, b"old")
    with pytest.raises(ZeroDivisionError), atomic_path(target) as partial:
        partial.write_bytes(b"half")
        raise ZeroDivisionError
    assert target.read_bytes() == b"old" and names(tmp_path) == ["a.bin"]


def test_missing_folders_are_not_created(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_bytes(tmp_path / "gone" / "a.bin", b"late")
    assert not (tmp_path / "gone").exists()


def test_only_partials_are_removed(tmp_path):
    write_bytes(tmp_path / "a.bin", b"new")
    (tmp_path / ".b.bin.123.partial").write_bytes(b"ha")
    remove_partials(tmp_path)
    assert names(tmp_path) == ["a.bin"]


def test_equal_tables_give_equal_bytes(tmp_path):
    table = pa.table({"a": list(range(1000)), "b": [str(number % 7) for number in range(1000)]})
    for name in ("a", "b"):
        write_table(tmp_path / name, table)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert pq.read_table(tmp_path / "a").equals(table)


def test_a_locked_folder_cannot_be_locked_again(tmp_path):
    folder = tmp_path / "corpus"
    with folder_lock(folder):
        (folder / "file").touch()
        with pytest.raises(FolderLocked) as caught, folder_lock(folder):
            pass
        assert caught.value.file == str(folder) and f"process {os.getpid()} " in caught.value.problem
    with folder_lock(folder):
        pass
    assert names(folder) == ["file"]


def test_empty_folders_are_removed_with_the_lock(tmp_path):
    with folder_lock(tmp_path / "corpus"):
        assert (tmp_path / "corpus").is_dir()
    assert not (tmp_path / "corpus").exists()


def test_who_waits_for_a_lock_learns_whom_for(tmp_path):
    owners, waiting, done = [], threading.Event(), []

    def wait(owner):
        owners.append(owner)
        waiting.set()

    def second():
        with wait_for_lock(tmp_path / "lock", wait):
            done.append(True)

    thread = threading.Thread(target=second)
    with wait_for_lock(tmp_path / "lock", pytest.fail):
        thread.start()
        assert waiting.wait(30) and not done and f"process {os.getpid()} " in owners[0]
    thread.join()
    assert done == [True] and len(owners) == 1


def _lock_and_die(folder, pipe):
    with folder_lock(folder):
        pipe.send("locked")
        os._exit(9)


def test_the_lock_of_a_dead_process_is_released(tmp_path):
    folder, (parent, child) = tmp_path / "corpus", multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_lock_and_die, args=(folder, child))
    process.start()
    assert parent.recv() == "locked"
    process.join()
    with folder_lock(folder):
        assert process.exitcode == 9
