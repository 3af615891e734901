"""Previews: few samples, a reduced region, a page; an earlier preview is replaced."""

from collections.abc import Callable
from pathlib import Path

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

import landmark as package
from landmark.config.recipe import Recipe, load_recipe
from landmark.core.errors import EmptySearch, RecipeMismatch
from landmark.core.executor import ExecutorConfig
from landmark.workflow.build import BuildRequest, build
from landmark.workflow.preview import preview_recipe, write_preview
from tests.conftest import Run, landmark
from tests.parts import examples, raises

__all__ = ["landmark"]


def wide(**changes: object) -> Recipe:
    value: dict[str, object] = {
        "name": "wide",
        "region": {"bbox": [-10, 36, 30, 60]},
        "time": {"start": "2021-06-01", "end": "2021-08-31"},
        "labels": [],
    }
    return Recipe.model_validate(value | changes)


@examples(15)
@given(seed=st.integers(0, 10_000))
def test_a_large_region_is_reduced_to_a_few_boxes_inside(seed: int) -> None:
    region = wide().region.geometry
    narrow = preview_recipe(wide(), samples=20, seed=seed, narrow=True).region.geometry
    assert region.covers(narrow)
    assert 0 < narrow.area <= 5 * 0.3**2 + 1e-9
    assert narrow.equals(preview_recipe(wide(), samples=20, seed=seed, narrow=True).region.geometry)


def test_another_seed_chooses_other_boxes() -> None:
    places = [preview_recipe(wide(), samples=20, seed=seed, narrow=True).region.geometry for seed in (0, 1)]
    assert not places[0].intersects(places[1])


def test_a_strip_thinner_than_a_box_is_clipped_by_boxes() -> None:
    strip = wide(region={"bbox": [0, 50, 20, 50.1]})
    narrow = preview_recipe(strip, samples=20, seed=0, narrow=True).region.geometry
    assert strip.region.geometry.covers(narrow)
    assert narrow.area == pytest.approx(5 * 0.3 * 0.1)


def test_a_small_region_and_a_local_catalogue_keep_the_region() -> None:
    small = wide(region={"bbox": [10, 50, 10.5, 50.5]})
    assert preview_recipe(small, samples=20, seed=0, narrow=True).region == small.region
    assert preview_recipe(wide(), samples=20, seed=0, narrow=False).region == wide().region


@pytest.mark.parametrize(
    ("time", "sensors", "limit"),
    [
        ({"start": "2021-06-01", "end": "2021-08-31"}, ["s1", "s2"], 10),
        ({"start": "2021-06-01", "end": "2022-05-31"}, ["s1", "s2"], 5),
        ({"start": "2021-06-01", "end": "2021-08-31", "period": "month"}, ["s2"], 6),
        ({"start": "2000-01-01", "end": "2020-12-31"}, ["s1", "s2"], 1),
    ],
)
def test_the_limit_of_cells_follows_from_the_number_of_samples(
    time: dict[str, str], sensors: list[str], limit: int
) -> None:
    assert preview_recipe(wide(time=time, sensors=sensors), samples=20, seed=0, narrow=True).limit == limit


def test_the_command_builds_a_few_samples_and_a_page(landmark: Run, recipe: Callable[..., Path]) -> None:
    code, out, err = landmark("preview", recipe(), "--workers", 0, "--samples", 8)
    assert code == 0, err
    assert out.strip().endswith("corpora/tiny-preview/sheet.html")
    corpus = package.open(Path(out.strip()).parent)
    assert 4 <= len(corpus) <= 8
    text = Path(out.strip()).read_text()
    assert all(id in text for id in corpus.ids)
    before = (corpus.root / "corpus.json").read_bytes()
    assert landmark("preview", recipe(), "--workers", 0, "--samples", 8)[0] == 0
    assert (corpus.root / "corpus.json").read_bytes() == before


def request(path: Path, out: Path, samples: int) -> BuildRequest:
    return BuildRequest(
        preview_recipe(load_recipe(str(path)), samples=samples, seed=0, narrow=False), out, ExecutorConfig()
    )


def test_a_changed_recipe_replaces_only_the_earlier_preview(recipe: Callable[..., Path], tmp_path: Path) -> None:
    out = tmp_path / "preview"
    write_preview(request(recipe(), out, 4))
    write_preview(request(recipe(captions=["structured"]), out, 4))
    assert {caption["style"] for sample in package.open(out) for caption in sample.captions} == {"structured"}
    with raises(RecipeMismatch, file=str(out)):
        write_preview(request(recipe(name="other"), out, 4))
    assert len(package.open(out)) > 0


def test_a_corpus_with_the_name_of_a_preview_is_refused(recipe: Callable[..., Path], tmp_path: Path) -> None:
    out = tmp_path / "tiny-preview"
    built = build(BuildRequest(load_recipe(str(recipe(name="tiny-preview")), limit=2), out, ExecutorConfig()))
    with raises(RecipeMismatch, file=str(out)):
        write_preview(request(recipe(), out, 4))
    assert package.open(out).manifest == built


def test_an_empty_search_is_an_error(recipe: Callable[..., Path], tmp_path: Path) -> None:
    empty = recipe(region={"bbox": [150, -30, 150.2, -29.8]})
    with pytest.raises(EmptySearch):
        write_preview(request(empty, tmp_path / "preview", 4))


def test_boxes_of_europe_are_inside_the_outline(tmp_path: Path) -> None:
    outline = Path(__file__).parents[2] / "manifests/europe.geojson"
    (tmp_path / "e.yaml").write_text(
        f"name: e\nregion: {{geojson: {outline}}}\ntime: {{start: 2021-06-01, end: 2021-08-31}}\nlabels: []\n"
    )
    europe = load_recipe(str(tmp_path / "e.yaml"))
    boxes = preview_recipe(europe, samples=20, seed=0, narrow=True).region.geometry
    assert europe.region.geometry.covers(boxes)
    assert len(shapely.get_parts(boxes)) == 5


def test_skipped_labels_are_shown_on_the_page(landmark: Run, recipe: Callable[..., Path]) -> None:
    labels = [{"source": "worldcover"}, {"source": "corine", "optional": True}]
    code, out, err = landmark("preview", recipe(labels=labels), "--workers", 0, "--samples", 4)
    assert code == 0, err
    assert "--labels corine=" in Path(out.strip()).read_text()
