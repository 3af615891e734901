"""The cache of downloads: bounded, shared by processes, and nothing of a process that was killed is used."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from landmark.core import disk_cache
from landmark.core.disk_cache import DiskCache

# Downloads a file in pieces of which each takes a moment; prints a line when it starts.
SLOW = """
import sys, time
from pathlib import Path
from landmark.core.disk_cache import DiskCache
def write(path):
    print("started", flush=True)
    time.sleep(float(sys.argv[2]))
    path.write_bytes(b"x" * 100)
file = DiskCache(Path(sys.argv[1]), 1000).add("key", 100, write)
out = bytearray(100)
print(file.read(0, memoryview(out)), bytes(out) == b"x" * 100)
"""


def content(file: disk_cache.CachedFile | None, size: int) -> bytes | None:
    out = bytearray(size)
    return bytes(out) if file is not None and file.read(0, memoryview(out)) else None


def add(cache: DiskCache, key: str, value: bytes) -> bytes | None:
    return content(cache.add(key, len(value), lambda path: path.write_bytes(value) and None), len(value))


def test_longest_unused_files_are_deleted_and_open_files_stay_readable(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 1000)
    first = cache.add("0", 100, lambda path: path.write_bytes(b"0" * 100) and None)
    for number in range(1, 30):
        assert add(cache, str(number), bytes([number]) * 100) == bytes([number]) * 100
        for path in tmp_path.glob("[!.]*"):
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 1))
        assert cache.open("1", 100) is not None, "it is used all the time"
        assert sum(path.stat().st_size for path in tmp_path.iterdir() if path.suffix != ".lock") <= 1000
    assert cache.open("0", 100) is None and content(first, 100) == b"0" * 100
    assert add(cache, "large", bytes(2000)) is None and add(cache, "28", b"!" * 100) == bytes([28]) * 100


def test_a_file_of_another_size_is_written_again(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 1000)
    add(cache, "key", b"old")
    assert cache.open("key", 4) is None
    assert add(cache, "key", b"newer") == b"newer"
    cache.delete("key")
    assert cache.open("key", 5) is None


def test_threads_download_a_file_once(tmp_path: Path) -> None:
    downloads = []

    def write(path: Path) -> None:
        downloads.append(path)
        time.sleep(0.05)
        path.write_bytes(b"abc")

    with ThreadPoolExecutor(8) as threads:
        files = list(threads.map(lambda _: DiskCache(tmp_path, 1000).add("key", 3, write), range(8)))
    assert [content(file, 3) for file in files] == 8 * [b"abc"]
    assert len(downloads) == 1


@pytest.mark.parametrize("kill", [False, True], ids=["waits", "killed"])
def test_another_process_downloads(kill: bool, tmp_path: Path) -> None:
    seconds = "60" if kill else "0.3"
    command = [sys.executable, "-c", SLOW, str(tmp_path), seconds]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "started\n"
        if kill:
            process.send_signal(signal.SIGKILL)
        value = add(DiskCache(tmp_path, 1000), "key", b"y" * 100)
        assert value == (b"y" if kill else b"x") * 100
        assert process.stdout.read() == ("" if kill else "True True\n")
    partials = list(tmp_path.glob("*.partial"))
    assert len(partials) == kill
    for partial in partials:
        os.utime(partial, (0, 0))
    add(DiskCache(tmp_path, 1000), "other", b"z")
    assert not list(tmp_path.glob("*.partial"))


def test_where_nothing_can_be_written_nothing_is_downloaded_for_a_while(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = DiskCache(tmp_path / "file", 1000)
    assert cache.available
    assert add(cache, "key", b"x") is None
    assert not cache.available
    assert cache.add("key", 1, lambda _: pytest.fail("downloaded")) is None
    assert not DiskCache(tmp_path, 0).available


def test_a_full_disk_shows_before_the_download(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 2**62)
    assert cache.add("key", 2**60, lambda _: pytest.fail("downloaded")) is None
    assert not cache.available
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".lock"]


def test_an_error_of_the_download_is_raised_and_leaves_nothing(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        path.write_bytes(b"x")
        raise ValueError

    with pytest.raises(ValueError):
        DiskCache(tmp_path, 1000).add("key", 1, fail)
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".lock"]
