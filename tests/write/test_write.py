import hashlib
import json
import re
import shutil
from pathlib import Path

import geopandas
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
import yaml
from hypothesis import given
from hypothesis import strategies as st

import landmark
from landmark.core.atomic import write_table
from landmark.core.errors import InvalidCorpus
from landmark.core.yaml_files import load_model
from landmark.corpus.index import CONTENT, read_index
from landmark.corpus.lock import Lock
from landmark.corpus.shard_schema import shard_schema
from landmark.domain.acquisition import Item
from landmark.domain.drops import Reason
from landmark.domain.schemas import INDEX, LEDGER, PAGES
from landmark.domain.taxonomy import Taxonomy
from landmark.write.card import card
from landmark.write.documents import Provenance, refresh_index, write_documents
from landmark.write.staged_rows import StagedRows
from landmark.write.staging import Staging
from tests.parts import acquisition, examples, raises, recipe_of
from tests.write.rows import PATCH_PX, SENSORS, failure, pack, plan_of, sample_row, stage

sensors = st.sampled_from(["s1", "s2"])


def mixed(count, seed=0):
    """Rows of both sensors whose ids are not sorted."""
    return [sample_row(f"s{1 + n % 2}_{(7 * n) % 100:03d}", seed + n) for n in range(count)]


def stage_all(corpus, rows):
    for sensor in ("s1", "s2"):
        if of_sensor := [row for row in rows if row["id"].startswith(sensor)]:
            stage(corpus, f"{sensor}_task", of_sensor)


# -- pack, then read ---------------------------------------------------------------------------------------------------


@given(st.integers(1, 90), st.integers(0, 10_000))
@examples(15)
def test_pack_then_read_is_identity(tmp_path_factory, count, seed):
    corpus, rows = tmp_path_factory.mktemp("corpus"), mixed(count, seed)
    stage_all(corpus, rows)
    read = {}
    for shard in pack(corpus, plan_of(rows)):
        table = pq.read_table(corpus / shard.path)
        assert table.num_rows == shard.rows
        read |= {row["id"]: row for row in table.to_pylist()}
    assert read.keys() == {row["id"] for row in rows}
    for row in rows:
        assert {name: plain(value) for name, value in read[row["id"]].items()} == expected(row)


def plain(value):
    return (
        [tuple(pair) for pair in value] if isinstance(value, list) and value and isinstance(value[0], tuple) else value
    )


def expected(row):
    single = {"valid_pct", "cloud_pct", "shadow_pct", "snow_pct", "label_valid_pct"}
    return {name: float(np.float32(v)) if name in single and v is not None else v for name, v in row.items()}


@pytest.mark.parametrize("sensor", ["s1", "s2"])
def test_a_shard_has_the_declared_schema_and_pixel_metadata(tmp_path, sensor):
    row = sample_row(f"{sensor}_a", 1)
    stage(tmp_path, "u", [row])
    (shard,) = pack(tmp_path, plan_of([row]))
    schema = pq.read_schema(tmp_path / shard.path)
    declared = shard_schema(SENSORS[sensor], PATCH_PX)
    assert schema.equals(declared) and schema.metadata == declared.metadata
    assert [field.metadata for field in schema] == [field.metadata for field in declared]
    for group in SENSORS[sensor].groups:
        metadata = {key.decode(): value.decode() for key, value in schema.field(group.column).metadata.items()}
        shape = tuple(json.loads(metadata["shape"]))
        values = np.frombuffer(row[group.column], metadata["dtype"]).reshape(shape)
        assert shape == group.shape(PATCH_PX) and json.loads(metadata["bands"]) == list(group.bands)
        assert (int(metadata["factor"]), int(metadata["nodata"])) == (group.factor, SENSORS[sensor].nodata)
        assert values.nbytes == len(row[group.column])


