"""Items and recipes as people and archives really write them: each is taken, or refused in one line that names it."""

import functools
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from landmark import open as open_corpus
from landmark.config.recipe import load_recipe
from landmark.core.executor import ExecutorConfig
from landmark.stac.open_catalog import open_catalog
from landmark.workflow.build import BuildRequest, build
from tests.conftest import Run
from tests.parts import text
from tests.stac.items import Json, changed, collected, items_of

Write = Callable[..., Path]
RADAR, OPTICAL, COVER = "sentinel-1-rtc", "sentinel-2-l2a", "esa-worldcover"
BASELINES = {"s2__processing_baseline": None, "s2__product_uri": None, "s2__granule_id": None, "s2__datastrip_id": None}


def refused(result: tuple[int, str, str], *words: object) -> None:
    """Exit 2, one line with these words, and nothing left behind."""
    code, out, err = result
    assert "Traceback" not in err, err
    assert code == 2, err
    assert out == ""
    [line] = [line for line in err.splitlines() if line.startswith("landmark:")]
    for word in words:
        assert str(word) in line, f"{str(word)!r} is not in {line!r}"
    assert not [path for path in Path.cwd().rglob("*") if path.is_file()]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("items") / "corpus"


@pytest.fixture
def sealed(place: Path, recipe: Write) -> Path:
    """The corpus of two cells of the whole catalogue."""
    if not place.exists():
        build(BuildRequest(load_recipe(str(recipe()), limit=2), place, ExecutorConfig()))
    return place


@pytest.fixture
def planet(world: Path) -> dict[str, list[Json]]:
    """The world's items by collection."""
    return {name: items_of(world, name) for name in (OPTICAL, RADAR, COVER)}


def every(planet: dict[str, list[Json]]) -> list[Json]:
    return [item for items in planet.values() for item in items]


def plan(landmark: Run, recipe: Path, catalog: Path | str, *options: object) -> tuple[int, str, str]:
    return landmark("plan", recipe, "--catalog", catalog, "--workers", 0, "--limit", 2, *options)


def assigned(item: Json, asset: str, **fields: Any) -> Json:
    """A copy with other fields of one asset (`__` stands for a colon)."""
    made = changed(item)
    made["assets"][asset] |= {name.replace("__", ":"): value for name, value in fields.items()}
    return made


# -- Recipes ---------------------------------------------------------------------------------------------------------

INF, NAN = float("inf"), float("nan")


@pytest.mark.parametrize("value", [INF, -INF, NAN])
@pytest.mark.parametrize(
    ("key", "wrap"),
    [
        ("max_pair_gap_days", lambda value: {"max_pair_gap_days": value}),
        ("splits.buffer_m", lambda value: {"splits": {"buffer_m": value}}),
        ("output.shard_mb", lambda value: {"output": {"shard_mb": value}}),
        ("resolution_m", lambda value: {"resolution_m": value}),
        ("splits.train", lambda value: {"splits": {"train": value}}),
    ],
)
def test_a_number_without_end_is_refused(
    key: str, wrap: Callable[[float], Json], value: float, landmark: Run, recipe: Write
) -> None:
    code, out, err = landmark("build", recipe(**wrap(value)), "--workers", 0)
    assert "Traceback" not in err
    assert (code, out) == (2, "")
    assert all(line.startswith("landmark: ") and "tiny.yaml" in line for line in err.splitlines())
    assert f"`{key}`" in err or f"`{key.split('.')[0]}`" in err, err


def test_a_caption_style_written_twice_is_refused(landmark: Run, recipe: Write) -> None:
    wrong = recipe(captions=["structured", "sentence", "structured"])
    refused(landmark("build", wrong, "--workers", 0), "tiny.yaml", "captions", "structured")


def test_a_resolution_no_image_has_is_refused(landmark: Run, recipe: Write) -> None:
    refused(landmark("build", recipe(resolution_m=7), "--workers", 0), "tiny", "resolution_m", "7", "10")


def test_an_output_that_is_a_file_is_refused(landmark: Run, recipe: Write, tmp_path: Path) -> None:
    file = text(tmp_path / "file", "precious")
    for out in (file, file / "corpus"):
        refused(landmark("build", recipe(), "--workers", 0, "--limit", 2, "--out", out), file)
    assert file.read_text() == "precious"


def test_an_output_full_of_other_things_is_refused(landmark: Run, recipe: Write, tmp_path: Path) -> None:
    mine = text(tmp_path / "mine" / "README.md", "precious")
    refused(landmark("build", recipe(), "--workers", 0, "--limit", 2, "--out", mine.parent), mine.parent, "--out")
    assert mine.read_text() == "precious"


