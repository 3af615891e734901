"""docs/bench.md shows the committed result of the build's benchmark, and its tables follow from it."""

import json
from pathlib import Path
from typing import Any

import pytest
from bench.build import PAGE, RESULT, with_table
from bench.build_table import markdown, rows
from bench.scene_build import measure_build
from bench.server import Server


def round_with(factor: float) -> dict[str, Any]:
    """A round in which everything takes the same multiple of a second."""
    return {
        "samples": 100,
        "stages_s": {name: factor * seconds for name, seconds in STAGES.items()},
        "parts_s": {name: factor * seconds for name, seconds in PARTS.items()},
        "floor_s": {name: factor * seconds for name, seconds in FLOOR.items()},
        "arrays_s": 2.0 * factor,
        "worker_mb": 100.0 * factor,
    }


STAGES = {"plan": 1.0, "extract": 5.0, "pack": 3.0, "documents": 1.0}
PARTS = {"read": 4.0, "label counts": 1.0, "captions": 1.0, "staging": 1.0, "pack": 3.0, "disk": 1.0}
FLOOR = {"fetch": 0.5, "decode": 1.0, "scatter": 0.5, "sha256 of pixels": 1.0, "zstd": 1.5, "sha256 of shards": 0.5}


def test_rows_follow_from_the_rounds() -> None:
    result = {"cores": 2, "rounds": [round_with(factor) for factor in (1, 2, 3)]}
    ratio, floor, labels, memory = rows(result)
    assert (ratio.value, ratio.verdict) == (pytest.approx(10 / 4), "missed")
    assert (floor.value, floor.verdict) == (pytest.approx(6 / 10), "reached")
    assert (labels.value, memory.value) == (pytest.approx(1 / 2), 300)
    text = markdown(result)
    assert "| extract | 10.0 | fetch 1.00, decode 2.00, scatter 1.00, sha256 of pixels 2.00 | 6.00 | 0.600 |" in text
    assert "| **build** | 20.0 |  | 12.0 | 0.600 |" in text


def test_the_docs_show_the_committed_result() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == with_table(page, json.loads(RESULT.read_text(encoding="utf-8")))


@pytest.mark.long
def test_build_parts_and_floor_are_measured(scene: Path, server: Server) -> None:
    measured = measure_build(scene, server)
    assert measured.samples == 36 and measured.worker_mb > 50
    assert measured.stages_s.keys() == STAGES.keys() and measured.parts_s.keys() == PARTS.keys()
    assert measured.floor_s.keys() == FLOOR.keys() - {"fetch", "decode", "scatter"}
    assert min(*measured.stages_s.values(), *measured.parts_s.values(), *measured.floor_s.values()) > 0