def test_the_groups_of_120_px_have_the_documented_bands_and_shapes():
    groups = {g.column: g.shape(120) for sensor in SENSORS.values() for g in sensor.groups}
    assert groups == {"s1": (2, 120, 120), "s2_x1": (4, 120, 120), "s2_x2": (6, 60, 60), "s2_x6": (2, 20, 20)}
    bands = {g.column: " ".join(g.bands) for sensor in SENSORS.values() for g in sensor.groups}
    assert bands["s2_x1"] == "B02 B03 B04 B08" and bands["s2_x2"] == "B05 B06 B07 B8A B11 B12"
    assert bands["s2_x6"] == "B01 B09" and bands["s1"] == "vv vh"
    assert " ".join(SENSORS["s2"].order) == "B01 B02 B03 B04 B05 B06 B07 B08 B8A B09 B11 B12"


def test_rows_of_a_shard_are_in_planned_order_in_groups_of_128(tmp_path):
    rows = [sample_row(f"s1_{n:03d}", n) for n in range(150)]
    stage(tmp_path, "u", rows)
    changes = {row["id"]: {"rank": (n * 37) % 150} for n, row in enumerate(rows)}
    (shard,) = pack(tmp_path, plan_of(rows, **changes))
    file = pq.ParquetFile(tmp_path / shard.path)
    groups = [file.metadata.row_group(n).num_rows for n in range(file.metadata.num_row_groups)]
    assert groups == [128, 22] and shard.rows == 150
    ids = file.read(columns=["id"])["id"].to_pylist()
    assert ids == sorted(ids, key=lambda id: changes[id]["rank"])


def test_rows_of_several_tasks_share_a_shard(tmp_path):
    rows = [sample_row(f"s1_{n:03d}", n) for n in range(20)]
    for n, row in enumerate(rows):
        stage(tmp_path, f"u{n % 6}", [row])
    (shard,) = pack(tmp_path, plan_of(rows))
    assert pq.read_table(tmp_path / shard.path)["id"].to_pylist() == [row["id"] for row in rows]


def test_shards_are_named_by_sensor_split_and_number_of_planned_shards(tmp_path):
    rows = [sample_row(f"s1_{n}", n, split="val" if n == 3 else "train") for n in range(4)]
    stage(tmp_path, "u", rows[:1] + rows[2:])
    changes = {f"s1_{n}": {"shard": n} for n in range(3)}
    paths = [shard.path for shard in pack(tmp_path, plan_of(rows, **changes))]
    assert sorted(paths) == [
        "shards/g0000/s1-train-00000-of-00003.parquet",
        "shards/g0000/s1-train-00002-of-00003.parquet",
        "shards/g0000/s1-val-00000-of-00001.parquet",
    ]


# -- determinism -------------------------------------------------------------------------------------------------------


def test_a_shard_written_again_has_the_same_bytes_and_digests(tmp_path):
    rows, packed = mixed(70), []
    for name, task_of in (("one", lambda n: "task"), ("two", lambda n: f"task{n % 5}")):
        for n, row in enumerate(rows[::-1] if name == "two" else rows):
            stage(tmp_path / name, f"{row['id'][:2]}_{task_of(n)}", [row])
        packed.append(pack(tmp_path / name, plan_of(rows)))
    first, second = packed
    assert first == second
    for shard in first:
        assert (tmp_path / "one" / shard.path).read_bytes() == (tmp_path / "two" / shard.path).read_bytes()


def test_a_shard_records_the_size_and_digest_of_the_file(tmp_path):
    rows = mixed(8)
    stage_all(tmp_path, rows)
    for shard in pack(tmp_path, plan_of(rows)):
        content = (tmp_path / shard.path).read_bytes()
        assert (shard.size_bytes, shard.sha256) == (len(content), hashlib.sha256(content).hexdigest())
        assert shard.path == f"shards/g0000/{shard.sensor}-{shard.split}-{shard.k:05d}-of-00001.parquet"


CHANGES = [
    ("a label", {"labels": ["built"]}),
    ("a caption", {"captions": []}),
    ("pixels", {"sha256": "0" * 64}),
    ("a fraction", {"fractions": [("trees", 1.0)]}),
    ("a time", {"lon": 1.5}),
    ("a null", {"platform": "x"}),
]


