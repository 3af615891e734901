"""The README shows the committed result, and the tables say what is in it."""

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from bench.reading import PLOT, RESULT, jobs
from bench.shown import MARKERS, TITLES, Row, markdown, plot, rows
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import require

ROOT = Path(__file__).parents[2]


def found(speeds: dict[str, float]) -> dict[str, Any]:
    """A result in which each tool has one speed, in cells/s, whatever it reads."""
    return {
        "cores": 2,
        "repeats": 3,
        "scene": {"tile_px": [10980, 10980], "cells": 8281, "s2_bytes_per_px": 1.4, "s1_bytes_per_px": 3.3},
        "cells_compared": 9,
        "taken": {
            job.name: {
                "cells": 100,
                "seconds": [100 / speeds[job.tool], 200 / speeds[job.tool], 50 / speeds[job.tool]],
                "bytes": 1040,
                "block_bytes": 1000,
                "parts_s": {part: [1.0, 2.0, 3.0] for part in ("fetch", "decode and copy")},
            }
            for job in jobs()
        },
        "whole": {
            "samples": 100,
            "build_s": [10.0, 11.0, 12.0],
            "parts_s": {"read": [4.0, 4.0, 4.0], "cover": [0.1, 0.1, 0.1], "disk": [2.9, 2.9, 2.9]},
            "worker_mb": [300.0, 700.0, 400.0],
        },
    }


SPEEDS = dict(zip(TITLES, (1000.0, 800, 700, 150, 20, 30, 7), strict=True))


def test_figures_follow_from_medians() -> None:
    by_name = {row.what: row for row in rows(found(SPEEDS))}
    assert by_name["512 contiguous, against odc.stac.load, then slices"].reached == pytest.approx(800 / 150)
    assert by_name["512 contiguous, against odc.stac.load, then slices"].most == pytest.approx(1000 / 150)
    assert by_name["whole scene, of the floor"].reached == pytest.approx(0.8)
    assert by_name["build, against the sum of its parts"].reached == pytest.approx(7 / 11)
    assert by_name["cover of the whole scene, against reading it"].reached == pytest.approx(0.1 / (100 / 800))
    assert {name for name, row in by_name.items() if row.verdict.startswith("missed")} == {
        "512 at random, against odc.stac.load, then slices",
        "512 contiguous, against odc.stac.load per cell",
        "512 contiguous, against odc-stac lazy, one compute",
        "Sentinel-1 warped, judged, against odc.stac.load",
        "build, against the sum of its parts",
        "most memory of a worker, whole scene",
    }


@given(st.floats(0.01, 1e4), st.floats(0.01, 1e4), st.none() | st.floats(0.01, 1e4), st.booleans())
def test_a_verdict_excuses_only_what_the_floor_forbids(
    target: float, reached: float, most: float | None, least: bool
) -> None:
    row = Row("", target, reached, most, least=least)
    good = reached >= target if least else reached <= target
    assert (row.verdict == "reached") == good
    assert (row.verdict == "missed; beyond the floor") == (not good and most is not None and most < target)
    assert row._replace(target=None).verdict == "report"


def test_tables_and_plot_hold_every_figure() -> None:
    text, drawn = markdown(found(SPEEDS)), ET.fromstring(plot(found(SPEEDS)))
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines[: len(rows(found(SPEEDS))) + 2]}) == 1
    for row in rows(found(SPEEDS)):
        assert f"| {row.what} |" in text
    width = float(drawn.attrib["viewBox"].split()[2])
    bars = [one for one in drawn.findall(".//{*}rect") if one.get("x")]
    assert len(bars) > 2 * len(TITLES)
    assert all(
        0 < float(one.attrib["x"]) <= float(one.attrib["x"]) + float(one.attrib["width"]) < width for one in bars
    )
    by_colour = {one.attrib["fill"]: float(one.attrib["width"]) for one in bars}
    assert by_colour["#c9ced6"] > by_colour["#1b7837"] > by_colour["#7fbf7b"] > by_colour["#4575b4"]


def test_the_readme_shows_the_committed_result() -> None:
    require(RESULT.exists(), "needs bench/reading.json; say `make bench`")
    committed = json.loads(RESULT.read_text())
    start, end = MARKERS
    readme = (ROOT / "README.md").read_text()
    require(start in readme, f"README.md has no {start}; put the tables of `make bench` there")
    assert readme.split(start)[1].split(end)[0].strip() == markdown(committed)
    assert PLOT.read_text() == plot(committed)
    assert re.search(r"!\[[^]]+\]\(bench/reading\.svg\)", readme)
    assert set(committed["taken"]) == {job.name for job in jobs()}
