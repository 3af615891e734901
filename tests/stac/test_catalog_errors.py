"""An invalid item costs itself and a ledger row; outside region and time nothing; too many of them are refused."""

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from landmark.core.errors import InputError
from landmark.core.yaml_files import load_model
from landmark.domain.taxonomy import Crosswalk
from tests.parts import raises
from tests.stac.items import PROVIDER, Json, anywhere, changed, collected, items_of, run_search

S2, S1, LABELS = "sentinel-2-l2a", "sentinel-1-rtc", "esa-worldcover"
WORLDCOVER = load_model(Crosswalk, "taxonomies", "worldcover")
PLACE = {"bbox": [20.8, -34.1, 21.2, -33.7]}


def put(*keys: str, value: Any) -> Callable[[Json], None]:
    def change(item: Json) -> None:
        for key in keys[:-1]:
            item = item[key]
        item[keys[-1]] = value

    return change


def geometry(kind: str, *coordinates: Any) -> Callable[[Json], None]:
    return put("geometry", value={"type": kind, "coordinates": list(coordinates)})


# What is done to an item, and what its ledger row names first.
DAMAGE: list[tuple[Callable[[Json], Any], str]] = [
    (put("geometry", value=None), "geometry"),
    (lambda item: item.pop("geometry"), "geometry"),
    (geometry("LineString", [11.9, 45.4], [12, 45.5]), "geometry"),
    (geometry("Point", 11.9, 45.4), "geometry"),
    (geometry("Polygon"), "geometry"),
    (geometry("Polygon", [["a", "b"], ["c", "d"], ["e", "f"], ["a", "b"]]), "geometry"),
    (geometry("Polygon", [[11.9, float("nan")], [12, 45.4], [12, 45.5], [11.9, float("nan")]]), "geometry"),
    (geometry("Polygon", [[7e5, 5e6], [7.1e5, 5e6], [7.1e5, 5.1e6], [7e5, 5e6]]), "geometry"),
    (put("geometry", value={"type": "GeometryCollection", "geometries": []}), "geometry"),
    (put("geometry", value="POLYGON ((11 45, 12 45, 12 46, 11 45))"), "geometry"),
    (lambda item: item["properties"].pop("proj:epsg"), "proj:code"),
    (put("properties", "proj:epsg", value=None), "proj:code"),
    (put("properties", "proj:epsg", value=99_999), "proj:"),
    (put("properties", "proj:epsg", value=5773), "proj:"),
    (put("properties", "datetime", value="yesterday"), "datetime"),
    (lambda item: item["properties"].pop("datetime"), "datetime"),
    (put("properties", "datetime", value=20210612), "not a STAC item"),
    (put("properties", value=["x"]), "properties"),
    (put("properties", value=None), "properties"),
    (put("assets", value=None), "assets"),
    (put("assets", value=["B02"]), "assets"),
    (put("assets", "B02", value={}), "assets"),
    (put("assets", "B02", "href", value=None), "assets"),
    (put("assets", "B02", "proj:transform", value=["x"] * 6), "proj:transform"),
    (put("assets", "B02", "proj:transform", value=[1]), "proj:transform"),
    (put("id", value=""), "id"),
    (lambda item: item.pop("id"), "id"),
    (put("id", value=7), "id"),
    (put("type", value="Blob"), "type"),
    (put("links", value=3), "not a STAC item"),
]


@pytest.fixture(scope="module")
def items(world: Path) -> list[Json]:
    return items_of(world, S2)


@pytest.mark.parametrize("number", range(len(DAMAGE)))
def test_an_invalid_item_costs_itself_and_a_ledger_row(number: int, items: list[Json], tmp_path: Path) -> None:
    damage, named = DAMAGE[number]
    bad = copy.deepcopy(items[0])
    damage(bad)
    result = run_search(collected(tmp_path, [bad, *items[1:]]), anywhere("s2"))
    assert len(result.acquisitions) == len(items) - 1
    ((record),) = result.refused
    assert (record.stage, record.reason, record.final) == ("stac", "item_invalid", True)
    assert record.detail.startswith(named)
    assert record.id == (bad.get("id") if isinstance(bad.get("id"), str) and bad["id"] else "number 1")
    # Outside region or time it costs nothing, as far as it tells where and when it is.
    any_number, later = {"max_pct": 100}, {"start": "2022-01-01", "end": "2022-12-31"}
    elsewhere = anywhere("s2", region=PLACE, catalog_errors=any_number)
    another_year = anywhere("s2", time=later, catalog_errors=any_number)
    time = bad["properties"].get("datetime") if isinstance(bad["properties"], dict) else None
    for recipe, locates in ((elsewhere, "bbox" in bad), (another_year, str(time).startswith("2021-06"))):
        assert bool(run_search(collected(tmp_path, [bad, *items[1:]]), recipe).refused) != locates