@pytest.mark.parametrize("change", [pytest.param(change, id=name) for name, change in CHANGES])
def test_the_content_digest_changes_with_any_fact(tmp_path, change):
    digests = []
    for name, changes in (("one", {}), ("two", change)):
        row = sample_row("s2_a", 2, **changes)
        stage(tmp_path / name, "u", [row])
        digests.append(pack(tmp_path / name, plan_of([row]))[0].content_digest)
    assert digests[0] != digests[1]


def test_moments_equal_a_sum_over_valid_pixels(tmp_path):
    rows = mixed(6)
    stage_all(tmp_path, rows)
    for shard in pack(tmp_path, plan_of(rows)):
        sensor = SENSORS[shard.sensor]
        for group in sensor.groups:
            for place, band in enumerate(group.bands):
                values = [
                    np.frombuffer(row[group.column], sensor.dtype).reshape(group.shape(PATCH_PX))[place].ravel()
                    for row in rows
                    if row["sensor"] == shard.sensor
                ]
                valid = [int(v) for v in np.concatenate(values) if v != sensor.nodata]
                # A coarse pixel is counted once per fine pixel that it covers.
                times = group.factor**2
                assert shard.moments[band] == (
                    times * len(valid),
                    times * sum(valid),
                    times * sum(v * v for v in valid),
                )


# -- staging -----------------------------------------------------------------------------------------------------------


@given(st.lists(st.sampled_from(["row", "read_error", "cloud", "nodata"]), min_size=1, max_size=150), sensors)
@examples(20)
def test_staging_preserves_samples_and_drop_records(tmp_path_factory, kinds, sensor):
    corpus = tmp_path_factory.mktemp("corpus")
    ids = [f"{sensor}_{n:03d}" for n in range(len(kinds))]
    rows = [
        sample_row(id, n) if kind == "row" else failure(id, kind)
        for n, (id, kind) in enumerate(zip(ids, kinds, strict=True))
    ]
    path = stage(corpus, "u", rows, sensor)
    status = Staging(corpus).status()
    assert status.written == {
        id: (path, n) for n, (id, kind) in enumerate(zip(ids, kinds, strict=True)) if kind == "row"
    }
    assert status.drops == {id: failure(id, kind) for id, kind in zip(ids, kinds, strict=True) if kind != "row"}


@pytest.mark.parametrize("reason", list(Reason.__members__))
def test_staging_preserves_every_reason_and_whether_final(tmp_path, reason):
    stage(tmp_path, "u", [failure("s1_a", reason)], "s1")
    record = Staging(tmp_path).status().drops["s1_a"]
    assert record == failure("s1_a", reason) and record.final == Reason[reason].final


def test_only_transient_failures_are_not_final():
    assert {name for name, reason in Reason.__members__.items() if not reason.final} == {
        "read_error", "changed", "forbidden", "task_error", "worker_lost"
    }  # fmt: skip


def test_a_later_success_replaces_a_failure(tmp_path):
    good = sample_row("s1_a", 1)
    first = stage(tmp_path, "u", [failure("s1_a"), failure("s1_b")], "s1")
    second = stage(tmp_path, "u", [good], "s1")
    status = Staging(tmp_path).status()
    assert (first.name, second.name) == ("u.0000.arrow", "u.0001.arrow")
    assert status.written == {"s1_a": (second, 0)} and status.drops == {"s1_b": failure("s1_b")}


def test_a_later_failure_of_another_kind_replaces_the_earlier(tmp_path):
    stage(tmp_path, "u", [failure("s1_a")], "s1")
    stage(tmp_path, "u", [failure("s1_a", "cloud")], "s1")
    assert Staging(tmp_path).status().drops == {"s1_a": failure("s1_a", "cloud")}


def test_no_sample_is_both_written_and_dropped(tmp_path):
    stage(tmp_path, "u", [sample_row("s1_a", 1)], "s1")
    stage(tmp_path, "u", [failure("s1_a")], "s1")
    status = Staging(tmp_path).status()
    assert not status.written.keys() & status.drops.keys()