# -- Documents -------------------------------------------------------------------------------------------------------


class Empty(http.server.SimpleHTTPRequestHandler):
    """A server that has nothing."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(Empty, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_catalogue_that_is_not_at_its_url_is_refused(url: str, landmark: Run, recipe: Write) -> None:
    refused(plan(landmark, recipe(), f"{url}/catalog.json"), f"{url}/catalog.json")


def test_a_catalogue_whose_items_are_gone_is_refused(url: str, landmark: Run, recipe: Write, tmp_path: Path) -> None:
    links = [{"rel": "item", "href": "./gone.json"}, {"rel": "root", "href": "./catalog.json"}]
    catalog = {"type": "Catalog", "id": "x", "description": "x", "stac_version": "1.0.0", "links": links}
    text(tmp_path / "served" / "catalog.json", json.dumps(catalog))
    refused(plan(landmark, recipe(), f"{url}/catalog.json"), f"{url}/catalog.json")


@pytest.mark.parametrize("features", ["x", None, 3, {"a": 1}, ["x"], [{}], [None]])
def test_a_collection_without_items_in_it_is_refused(
    features: Any, landmark: Run, recipe: Write, tmp_path: Path
) -> None:
    file = text(tmp_path / "items.json", json.dumps({"type": "FeatureCollection", "features": features}))
    refused(plan(landmark, recipe(), file), file)


@pytest.mark.parametrize("missing", [OPTICAL, RADAR, COVER])
def test_a_catalogue_without_a_collection_names_it(
    missing: str, planet: dict[str, list[Json]], landmark: Run, recipe: Write, tmp_path: Path
) -> None:
    file = collected(tmp_path, [item for item in every(planet) if item["collection"] != missing])
    refused(plan(landmark, recipe(), file), file, missing)


# -- Items -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("collection", "properties", "words"),
    [
        (OPTICAL, {"eo__cloud_cover": "12"}, ["eo:cloud_cover"]),
        (OPTICAL, {"eo__cloud_cover": [12]}, ["eo:cloud_cover"]),
        (OPTICAL, {"sat__relative_orbit": "x"}, ["sat:relative_orbit"]),
        (RADAR, {"sat__relative_orbit": "x"}, ["sat:relative_orbit"]),
        (RADAR, {"sat__relative_orbit": [1]}, ["sat:relative_orbit"]),
        (RADAR, {"proj__transform": ["a", 0, "b", 0, "c", "d"]}, ["proj:transform"]),
        (RADAR, {"proj__transform": 10}, ["proj:transform"]),
        (RADAR, {"proj__shape": ["a", "b"]}, ["proj:shape"]),
        (RADAR, {"proj__shape": {"rows": 3}}, ["proj:shape"]),
        (RADAR, {"proj__epsg": "x"}, ["proj:epsg"]),
        (RADAR, {"proj__epsg": [32632]}, ["proj:epsg"]),
        (RADAR, {"platform": 5}, ["platform"]),
        (RADAR, {"start_datetime": "yesterday"}, ["start_datetime"]),
        (RADAR, {"start_datetime": 20210612}, ["start_datetime"]),
        (OPTICAL, {"s2__mgrs_tile": 32}, ["s2:mgrs_tile"]),
        (OPTICAL, {"s2__processing_baseline": "newest"}, ["s2:processing_baseline", "newest"]),
        (OPTICAL, BASELINES, ["baseline"]),
        (COVER, {"start_datetime": "yesterday"}, ["start_datetime"]),
    ],
)
def test_a_property_that_cannot_be_is_refused_by_item_and_key(
    collection: str,
    properties: dict[str, Any],
    words: list[str],
    planet: dict[str, list[Json]],
    landmark: Run,
    recipe: Write,
    tmp_path: Path,
) -> None:
    planet[collection][0] = bad = changed(planet[collection][0], **properties)
    refused(plan(landmark, recipe(), collected(tmp_path, every(planet))), bad["id"], *words)


@pytest.mark.parametrize(
    "fields",
    [
        {"proj__transform": ["a", 0, 0, 0, 0, 0]},
        {"proj__transform": [None] * 6},
        {"proj__transform": {}},
        {"proj__shape": ["a", "b"]},
        {"proj__shape": 366},
    ],
)
def test_a_grid_of_an_asset_that_cannot_be_is_refused_by_item_and_key(
    fields: dict[str, Any], planet: dict[str, list[Json]], landmark: Run, recipe: Write, tmp_path: Path
) -> None:
    planet[OPTICAL][0] = bad = assigned(planet[OPTICAL][0], "B02", **fields)
    key = next(iter(fields)).replace("__", ":")
    refused(plan(landmark, recipe(), collected(tmp_path, every(planet))), bad["id"], key)


@pytest.mark.parametrize(
    "geometry",
    [
        {"type": "Blob", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]},
        {"type": "Polygon"},
        {"type": "Polygon", "coordinates": "x"},
        {"type": "Polygon", "coordinates": [[["a", "b"], ["c", "d"], ["e", "f"], ["a", "b"]]]},
        {"type": "Polygon", "coordinates": [[[12, 45], [13, 46]]]},
    ],
)
@pytest.mark.parametrize("collection", [OPTICAL, COVER])
def test_a_geometry_that_cannot_be_is_refused_by_item(
    collection: str,
    geometry: Json,
    planet: dict[str, list[Json]],
    landmark: Run,
    recipe: Write,
    tmp_path: Path,
) -> None:
    planet[collection][0] = bad = changed(planet[collection][0], geometry=geometry)
    refused(plan(landmark, recipe(), collected(tmp_path, every(planet))), bad["id"], "geometry")


def test_a_baseline_that_is_a_number_is_taken_or_refused_by_item(
    planet: dict[str, list[Json]], landmark: Run, recipe: Write, tmp_path: Path
) -> None:
    planet[OPTICAL] = [changed(item, s2__processing_baseline=5.0) for item in planet[OPTICAL]]
    result = plan(landmark, recipe(sensors=["s2"]), collected(tmp_path, every(planet)), "--out", "out")
    if result[0] != 0:
        refused(result, planet[OPTICAL][0]["id"], "s2:processing_baseline", "5.0")
        return
    for one in json.loads(Path("out/lock.json").read_text())["acquisitions"]:
        assert one["offset_dn"] == 1000, one["offset_rule"]


def test_a_baseline_is_read_from_the_product_where_no_property_says_it(
    sealed: Path, planet: dict[str, list[Json]], landmark: Run, recipe: Write, tmp_path: Path
) -> None:
    planet[OPTICAL] = [changed(item, s2__processing_baseline=None) for item in planet[OPTICAL]]
    file = collected(tmp_path, every(planet))
    code, _, err = landmark(
        "build", recipe(), "--catalog", file, "--workers", 0, "--limit", 2, "--out", tmp_path / "out"
    )
    assert code == 0, err
    told, read = open_corpus(sealed).table, open_corpus(tmp_path / "out").table
    for column in ("id", "sha256", "baseline", "offset_rule"):
        assert read[column].equals(told[column]), column


# -- Pictures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["x.foo", "x", "nope/x.png"])
def test_a_sheet_that_cannot_be_written_is_refused(name: str, sealed: Path, landmark: Run, tmp_path: Path) -> None:
    out = tmp_path / name
    refused(landmark("sheet", sealed, "--out", out, "--pairs", 1), out)
    assert not out.exists()


def test_a_sheet_over_a_folder_is_refused(sealed: Path, landmark: Run, tmp_path: Path) -> None:
    (tmp_path / "there.png").mkdir()
    refused(landmark("sheet", sealed, "--out", tmp_path / "there.png", "--pairs", 1), tmp_path / "there.png")


# -- Provider profiles -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        ("extends: nothing\n", "no provider named 'nothing'"),
        ("extends: [planetary-computer]\n", "`extends`: give the name or the path of one file"),
        ("extends: gone.yaml\n", "gone.yaml: no such file"),
        ('extends: planetary-computer\nmirror: {pattern: "(", to: x}\n', "`mirror`: not a regular expression"),
        ('extends: planetary-computer\nmirror: {pattern: "(.)", to: "\\\\2"}\n', "`mirror`: not a regular expression"),
        ("extends: planetary-computer\nsigning: by-hand\n", "`signing`"),
    ],
)
def test_a_provider_that_cannot_be_is_refused_by_file_and_key(
    profile: str, words: str, landmark: Run, recipe: Write, world: Path
) -> None:
    asked = recipe(provider="mine.yaml")
    text(asked.parent / "mine.yaml", profile)
    refused(plan(landmark, asked, world), words)


def test_a_provider_may_extend_one_that_lies_beside_it(
    landmark: Run, recipe: Write, world: Path, tmp_path: Path
) -> None:
    asked = recipe(provider="mine.yaml", sensors=["s2"])
    text(asked.parent / "mine.yaml", "extends: theirs.yaml\nname: mine\n")
    text(asked.parent / "theirs.yaml", "extends: mine.yaml\n")
    refused(plan(landmark, asked, world), "theirs.yaml: `extends`: mine.yaml extends this file in turn")
    text(asked.parent / "theirs.yaml", "extends: planetary-computer\nname: theirs\n")
    code, _, err = plan(landmark, asked, world, "--out", tmp_path / "out")
    assert code == 0, err


def test_radar_of_which_no_file_can_be_read_is_refused_with_the_reason(
    planet: dict[str, list[Json]], landmark: Run, recipe: Write, tmp_path: Path
) -> None:
    for item in planet[RADAR]:
        item["assets"]["vv"]["href"] = str(tmp_path / "gone.tif")
    path = collected(tmp_path / "archive", every(planet))
    refused(plan(landmark, recipe(), path), "no image of s1 can be used", "the raster could not be read", "vv")


# -- Half an archive ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sign", [{"links": [{"rel": "next", "href": "http://127.0.0.1:9/more"}]}, {"numberMatched": 999}]
)
def test_one_page_of_an_answer_is_no_archive(
    planet: dict[str, list[Json]], landmark: Run, recipe: Write, tmp_path: Path, sign: Json
) -> None:
    path = collected(tmp_path / "archive", every(planet))
    path.write_text(json.dumps(json.loads(path.read_text()) | sign))
    refused(plan(landmark, recipe(), path), path, "one page of a longer answer")


def test_a_mask_that_cannot_be_read_while_planning_is_a_finding(
    planet: dict[str, list[Json]], landmark: Run, recipe: Write, tmp_path: Path
) -> None:
    for item in planet[OPTICAL]:
        item["assets"]["SCL"]["href"] = str(tmp_path / "gone.tif")
    path = collected(tmp_path / "archive", every(planet))
    code, out, err = plan(landmark, recipe(), path, "--out", tmp_path / "out", "--json")
    assert code == 0, err
    findings = json.loads(out)["findings"]
    assert findings and all("its mask could not be read in" in line for line in findings)


def test_probabilities_that_no_provider_publishes_are_refused_by_key(landmark: Run, recipe: Write, world: Path) -> None:
    labels = [{"source": "worldcover", "composite": "probability"}]
    refused(plan(landmark, recipe(labels=labels), world), "worldcover", "`composite: probability` needs `files`")


def test_an_archive_whose_links_are_null_is_taken(
    planet: dict[str, list[Json]], landmark: Run, recipe: Write, tmp_path: Path
) -> None:
    path = collected(tmp_path / "archive", every(planet))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"links": None}))
    code, _, err = plan(landmark, recipe(), path, "--out", tmp_path / "out")
    assert code == 0, err


def test_radar_of_another_pixel_size_is_left_out_and_told(
    planet: dict[str, list[Json]], landmark: Run, recipe: Write, tmp_path: Path
) -> None:
    # Its file is Sentinel-2's classification, of 20 m.
    planet[RADAR][0]["assets"]["vv"]["href"] = planet[OPTICAL][0]["assets"]["SCL"]["href"]
    path = collected(tmp_path / "archive", every(planet))
    code, _, err = plan(landmark, recipe(), path, "--out", tmp_path / "out")
    assert code == 0, err
    ledger = pq.read_table(tmp_path / "out" / "ledger.parquet").to_pylist()
    assert [row["reason"] for row in ledger if row["id"] == planet[RADAR][0]["id"]] == ["resolution"]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"time": {"start": "2021-06-01", "end": "9999-12-31"}}, "`time.end`"),
        ({"region": {"bbox": []}}, "`region.bbox`"),
    ],
)
def test_values_no_search_can_be_made_of_are_refused(
    said: Json, words: str, landmark: Run, recipe: Write, world: Path
) -> None:
    refused(plan(landmark, recipe(**said), world), words)


def test_one_collection_cannot_be_two_sources(landmark: Run, recipe: Write, world: Path) -> None:
    asked = recipe(provider="mine.yaml")
    text(asked.parent / "mine.yaml", "extends: planetary-computer\nlabels: {worldcover: lc, io-lulc: lc}\n")
    refused(plan(landmark, asked, world), "collection lc serves two")


def test_a_signed_address_of_an_archive_names_nothing_the_lock_holds(
    url: str, planet: dict[str, list[Json]], tmp_path: Path
) -> None:
    collected(tmp_path / "served", every(planet))
    document = open_catalog(f"{url}/items.json?sig=a/b%3D")
    assert (document.id, document.root) == ("items.json", f"{url}/")
