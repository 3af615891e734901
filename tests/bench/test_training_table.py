"""docs/bench.md shows the committed result of the training's benchmark, and its table follows from it."""

import json
from pathlib import Path
from typing import Any

import pytest
from bench.training_table import RESULT, ROOT, markdown, rows, with_table


def result_with(**changes: Any) -> dict[str, Any]:
    """Two rounds of steps, and one of embedding, in which all seconds differ."""
    seconds = {"plain": [0.10, 0.20], "landmark": [0.11, 0.20], "before": [0.20, 0.30]}
    entry = {"embed": {"seconds": 2.0, "cpu_s": 3.0}, "forward": {"seconds": 1.5, "cpu_s": 2.7}}
    return {
        "cores": 2,
        "before": "43218e5",
        "steps": [
            {arm: {"seconds": own[number], "cpu_s": 2 * own[number]} for arm, own in seconds.items()}
            for number in range(2)
        ],
        "embedding": {model: {"images": 100, "rounds": [entry]} for model in ("tiny", "closp")},
        **changes,
    }


def test_the_docs_show_the_committed_result() -> None:
    page = (ROOT / "docs/bench.md").read_text(encoding="utf-8")
    assert page == with_table(page, json.loads(RESULT.read_text(encoding="utf-8")))


def test_ratios_are_medians_of_ratios_of_a_round() -> None:
    plain, cpu_of_plain, before, cpu_of_before, *embedding = (row.value for row in rows(result_with()))
    assert plain == cpu_of_plain == pytest.approx((1.1 + 1.0) / 2)
    assert before == cpu_of_before == pytest.approx((0.55 + 2 / 3) / 2)
    assert embedding == pytest.approx([0.75, 0.9] * 2)


def test_the_target_against_an_older_version_needs_that_version() -> None:
    steps = [{arm: own for arm, own in entry.items() if arm != "before"} for entry in result_with()["steps"]]
    text = markdown(result_with(before=None, steps=steps))
    assert "43218e5" not in text and text.count("before") == 0


def test_the_plain_loop_has_at_most_60_lines() -> None:
    assert len(Path("bench/training_plain.py").read_text(encoding="utf-8").splitlines()) <= 60
