"""The shipped recipes: they load, lie where they say, and are cheap to read."""

from pathlib import Path

import pytest
import shapely
from pyproj import Geod

from landmark.config.recipe import Recipe, load_recipe
from landmark.core.yaml_files import available, load_model, resource_dir
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


@pytest.fixture(params=["europe", "europe-full", "crisislandmark-like"])
def shipped(request: pytest.FixtureRequest) -> Recipe:
    """A recipe over the provider's archive."""
    return load_recipe(request.param)


def test_a_recipe_loads_under_its_own_name_with_sources_that_are_known(shipped: Recipe) -> None:
    assert shipped.name in available("manifests")
    assert shipped.catalog is None
    assert shipped.region.geometry.is_valid
    for entry in shipped.labels:
        assert load_model(Crosswalk, "taxonomies", entry.source).target == shipped.taxonomy


def test_clusters_are_whole_blocks_of_the_rasters(shipped: Recipe) -> None:
    assert shipped.sampling.cluster_px % 512 == 0


def test_europe_reaches_the_api_with_about_ten_thousand_samples_and_the_same_ground_as_its_full_size() -> None:
    small, full = load_recipe("europe"), load_recipe("europe-full")
    assert small.provider == "planetary-computer"
    for recipe, wanted in ((small, 10_000), (full, 650_000)):
        assert recipe.sampling.cells is not None
        assert wanted <= len(recipe.sensors) * recipe.sampling.cells <= 1.1 * wanted
    same = {"name", "title", "sampling"}
    assert small.model_dump(exclude=same) == full.model_dump(exclude=same)


def test_the_outline_of_europe_holds_its_capitals_and_no_others() -> None:
    document = (resource_dir("manifests") / "europe.geojson").read_text()
    parts = shapely.get_parts(shapely.from_geojson(document))
    assert shapely.is_valid(parts).all()
    outline = shapely.union_all(parts)
    for name, place in INSIDE.items():
        assert shapely.contains_xy(outline, *place), name
    for name, place in OUTSIDE.items():
        assert not shapely.contains_xy(outline, *place), name
    assert shapely.get_num_coordinates(outline) < 400  # what a search takes at once
    # The EEA's 39 countries: 5.8 million km2; a coarse outline holds some sea.
    assert 5.6e12 < abs(Geod(ellps="WGS84").geometry_area_perimeter(outline)[0]) < 6.3e12


def test_a_recipe_finds_the_outline_beside_it_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.yaml").write_text(
        f"name: mine\nregion: {{geojson: {resource_dir('manifests') / 'europe.geojson'}}}\n"
        "time: {start: 2021-06-01, end: 2021-08-31}\nlabels: []\n"
    )
    monkeypatch.chdir(tmp_path)
    assert shapely.contains_xy(load_recipe("mine.yaml").region.geometry, *INSIDE["Athens"])
