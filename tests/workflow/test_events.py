"""Builds with events over the small world: roles, phases, splits, captions and labels."""

import json
from collections import Counter, defaultdict

import geopandas
import pyarrow.parquet as pq
import pytest
import shapely
import yaml
from pyproj import Geod

import landmark as lm
from landmark.config.recipe import load_recipe
from landmark.core.errors import InputsChanged, LandmarkError
from landmark.core.executor import ExecutorConfig
from landmark.core.yaml_files import load_model
from landmark.corpus.lock import Lock
from landmark.corpus.manifest import read_document
from landmark.domain.event import EventTypes, phase_of
from landmark.workflow.build import BuildRequest, build, plan_corpus
from landmark.workflow.context import load_context
from tests.domain.impacts import TYPES
from tests.parts import raises, text

MAPPING = {
    "name": "drawn",
    "title": "Drawn by a test",
    "licence": "CC0-1.0",
    "attribution": "nobody",
    "vectors": {
        "id": ["name"],
        "group": ["basin"],
        "type": {"fields": ["kind"], "values": {"flood": "flood", "fire": "fire", "quake": "earthquake"}},
        "start": {"fields": ["start"]},
        "end": {"fields": ["end"]},
        "magnitude": ["mag"],
    },
}
# Centres of cells of the small world, in each of its three zones.
WEST, EAST, SOUTH = (11.9785, 45.4567), (12.03, 45.4567), (21.0, -33.9)


def feature(name, kind, place, half_m, start, end, **more):
    lon, lat = place
    west, east = (Geod(ellps="WGS84").fwd(lon, lat, way, half_m)[0] for way in (270, 90))
    south, north = (Geod(ellps="WGS84").fwd(lon, lat, way, half_m)[1] for way in (180, 0))
    shape = shapely.Point(lon, lat) if kind == "quake" else shapely.box(west, south, east, north)
    properties = {"name": name, "kind": kind, "start": start, "end": end, **more}
    return {"type": "Feature", "properties": properties, "geometry": json.loads(shapely.to_geojson(shape))}


EVENTS = [
    feature("flood-a", "flood", WEST, 900, "2021-10-05", "2021-10-20", basin="po"),
    feature("flood-b", "flood", EAST, 700, "2021-11-01", "2021-11-20", basin="po"),
    feature("fire-a", "fire", SOUTH, 900, "2022-02-01", "2022-02-05", basin="karoo"),
    feature("quake-a", "quake", (21.0, -33.88), 0, "2021-12-10", "2021-12-10", basin="cape", mag=5.8),
]


def write_recipe(folder, world, **changes):
    """Write a recipe with the events, changed by keyword; None removes a key."""
    text(folder / "drawn.geojson", json.dumps({"type": "FeatureCollection", "features": EVENTS}))
    text(folder / "drawn.yaml", yaml.safe_dump(MAPPING))
    value = {
        "name": "drawn",
        "catalog": str(world),
        "region": {"bbox": [[11.5, 45.2, 12.5, 45.7], [20.8, -34.1, 21.2, -33.7]]},
        "time": {"start": "2021-06-01", "end": "2022-05-31"},
        "labels": [{"source": "worldcover"}],
        "events": [{"source": "drawn.yaml", "files": ["drawn.geojson"], "within_km": 1.5}],
        "event_sampling": {"affected": 3, "distant": 2, "before_days": 200, "after_days": 120, "min_distance_km": 0},
        "clouds": {"max_chip_pct": 60},
        "splits": {"train": 60, "val": 20, "test": 20, "block_m": 1200, "buffer_m": 0},
        "output": {"shard_mb": 2},
    }
    value = {key: entry for key, entry in (value | changes).items() if entry is not None}
    return text(folder / "drawn-recipe.yaml", yaml.safe_dump(value))