def test_attempts_are_ordered_by_number(tmp_path):
    for number in range(12):
        stage(tmp_path, "u", [sample_row("s1_a", number)] if number == 11 else [failure("s1_a")], "s1")
    assert list(Staging(tmp_path).status().written) == ["s1_a"]


def test_attempts_of_tasks_with_a_common_prefix_are_counted_apart(tmp_path):
    stage(tmp_path, "s2_32tqr_1", [failure("s1_a")], "s1")
    assert Staging(tmp_path).path("s2_32tqr", Staging(tmp_path).tries()["s2_32tqr"]).name == "s2_32tqr.0000.arrow"


def test_the_next_attempt_follows_the_last_where_an_earlier_file_is_damaged(tmp_path):
    first = stage(tmp_path, "u", [failure("s1_a"), failure("s1_b")], "s1")
    second = stage(tmp_path, "u", [sample_row("s1_a", 1)], "s1")
    first.write_bytes(bytes(first.stat().st_size))
    third = stage(tmp_path, "u", [failure("s1_b")], "s1")
    status = Staging(tmp_path).status()
    assert (first.exists(), third.name) == (False, "u.0002.arrow")
    assert status.written == {"s1_a": (second, 0)} and status.drops == {"s1_b": failure("s1_b")}


def test_names_of_columns_are_part_of_what_a_staging_file_is_compared_with(tmp_path):
    path = stage(tmp_path, "u", [sample_row("s1_a", 1)], "s1")
    head, tail = path.read_bytes().rsplit(b"template", 1)  # in the footer, which readers use
    path.write_bytes(head + b"Template" + tail)
    Staging(tmp_path).open()
    assert not path.exists()


def test_other_files_in_the_staging_folder_are_no_attempts(tmp_path):
    stage(tmp_path, "s2.a", [sample_row("s1_a", 1)], "s1")
    for name in ("notes.arrow", "u.later.arrow"):
        shutil.copy(Staging(tmp_path).folder / "s2.a.0000.arrow", Staging(tmp_path).folder / name)
    assert Staging(tmp_path).tries() == {"s2.a": 1}


def test_nothing_of_a_staging_file_stays_in_memory_with_copied_rows(tmp_path):
    rows = [sample_row(f"s2_{number:03d}", number) for number in range(100)]
    stage(tmp_path, "u", rows)
    (path,) = (tmp_path / "staging").iterdir()
    staged = StagedRows()
    for numbers in ((99, 0, 32), (1, 0)):
        copied = staged.copy([(path, number) for number in numbers])
        assert copied["s2_x1"].to_pylist() == [rows[number]["s2_x1"] for number in numbers]
        assert copied["id"].to_pylist() == [f"s2_{number:03d}" for number in numbers]
        assert resident_kb(path) == 0


def test_few_staging_files_are_open_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr("landmark.write.staged_rows._OPEN_FILES", 2)
    for number in range(9):
        stage(tmp_path, f"u{number}", [sample_row(f"s2_{number:03d}", number)])
    before, staged = open_files(), StagedRows()
    for path in sorted((tmp_path / "staging").iterdir()):
        staged.copy([(path, 0)])
    assert open_files() == before + 2


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


def resident_kb(path):
    """Resident memory of the mappings of a file."""
    mappings = Path("/proc/self/smaps").read_text().split(str(path))[1:]
    return sum(int(re.search(r"Rss: +(\d+) kB", mapping)[1]) for mapping in mappings)


def test_a_task_that_raises_leaves_no_file(tmp_path):
    def rows():
        yield sample_row("s1_a", 1)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        stage(tmp_path, "u", rows(), "s1")
    assert list(Staging(tmp_path).folder.iterdir()) == [] and not Staging(tmp_path).started


