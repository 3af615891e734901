"""A host is asked no more, and no faster, than its budget, by all processes together; a busy one is left alone."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from landmark.config.profiles import RequestBudget
from landmark.core.executor import ExecutorConfig, open_executor
from landmark.raster.access import AccessPolicy
from landmark.core.process_share import set_share
from landmark.raster.rate_limit import RateLimiter
from landmark.raster.reader import open_raster
from tests.raster.faults import refuse
from tests.raster.rasters import noise, write_raster
from tests.raster.serving import serving

# Of blocks of a request each.
PIXELS = noise((64 * 6, 64 * 6), "uint16")
CORNERS = [(row, col) for row in range(0, 384, 64) for col in range(0, 384, 128)]


@pytest.fixture
def files(tmp_path):
    for name in "ab":
        write_raster(tmp_path / f"{name}.tif", PIXELS)
    with serving(tmp_path, delay_s=0.05) as files:
        yield files


@pytest.fixture(autouse=True)
def alone():
    yield
    set_share(1)


def read(job):
    href, budget = job
    with open_raster(href, AccessPolicy(budget=budget)) as raster:
        chips = list(raster.chips(CORNERS, 64))
        assert raster.route == "direct"
    return all(
        (chip == PIXELS[row : row + 64, col : col + 64]).all() for chip, (row, col) in zip(chips, CORNERS, strict=True)
    )


def both(files, budget):
    return [(files.href(name), budget) for name in ("a.tif", "b.tif")]


def test_no_more_requests_are_in_flight_than_the_budget_has(files):
    with ThreadPoolExecutor() as threads:
        assert all(threads.map(read, both(files, RequestBudget(in_flight=3))))
    assert files.most() == 3


def test_no_more_requests_begin_in_a_second_than_the_budget_has(files):
    with ThreadPoolExecutor() as threads:
        assert all(threads.map(read, both(files, RequestBudget(per_second=15))))
    # The clock is the server's: one request may be late, and the next on time.
    assert len(files.asked("a.tif")) + len(files.asked("b.tif")) > 30 and 8 < files.busiest() <= 17


def test_workers_share_the_budget(files):
    jobs = both(files, RequestBudget(in_flight=4, per_second=20))
    with open_executor(ExecutorConfig(workers=2)) as map_units:
        assert all(result for _, result in map_units(read, jobs))
    assert files.most() <= 4 and files.busiest() <= 23


@pytest.mark.parametrize(("processes", "share"), [(1, (10, 5.0)), (3, (3, 5 / 3)), (20, (1, 0.25))])
def test_a_share_is_a_part_of_the_rate_and_at_least_one_request(processes, share):
    one = RequestBudget(in_flight=10, per_second=5).share(processes)
    assert (one.in_flight, one.per_second) == pytest.approx(share)


def test_while_a_busy_host_asks_for_quiet_no_other_file_of_it_is_asked_for(files):
    files.plan("a.tif", refuse(429, Retry_After="2"), times=2)
    with ThreadPoolExecutor() as threads:
        slow = threads.submit(read, both(files, RequestBudget())[0])
        while len(files.asked("a.tif", 429)) < 2:
            pass
        assert read(both(files, RequestBudget())[1]) and slow.result()
    told = files.asked("a.tif", 429)[-1].at_s
    assert min(request.at_s for request in files.asked("b.tif")) > told + 1.9


def test_a_gate_lets_go_of_its_place_when_it_is_left_by_an_error():
    gate = RateLimiter(RequestBudget(in_flight=1))
    with pytest.raises(ValueError), gate:
        raise ValueError
    with gate:
        pass
