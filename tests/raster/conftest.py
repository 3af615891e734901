"""A good raster and a server that plays faults, with short timeouts."""

import pytest

from landmark.core.ranges import http_file, remote_file
from tests.raster.outcomes import make
from tests.raster.serving import serving


@pytest.fixture
def short_timeouts(monkeypatch):
    """Time out after a second, and retry at once."""
    monkeypatch.setattr(http_file, "CONNECT_S", 1)
    for module in (http_file, remote_file):
        monkeypatch.setattr(module, "TIMEOUT_S", 1)
        monkeypatch.setattr(module, "BACKOFF_S", (0.01,) * len(http_file.BACKOFF_S))
    close_connections()
    yield
    close_connections()


def close_connections():
    """Connections keep the timeouts they were made with."""
    http_file.open_store.cache_clear()
    http_file.open_pool.cache_clear()


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return make(tmp_path_factory.mktemp("good") / "a.tif")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("served")) as files:
        yield files


@pytest.fixture
def name(good, files):
    """The good raster under a name of the test's own, as readers cache by URL."""
    return put(files, good.read_bytes())


def put(files, content):
    name = f"{len(list(files.folder.iterdir()))}.tif"
    (files.folder / name).write_bytes(content)
    return name


def each(**faults):
    """Run a test with each fault."""
    return pytest.mark.parametrize("fault", [pytest.param(fault, id=name) for name, fault in faults.items()])