def test_a_partial_file_of_a_killed_build_is_deleted(tmp_path):
    stage(tmp_path, "u", [sample_row("s1_a", 1)])
    (Staging(tmp_path).folder / ".u.0001.arrow.99.partial").write_bytes(b"half")
    Staging(tmp_path).open()
    assert [path.name for path in Staging(tmp_path).folder.iterdir()] == ["u.0000.arrow"]


# -- pairs -------------------------------------------------------------------------------------------------------------


def test_a_pair_is_null_where_the_partner_was_not_written(tmp_path):
    rows = [sample_row(id, n) for n, id in enumerate(("s1_a", "s2_a", "s1_b"))]
    stage(tmp_path, "s1", [rows[0], rows[2]])
    stage(tmp_path, "s2", [rows[1], failure("s2_b", "cloud")])
    pairs = {"s1_a": "s2_a", "s2_a": "s1_a", "s1_b": "s2_b"}
    changes = {id: {"pair": partner, "pair_gap_s": 3600} for id, partner in pairs.items()}
    read = [
        row
        for shard in pack(tmp_path, plan_of(rows, **changes))
        for row in pq.read_table(tmp_path / shard.path).to_pylist()
    ]
    assert {row["id"]: (row["pair"], row["pair_gap_s"]) for row in read} == {
        "s1_a": ("s2_a", 3600), "s2_a": ("s1_a", 3600), "s1_b": (None, None)
    }  # fmt: skip


# -- the documents -----------------------------------------------------------------------------------------------------


TAXONOMY = load_model(Taxonomy, "taxonomies", "landmark")
SPLIT_PROOF = {"buffer_m": 0.0, "closest_m": 1200.0, "cells": {}, "shared_blocks": 0, "shared_acquisitions": 0}


def lock_of(recipe, **changes):
    value = {
        "recipe": recipe,
        "recipe_digest": recipe.digest,
        "plan_sha256": "a",
        "label_counts_sha256": "b",
        "cloud_stats_sha256": "c",
        "catalog": "x",
        "acquisitions": [],
        "labels": [],
        "editions": [],
        "files": [],
        "inputs_digest": "d",
        "considered": {},
        "split_proof": SPLIT_PROOF,
        "findings": ["an item is wrong"],
        "libraries": {},
    }
    return Lock(**value | changes)


def write(corpus, packed, drops, *, n_planned, lock=None, attributions=()):
    """Write the documents of some shards."""
    recipe = recipe_of(patch_px=PATCH_PX)
    provenance = Provenance(lock or lock_of(recipe), n_planned, "", TAXONOMY, {}, tuple(attributions), "0")
    return write_documents(corpus, packed, drops, recipe, provenance)


def sealed(corpus, count=10, lost=("s2_x",)):
    rows = mixed(count)
    stage_all(corpus, rows)
    packed = pack(corpus, plan_of(rows))
    write_table(corpus / "ledger.parquet", LEDGER.empty_table())
    drops = [failure(id, "cloud") for id in lost]
    return rows, write(corpus, packed, drops, n_planned=count + len(lost), attributions=["b", "a"])


def test_a_packed_corpus_opens_with_the_stored_pixels(tmp_path):
    rows, _ = sealed(tmp_path)
    corpus = landmark.open(tmp_path)
    assert sorted(corpus.ids) == sorted(row["id"] for row in rows)
    for row in rows:
        sample, sensor = corpus[row["id"]], SENSORS[row["sensor"]]
        bands = {}
        for group in sensor.groups:
            values = np.frombuffer(row[group.column], sensor.dtype).reshape(group.shape(PATCH_PX))
            bands |= zip(group.bands, values.repeat(group.factor, axis=1).repeat(group.factor, axis=2), strict=True)
        stored = np.stack([bands[name] for name in sensor.order])
        assert np.array_equal(sample.mask, (stored != sensor.nodata).all(axis=0))
        if row["sensor"] == "s2":
            assert sample.s1 is None and np.array_equal(sample.s2, stored)
        else:
            decibels = np.where(stored == -32768, np.nan, stored.astype("float32") * np.float32(0.01))
            assert sample.s2 is None and np.array_equal(sample.s1, decibels.astype("float32"), equal_nan=True)
        assert sample.labels == row["labels"] and sample.fractions == dict(row["fractions"])