@pytest.fixture(scope="module")
def event_corpus(world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("crisis")
    build(BuildRequest(load_recipe(str(write_recipe(folder, world))), folder / "crisis", ExecutorConfig()))
    return lm.open(folder / "crisis")


def test_roles_phases_labels_and_splits_follow_the_events(event_corpus, landmark):
    types = load_model(EventTypes, "taxonomies/events", "types")
    events = read_document(Lock, event_corpus.root / "lock.json").event_index(types).events
    roles, splits = Counter(), defaultdict(set)
    for sample in event_corpus:
        roles[sample.role] += 1
        event_labels = {fact["label"] for fact in sample.events} - {None}
        text_of_captions = " ".join(caption["text"] for caption in sample.captions).lower()
        for fact in sample.events:
            splits[events[fact["id"]].group].add(sample.split)
            phase = phase_of(events[fact["id"]], sample.datetime, TYPES)
            assert fact["phase"] == ("unrelated" if sample.role == "distant" else phase)
        if sample.role == "before":
            assert not event_labels and all(fact["phase"] in ("before", "unrelated", "after") for fact in sample.events)
        if not event_labels:
            assert not any(word in text_of_captions for word in ("flooded area", "flooded land", "burned", "damage"))
        assert event_labels == {
            key for key in sample.labels if key in ("flooded_area", "burned_area", "earthquake_damage")
        }
    assert set(roles) >= {"affected", "before", "distant"} and all(len(names) == 1 for names in splits.values())
    code, out, _ = landmark("check", event_corpus.root)
    assert code == 0, out


def test_samples_before_an_event_show_the_cell_from_the_same_orbit(event_corpus):
    rows = event_corpus.table.to_pylist()
    by_cell = defaultdict(list)
    for row in rows:
        if row["role"] == "affected":
            by_cell[row["cell"], row["sensor"]].append(row)
    before = [row for row in rows if row["role"] == "before"]
    assert before
    for row in before:
        affected = by_cell[row["cell"], row["sensor"]]
        assert any(
            later["datetime"] > row["datetime"] and later["orbit_direction"] == row["orbit_direction"]
            for later in affected
        )


def test_distant_samples_share_the_items_and_the_event_is_unrelated(event_corpus):
    rows = event_corpus.table.to_pylist()
    items = {row["items"][0] for row in rows if row["role"] in ("affected", "unaffected")}
    distant = [row for row in rows if row["role"] == "distant"]
    assert distant and {row["items"][0] for row in distant} <= items
    for row in distant:
        (fact,) = row["events"]
        assert (fact["phase"], fact["fraction"], fact["in_aoi"], fact["label"]) == ("unrelated", 0, False, None)


def test_the_fraction_of_an_event_is_the_share_of_the_cell(event_corpus):
    parts = geopandas.read_parquet(event_corpus.root / "events.parquet").set_index("id")
    checked = 0
    for row in event_corpus.index().itertuples():
        for fact in row.events:
            if fact["type"] == "fire" and fact["phase"] != "unrelated":
                polygon = parts.loc[fact["id"], "geometry"]
                fraction = row.geometry.intersection(polygon).area / row.geometry.area
                assert fact["fraction"] == pytest.approx(fraction, abs=0.01)
                checked += 1
    assert checked


def test_events_without_event_sampling_only_add_facts(landmark, world, tmp_path):
    plain = {"event_sampling": None, "time": {"start": "2021-06-01", "end": "2022-05-31", "period": "month"}}
    for name, changes in (("with", plain), ("without", {**plain, "events": None})):
        code, _, err = landmark(
            "build", write_recipe(tmp_path, world, **changes), "--out", tmp_path / name, "--workers", "0"
        )
        assert code == 0, err
    events, plain_corpus = (lm.open(tmp_path / name) for name in ("with", "without"))
    pixels = dict(zip(plain_corpus.table["id"].to_pylist(), plain_corpus.table["sha256"].to_pylist(), strict=True))
    labelled = 0
    for row in events.table.to_pylist():
        # Splits differ: the blocks of an event share a split, which moves the buffers.
        assert row["role"] is None and pixels.get(row["id"], row["sha256"]) == row["sha256"]
        labelled += any(fact["label"] for fact in row["events"])
    assert len(pixels.keys() & set(events.ids)) > 100 and labelled
    assert all(row["events"] == [] for row in plain_corpus.table.to_pylist())


def test_a_changed_event_file_is_refused_by_an_existing_plan(landmark, world, tmp_path):
    path = write_recipe(tmp_path, world)
    assert landmark("plan", path, "--out", tmp_path / "c", "--workers", "0")[0] == 0
    text(tmp_path / "drawn.geojson", json.dumps({"type": "FeatureCollection", "features": EVENTS[1:]}))
    with raises(InputsChanged, key="events.files", value="drawn.geojson"):
        build(BuildRequest(load_recipe(str(path)), tmp_path / "c", ExecutorConfig()))


def test_events_outside_region_and_time_are_refused(world, tmp_path):
    path = write_recipe(tmp_path, world, time={"start": "2019-01-01", "end": "2019-12-31"})
    with pytest.raises(LandmarkError) as caught:
        plan_corpus(BuildRequest(load_recipe(str(path)), tmp_path / "c", ExecutorConfig()))
    assert caught.value.exit_code == 2 and not (tmp_path / "c").exists()


@pytest.mark.parametrize("is_swapped", [False, True])
def test_a_source_without_events_in_the_region_is_noted(world, tmp_path, is_swapped):
    recipe = load_recipe(str(write_recipe(tmp_path, world)))
    place = WEST[::-1] if is_swapped else (100.0, 60.0)
    drawn = feature("flood-c", "flood", place, 900, "2021-10-05", "2021-10-20", basin="po", mag=1)
    assert load_context(recipe, None).events.notes == ()
    text(tmp_path / "drawn.geojson", json.dumps({"type": "FeatureCollection", "features": [drawn]}))
    (note,) = load_context(recipe, None).events.notes
    assert note.startswith("drawn") and ("swapped" in note) == is_swapped


@pytest.mark.long
def test_workers_change_no_byte(landmark, world, tmp_path):
    path, contents = write_recipe(tmp_path, world), set()
    for workers in ("0", "2"):
        code, out, err = landmark("build", path, "--out", tmp_path / workers, "--workers", workers, "--json")
        assert code == 0, err
        contents.add((json.loads(out)["content_digest"], (tmp_path / workers / "plan.parquet").read_bytes()))
    assert len(contents) == 1
    parts = pq.read_table(tmp_path / "0" / "events.parquet")
    assert set(parts["part"].to_pylist()) == {"observed", "near"}


def test_events_need_no_label_source_and_their_classes_count_in_splits(landmark, world, tmp_path):
    splits = {"train": 60, "val": 40, "test": 0, "block_m": 1200, "buffer_m": 0, "balance": "classes"}
    path = write_recipe(tmp_path, world, labels=[], splits=splits)
    assert landmark("plan", path, "--out", tmp_path / "c", "--workers", "0")[0] == 0
    code, _, err = landmark("build", path, "--out", tmp_path / "c", "--workers", "0")
    assert code == 0, err
    labels = {key for row in lm.open(tmp_path / "c").table["labels"].to_pylist() for key in row}
    assert labels and labels <= {"flooded_area", "burned_area"}
    sides = {label: {s.split for s in lm.open(tmp_path / "c") if label in s.labels} for label in labels}
    assert all(len(splits) == 1 and splits < {"train", "val"} for splits in sides.values()), sides
