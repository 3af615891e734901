"""docs/bench.md shows the committed result of the benchmark of checks, and its table follows from it."""

import json

import pytest
from bench.check_speed import PAGE, RESULT, rows, with_table


def entry(samples: int, cpu_s: float, peak_mb: float) -> dict[str, float]:
    return {"samples": samples, "cpu_s": cpu_s, "peak_mb": peak_mb}


def test_the_docs_show_the_committed_result() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == with_table(page, json.loads(RESULT.read_text(encoding="utf-8")))


def test_the_rows_are_medians_of_the_rounds() -> None:
    rounds = [
        {
            "read small": entry(10, 1, 50),
            "check small": entry(10, 5, 100),
            "read large": entry(40, 1, 60),
            "check large": entry(40, cpu_s, 110 + cpu_s),
        }
        for cpu_s in (8, 10, 20)
    ]
    checked, read, ratio, small, large = (row.value for row in rows({"rounds": rounds}))
    assert (checked, read, ratio, small, large) == pytest.approx((4, 40, 10, 100, 120))
