"""Builds with events drawn over the small world: roles, phases, splits, words; and what must not have changed."""

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
from landmark.core.executor import ExecutorConfig
from landmark.core.yaml_files import load_model
from landmark.corpus.lock import Lock
from landmark.corpus.manifest import read_document
from landmark.domain.event import EventTypes, phase_of
from landmark.workflow.build import BuildRequest, build
from tests.domain.impacts import TYPES
from tests.parts import text

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
# Middles of cells of the small world, in each of its three zones.
WEST, EAST, SOUTH = (11.9785, 45.4567), (12.03, 45.4567), (21.0, -33.9)


def feature(name, kind, place, half_m, start, end, **more):
    lon, lat = place
    west, east = (Geod(ellps="WGS84").fwd(lon, lat, way, half_m)[0] for way in (270, 90))
    south, north = (Geod(ellps="WGS84").fwd(lon, lat, way, half_m)[1] for way in (180, 0))
    shape = shapely.Point(lon, lat) if kind == "quake" else shapely.box(west, south, east, north)
    said = {"name": name, "kind": kind, "start": start, "end": end, **more}
    return {"type": "Feature", "properties": said, "geometry": json.loads(shapely.to_geojson(shape))}


EVENTS = [
    feature("flood-a", "flood", WEST, 900, "2021-10-05", "2021-10-20", basin="po"),
    feature("flood-b", "flood", EAST, 700, "2021-11-01", "2021-11-20", basin="po"),
    feature("fire-a", "fire", SOUTH, 900, "2022-02-01", "2022-02-05", basin="karoo"),
    feature("quake-a", "quake", (21.0, -33.88), 0, "2021-12-10", "2021-12-10", basin="cape", mag=5.8),
]


def asked(folder, world, **changes):
    """A recipe with the events, changed by keyword; None removes a key."""
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
    value = {key: said for key, said in (value | changes).items() if said is not None}
    return text(folder / "drawn-recipe.yaml", yaml.safe_dump(value))