def test_the_index_is_valid_geoparquet_with_a_row_per_sample(tmp_path):
    rows, _ = sealed(tmp_path)
    frame = geopandas.read_parquet(tmp_path / "index.parquet")
    assert frame.crs == "OGC:CRS84" and len(frame) == len(rows)
    outlines = {row["id"]: shapely.from_wkb(row["geometry"]) for row in rows}
    assert all(outlines[id].equals(shape) for id, shape in zip(frame["id"], frame.geometry, strict=True))
    schema = pq.read_schema(tmp_path / "index.parquet")
    assert schema.equals(pa.schema([*INDEX, *PAGES])) and not {"s1", "s2_x1"} & set(schema.names)
    box = json.loads(schema.metadata[b"geo"])["columns"]["geometry"]["bbox"]
    assert box == pytest.approx(list(frame.total_bounds), abs=1e-8)


def test_the_index_lists_samples_in_the_order_of_the_shards(tmp_path):
    _, manifest = sealed(tmp_path)
    ids = [id for shard in manifest.shards for id in pq.read_table(tmp_path / shard.path)["id"].to_pylist()]
    assert pq.read_table(tmp_path / "index.parquet")["id"].to_pylist() == ids


def test_a_missing_or_stale_index_is_written_again_with_the_same_bytes(tmp_path):
    _, manifest = sealed(tmp_path)
    path, before = tmp_path / "index.parquet", (tmp_path / "index.parquet").read_bytes()
    path.unlink()
    refresh_index(tmp_path, manifest)
    assert path.read_bytes() == before
    pq.write_table(pq.read_table(path).slice(1), path)
    with raises(InvalidCorpus, name="index.parquet"):
        landmark.open(tmp_path)
    refresh_index(tmp_path, manifest)
    assert path.read_bytes() == before


def test_the_manifest_counts_samples_drops_and_labels(tmp_path):
    rows, manifest = sealed(tmp_path, lost=("s2_x", "s2_y"))
    assert manifest.counts == {"planned": 12, "written": 10, "dropped": 2, "failed": 0}
    assert manifest.dropped == {"cloud": 2}
    assert manifest.samples == {"s1": {"train": 5, "val": 0, "test": 0}, "s2": {"train": 5, "val": 0, "test": 0}}
    named = [label for row in rows for label in row["labels"]]
    assert manifest.labels == {name: named.count(name) for name in sorted(set(named))}
    assert manifest.licences == ["CC-BY-4.0"] and manifest.attributions == ["a", "b"]
    assert json.loads((tmp_path / "corpus.json").read_text()) == manifest.model_dump(mode="json")


@pytest.mark.parametrize(
    ("offset_dn", "darkest", "finding_dn"),
    [
        (1000, [1400, 1012], None),
        (1000, [1400, 340], 340),
        (0, [1400, 340], None),
        (0, [1400, 1012], 1012),
        (0, [None, None], None),
    ],
)
def test_darkest_pixels_that_contradict_the_offset_are_a_finding(tmp_path, offset_dn, darkest, finding_dn):
    rows = mixed(2)
    for row, dark_dn in zip(rows, darkest, strict=True):
        row |= {"items": ["item"], "dark_dn": dark_dn}
    stage_all(tmp_path, rows)
    packed = pack(tmp_path, plan_of(rows))
    write_table(tmp_path / "ledger.parquet", LEDGER.empty_table())
    doubtful = acquisition(offset_dn=offset_dn, offset_rule="why", items=(Item("item", {}, ""),))
    lock = lock_of(recipe_of(patch_px=PATCH_PX), acquisitions=[doubtful], findings=[])
    findings = write(tmp_path, packed, [], n_planned=2, lock=lock).findings
    assert len(findings) == (finding_dn is not None)
    assert finding_dn is None or (findings[0].startswith("item: ") and str(finding_dn) in findings[0])