@pytest.mark.parametrize(
    "geometry",
    [
        lambda ring: {"type": "MultiPolygon", "coordinates": [[ring]]},
        lambda ring: {"type": "Polygon", "coordinates": [[ring[0], ring[2], ring[1], ring[3], ring[0]]]},
        lambda ring: {
            "type": "GeometryCollection",
            "geometries": [
                {"type": "Polygon", "coordinates": [ring]},
                {"type": "Point", "coordinates": ring[0]},
            ],
        },
    ],
)
def test_a_geometry_with_an_area_is_read(geometry: Callable[[Any], Json], items: list[Json], tmp_path: Path) -> None:
    item = changed(items[0], geometry=geometry(items[0]["geometry"]["coordinates"][0]))
    assert len(run_search(collected(tmp_path, [item]), anywhere("s2")).acquisitions) == 1


def test_a_crs_is_not_needed_where_headers_are_read(world: Path, tmp_path: Path) -> None:
    items = items_of(world, S1)
    for item in items[:9]:
        del item["properties"]["proj:epsg"]
    result = run_search(collected(tmp_path, items), anywhere("s1"))
    assert not result.refused and len(result.acquisitions) == len(items)
    assert sum(acquisition.epsg == 0 and acquisition.pixel_m == 0 for acquisition in result.acquisitions) == 9


@pytest.mark.parametrize("content", [None, b"{", b"[]", b'{"type": "Feature"}'])
def test_a_linked_item_that_cannot_be_read_costs_itself(content: bytes | None, world: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(world, tmp_path / "world", ignore=shutil.ignore_patterns("*.tif", S1, LABELS)))
    path = min((folder / S2).glob("*/*.json"))
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    result = run_search(folder / S2 / "collection.json", anywhere("s2"))
    assert [(record.id, record.reason) for record in result.refused] == [(path.name, "item_invalid")]
    assert len(result.acquisitions) == 36 and str(tmp_path) not in result.refused[0].detail


def test_too_many_invalid_items_are_refused_with_their_kinds(items: list[Json], tmp_path: Path) -> None:
    bad = [changed(item, proj__epsg=None) for item in items[:3]] + [changed(items[3], eo__cloud_cover="x")]
    path = collected(tmp_path, [*bad, *items[4:]])
    with pytest.raises(InputError) as caught:
        run_search(path, anywhere("s2"))
    summary, *examples = caught.value.problems
    assert (summary.file, summary.key, summary.value) == (str(path), "catalog_errors.max_pct", 10.8)
    assert [(error.file, error.key, error.value) for error in examples] == [
        (f"{path}: item {bad[0]['id']}", "proj:code", None),
        (f"{path}: item {bad[3]['id']}", "eo:cloud_cover", "x"),
    ]
    result = run_search(path, anywhere("s2", catalog_errors={"max_pct": 11}))
    assert len(result.refused) == 4
    # Of the items in the region alone.
    with raises(InputError, key="catalog_errors.max_pct"):
        run_search(path, anywhere("s2", region=PLACE, catalog_errors={"max_pct": 11}))


@pytest.mark.parametrize("damage", [put("geometry", value=None), lambda item: item["assets"].pop("map")])
def test_invalid_label_items_are_counted_likewise(
    damage: Callable[[Json], Any], items: list[Json], world: Path, tmp_path: Path
) -> None:
    labels = items_of(world, LABELS)
    damage(labels[1])
    path = collected(tmp_path, [*items, *labels])
    recipe = anywhere("s2", labels=[{"source": "worldcover"}])
    with raises(InputError, key="catalog_errors.max_pct", value=50.0):
        run_search(path, recipe, crosswalks=(WORLDCOVER,))
    tolerant = recipe.model_copy(update={"catalog_errors": recipe.catalog_errors.model_copy(update={"max_pct": 50})})
    result = run_search(path, tolerant, crosswalks=(WORLDCOVER,))
    assert len(result.labels) == 1
    assert [(record.id, record.reason) for record in result.refused] == [(labels[1]["id"], "item_invalid")]
    elsewhere = anywhere("s2", region={"bbox": [11, 45, 13, 46]}, labels=[{"source": "worldcover"}])
    assert len(run_search(path, elsewhere, crosswalks=(WORLDCOVER,)).labels) == 1


def test_the_limit_is_no_part_of_the_digest() -> None:
    assert anywhere("s2").digest == anywhere("s2", catalog_errors={"max_pct": 3}).digest


def test_the_profile_of_the_tests_trusts_s2_and_probes_s1() -> None:
    assert [PROVIDER.sensors[name].header for name in ("s1", "s2")] == ["probe", "trust"]


def test_other_features_of_a_list_are_invalid_items(items: list[Json], tmp_path: Path) -> None:
    path = tmp_path / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [None, *items, "x"]}))
    result = run_search(path, anywhere("s2"))
    assert len(result.acquisitions) == 37 and [record.id for record in result.refused] == ["number 1", "number 39"]
