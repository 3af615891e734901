"""docs/bench.md shows the committed result of the benchmark of start-up, and its tables follow from it."""

import json
from pathlib import Path

import pytest
from bench.startup import OF_CORPUS, PAGE, RESULT, STARTS, STEPS, bench, measure, rows, with_table


def test_the_docs_show_the_committed_result() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == with_table(page, json.loads(RESULT.read_text(encoding="utf-8")))


def test_the_committed_result_has_all_starts_and_steps() -> None:
    result = json.loads(RESULT.read_text(encoding="utf-8"))
    assert all(entry.keys() == STARTS.keys() for entry in result["starts"]) and result["steps"].keys() == STEPS.keys()


def test_the_rows_are_medians_of_starts_and_the_sum_of_the_steps_of_make_corpus() -> None:
    starts = [{key: {"wall_s": 10 * value, "cpu_s": value} for key in STARTS} for value in (3.0, 1.0, 2.0)]
    steps = {name: {"wall_s": 10.0**power, "cpu_s": 2 * 10.0**power} for power, name in enumerate(STEPS)}
    result = {"cores": 2, "load": 0.0, "starts": starts, "steps": steps}
    # The plan, the second step, is no step of `make corpus`: its build makes it.
    assert [row.value for row in rows(result)] == pytest.approx([2, 2, 2, 20, 1, 10, 11_101, 11_101])


def test_busy_steps_are_compared_with_the_same_steps_of_an_idle_machine() -> None:
    sleep = {name: ["-c", "import time; time.sleep(0.1)"] for name in STEPS}
    result = bench(1, sleep, busy=True)
    assert result["steps"].keys() == STEPS.keys() and list(result["busy_steps"]) == OF_CORPUS
    assert [row.target for row in rows(result)][-1] == 3 and list(rows(result))[-1].value > 0.2


def test_a_worker_is_ready_within_a_second_of_processor_time(tmp_path: Path) -> None:
    """Twice the target, as a measurement of processor time on a busy machine is half as much more."""
    seconds = measure(STARTS["worker"], tmp_path)
    assert 0 < seconds["cpu_s"] < 2 and seconds["wall_s"] > 0


def test_a_command_that_fails_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="exit code 3"):
        measure(["-c", "raise SystemExit(3)"], tmp_path)
