"""Floor and landmark read the same pixels as rasterio; measurements count bytes correctly."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from bench.floor import block_bytes, find_layers, floor
from bench.measure import Job, Measurement, measure, run_module
from bench.reading import count_compared, jobs
from bench.scene import PATCH_PX, Scene, offsets
from bench.server import Server
from bench.tools import TOOLS, landmark_arrays
from rasterio.windows import Window


@pytest.mark.parametrize("image", ["s2", "s1"])
def test_floor_and_landmark_read_what_rasterio_reads(image: str, scene: Path, server: Server) -> None:
    reading = Scene(scene).reading(image, "whole", root=server.root(0), cores=2)
    names = [(name, factor) for factor, names in reading.factors.items() for name in names]
    lowest, chips = floor(find_layers(reading, scene), 2), list(landmark_arrays(reading))
    assert len(chips) == len(reading.corners) == 36
    assert min(lowest.seconds.values()) > 0
    for place, (name, factor) in enumerate(names):
        with rasterio.open(scene / reading.acquisition.items[0].assets[name]) as file:
            size = PATCH_PX // factor
            for cell, (row, column) in enumerate(
                offsets(reading.corners, (file.transform.c, file.transform.f), file.transform.a)
            ):
                expected = file.read(1, window=Window(column, row, size, size))
                np.testing.assert_array_equal(lowest.chips[place][cell], expected)
                np.testing.assert_array_equal(chips[cell][name], expected)


def test_the_floor_fetches_the_touched_blocks_once_and_nothing_else(scene: Path, server: Server) -> None:
    reading = Scene(scene).reading("s2", "whole", root=server.root(0), cores=1)
    few = replace(reading, corners=reading.corners[7:9])
    rasters = find_layers(few, scene)
    before = server.counts()
    floor(rasters, 1)
    assert (server.counts() - before).bytes == block_bytes(rasters) < block_bytes(find_layers(reading, scene))
    # Two adjacent cells of 120 px intersect at least 4 x 2 blocks of 64 px.
    b02 = next(layer for layer in rasters if layer.name == "B02.tif")
    assert {(block.row, block.column) for block in b02.blocks} == {
        (1 + row, 1 + column) for row in range(3) for column in range(5)
    }


@pytest.mark.long
def test_a_measurement_counts_requests_per_process(scene: Path, server: Server) -> None:
    measurements = {tool: measure(Job(tool, "s2", "whole"), scene, server, 1) for tool in ("floor", "landmark")}
    assert measurements["floor"].digests == measurements["landmark"].digests != {}
    assert measurements["floor"].bytes == measurements["floor"].block_bytes == measurements["landmark"].block_bytes
    # Besides the blocks, landmark fetches the headers of thirteen files.
    assert 0 < measurements["landmark"].bytes - measurements["landmark"].block_bytes <= 13 * 2**15
    assert measurements["floor"].seconds == pytest.approx(sum(measurements["floor"].parts.values()))
    assert all(measurement.cells == 36 and measurement.peak_mb > 50 for measurement in measurements.values())


def test_the_benchmark_has_no_rate_limit(scene: Path, server: Server) -> None:
    reading = Scene(scene).reading("s2", "whole", root=server.root(0), cores=2)
    assert reading.context.access.budget.per_second is None


def test_a_failed_process_is_an_error(scene: Path, server: Server) -> None:
    with pytest.raises(RuntimeError):
        run_module(
            "bench.measure",
            {
                "job": {"tool": "nobody", "image": "s2", "cells": "whole"},
                "folder": str(scene),
                "port": server.port,
                "cores": 1,
            },
        )


def test_tools_that_read_different_pixels_are_an_error() -> None:
    first = Measurement(1, 1.0, 1, 1, 1, 1.0, digests={"0_0": 1, "1200_0": 2})
    job, floor_job = Job("landmark", "s2", "whole"), Job("floor", "s2", "whole")
    assert count_compared({job: [first, first], floor_job: [first]}) == 2
    with pytest.raises(AssertionError):
        count_compared({job: [first], floor_job: [replace(first, digests={"1200_0": 3})]})
    # Pixels of two images are not compared.
    assert count_compared({job: [first], Job("floor", "s1", "whole"): [replace(first, digests={"0_0": 9})]}) == 0


@pytest.mark.long
@pytest.mark.parametrize("image", ["s2", "s1"])
def test_the_peers_read_the_same_pixels(image: str, scene: Path, server: Server) -> None:
    tools = ("landmark", "odc-eager") if image == "s1" else sorted(TOOLS.keys() - {"landmark-chips"})
    first, *peers = (measure(Job(name, image, "whole"), scene, server, 2).digests for name in tools)
    assert first and all(digests == first for digests in peers)


def test_jobs_have_a_known_tool_and_unique_names() -> None:
    assert {job.tool for job in jobs()} == {"floor", *TOOLS}
    assert len({job.name for job in jobs()}) == len(jobs())
