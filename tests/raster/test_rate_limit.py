"""Requests stay within a host's budget, over all processes together, and pause while the host is busy."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from landmark.config.profiles import RequestBudget
from landmark.core.executor import ExecutorConfig, open_executor
from landmark.core.process_share import set_share
from landmark.core.ranges.rate_limit import RateLimiter
from landmark.raster.access import AccessPolicy
from landmark.raster.reader import open_raster
from tests.raster.faults import refuse
from tests.raster.rasters import noise, write_raster
from tests.raster.serving import serving

# Each block is a request.
PIXELS = noise((64 * 6, 64 * 6), "uint16")
CORNERS = [(row, col) for row in range(0, 384, 64) for col in range(0, 384, 128)]


@pytest.fixture
def files(tmp_path):
    for name in "ab":
        write_raster(tmp_path / f"{name}.tif", PIXELS)
    with serving(tmp_path, delay_s=0.05) as files:
        yield files


@pytest.fixture(autouse=True)
def reset_share():
    yield
    set_share(1)


def read(task):
    href, budget = task
    with open_raster(href, AccessPolicy(budget=budget)) as raster:
        chips = list(raster.chips(CORNERS, 64))
        assert raster.route == "direct"
    return all(
        (chip == PIXELS[row : row + 64, col : col + 64]).all() for chip, (row, col) in zip(chips, CORNERS, strict=True)
    )


def both(files, budget):
    return [(files.href(name), budget) for name in ("a.tif", "b.tif")]


def test_requests_in_flight_stay_within_the_budget(files):
    with ThreadPoolExecutor() as threads:
        assert all(threads.map(read, both(files, RequestBudget(in_flight=3))))
    assert files.max_in_flight() == 3


def test_requests_per_second_stay_within_the_budget(files):
    with ThreadPoolExecutor() as threads:
        assert all(threads.map(read, both(files, RequestBudget(per_second=15))))
    # Times are the server's: a request may arrive late, and the next in time.
    assert len(files.requests("a.tif")) + len(files.requests("b.tif")) > 30 and 8 < files.max_rate() <= 17


def test_workers_share_the_budget(files):
    tasks = both(files, RequestBudget(in_flight=4, per_second=20))
    with open_executor(ExecutorConfig(workers=2)) as map_tasks:
        assert all(result for _, result in map_tasks(read, tasks))
    assert files.max_in_flight() <= 4 and files.max_rate() <= 23


@pytest.mark.parametrize(("processes", "share"), [(1, (10, 5.0)), (3, (3, 5 / 3)), (20, (1, 0.25))])
def test_a_share_is_a_part_of_the_rate_and_at_least_a_request(processes, share):
    budget = RequestBudget(in_flight=10, per_second=5).share(processes)
    assert (budget.in_flight, budget.per_second) == pytest.approx(share)


def test_a_busy_host_pauses_the_requests_for_other_files(files):
    files.plan("a.tif", refuse(429, Retry_After="2"), times=2)
    with ThreadPoolExecutor() as threads:
        slow = threads.submit(read, both(files, RequestBudget())[0])
        while len(files.requests("a.tif", 429)) < 2:
            time.sleep(0.01)
        time.sleep(0.5)  # the answer is read
        assert read(both(files, RequestBudget())[1]) and slow.result()
    refused_s = files.requests("a.tif", 429)[-1].at_s
    assert min(request.at_s for request in files.requests("b.tif")) > refused_s + 1.9


def test_an_error_releases_the_slot():
    rate_limiter = RateLimiter(RequestBudget(in_flight=1))
    with pytest.raises(ValueError), rate_limiter:
        raise ValueError
    with rate_limiter:
        pass
