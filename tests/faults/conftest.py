"""The fault server over a small planet, the command line in a process of its own, and the corpora without faults."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults import server
from tests.faults.commands import commands
from tests.faults.oracle import Planet, Server
from tests.faults.planet import blocks, publish, write_recipe

# Servers may be silent for so long; pauses between requests are in proportion.
TIMEOUT_S = 1


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """Serve a folder with faults, in a process of its own."""
    program = [sys.executable, server.__file__, str(folder)]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdin is not None
        try:
            yield Server(f"http://127.0.0.1:{int(process.stdout.readline())}")
        finally:
            process.stdin.close()


@pytest.fixture(scope="session")
def planet(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planet]:
    base = tmp_path_factory.mktemp("faults")
    folder = base / "served"
    publish(world, folder)
    with serving(folder) as started, commands(LANDMARK_TIMEOUT_S=TIMEOUT_S) as running:
        corpora = (base / name for name in ("planned", "right", "newer"))
        planet = Planet(folder, write_recipe(base), *corpora, started, running)
        started.plan((), blocks=blocks(folder))
        assert (result := planet.plan(planet.planned)).code == 0, result
        shutil.copytree(planet.planned, planet.right)
        assert (result := planet.build(planet.right)).code == 0, result
        shutil.copytree(planet.planned, planet.newer)
        started.plan((server.Fault("replaced", r"/sentinel-.*\.tif"),))
        assert (result := planet.build(planet.newer)).code == 0, result
        started.plan(())
        yield planet
