import multiprocessing
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from landmark.core.atomic import atomic_path, folder_lock, remove_partials, write_bytes, write_table
from landmark.core.errors import FolderLocked


def names(folder):
    return [path.name for path in folder.iterdir()]


def test_a_file_appears_whole_when_the_block_ends_and_not_before(tmp_path):
    target = tmp_path / "a.bin"
    with atomic_path(target) as partial:
        partial.write_bytes(b"whole")
        assert not target.exists()
    assert target.read_bytes() == b"whole" and names(target.parent) == ["a.bin"]


def test_an_error_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    target = tmp_path / "a.bin"
    write_bytes(target, b"old")
    with pytest.raises(ZeroDivisionError), atomic_path(target) as partial:
        partial.write_bytes(b"half")
        raise ZeroDivisionError
    assert target.read_bytes() == b"old" and names(tmp_path) == ["a.bin"]


def test_a_folder_that_is_gone_is_not_made_anew(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_bytes(tmp_path / "gone" / "a.bin", b"late")
    assert not (tmp_path / "gone").exists()


def test_a_sweep_takes_halves_and_leaves_what_is_whole(tmp_path):
    write_bytes(tmp_path / "a.bin", b"whole")
    (tmp_path / ".b.bin.123.partial").write_bytes(b"ha")
    remove_partials(tmp_path)
    assert names(tmp_path) == ["a.bin"]


def test_the_same_table_gives_the_same_bytes_and_reads_back(tmp_path):
    table = pa.table({"a": list(range(1000)), "b": [str(number % 7) for number in range(1000)]})
    for name in ("one", "two"):
        write_table(tmp_path / name, table)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert pq.read_table(tmp_path / "one").equals(table)


def test_a_held_folder_refuses_a_second_holder_and_is_free_afterwards(tmp_path):
    folder = tmp_path / "corpus"
    with folder_lock(folder):
        (folder / "kept").touch()
        with (
            pytest.raises(FolderLocked, match=r"corpus: another landmark command is at work there"),
            folder_lock(folder),
        ):
            pass
    with folder_lock(folder):
        pass
    assert names(folder) == ["kept"]


def test_a_folder_that_was_made_for_nothing_is_gone_again(tmp_path):
    with folder_lock(tmp_path / "corpus"):
        assert (tmp_path / "corpus").is_dir()
    assert not (tmp_path / "corpus").exists()


def _hold_and_die(folder, told):
    with folder_lock(folder):
        told.send("held")
        os._exit(9)


def test_a_holder_that_dies_lets_go(tmp_path):
    folder, (ours, theirs) = tmp_path / "corpus", multiprocessing.Pipe()
    dying = multiprocessing.get_context("spawn").Process(target=_hold_and_die, args=(folder, theirs))
    dying.start()
    assert ours.recv() == "held"
    dying.join()
    with folder_lock(folder):
        assert dying.exitcode == 9
