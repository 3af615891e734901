"""docs/bench.md shows the committed result, and tables and plot follow from it."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from bench.reading import PLOT, RESULT, jobs
from bench.reading_table import MARKERS, TITLES, Row, markdown, plot, rows
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).parents[2]


def result_with(speeds: dict[str, float]) -> dict[str, Any]:
    """A result in which each tool has one speed in cells/s for all jobs."""
    return {
        "cores": 2,
        "repeats": 3,
        "scene": {"tile_px": [10980, 10980], "cells": 8281, "s2_bytes_per_px": 1.4, "s1_bytes_per_px": 3.3},
        "cells_compared": 9,
        "measurements": {
            job.name: {
                "cells": 100,
                "seconds": [100 / speeds[job.tool], 200 / speeds[job.tool], 50 / speeds[job.tool]],
                "bytes": 1040,
                "block_bytes": 1000,
                "parts_s": {part: [1.0, 2.0, 3.0] for part in ("fetch", "decode and copy")},
            }
            for job in jobs()
        },
    }


SPEEDS = dict(zip(TITLES, (1000.0, 800, 700, 150, 20, 30, 7), strict=True))


def test_rows_follow_from_medians() -> None:
    by_name = {row.title: row for row in rows(result_with(SPEEDS))}
    assert by_name["512 contiguous, against odc.stac.load, then slices"].value == pytest.approx(800 / 150)
    assert by_name["512 contiguous, against odc.stac.load, then slices"].limit == pytest.approx(1000 / 150)
    assert by_name["whole scene, relative to the floor"].value == pytest.approx(0.8)
    assert {name for name, row in by_name.items() if row.verdict.startswith("missed")} == {
        "512 at random, against odc.stac.load, then slices",
        "512 contiguous, against odc.stac.load per cell",
        "512 contiguous, against odc-stac lazy, one compute",
        "Sentinel-1 warped, finished chips, against odc.stac.load",
    }


@given(st.floats(0.01, 1e4), st.floats(0.01, 1e4), st.none() | st.floats(0.01, 1e4), st.booleans())
def test_a_missed_target_is_beyond_the_floor_only_if_the_floor_is_below(
    target: float, value: float, limit: float | None, is_minimum: bool
) -> None:
    row = Row("", target, value, limit, is_minimum=is_minimum)
    good = value >= target if is_minimum else value <= target
    assert (row.verdict == "reached") == good
    assert (row.verdict == "missed; beyond the floor") == (not good and limit is not None and limit < target)
    assert row._replace(target=None).verdict == "report"


def test_tables_and_plot_contain_every_value() -> None:
    text, drawn = markdown(result_with(SPEEDS)), ET.fromstring(plot(result_with(SPEEDS)))
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines[: len(rows(result_with(SPEEDS))) + 2]}) == 1
    for row in rows(result_with(SPEEDS)):
        assert f"| {row.title} |" in text
    width = float(drawn.attrib["viewBox"].split()[2])
    bars = [bar for bar in drawn.findall(".//{*}rect") if bar.get("x")]
    assert len(bars) > 2 * len(TITLES)
    assert all(
        0 < float(bar.attrib["x"]) <= float(bar.attrib["x"]) + float(bar.attrib["width"]) < width for bar in bars
    )
    by_colour = {bar.attrib["fill"]: float(bar.attrib["width"]) for bar in bars}
    assert by_colour["#c9ced6"] > by_colour["#1b7837"] > by_colour["#7fbf7b"] > by_colour["#4575b4"]


def test_the_docs_show_the_committed_result() -> None:
    committed, page = json.loads(RESULT.read_text()), (ROOT / "docs" / "bench.md").read_text()
    start, end = MARKERS
    assert page.split(start)[1].split(end)[0].strip() == markdown(committed)
    assert PLOT.read_text() == plot(committed)
    assert "](../bench/reading.svg)" in page
    assert set(committed["measurements"]) == {job.name for job in jobs()}
