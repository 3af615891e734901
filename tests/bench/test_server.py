"""The server hands out what was asked for under each of its names, and counts it."""

import urllib.error
import urllib.request
from pathlib import Path

import pytest
from bench.server import Server, serving
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

MAP = "labels/corine/U2018_CLC2018_V2020_20u1.tif"


def fetched(address: str, first: int | None = None, last: int | None = None) -> tuple[int, bytes]:
    headers = {} if first is None else {"Range": f"bytes={first}-{last}"}
    with urllib.request.urlopen(urllib.request.Request(address, headers=headers)) as answer:
        return answer.status, answer.read()


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_ranges_are_the_files_bytes_and_are_counted(server: Server, scene: Path, data: st.DataObject) -> None:
    content = (scene / MAP).read_bytes()
    first = data.draw(st.integers(0, len(content) - 1))
    last = data.draw(st.integers(first, len(content) - 1))
    root = data.draw(st.sampled_from([server.at(0), server.at(0, again=True), server.at(1)]))
    before = server.counts()
    status, found = fetched(root + MAP, first, last)
    spent = server.counts() - before
    assert (status, found) == (206, content[first : last + 1])
    assert (spent.requests, spent.bytes) == (1, len(found))


def test_names_differ_and_lead_nowhere_else(server: Server, scene: Path) -> None:
    roots = {server.at(0), server.at(0, again=True), server.at(30), server.at(30, again=True)}
    assert len(roots) == 4
    assert {fetched(root + MAP)[1] for root in roots} == {(scene / MAP).read_bytes()}
    for stray in ("../catalog.json", "nothing.tif", "%2e%2e/%2e%2e/etc/passwd"):
        with pytest.raises(urllib.error.HTTPError):
            fetched(server.at(0) + stray)


def test_it_is_gone_when_the_block_ends(scene: Path, server: Server) -> None:
    with serving(scene) as other:
        assert other.port != server.port
        assert other.counts() == other.counts()
    with pytest.raises(urllib.error.URLError):
        other.counts()
