"""A server of the benchmark's scene."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from bench.server import Server, missing, serving

from tests.conftest import require


@pytest.fixture(scope="session")
def server(scene: Path) -> Iterator[Server]:
    require(not (requirement := missing()), f"needs {requirement}")
    with serving(scene) as running:
        yield running
