"""STAC documents, items and provider profiles: accepted, or refused with file, key and value."""

import functools
import http.server
import json
import threading

import pyarrow.parquet as pq
import pytest

from landmark import open as open_corpus
from landmark.config.recipe import load_recipe
from landmark.core.errors import EmptySearch, InputError, NoCoverage, UnknownName
from landmark.core.executor import ExecutorConfig
from landmark.stac.open_catalog import open_catalog
from landmark.workflow.build import BuildRequest, build
from tests.parts import text
from tests.stac.items import changed, collected, items_of

RADAR, OPTICAL, LABELS = "sentinel-1-rtc", "sentinel-2-l2a", "esa-worldcover"


@pytest.fixture(scope="module")
def corpus_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("items") / "corpus"


@pytest.fixture
def sealed(corpus_folder, recipe):
    """A corpus of two cells from the unchanged items."""
    if not corpus_folder.exists():
        build(BuildRequest(load_recipe(str(recipe()), limit=2), corpus_folder, ExecutorConfig()))
    return corpus_folder


@pytest.fixture
def planet(world):
    """The world's items by collection."""
    return {name: items_of(world, name) for name in (OPTICAL, RADAR, LABELS)}


@pytest.fixture
def url(tmp_path):
    """Address of a server of the folder `served`."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    (tmp_path / "served").mkdir()
    handler = functools.partial(Handler, directory=str(tmp_path / "served"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def write_items(folder, planet, **members):
    """An ItemCollection of all items, with further members."""
    path = collected(folder, [item for items in planet.values() for item in items])
    path.write_text(json.dumps(json.loads(path.read_text()) | members))
    return path


def plan(recipe, catalog, *options):
    """Arguments of `landmark plan` for two cells."""
    return "plan", recipe, "--catalog", catalog, "--workers", 0, "--limit", 2, *options


# -- Documents -------------------------------------------------------------------------------------------------------


def test_missing_remote_catalogue_is_refused(url, refusal, recipe):
    assert refusal(*plan(recipe(), f"{url}/catalog.json")).file == f"{url}/catalog.json"


def test_remote_catalogue_with_missing_items_is_refused(url, refusal, recipe, tmp_path):
    links = [{"rel": "item", "href": "./gone.json"}, {"rel": "root", "href": "./catalog.json"}]
    catalog = {"type": "Catalog", "id": "x", "description": "x", "stac_version": "1.0.0", "links": links}
    text(tmp_path / "served" / "catalog.json", json.dumps(catalog))
    assert refusal(*plan(recipe(), f"{url}/catalog.json")).file == f"{url}/catalog.json"


@pytest.mark.parametrize("features", ["x", None, 3, {"a": 1}, ["x"], [{}], [None]])
def test_item_collection_without_items_is_refused(refusal, recipe, tmp_path, features):
    file = text(tmp_path / "items.json", json.dumps({"type": "FeatureCollection", "features": features}))
    error = refusal(*plan(recipe(), file))
    assert (type(error), error.file, error.key) == (InputError, str(file), "features")


@pytest.mark.parametrize("collection", [OPTICAL, RADAR, LABELS])
def test_missing_collection_is_named(planet, refusal, recipe, tmp_path, collection):
    file = write_items(tmp_path, planet | {collection: []})
    error = refusal(*plan(recipe(), file))
    assert (type(error), error.file, error.value) == (EmptySearch, str(file), collection)


@pytest.mark.parametrize(
    "members", [{"links": [{"rel": "next", "href": "http://127.0.0.1:9/more"}]}, {"numberMatched": 999}]
)
def test_single_page_of_a_search_result_is_refused(planet, refusal, recipe, tmp_path, members):
    file = write_items(tmp_path / "archive", planet, **members)
    error = refusal(*plan(recipe(), file))
    assert (type(error), error.file) == (InputError, str(file))
    assert "--catalog" in error.remedy


def test_null_links_are_accepted(planet, landmark, recipe, tmp_path):
    file = write_items(tmp_path / "archive", planet, links=None)
    code, _, err = landmark(*plan(recipe(), file))
    assert code == 0, err


def test_id_and_root_of_a_signed_url_omit_the_signature(url, planet, tmp_path):
    write_items(tmp_path / "served", planet)
    catalog = open_catalog(f"{url}/items.json?sig=a/b%3D")
    assert (catalog.id, catalog.root) == ("items.json", f"{url}/")


# -- Items -----------------------------------------------------------------------------------------------------------

NO_BASELINE = {
    f"s2__{name}": None for name in ("processing_baseline", "product_uri", "granule_id", "datastrip_id")
}  # fmt: skip

NONE = {"max_pct": 0}


def refused_example(error):
    """The example of an invalid item in a refusal of too many."""
    assert (type(error), error.key) == (InputError, "catalog_errors.max_pct")
    _, example = error.problems
    return example


# Collection and changed properties of its first item; key and value of the error.
BAD_PROPERTIES = [
    (OPTICAL, {"eo__cloud_cover": "12"}, "eo:cloud_cover", "12"),
    (OPTICAL, {"eo__cloud_cover": [12]}, "eo:cloud_cover", [12]),
    (OPTICAL, {"sat__relative_orbit": "x"}, "sat:relative_orbit", "x"),
    (OPTICAL, {"s2__mgrs_tile": 32}, "s2:mgrs_tile", 32),
    (OPTICAL, {"s2__processing_baseline": "newest"}, "s2:processing_baseline", "newest"),
    (OPTICAL, {"s2__processing_baseline": 5.0}, "s2:processing_baseline", 5.0),
    (OPTICAL, NO_BASELINE, "s2:processing_baseline", None),
    (RADAR, {"sat__relative_orbit": "x"}, "sat:relative_orbit", "x"),
    (RADAR, {"sat__relative_orbit": [1]}, "sat:relative_orbit", [1]),
    (RADAR, {"proj__transform": ["a", 0, "b", 0, "c", "d"]}, "proj:transform.0", "a"),
    (RADAR, {"proj__transform": 10}, "proj:transform", 10),
    (RADAR, {"proj__shape": ["a", "b"]}, "proj:shape.0", "a"),
    (RADAR, {"proj__shape": {"rows": 3}}, "proj:shape", None),
    (RADAR, {"proj__epsg": "x"}, "proj:code", "EPSG:x"),
    (RADAR, {"proj__epsg": [32632]}, "proj:code", "EPSG:[32632]"),
    (RADAR, {"platform": 5}, "platform", 5),
    (RADAR, {"start_datetime": "yesterday"}, "start_datetime", "yesterday"),
    (RADAR, {"start_datetime": 20210612}, "start_datetime", 20210612),
    (LABELS, {"start_datetime": "yesterday"}, "start_datetime", "yesterday"),
]


@pytest.mark.parametrize(("collection", "properties", "key", "value"), BAD_PROPERTIES)
def test_invalid_property_is_refused(planet, refusal, recipe, tmp_path, collection, properties, key, value):
    planet[collection][0] = bad = changed(planet[collection][0], **properties)
    file = write_items(tmp_path, planet)
    error = refused_example(refusal(*plan(recipe(catalog_errors=NONE), file)))
    assert (error.file, error.key, error.value) == (f"{file}: item {bad['id']}", key, value)


@pytest.mark.parametrize(
    ("fields", "key", "value"),
    [
        ({"proj:transform": ["a", 0, 0, 0, 0, 0]}, "proj:transform.0", "a"),
        ({"proj:transform": [None] * 6}, "proj:transform.0", None),
        ({"proj:transform": {}}, "proj:transform", None),
        ({"proj:shape": ["a", "b"]}, "proj:shape.0", "a"),
        ({"proj:shape": 366}, "proj:shape", 366),
    ],
)
def test_invalid_grid_of_an_asset_is_refused(planet, refusal, recipe, tmp_path, fields, key, value):
    planet[OPTICAL][0]["assets"]["B02"] |= fields
    file = write_items(tmp_path, planet)
    error = refused_example(refusal(*plan(recipe(catalog_errors=NONE), file)))
    assert (error.file, error.key, error.value) == (f"{file}: item {planet[OPTICAL][0]['id']}", key, value)


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
@pytest.mark.parametrize("collection", [OPTICAL, LABELS])
def test_invalid_geometry_is_refused(planet, refusal, recipe, tmp_path, collection, geometry):
    planet[collection][0] = bad = changed(planet[collection][0], geometry=geometry)
    file = write_items(tmp_path, planet)
    error = refused_example(refusal(*plan(recipe(catalog_errors=NONE), file)))
    assert (error.file, error.key) == (f"{file}: item {bad['id']}", "geometry")


def test_an_invalid_item_costs_itself_and_a_ledger_row(planet, landmark, recipe, tmp_path):
    planet[OPTICAL][0] = bad = changed(planet[OPTICAL][0], proj__epsg=None)
    for item in planet[RADAR]:
        item["properties"].pop("proj:epsg")
    options = ("--catalog", write_items(tmp_path, planet), "--workers", 0, "--limit", 2, "--out", tmp_path / "out")
    code, _, err = landmark("build", recipe(), *options)
    assert code == 0, err
    rows = pq.read_table(tmp_path / "out" / "ledger.parquet").to_pylist()
    assert [row["id"] for row in rows if row["reason"] == "item_invalid"] == [bad["id"]]
    assert landmark("check", tmp_path / "out", "--workers", 0, "--fail-on", "error")[0] == 0


def test_baseline_is_read_from_the_product_name(sealed, planet, landmark, recipe, tmp_path):
    planet[OPTICAL] = [changed(item, s2__processing_baseline=None) for item in planet[OPTICAL]]
    options = ("--catalog", write_items(tmp_path, planet), "--workers", 0, "--limit", 2, "--out", tmp_path / "out")
    code, _, err = landmark("build", recipe(), *options)
    assert code == 0, err
    expected, actual = open_corpus(sealed).table, open_corpus(tmp_path / "out").table
    for column in ("id", "sha256", "baseline", "offset_rule"):
        assert actual[column].equals(expected[column]), column


# -- Rasters ---------------------------------------------------------------------------------------------------------


def test_unreadable_radar_is_refused(planet, refusal, recipe, tmp_path):
    for item in planet[RADAR]:
        item["assets"]["vv"]["href"] = str(tmp_path / "gone.tif")
    error = refusal(*plan(recipe(), write_items(tmp_path / "archive", planet)))
    assert (type(error), error.key, error.value) == (NoCoverage, "sensors", "s1")
    assert any(item["id"] in error.problem for item in planet[RADAR])


def test_unreadable_mask_is_a_finding_of_the_plan(planet, landmark, recipe, tmp_path):
    for item in planet[OPTICAL]:
        item["assets"]["SCL"]["href"] = str(tmp_path / "gone.tif")
    file = write_items(tmp_path / "archive", planet)
    code, out, err = landmark(*plan(recipe(), file, "--out", tmp_path / "out", "--json"))
    assert code == 0, err
    findings = json.loads(out)["findings"]
    assert findings and all(finding.startswith("s2_") for finding in findings)


def test_radar_with_another_pixel_size_is_dropped(planet, landmark, recipe, tmp_path):
    # Sentinel-2's classification has pixels of 20 m.
    planet[RADAR][0]["assets"]["vv"]["href"] = planet[OPTICAL][0]["assets"]["SCL"]["href"]
    file = write_items(tmp_path / "archive", planet)
    code, _, err = landmark(*plan(recipe(), file, "--out", tmp_path / "out"))
    assert code == 0, err
    ledger = pq.read_table(tmp_path / "out" / "ledger.parquet").to_pylist()
    assert [row["reason"] for row in ledger if row["id"] == planet[RADAR][0]["id"]] == ["resolution"]


# -- Provider profiles -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("profile", "kind", "key", "value"),
    [
        ("extends: nothing", UnknownName, "extends", "nothing"),
        ("extends: gone.yaml", UnknownName, "extends", "gone.yaml"),
        ("extends: [planetary-computer]", InputError, "extends", ["planetary-computer"]),
        ('{extends: planetary-computer, mirror: {pattern: "(", to: x}}', InputError, "mirror", "("),
        ('{extends: planetary-computer, mirror: {pattern: "(.)", to: "\\\\2"}}', InputError, "mirror", "(.)"),
        ("{extends: planetary-computer, signing: by-hand}", InputError, "signing", "by-hand"),
        ("{extends: planetary-computer, labels: {worldcover: lc, io-lulc: lc}}", InputError, None, "lc"),
    ],
)
def test_invalid_provider_profile_is_refused(refusal, recipe, world, tmp_path, profile, kind, key, value):
    file = text(tmp_path / "custom.yaml", profile)
    error = refusal(*plan(recipe(provider="custom.yaml"), world))
    assert (type(error), error.file, error.key, error.value) == (kind, str(file), key, value)


def test_provider_extends_a_file_of_the_same_folder_but_not_in_a_cycle(landmark, refusal, recipe, world, tmp_path):
    path = recipe(provider="custom.yaml", sensors=["s2"])
    text(tmp_path / "custom.yaml", "extends: base.yaml\nname: custom\n")
    base = text(tmp_path / "base.yaml", "extends: custom.yaml\n")
    error = refusal(*plan(path, world))
    assert (error.file, error.key, error.value) == (str(base), "extends", "custom.yaml")
    text(base, "extends: planetary-computer\nname: base\n")
    code, _, err = landmark(*plan(path, world))
    assert code == 0, err


# -- Sheets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["x.foo", "x", "nowhere/x.png", "folder.png"])
def test_sheet_that_cannot_be_written_is_refused(sealed, refusal, tmp_path, name):
    (tmp_path / "folder.png").mkdir()
    out = tmp_path / name
    error = refusal("sheet", sealed, "--out", out, "--pairs", 1)
    assert (type(error), error.file) == (InputError, f"--out {out}")
    assert not out.is_file()
