"""docs/bench.md shows the committed result of the loader's benchmark, and its table follows from it."""

import json
from typing import Any

import numpy as np
import pytest
from bench.loader import PAGE, RESULT, same_samples, with_tables
from bench.loader_access import same_group_pairs
from bench.loader_table import TITLES, markdown, ratio, rows


def result_with(speeds: dict[str, list[float]], **changes: Any) -> dict[str, Any]:
    """A result in which each tool has a speed in samples/s in each round, on two cores."""
    rounds = [
        {
            tool: {"samples": 100, "seconds": 100 / rate, "cpu_s": 200 / rate}
            for tool, rate in zip(speeds, row, strict=True)
        }
        for row in zip(*speeds.values(), strict=True)
    ]
    return {
        "cores": 2,
        "batch": 64,
        "workers": 2,
        "corpus": {"samples": 100, "shards": 4, "groups": 8, "kb": 131.0},
        "same_samples": 100,
        "peak_mb": dict.fromkeys(speeds, 300.0),
        "rounds": rounds,
        "single_per_cpu_s": 399.0,
        "first_batch_s": {"local": [0.1, 0.2, 0.1], "latency": [0.4, 0.6, 0.4]},
        "resume_s": [0.04, 0.03, 0.2],
        "same_group_pairs": {"landmark": 32.0, "window of one group": 224.0, "full shuffle": 12.0},
        "stats": {"seconds": 2.0, "consumer_wait_s": 1.0, "read_s": 1.0, "decode_s": 2.0, "prepare_s": 0.2},
        **changes,
    }


SPEEDS = {
    "floor": [1000.0, 500.0, 1000.0],
    "floor-in-place": [1100.0, 550.0, 1100.0],
    "landmark": [950.0, 450.0, 800.0],
    "landmark-10m": [500.0, 250.0, 400.0],
    "dataloader": [900.0, 440.0, 700.0],
    "webdataset": [300.0, 150.0, 300.0],
    "datasets": [200.0, 100.0, 200.0],
}


def test_the_docs_show_the_committed_result() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == with_tables(page, json.loads(RESULT.read_text(encoding="utf-8")))


def test_the_committed_result_has_every_loader() -> None:
    result = json.loads(RESULT.read_text(encoding="utf-8"))
    assert result["peak_mb"].keys() == TITLES.keys() and len(result["rounds"]) >= 3
    assert result["same_samples"] == result["corpus"]["samples"] > 4000 and result["corpus"]["shards"] >= 4


def test_ratios_are_medians_of_ratios_of_a_round() -> None:
    result = result_with(SPEEDS)
    assert ratio(result, "landmark", "floor") == pytest.approx(0.9)
    assert ratio(result, "landmark", "floor", "cpu_s") == pytest.approx(0.9)
    verdicts = {row.title: row.verdict for row in rows(result)}
    assert {title for title, verdict in verdicts.items() if verdict.startswith("missed")} == {
        "against DataLoader over the row groups",
        "`corpus[id]` at random, per CPU second",
    }
    # The floor is no faster than 1.2 times the DataLoader in the median round.
    assert verdicts["against DataLoader over the row groups"] == "missed; beyond the floor"


def test_a_loader_that_is_not_installed_has_no_rate() -> None:
    text = markdown(result_with(SPEEDS))
    assert f"| {TITLES['litdata']} | not installed |" in text and text.count("not installed") == 1


@pytest.mark.parametrize("changed", [{"different": 9}, {"digest": 2}])
def test_loaders_must_deliver_the_same_samples(changed: dict[str, int]) -> None:
    checked = {tool: {"different": 10, "digest": 1} for tool in TITLES}
    checked["landmark-10m"]["digest"] = 3
    assert same_samples(checked) == 10
    checked["webdataset"] |= changed
    with pytest.raises(AssertionError):
        same_samples(checked)


def test_pairs_of_a_row_group_are_counted() -> None:
    batches, edges = np.array([[0, 1, 2, 9], [3, 4, 8, 9]]), np.array([0, 3, 6, 10])
    assert same_group_pairs(batches, edges) == pytest.approx((3 + 2) / 2)
