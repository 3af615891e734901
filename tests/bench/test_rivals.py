"""Three pages show the committed result of the rivals, and the targets follow from it."""

import json
from typing import Any

import pytest
from bench.rivals_table import PAGES, RESULT, RIVALS, ROOT, SENSORS, markdown, rows, with_table


def result_with(*, bands: float = 0.3, n_blocks: int = 24, world_mb: float = 300.0) -> dict[str, Any]:
    """A result in which all rivals but `bands` are at chance."""
    rival = {"map": 0.4, "above_chance": 0.0, "lead": [0.2, 0.1, 0.3]}
    sensor = {
        "n_images": 200,
        "n_blocks": n_blocks,
        "map": 0.6,
        "chance_map": 0.4,
        "above_chance": 0.33,
        "null_p": 0.001,
        "leakage": 0.05,
        "rivals": {**dict.fromkeys(RIVALS, rival), "bands": {**rival, "above_chance": bands}},
        "classes": {"water": {"p": 0.001}, "trees": {"p": 0.2}},
    }
    corpus = {
        "world_mb": world_mb,
        "samples": 1800,
        "margin": 0.15,
        "state": "passed",
        "sensors": dict.fromkeys(SENSORS, sensor),
    }
    return {"cores": 2, "seeds": 3, "model": "tiny", "corpora": {"demo": corpus, "demo-easy": corpus}}


@pytest.mark.parametrize("name", PAGES)
def test_pages_show_the_committed_result(name: str) -> None:
    page, result = (ROOT / name).read_text(encoding="utf-8"), json.loads(RESULT.read_text(encoding="utf-8"))
    assert page == with_table(page, PAGES[name](result))


def test_the_committed_result_has_both_demos_and_several_seeds() -> None:
    result = json.loads(RESULT.read_text(encoding="utf-8"))
    assert result["corpora"].keys() == {"demo", "demo-easy"} and result["seeds"] >= 3
    assert all(own["rivals"].keys() == RIVALS.keys() for own in result["corpora"]["demo"]["sensors"].values())


@pytest.mark.parametrize(
    ("changes", "missed"),
    [({}, 0), ({"bands": 0.36}, 1), ({"n_blocks": 19}, 1), ({"world_mb": 451.0}, 1), ({"bands": 1, "n_blocks": 5}, 2)],
)
def test_targets(changes: dict[str, Any], missed: int) -> None:
    result = result_with(**changes)
    assert sum(row.verdict == "missed" for row in rows(result)) == missed
    assert f"{4 - missed} of 4 targets reached" in markdown(result)
