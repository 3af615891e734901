"""Floor and landmark hand out the pixels rasterio reads, and what a measurement says of bytes is so."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from bench.floor import block_bytes, floor, layers
from bench.measure import Job, Taken, in_process, measured
from bench.reading import _same_pixels, jobs
from bench.scene import PATCH_PX, Scene, offsets
from bench.server import Server
from bench.tools import TOOLS, ours
from bench.whole import whole
from rasterio.windows import Window


@pytest.mark.parametrize("image", ["s2", "s1"])
def test_floor_and_landmark_read_what_rasterio_reads(image: str, scene: Path, server: Server) -> None:
    reading = Scene(scene).reading(image, "whole", root=server.at(0), cores=2)
    names = [(name, factor) for factor, names in reading.factors.items() for name in names]
    lowest, chips = floor(layers(reading, scene), 2), list(ours(reading))
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
    reading = Scene(scene).reading("s2", "whole", root=server.at(0), cores=1)
    few = replace(reading, corners=reading.corners[7:9])
    found = layers(few, scene)
    before = server.counts()
    floor(found, 1)
    assert (server.counts() - before).bytes == block_bytes(found) < block_bytes(layers(reading, scene))
    # Two cells of 120 px side by side lie, at the least, in 4 x 2 blocks of 64.
    b02 = next(layer for layer in found if layer.name == "B02.tif")
    assert {(block.row, block.column) for block in b02.blocks} == {
        (1 + row, 1 + column) for row in range(3) for column in range(5)
    }


def test_a_measurement_counts_what_its_process_asked_for(scene: Path, server: Server) -> None:
    found = {tool: measured(Job(tool, "s2", "whole"), scene, server, 1) for tool in ("floor", "ours")}
    assert found["floor"].digests == found["ours"].digests != {}
    assert found["floor"].bytes == found["floor"].block_bytes == found["ours"].block_bytes
    # Beside its blocks landmark fetches the heads of thirteen files.
    assert 0 < found["ours"].bytes - found["ours"].block_bytes <= 13 * 2**15
    assert found["floor"].seconds == pytest.approx(sum(found["floor"].parts.values()))
    assert all(one.cells == 36 and one.peak_mb > 50 for one in found.values())


def test_no_rate_holds_the_bench_back(scene: Path, server: Server) -> None:
    reading = Scene(scene).reading("s2", "whole", root=server.at(0), cores=2)
    assert reading.setting.access.budget.per_second is None


def test_what_fails_is_told(scene: Path, server: Server) -> None:
    with pytest.raises(RuntimeError, match=r"bench\.measure failed"):
        in_process(
            "bench.measure",
            {
                "job": {"tool": "nobody", "image": "s2", "cells": "whole"},
                "folder": str(scene),
                "port": server.port,
                "cores": 1,
            },
        )


def test_tools_that_disagree_end_the_bench() -> None:
    one = Taken(1, 1.0, 1, 1, 1, 1.0, digests={"0_0": 1, "1200_0": 2})
    same, other = Job("ours", "s2", "whole"), Job("floor", "s2", "whole")
    assert _same_pixels({same: [one, one], other: [one]}) == 2
    with pytest.raises(AssertionError, match="1200_0"):
        _same_pixels({same: [one], other: [replace(one, digests={"1200_0": 3})]})
    # Two images of a cell are not the same.
    assert _same_pixels({same: [one], Job("floor", "s1", "whole"): [replace(one, digests={"0_0": 9})]}) == 0


@pytest.mark.long
@pytest.mark.parametrize("image", ["s2", "s1"])
def test_the_peers_read_the_same_pixels(image: str, scene: Path, server: Server) -> None:
    tools = ("ours", "odc-eager") if image == "s1" else sorted(TOOLS.keys() - {"judged"})
    first, *others = (measured(Job(name, image, "whole"), scene, server, 2).digests for name in tools)
    assert first and all(other == first for other in others)


@pytest.mark.long
def test_a_scene_is_built_and_its_parts_are_done_again(scene: Path, server: Server) -> None:
    found = whole(scene, server)
    assert found.samples == 36 and found.worker_mb > 50
    assert found.parts_s.keys() == {"read", "cover", "text", "staging", "pack", "disk"}
    assert 0 < min(found.parts_s.values()) < found.build_s


def test_every_job_has_a_tool_and_a_name_of_its_own() -> None:
    assert {job.tool for job in jobs()} == {"floor", *TOOLS}
    assert len({job.name for job in jobs()}) == len(jobs())
