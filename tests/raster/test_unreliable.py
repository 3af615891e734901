"""Servers that refuse, cut, stall and lie cost the chips that cannot be had, no others, and bounded time."""

from dataclasses import dataclass, field

import pytest

from landmark.raster import ranges, source
from landmark.raster.access import AccessPolicy
from landmark.raster.source import Forbidden, Unreadable
from tests.raster.faults import clipped, cut, garbled, moved, padded, page, refuse, silent, whole
from tests.raster.outcomes import check, check_none_wrong, make, read
from tests.raster.rasters import block_bytes
from tests.raster.serving import serving


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Whatever waits for a server waits a second, and comes back soon."""
    monkeypatch.setattr(ranges, "TIMEOUT_S", 1)
    monkeypatch.setattr(ranges, "_CONNECT_S", 1)
    monkeypatch.setattr(ranges, "_PAUSES_S", (0.01,) * len(ranges._PAUSES_S))
    monkeypatch.setitem(source.GDAL_OPTIONS, "GDAL_HTTP_RETRY_DELAY", 0.01)
    monkeypatch.setitem(source.GDAL_OPTIONS, "GDAL_HTTP_CONNECTTIMEOUT", 1)
    monkeypatch.setitem(source.GDAL_OPTIONS, "GDAL_HTTP_LOW_SPEED_TIME", 1)
    forget()
    yield
    forget()


def forget():
    """Connections keep the patience they were made with."""
    ranges._store.cache_clear()
    ranges._pool.cache_clear()


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return make(tmp_path_factory.mktemp("good") / "a.tif")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("served")) as files:
        yield files


@pytest.fixture
def name(good, files):
    """The good raster under a name of the test's own: readers remember what they knew of an address."""
    return put(files, good.read_bytes())


def put(files, content):
    name = f"{len(list(files.folder.iterdir()))}.tif"
    (files.folder / name).write_bytes(content)
    return name


def each(**faults):
    """Runs a test with each fault."""
    return pytest.mark.parametrize("fault", [pytest.param(fault, id=name) for name, fault in faults.items()])


@pytest.mark.parametrize("content", [b"", b"I", b"II*\0", b"II*\0\xff\xff\xff\x7f"])
def test_what_is_no_raster_is_unreadable(files, content):
    assert isinstance(read(files.href(put(files, content))), Unreadable)


@pytest.mark.parametrize("status", [401, 403, 409])
def test_a_file_that_is_refused_is_forbidden(files, name, status):
    files.plan(name, refuse(status))
    assert isinstance(read(files.href(name)), Forbidden)


@each(missing=refuse(404), failing=refuse(500), page=page, cut=cut(100), garbled=garbled(range(1000)), silent=silent)
def test_a_file_whose_header_never_comes_is_unreadable(files, name, fault):
    files.plan(name, fault)
    assert isinstance(read(files.href(name)), Unreadable)


@each(clipped=clipped, padded=padded, whole=whole)
def test_a_server_that_sends_less_or_more_than_was_asked_for_misleads_nobody(files, name, fault):
    files.plan(name, fault)
    check_none_wrong(read(files.href(name)))


def test_a_file_that_has_moved_is_followed(files, name):
    files.plan(f"old {name}", moved(files.href(name)))
    check(read(files.href(f"old {name}")))


@each(overloaded=refuse(503), failing=refuse(500), busy=refuse(429, Retry_After="1"))
def test_a_server_that_fails_twice_and_then_answers_costs_no_chip(good, files, name, fault):
    files.plan(name, fault, times=2, over=block_bytes(good, 1, 1))
    check(read(files.href(name)))


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_not_asked_again_before_the_time_it_named(good, files, name, status):
    # Twice: ranges come through a library that hides headers, so the first refusal does not say how long.
    files.plan(name, refuse(status, Retry_After="2"), times=2, over=block_bytes(good, 1, 1))
    check(read(files.href(name)))
    *_, refused = files.asked(name, status)
    again = min(r.at_s for r in files.asked(name, 206) if r.at_s > refused.at_s and refused.bytes.start in r.bytes)
    assert again - refused.at_s >= 2


def test_a_server_that_makes_no_sense_of_when_to_come_back_costs_no_chip(good, files, name):
    files.plan(name, refuse(503, Retry_After="soon"), times=2, over=block_bytes(good, 1, 1))
    check(read(files.href(name)))


@pytest.mark.parametrize("path", ["//{}", "x/../{}", "./{}", "a%2F..%2F{}", "{}/"])
def test_an_address_of_an_odd_shape_is_an_outcome(files, name, path):
    check_none_wrong(read(f"{files.url}/{path.format(name)}"))


def middle(place):
    """A byte in the middle of a block: no request for it need touch another block."""
    return place[len(place) // 2 :][:1]


@each(cut=lambda place: cut(middle(place).start), silent=lambda _: silent)
def test_an_answer_that_fails_once_costs_no_chip(good, files, name, fault):
    place = block_bytes(good, 1, 1)
    files.plan(name, fault(place), times=1, over=middle(place))
    check(read(files.href(name)))


@each(
    failing=lambda _: refuse(500),
    missing=lambda _: refuse(404),
    page=lambda _: page,
    cut=lambda place: cut(middle(place).start),
    garbled=garbled,
    silent=lambda _: silent,
)
@pytest.mark.parametrize("bad", [{(1, 1)}, {(0, 2), (2, 1)}], ids=["one", "two"])
def test_a_block_that_fails_whatever_is_tried_drops_exactly_the_chips_it_touches(good, files, name, fault, bad):
    for block in bad:
        place = block_bytes(good, *block)
        files.plan(name, fault(place), over=middle(place))
    check(read(files.href(name)), bad)


@dataclass(frozen=True)
class Numbered(AccessPolicy):
    """Signs with 0, 1, 2 …, a fresh number each time it is asked for one; the server tells which are good."""

    given: list[int] = field(default_factory=lambda: [0])

    def url(self, href, *, fresh=False):
        if fresh:
            self.given.append(len(self.given))
        return f"{href}?sig={self.given[-1]}"


@pytest.mark.parametrize("block", [None, (0, 0), (1, 1), (2, 2)])
def test_a_signature_that_lapses_on_the_way_is_renewed_once_and_no_chip_is_lost(good, files, name, block):
    files.plan(name, refuse(403), sig="0", over=None if block is None else block_bytes(good, *block))
    access = Numbered()
    check(read(files.href(name), access))
    assert access.given == [0, 1] and files.asked(name, 403)


def test_a_signature_that_is_refused_again_is_forbidden(good, files, name):
    files.plan(name, refuse(403), over=block_bytes(good, 1, 1))
    access = Numbered()
    assert isinstance(read(files.href(name), access), Forbidden)
    assert access.given == [0, 1]
