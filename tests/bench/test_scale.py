"""docs/bench.md shows the committed result of the benchmark of scale; its archives are tiles of real files."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import rasterio
from bench.scale import BUILDS, PAGE, PLOT, RESULT, with_table
from bench.scale_archive import make_archives
from bench.scale_build import STAGES, measure_build
from bench.scale_table import SIZES, markdown, plot, rows

SAMPLES = {"1x": 100, "4x": 400, "16x": 1600, "two workers": 1600, "single core": 1600}


def result_with(further_s: float = 0.01, client_kb: float = 2, worker_mb: float = 500) -> dict[str, Any]:
    """A result in which each stage takes five seconds and as much a sample, and two workers halve all of it."""

    def cost(name: str) -> dict[str, float]:
        seconds = 5 + further_s * SAMPLES[name]
        share = {"two workers": 0.5, "single core": 1.5}.get(name, 1)
        return {
            "wall_s": share * seconds,
            "client_cpu_s": 0.5 * seconds,
            "workers_cpu_s": 1.5 * seconds,
            "client_mb": 200 + client_kb * SAMPLES[name] / 1e3,
            "worker_mb": worker_mb,
        }

    builds = {name: {"samples": SAMPLES[name], "stages": {stage: cost(name) for stage in STAGES}} for name in BUILDS}
    return {"cores": 2, "load": 0.5, "rounds": [builds]}


def test_rows_are_costs_of_a_further_sample_without_those_of_a_start() -> None:
    worker, peak, client, wall, cpu, cores, workers = rows(result_with())
    assert (worker.value, peak.value) == (1, 500)
    assert client.value == pytest.approx(2) and client.verdict == "reached"
    assert (wall.value, cpu.value) == (pytest.approx(1), pytest.approx(1))
    assert (cores.value, workers.value) == (pytest.approx(3), pytest.approx(2))
    assert rows(result_with(client_kb=50))[2].verdict == "missed"
    assert rows(result_with(worker_mb=1000))[1].verdict == "missed"


def test_tables_show_milliseconds_a_sample_and_peaks() -> None:
    text = markdown(result_with())
    assert "| extract | 10.0 | 10.0 | 20.0 | 20.0 |" in text and "| **build** | 40.0 | 40.0 | 80.0 | 80.0 |" in text
    assert "| pack | 200 | 500 | 201 | 500 | 203 | 500 |" in text
    assert "| documents | 31.5 | 21.0 | 10.5 | 3.00 x | 31.5 | 10.5 | all of it |" in text


def test_the_plot_has_a_line_of_each_stage_and_of_client_and_worker() -> None:
    lines = ET.fromstring(plot(result_with())).findall(".//{*}polyline")
    assert len(lines) == len(STAGES) + 2
    assert all(len(line.attrib["points"].split()) == len(SIZES) for line in lines)


def test_the_docs_show_the_committed_result() -> None:
    page, result = PAGE.read_text(encoding="utf-8"), json.loads(RESULT.read_text(encoding="utf-8"))
    assert page == with_table(page, result) and PLOT.read_text(encoding="utf-8") == plot(result)
    assert all(builds.keys() == BUILDS.keys() for builds in result["rounds"])
    assert result["rounds"][0]["16x"]["samples"] >= 20_000


def test_tiles_of_an_archive_adjoin_and_have_the_same_pixels(tmp_path: Path) -> None:
    archives = make_archives(tmp_path, (1, 2), cells=6, block_px=64)
    assert [len(list((folder / "sentinel-2-l2a").glob("*/*.json"))) for folder in archives.values()] == [1, 4]
    corners, pixels = set(), set()
    for path in sorted((archives[4] / "sentinel-2-l2a").glob("*/B02.tif")):
        item = json.loads((path.parent / f"{path.parent.name}.json").read_text(encoding="utf-8"))
        with rasterio.open(path) as raster:
            assert list(raster.transform)[:6] == item["assets"]["B02"]["proj:transform"]
            corners.add((raster.bounds.left, raster.bounds.top))
            pixels.add(raster.read(1).tobytes())
    (west, south), (east, north) = min(corners), max(corners)
    assert corners == {(x, y) for x in (west, east) for y in (south, north)} and len(pixels) == 1
    assert east - west == north - south == 7200


@pytest.mark.long
def test_builds_with_and_without_a_worker_are_measured(tmp_path: Path) -> None:
    archive = make_archives(tmp_path, (2,), cells=6, block_px=64)[4]
    built = measure_build(archive, workers=1, cores=1)
    assert built.samples == 4 * 36 and tuple(built.stages) == STAGES
    assert all(cost.wall_s > 0 and cost.client_mb > 50 for cost in built.stages.values())
    assert built.stages["extract"].workers_cpu_s > 0 and built.stages["extract"].worker_mb > 50
    serial = measure_build(archive, workers=0, cores=1)
    assert serial.content == built.content and {cost.worker_mb for cost in serial.stages.values()} == {0}
