"""A sliver of Europe is planned as the bench plans all of it, and the README shows what was measured."""

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

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
ALPS = shapely.box(9.0, 46.0, 10.5, 47.0)


def test_the_readme_shows_the_measured_plan() -> None:
    found = json.loads(europe.RESULT.read_text(encoding="utf-8"))
    begin, end = europe.MARKERS
    assert README.split(begin)[1].split(end)[0].strip() == europe.markdown(found)


def test_what_was_measured_is_the_whole_recipe() -> None:
    found, recipe = json.loads(europe.RESULT.read_text(encoding="utf-8")), load_recipe(europe.RECIPE)
    assert (found["share"], found["scenes"]) == (1, 20_000)
    assert found["samples"] > 650_000 and recipe.sampling.cells == 345_000


def test_a_sliver_of_europe_is_planned() -> None:
    found = europe.in_a_process(0.002)
    assert found["samples"] > 0 and found["files_bytes"]["plan.parquet"] > 0 and found["scenes"] == 40
    assert {one["stage"] for one in found["stages"] if one["cpu_s"] > 0} >= {"catalogue", "choices", "draw"}
    assert max(one["peak_gb"] for one in found["stages"]) < europe.LIMIT_GB


def test_scenes_come_back_with_their_orbit_and_lie_where_they_are_asked_for() -> None:
    archive = continent(ALPS, share=0.02)
    region = Region(bbox=[9.2, 46.2, 9.4, 46.4]).geometry
    items = list(archive.items(Query(frozenset(archive.scenes), region)))
    assert {item.collection_id for item in items} == set(archive.scenes)
    assert all(shapely.from_geojson(json.dumps(item.geometry)).intersects(region) for item in items)
    for scenes in archive.scenes.values():
        seen = {(one.orbit, one.raster.name, one.moment) for one in scenes}
        assert len(seen) == len(scenes)


@pytest.mark.parametrize("latitude", [36.0, 50.0, 70.0])
def test_swaths_of_neighbouring_tracks_overlap_more_towards_the_pole(latitude: float) -> None:
    """143 tracks of 290 km close the equator just so; sensed ground at a latitude is that over its shorter circle."""
    swaths = [OPTICAL.swath(number, np.linspace(30, 75, 91), ascending=False) for number in range(143)]
    line = shapely.LineString([(0, latitude), (30, latitude)])
    times = sum(swath.intersection(line).length for swath in swaths) / 30
    assert times == pytest.approx(143 * 290 / (40_075 * np.cos(np.radians(latitude))), rel=0.1)
