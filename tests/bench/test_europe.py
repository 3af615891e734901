"""A small part of Europe is planned as the benchmark plans all of it; docs/bench.md shows the committed result."""

import json
from pathlib import Path

import numpy as np
import pytest
import shapely
from bench.continent import OPTICAL, continent

from bench import europe
from landmark.config.recipe import load_recipe
from landmark.config.region import Region
from landmark.stac.catalog import Query

PAGE = (Path(__file__).parents[2] / "docs" / "bench.md").read_text(encoding="utf-8")
ALPS = shapely.box(9.0, 46.0, 10.5, 47.0)


def test_the_docs_show_the_committed_result() -> None:
    result = json.loads(europe.RESULT.read_text(encoding="utf-8"))
    begin, end = europe.MARKERS
    assert PAGE.split(begin)[1].split(end)[0].strip() == europe.markdown(result)


def test_the_committed_result_is_of_the_complete_recipe() -> None:
    result, recipe = json.loads(europe.RESULT.read_text(encoding="utf-8")), load_recipe(europe.RECIPE)
    assert (result["share"], result["scenes"]) == (1, 20_000)
    assert result["samples"] > 650_000 and recipe.sampling.cells == 345_000


@pytest.mark.long
def test_a_small_part_of_europe_is_planned() -> None:
    result = europe.measure_in_process(0.002)
    assert result["samples"] > 0 and result["files_bytes"]["plan.parquet"] > 0 and result["scenes"] == 40
    assert {stage["stage"] for stage in result["stages"] if stage["cpu_s"] > 0} >= set(europe.STAGES)
    assert max(stage["peak_gb"] for stage in result["stages"]) < europe.LIMIT_GB


def test_items_intersect_the_region_and_are_unique() -> None:
    archive = continent(ALPS, share=0.02)
    region = Region(bbox=[9.2, 46.2, 9.4, 46.4]).geometry
    items = list(archive.items(Query(frozenset(archive.scenes), region)))
    assert {item.collection_id for item in items} == set(archive.scenes)
    assert all(shapely.from_geojson(json.dumps(item.geometry)).intersects(region) for item in items)
    for scenes in archive.scenes.values():
        seen = {(scene.orbit, scene.raster.name, scene.moment) for scene in scenes}
        assert len(seen) == len(scenes)


@pytest.mark.parametrize("latitude", [36.0, 50.0, 70.0])
def test_swaths_of_neighbouring_tracks_overlap_more_towards_the_pole(latitude: float) -> None:
    """143 swaths of 290 km cover the equator about once; at a latitude they cover a shorter circle."""
    swaths = [OPTICAL.swath(number, np.linspace(30, 75, 91), ascending=False) for number in range(143)]
    line = shapely.LineString([(0, latitude), (30, latitude)])
    times = sum(swath.intersection(line).length for swath in swaths) / 30
    assert times == pytest.approx(143 * 290 / (40_075 * np.cos(np.radians(latitude))), rel=0.1)
