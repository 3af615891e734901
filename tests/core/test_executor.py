"""`map_units`: the same results wherever units run, bounded in flight, and a dead worker is told, not swallowed."""

import os
import signal
from collections.abc import Iterator

import pytest

from landmark.core.errors import InputError, SchedulerUnreachable
from landmark.core.executor import WorkerLost, ExecutorConfig, open_executor


def square(number: int) -> int:
    return number * number


def die(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def refuse(number: int) -> int:
    raise InputError(f"number {number}: refused")


@pytest.mark.parametrize("workers", [0, 2])
def test_every_unit_comes_back_once_with_its_result(workers: int) -> None:
    with open_executor(ExecutorConfig(workers)) as map_units:
        assert sorted(map_units(square, range(50))) == [(number, number * number) for number in range(50)]


@pytest.mark.parametrize("workers", [0, 1])
def test_units_are_drawn_as_they_are_needed(workers: int) -> None:
    drawn = []

    def units() -> Iterator[int]:
        for number in range(1000):
            drawn.append(number)
            yield number

    with open_executor(ExecutorConfig(workers)) as map_units:
        stream = map_units(square, units())
        next(stream)
        assert len(drawn) < 20


@pytest.mark.long
def test_a_unit_that_kills_its_workers_is_lost_and_the_others_are_not() -> None:
    with open_executor(ExecutorConfig(1)) as map_units:
        results = dict(map_units(die, range(5)))
    assert isinstance(results.pop(3), WorkerLost)
    assert results == {number: number for number in (0, 1, 2, 4)}


@pytest.mark.parametrize("workers", [0, 1])
def test_a_refusal_reaches_the_caller_as_it_is(workers: int) -> None:
    with pytest.raises(InputError, match="number 7: refused"), open_executor(ExecutorConfig(workers)) as map_units:
        list(map_units(refuse, [7]))


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense", "tcp://nowhere.invalid:1"])
def test_an_unreachable_scheduler_is_named(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("landmark.core.executor._CONNECT_S", 1)
    with pytest.raises(SchedulerUnreachable, match=address), open_executor(ExecutorConfig(scheduler=address)):
        pass


def test_a_running_scheduler_is_used_by_address() -> None:
    from distributed import LocalCluster

    with (
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
        open_executor(ExecutorConfig(scheduler=cluster.scheduler_address)) as map_units,
    ):
        assert dict(map_units(square, [4])) == {4: 16}