def test_statistics_are_mean_and_deviation_over_valid_pixels_in_the_sensors_unit(tmp_path):
    rows, manifest = sealed(tmp_path)
    sensor, group = SENSORS["s1"], SENSORS["s1"].groups[0]
    stored = [np.frombuffer(r[group.column], "<i2").reshape(group.shape(PATCH_PX)) for r in rows if r["sensor"] == "s1"]
    for place, band in enumerate(sensor.order):
        values = np.concatenate([array[place].ravel() for array in stored]).astype(float)
        values = 0.01 * values[values != -32768]
        assert manifest.statistics["s1"][band] == pytest.approx([values.mean(), values.std()], abs=1e-5)


def test_the_ledger_adds_drops_to_the_rows_of_the_plan(tmp_path):
    record = failure("cell", "buffer")
    plan_row = {name: getattr(record, name) for name in LEDGER.names} | {"stage": "plan"}
    rows = mixed(4)
    stage_all(tmp_path, rows)
    packed = pack(tmp_path, plan_of(rows))
    write_table(tmp_path / "ledger.parquet", pa.Table.from_pylist([plan_row], schema=LEDGER))
    for _ in range(2):
        write(tmp_path, packed, [failure("s2_y", "nodata"), failure("s2_x", "cloud")], n_planned=6)
        ledger = pq.read_table(tmp_path / "ledger.parquet")
        assert ledger.schema.equals(LEDGER)
        assert [(row["id"], row["reason"]) for row in ledger.to_pylist()] == [
            ("cell", "buffer"), ("s2_x", "cloud"), ("s2_y", "nodata")
        ]  # fmt: skip


def test_the_card_names_a_config_for_each_sensor_and_only_splits_that_exist(tmp_path):
    sealed(tmp_path)
    _, front, body = (tmp_path / "README.md").read_text().split("---\n", 2)
    configs = {entry["config_name"]: entry["data_files"] for entry in yaml.safe_load(front)["configs"]}
    assert configs.keys() == {"s1", "s2"}
    for sensor, files in configs.items():
        assert [entry["split"] for entry in files] == ["train"]
        assert sorted(tmp_path / path for path in files[0]["path"]) == sorted(tmp_path.glob(f"shards/g0000/{sensor}-*"))
    assert "10 samples" in body and "1200 m" in body


@pytest.mark.parametrize("title", ["Veneto: 2021", "[a] #1", "two\nlines", '"', "a\x9bb"])
def test_any_title_leaves_the_cards_front_matter_yaml(tmp_path, title):
    _, manifest = sealed(tmp_path)
    front, body = card(manifest.model_copy(update={"title": title})).split("---\n", 2)[1:]
    assert yaml.safe_load(front)["pretty_name"] == title
    assert f"# {' '.join(title.replace(chr(0x9B), ' ').split())}\n" in body


def test_a_corpus_without_a_manifest_cannot_be_opened(tmp_path):
    sealed(tmp_path)
    (tmp_path / "corpus.json").unlink()
    with raises(InvalidCorpus, name="corpus.json"):
        landmark.open(tmp_path)


def test_the_lock_keeps_acquisitions_complete():
    before = acquisition(tile="32tqr", platform="sentinel-2a", baseline="05.10", offset_dn=1000, offset_rule="r")
    lock = lock_of(recipe_of(patch_px=PATCH_PX), acquisitions=[before])
    (after,) = Lock.model_validate_json(lock.model_dump_json()).acquisitions
    assert after == before and after.footprint.equals_exact(before.footprint, 0)


def test_an_index_of_other_content_or_ids_is_refused(tmp_path):
    _, manifest = sealed(tmp_path)
    assert read_index(tmp_path, manifest).num_rows == manifest.counts["written"]
    assert pq.read_schema(tmp_path / "index.parquet").metadata[CONTENT].decode() == manifest.content_digest
    for changes in ({"content_digest": "0" * 32}, {"ids_digest": "0" * 32}):
        assert read_index(tmp_path, manifest.model_copy(update=changes)) is None
