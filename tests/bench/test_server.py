"""The server returns the requested bytes under each of its URLs, and counts them."""

import urllib.error
import urllib.request
from pathlib import Path

import pytest
from bench.server import Server, serving
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

MAP = "labels/corine/U2018_CLC2018_V2020_20u1.tif"


def fetch(address: str, first: int | None = None, last: int | None = None) -> tuple[int, bytes]:
    headers = {} if first is None else {"Range": f"bytes={first}-{last}"}
    with urllib.request.urlopen(urllib.request.Request(address, headers=headers)) as answer:
        return answer.status, answer.read()


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_ranges_return_the_bytes_of_the_file_and_are_counted(server: Server, scene: Path, data: st.DataObject) -> None:
    content = (scene / MAP).read_bytes()
    first = data.draw(st.integers(0, len(content) - 1))
    last = data.draw(st.integers(first, len(content) - 1))
    root = data.draw(st.sampled_from([server.root(0), server.root(0, uncached=True), server.root(1)]))
    before = server.counts()
    status, body = fetch(root + MAP, first, last)
    spent = server.counts() - before
    assert (status, body) == (206, content[first : last + 1])
    assert (spent.requests, spent.bytes) == (1, len(body))


def test_root_urls_differ_and_serve_only_the_folder(server: Server, scene: Path) -> None:
    roots = {server.root(0), server.root(0, uncached=True), server.root(30), server.root(30, uncached=True)}
    assert len(roots) == 4
    assert {fetch(root + MAP)[1] for root in roots} == {(scene / MAP).read_bytes()}
    for stray in ("../catalog.json", "nothing.tif", "%2e%2e/%2e%2e/etc/passwd"):
        with pytest.raises(urllib.error.HTTPError):
            fetch(server.root(0) + stray)


def test_the_server_stops_with_the_context(scene: Path, server: Server) -> None:
    with serving(scene) as second:
        assert second.port != server.port
        assert second.counts() == second.counts()
    with pytest.raises(urllib.error.URLError):
        second.counts()
