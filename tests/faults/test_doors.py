"""Damaged files at every door end in a result or an error of landmark, within ten seconds and a gigabyte."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.doors import DOORS


def _open(doors: tuple[str, ...], first: int, count: int, folder: Path) -> None:
    command = [sys.executable, "-m", "tests.faults.doors", ",".join(doors), str(first), str(count), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], timeout=7200)
    assert done.returncode == 0, f"{done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


def test_damaged_files_are_refused_or_read(tmp_path: Path) -> None:
    _open(DOORS, 0, 20, tmp_path)


@pytest.mark.nightly
@pytest.mark.parametrize("door", DOORS)
def test_thousands_of_damaged_files_are_refused_or_read(door: str, tmp_path: Path) -> None:
    _open((door,), 1000, 2000, tmp_path)
