"""Faulty servers cost exactly the chips that cannot be read, in bounded time."""

from dataclasses import dataclass, field

import pytest

from landmark.core.ranges.errors import Forbidden, Unreadable
from landmark.raster.access import AccessPolicy
from tests.raster.conftest import each, put
from tests.raster.faults import clipped, cut, garbled, moved, padded, page, refuse, silent, unranged
from tests.raster.outcomes import check, check_pixels, read
from tests.raster.rasters import block_bytes

pytestmark = pytest.mark.usefixtures("short_timeouts")


@pytest.mark.parametrize("content", [b"", b"I", b"II*\0", b"II*\0\xff\xff\xff\x7f"])
def test_a_file_that_is_no_raster_is_unreadable(files, content):
    assert isinstance(read(files.href(put(files, content))), Unreadable)


@pytest.mark.parametrize("status", [401, 403, 409])
def test_a_refused_file_is_forbidden(files, name, status):
    files.plan(name, refuse(status))
    assert isinstance(read(files.href(name)), Forbidden)


@each(missing=refuse(404), failing=refuse(500), page=page, cut=cut(100), garbled=garbled(range(1000)), silent=silent)
def test_a_file_without_a_header_is_unreadable(files, name, fault):
    files.plan(name, fault)
    assert isinstance(read(files.href(name)), Unreadable)


@each(clipped=clipped, padded=padded, unranged=unranged)
def test_a_wrong_number_of_bytes_gives_no_wrong_pixels(files, name, fault):
    files.plan(name, fault)
    check_pixels(read(files.href(name)))


def test_redirects_are_followed(files, name):
    files.plan(f"old {name}", moved(files.href(name)))
    check(read(files.href(f"old {name}")))


@each(overloaded=refuse(503), failing=refuse(500), busy=refuse(429, Retry_After="1"))
def test_a_server_that_answers_after_two_failures_costs_no_chip(good, files, name, fault):
    files.plan(name, fault, times=2, over=block_bytes(good, 1, 1))
    check(read(files.href(name)))


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_obeyed(good, files, name, status):
    # Two refusals: the first comes through a library that hides headers.
    files.plan(name, refuse(status, Retry_After="2"), times=2, over=block_bytes(good, 1, 1))
    check(read(files.href(name)))
    *_, refused = files.requests(name, status)
    retried_s = min(
        request.at_s
        for request in files.requests(name, 206)
        if request.at_s > refused.at_s and refused.bytes.start in request.bytes
    )
    assert retried_s - refused.at_s >= 2


def test_an_invalid_retry_after_costs_no_chip(good, files, name):
    files.plan(name, refuse(503, Retry_After="soon"), times=2, over=block_bytes(good, 1, 1))
    check(read(files.href(name)))


@pytest.mark.parametrize("path", ["//{}", "x/../{}", "./{}", "a%2F..%2F{}", "{}/"])
def test_an_odd_path_gives_no_wrong_pixels(files, name, path):
    check_pixels(read(f"{files.url}/{path.format(name)}"))


def middle(place):
    """A byte in the middle of a block: a request for it need not overlap another block."""
    return place[len(place) // 2 :][:1]


@each(cut=lambda place: cut(middle(place).start), silent=lambda _: silent)
def test_a_single_fault_costs_no_chip(good, files, name, fault):
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
@pytest.mark.parametrize("bad", [{(1, 1)}, {(0, 2), (2, 1)}], ids=["single", "two"])
def test_a_permanently_faulty_block_fails_exactly_the_overlapping_chips(good, files, name, fault, bad):
    for block in bad:
        place = block_bytes(good, *block)
        files.plan(name, fault(place), over=middle(place))
    check(read(files.href(name)), bad)


@dataclass(frozen=True)
class NumberedAccess(AccessPolicy):
    """Signs with 0, 1, 2 …, a new number for each fresh token."""

    signatures: list[int] = field(default_factory=lambda: [0])

    def signed_url(self, href, *, fresh=False):
        if fresh:
            self.signatures.append(len(self.signatures))
        return f"{href}?sig={self.signatures[-1]}"


@pytest.mark.parametrize("block", [None, (0, 0), (1, 1), (2, 2)])
def test_an_expired_signature_is_renewed_once_and_costs_no_chip(good, files, name, block):
    files.plan(name, refuse(403), sig="0", over=None if block is None else block_bytes(good, *block))
    access = NumberedAccess()
    check(read(files.href(name), access))
    assert access.signatures == [0, 1] and files.requests(name, 403)


def test_a_signature_that_is_refused_again_is_forbidden(good, files, name):
    files.plan(name, refuse(403), over=block_bytes(good, 1, 1))
    access = NumberedAccess()
    assert isinstance(read(files.href(name), access), Forbidden)
    assert access.signatures == [0, 1]