@pytest.fixture(scope="module")
def crisis(world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("crisis")
    build(BuildRequest(load_recipe(str(asked(folder, world))), folder / "crisis", ExecutorConfig()))
    return lm.open(folder / "crisis")


def test_a_build_round_events_holds_its_promises(crisis, landmark):
    types = load_model(EventTypes, "taxonomies/events", "types")
    events = read_document(Lock, crisis.root / "lock.json").event_index(types).events
    roles, splits = Counter(), defaultdict(set)
    for sample in crisis:
        roles[sample.role] += 1
        carried = {fact["label"] for fact in sample.events} - {None}
        words = " ".join(caption["text"] for caption in sample.captions).lower()
        for fact in sample.events:
            splits[events[fact["id"]].group].add(sample.split)
            phase = phase_of(events[fact["id"]], sample.datetime, TYPES)
            assert fact["phase"] == ("unrelated" if sample.role == "distant" else phase)
        if sample.role == "before":
            assert not carried and all(fact["phase"] in ("before", "unrelated", "after") for fact in sample.events)
        if not carried:
            assert not any(word in words for word in ("flooded area", "flooded land", "burned", "damage"))
        assert carried == {key for key in sample.labels if key in ("flooded_area", "burned_area", "earthquake_damage")}
    assert set(roles) >= {"affected", "before", "distant"} and all(len(found) == 1 for found in splits.values())
    code, out, _ = landmark("check", crisis.root)
    assert code == 0, out


def test_what_is_before_is_the_same_ground_seen_the_same_way(crisis):
    rows = crisis.table.to_pylist()
    by_cell = defaultdict(list)
    for row in rows:
        if row["role"] == "affected":
            by_cell[row["cell"], row["sensor"]].append(row)
    before = [row for row in rows if row["role"] == "before"]
    assert before
    for row in before:
        then = by_cell[row["cell"], row["sensor"]]
        assert any(
            one["datetime"] > row["datetime"] and one["orbit_direction"] == row["orbit_direction"] for one in then
        )


def test_distant_cells_were_seen_at_the_same_moment_and_say_the_event_is_not_theirs(crisis):
    rows = crisis.table.to_pylist()
    shown = {row["items"][0] for row in rows if row["role"] in ("affected", "unaffected")}
    distant = [row for row in rows if row["role"] == "distant"]
    assert distant and {row["items"][0] for row in distant} <= shown
    for row in distant:
        (fact,) = row["events"]
        assert (fact["phase"], fact["fraction"], fact["in_aoi"], fact["label"]) == ("unrelated", 0, False, None)


def test_the_share_of_an_event_is_that_of_its_ground(crisis):
    """The fraction against the area of the polygon inside the cell's square."""
    parts = geopandas.read_parquet(crisis.root / "events.parquet").set_index("id")
    checked = 0
    for row in crisis.index().itertuples():
        for fact in row.events:
            if fact["type"] == "fire" and fact["phase"] != "unrelated":
                ground = parts.loc[fact["id"], "geometry"]
                share = row.geometry.intersection(ground).area / row.geometry.area
                assert fact["fraction"] == pytest.approx(share, abs=0.01)
                checked += 1
    assert checked


def test_events_beside_a_plain_recipe_only_add_what_happened(landmark, world, tmp_path):
    plain = {"event_sampling": None, "time": {"start": "2021-06-01", "end": "2022-05-31", "period": "month"}}
    for name, changes in (("with", plain), ("without", {**plain, "events": None})):
        code, _, err = landmark("build", asked(tmp_path, world, **changes), "--out", tmp_path / name, "--workers", "0")
        assert code == 0, err
    told, silent = (lm.open(tmp_path / name) for name in ("with", "without"))
    pixels = dict(zip(silent.table["id"].to_pylist(), silent.table["sha256"].to_pylist(), strict=True))
    crises = 0
    for row in told.table.to_pylist():
        # Splits differ, since an event holds its blocks together, and with them what lies on their borders.
        assert row["role"] is None and pixels.get(row["id"], row["sha256"]) == row["sha256"]
        crises += any(fact["label"] for fact in row["events"])
    assert len(pixels.keys() & set(told.ids)) > 100 and crises
    assert all(row["events"] == [] for row in silent.table.to_pylist())


def test_a_changed_event_file_is_refused_by_a_standing_plan(landmark, world, tmp_path):
    path = asked(tmp_path, world)
    assert landmark("plan", path, "--out", tmp_path / "c", "--workers", "0")[0] == 0
    text(tmp_path / "drawn.geojson", json.dumps({"type": "FeatureCollection", "features": EVENTS[1:]}))
    code, _, err = landmark("build", path, "--out", tmp_path / "c", "--workers", "0")
    assert code == 2 and "drawn.geojson is not the locked file" in err


def test_events_that_meet_neither_region_nor_time_are_told_at_once(landmark, world, tmp_path):
    code, _, err = landmark(
        "plan", asked(tmp_path, world, time={"start": "2019-01-01", "end": "2019-12-31"}), "--out", tmp_path / "c"
    )
    assert code == 2 and "none of 4 events meets region and time" in err and not (tmp_path / "c").exists()


def test_the_same_corpus_whatever_the_workers(landmark, world, tmp_path):
    path, contents = asked(tmp_path, world), set()
    for workers in ("0", "2"):
        code, out, err = landmark("build", path, "--out", tmp_path / workers, "--workers", workers, "--json")
        assert code == 0, err
        contents.add((json.loads(out)["content"], (tmp_path / workers / "plan.parquet").read_bytes()))
    assert len(contents) == 1
    ground = pq.read_table(tmp_path / "0" / "events.parquet")
    assert set(ground["part"].to_pylist()) == {"observed", "near"}


def test_events_without_a_label_source_make_a_corpus_that_can_be_resumed(landmark, world, tmp_path):
    path = asked(tmp_path, world, labels=[])
    assert landmark("plan", path, "--out", tmp_path / "c", "--workers", "0")[0] == 0
    code, _, err = landmark("build", path, "--out", tmp_path / "c", "--workers", "0")
    assert code == 0, err
    labels = {key for row in lm.open(tmp_path / "c").table["labels"].to_pylist() for key in row}
    assert labels and labels <= {"flooded_area", "burned_area"}
