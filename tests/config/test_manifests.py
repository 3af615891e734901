"""Shipped recipes."""

from pathlib import Path

import pytest
import shapely
from pyproj import Geod

from landmark.config.recipe import load_recipe
from landmark.core.resources import available, resource_dir
from landmark.core.yaml_files import load_model
from landmark.domain.taxonomy import Crosswalk

INSIDE = {
    "Lisbon": (-9.14, 38.72),
    "Dublin": (-6.26, 53.35),
    "Reykjavik": (-21.9, 64.14),
    "Oslo": (10.75, 59.91),
    "Tallinn": (24.75, 59.43),
    "Palermo": (13.36, 38.05),
    "Nicosia": (33.36, 35.17),
    "Ankara": (32.86, 39.93),
    "Athens": (23.73, 37.98),
    "Belgrade": (20.46, 44.8),
}
OUTSIDE = {"Kyiv": (30.5, 50.45), "Minsk": (27.56, 53.9), "Moscow": (37.6, 55.75), "Tunis": (10.17, 36.8)}


@pytest.mark.parametrize("name", available("manifests"))
def test_shipped_recipes_load_with_known_sources(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name and recipe.region.geometry.is_valid and not recipe.region.geometry.is_empty
    for entry in recipe.labels:
        assert load_model(Crosswalk, "taxonomies", entry.source).target == recipe.taxonomy


@pytest.mark.parametrize("name", ["europe", "europe-full", "crisislandmark-like"])
def test_recipes_over_the_provider_sample_clusters_of_full_blocks(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.catalog is None and recipe.sampling.cluster_px % 512 == 0


def test_europe_is_a_smaller_sample_of_the_full_recipes_region() -> None:
    small, full = load_recipe("europe"), load_recipe("europe-full")
    assert small.provider == "planetary-computer"
    for recipe, samples in ((small, 10_000), (full, 650_000)):
        assert recipe.sampling.cells is not None
        assert samples <= len(recipe.sensors) * recipe.sampling.cells <= 1.1 * samples
    different = {"name", "title", "sampling"}
    assert small.model_dump(exclude=different) == full.model_dump(exclude=different)


def test_the_outline_of_europe_contains_european_capitals() -> None:
    document = (resource_dir("manifests") / "europe.geojson").read_text()
    parts = shapely.get_parts(shapely.from_geojson(document))
    assert shapely.is_valid(parts).all()
    outline = shapely.union_all(parts)
    assert [name for name, point in INSIDE.items() if not shapely.contains_xy(outline, *point)] == []
    assert [name for name, point in OUTSIDE.items() if shapely.contains_xy(outline, *point)] == []
    assert shapely.get_num_coordinates(outline) < 400  # the limit of one search
    # The EEA's 39 countries have 5.8 million km2; the coarse outline includes some sea.
    assert 5.6e12 < abs(Geod(ellps="WGS84").geometry_area_perimeter(outline)[0]) < 6.3e12


def test_an_absolute_geojson_path_works_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.yaml").write_text(
        f"name: a\nregion: {{geojson: {resource_dir('manifests') / 'europe.geojson'}}}\n"
        "time: {start: 2021-06-01, end: 2021-08-31}\nlabels: []\n"
    )
    monkeypatch.chdir(tmp_path)
    assert shapely.contains_xy(load_recipe("a.yaml").region.geometry, *INSIDE["Athens"])
