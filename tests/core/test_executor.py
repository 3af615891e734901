"""The executor: equal results anywhere, bounded tasks in flight, lost workers reported."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from landmark.core.errors import InputError, SchedulerUnreachable
from landmark.core.executor import ExecutorConfig, WorkerLost, open_executor
from landmark.core.process_share import get_share


def square(number: int) -> int:
    return number * number


def die(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def refuse(number: int) -> int:
    raise InputError("refused", key="number", value=number)


def share(number: int) -> tuple[int, int]:
    return get_share()


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("workers", [0, 2])
def test_each_task_gives_a_result(workers: int, threads: int) -> None:
    with open_executor(ExecutorConfig(workers)) as map_tasks:
        results = sorted(map_tasks(square, range(50), threads=threads))
    assert results == [(number, number * number) for number in range(50)]


def test_an_error_of_a_thread_loses_no_other_result() -> None:
    both = threading.Barrier(2, timeout=60)

    def run_or_refuse(number: int) -> int:
        if number < 2:
            both.wait()
        return refuse(number) if number == 0 else number

    with open_executor(ExecutorConfig()) as map_tasks:
        results = map_tasks(run_or_refuse, range(100), threads=2)
        assert next(results) == (1, 1)
        with pytest.raises(InputError):
            assert list(results) == []


def test_threads_run_tasks_at_once() -> None:
    both = threading.Barrier(2, timeout=60)
    with open_executor(ExecutorConfig()) as map_tasks:
        assert len(list(map_tasks(lambda _: both.wait(), range(4), threads=2))) == 4


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_know_how_many_they_are(workers: int) -> None:
    with open_executor(ExecutorConfig(workers)) as map_tasks:
        assert {result for _, result in map_tasks(share, range(4))} == {(max(1, workers), 1)}


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("workers", [0, 1])
def test_tasks_are_drawn_as_needed(workers: int, threads: int) -> None:
    drawn = []

    def tasks() -> Iterator[int]:
        for number in range(1000):
            drawn.append(number)
            yield number

    with open_executor(ExecutorConfig(workers)) as map_tasks:
        next(map_tasks(square, tasks(), threads=threads))
        assert len(drawn) < 20


@pytest.mark.long
@pytest.mark.filterwarnings(
    "ignore:unclosed <ssl.SSLSocket:ResourceWarning"
)  # to a worker that died while it connected
@pytest.mark.filterwarnings("ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning")
def test_a_task_that_kills_workers_is_lost_alone() -> None:
    with open_executor(ExecutorConfig(1)) as map_tasks:
        results = dict(map_tasks(die, range(5)))
    assert isinstance(results.pop(3), WorkerLost)
    assert results == {number: number for number in (0, 1, 2, 4)}


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("workers", [0, 1])
def test_errors_of_tasks_are_raised_with_their_fields(workers: int, threads: int) -> None:
    with pytest.raises(InputError) as caught, open_executor(ExecutorConfig(workers)) as map_tasks:
        list(map_tasks(refuse, [7], threads=threads))
    assert (caught.value.key, caught.value.value) == ("number", 7)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense", "tcp://nowhere.invalid:1"])
def test_unreachable_schedulers_are_reported(address: str) -> None:
    config = ExecutorConfig(scheduler=address, connect_timeout_s=1)
    with pytest.raises(SchedulerUnreachable) as caught, open_executor(config):
        pass
    assert caught.value.value == address


def test_a_running_scheduler_is_used_by_address() -> None:
    from distributed import LocalCluster

    with (
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
        open_executor(ExecutorConfig(scheduler=cluster.scheduler_address)) as map_tasks,
    ):
        assert dict(map_tasks(square, [4])) == {4: 16}
