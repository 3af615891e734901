"""Maps that compute ahead: the order of results, and what comes before an error."""

import gc
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from landmark.core.background import batches, map_ahead
from landmark.core.garbage import rare_collections


def refused_after(count: int) -> Iterator[int]:
    yield from range(count)
    raise ValueError("refused")


def test_results_are_computed_ahead_and_in_order() -> None:
    second = threading.Event()

    def double(number: int) -> int:
        if number == 1:
            second.set()
        return 2 * number

    results = map_ahead(double, range(9))
    assert next(results) == 0 and second.wait(60)
    assert list(results) == [2 * number for number in range(1, 9)]


def before_error(values: Iterator[Any]) -> list[Any]:
    collected = []
    with pytest.raises(ValueError):
        while True:
            collected.append(next(values))
    return collected


def test_an_error_of_an_item_follows_earlier_results() -> None:
    assert before_error(map_ahead(str, refused_after(5))) == ["0", "1", "2", "3", "4"]
    assert before_error(batches(refused_after(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(batches(range(5), 2)) == [[0, 1], [2, 3], [4]]


def test_an_error_of_the_function_is_raised_in_order() -> None:
    results = map_ahead(lambda number: 1 // (2 - number), range(9))
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_closing_early_leaves_no_thread() -> None:
    results = map_ahead(str, range(9))
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert not any(thread.name.startswith("ahead") for thread in threading.enumerate())


@pytest.mark.parametrize(("before", "inside"), [(700, 50_000), (0, 0), (90_000, 90_000)])
def test_garbage_is_collected_less_often_within_a_block(before: int, inside: int) -> None:
    usual = gc.get_threshold()
    gc.set_threshold(before, *usual[1:])
    try:
        with rare_collections():
            assert gc.get_threshold()[0] == inside
        assert gc.get_threshold()[0] == before
    finally:
        gc.set_threshold(*usual)
