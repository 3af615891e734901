import io
import json
import re
import tarfile
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import shape

from landmark.core.errors import InvalidCorpus
from landmark.core.hashing import file_sha256
from landmark.grid.cells import source_cells, utm_cells
from landmark.write.webdataset import TarTask, write_tar
from tests.parts import acquisition, examples, raises
from tests.write.rows import PATCH_PX, SENSORS, pack, plan_of, sample_row, stage

WORLD = shapely.box(-180, -90, 180, 90)


def packed(corpus, rows):
    """The task of the only shard of some rows."""
    stage(corpus, "u", rows)
    (packed_shard,) = pack(corpus, plan_of(rows))
    return TarTask(corpus, packed_shard.shard)


def members(path):
    """(name, content) of every member, in order, by the standard library."""
    with tarfile.open(path) as tar:
        return [(entry.name, tar.extractfile(entry).read()) for entry in tar]


def written_members(corpus, rows):
    task = packed(corpus, rows)
    write_tar(task)
    return task, members(corpus / task.path)


def row_of(sensor="s2", **changes):
    return sample_row(f"{sensor}_a", 2, **changes)


# -- members of a tar --------------------------------------------------------------------------------------------------


@given(st.integers(1, 150), st.integers(0, 10_000), st.sampled_from(["s1", "s2"]))
@examples(10)
def test_a_tar_has_the_rows_of_the_shard_in_order(tmp_path_factory, count, seed, sensor):
    corpus = tmp_path_factory.mktemp("corpus")
    rows = [sample_row(f"{sensor}_{(7 * n) % 200:03d}", seed + n) for n in range(count)]
    task, content_of = written_members(corpus, rows)
    groups = SENSORS[sensor].groups
    endings = [*(f"{group.column}.npy" for group in groups), "json", "txt"]
    table = pq.read_table(corpus / task.shard.path)
    assert [name for name, _ in content_of] == [f"{id}.{end}" for id in table["id"].to_pylist() for end in endings]
    content = dict(content_of)
    for row in table.to_pylist(maps_as_pydicts="strict"):
        for group in groups:
            pixels = np.load(io.BytesIO(content[f"{row['id']}.{group.column}.npy"]))
            assert pixels.shape == group.shape(PATCH_PX) and pixels.dtype == np.dtype(SENSORS[sensor].dtype)
            assert pixels.tobytes() == row.pop(group.column)
        document = json.loads(content[f"{row['id']}.json"])
        described = document.pop("pixels")
        assert {name: group["bands"] for name, group in described.items()} == {g.column: list(g.bands) for g in groups}
        assert shape(document.pop("geometry")).equals_exact(shapely.from_wkb(row.pop("geometry")), 0)
        assert document == row | {"datetime": row["datetime"].isoformat()}


@pytest.mark.parametrize("sensor", ["s1", "s2"])
def test_the_json_describes_the_pixel_arrays(tmp_path, sensor):
    _, content_of = written_members(tmp_path, [row_of(sensor)])
    profile = SENSORS[sensor]
    common = {"scale": profile.scale, "unit": profile.unit, "nodata": profile.nodata}
    assert json.loads(dict(content_of)[f"{sensor}_a.json"])["pixels"] == {
        group.column: {"bands": list(group.bands), "factor": group.factor, **common} for group in profile.groups
    }


def test_the_json_keeps_the_order_of_classes_largest_first(tmp_path):
    shares = [("water", 0.5), ("bare", 0.3), ("trees", 0.2)]
    _, content_of = written_members(tmp_path, [row_of(fractions=shares)])
    assert list(json.loads(dict(content_of)["s2_a.json"])["fractions"]) == ["water", "bare", "trees"]


def caption(style, lang, text):
    return {"style": style, "lang": lang, "text": text, "template": "t@1", "evidence": []}


ENGLISH, FRENCH = caption("structured", "en", "trees. water"), caption("structured", "fr", "forêt. eau")
SENTENCE = caption("sentence", "en", "Trees and water.")
TEXTS = [
    ([ENGLISH, SENTENCE], "trees. water"),
    ([SENTENCE, FRENCH, ENGLISH], "trees. water"),
    ([FRENCH, SENTENCE], "forêt. eau"),
    ([SENTENCE], "Trees and water."),
    ([], ""),
]


@pytest.mark.parametrize(("captions", "text"), TEXTS)
def test_the_text_is_the_structured_english_caption_else_the_first(tmp_path, captions, text):
    _, content_of = written_members(tmp_path, [row_of(captions=captions)])
    assert dict(content_of)["s2_a.txt"].decode() == text


# -- keys --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("grid", [utm_cells, lambda area, **sizes: source_cells([southern()], WORLD, **sizes)])
def test_no_id_contains_a_dot(grid):
    names = grid(southern().footprint, cell_m=1200, block_m=24_000)["cell"].to_pylist()
    ids = [southern(relative_orbit=orbit).sample_id(name) for name in names for orbit in (None, 7, 175)]
    assert ids and all(re.fullmatch(r"[a-z0-9_-]{1,80}", id) for id in ids)


def southern(**changes):
    """West of the zone's false easting and south of the equator, on fractional metres."""
    return acquisition(id="s2_a", epsg=32732, origin=(-1234.56, 9_000_000.5), **changes)


def test_the_longest_valid_key_fits(tmp_path):
    id = "s2_" + 77 * "x"
    _, content_of = written_members(tmp_path, [sample_row(id, 1)])
    assert {name.split(".")[0] for name, _ in content_of} == {id}


# -- determinism -------------------------------------------------------------------------------------------------------


def test_a_tar_depends_on_the_rows_only(tmp_path, monkeypatch):
    rows = [sample_row(f"s2_{n:03d}", n) for n in range(130)]
    tasks = packed(tmp_path / "one", rows), packed(tmp_path / "two", rows)
    shard = tmp_path / "two" / tasks[1].shard.path
    pq.write_table(pq.read_table(shard), shard, compression="none", row_group_size=17)
    digests = {"size_bytes": shard.stat().st_size, "sha256": file_sha256(shard)}
    rewritten = replace(tasks[1], shard=tasks[1].shard.model_copy(update=digests))
    first = write_tar(tasks[0])
    monkeypatch.setattr("time.time", lambda: 2e9)
    monkeypatch.setattr("os.getuid", lambda: 4711)
    second = write_tar(rewritten)
    assert first == second
    assert (tmp_path / "one" / tasks[0].path).read_bytes() == (tmp_path / "two" / tasks[1].path).read_bytes()


def test_members_have_constant_time_user_and_mode(tmp_path):
    task, _ = written_members(tmp_path, [row_of()])
    with tarfile.open(tmp_path / task.path) as tar:
        headers = {(entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname, entry.mode) for entry in tar}
        assert not tar.pax_headers
    assert headers == {(0, 0, 0, "", "", 0o644)}


def test_an_export_records_the_size_and_digest_of_the_tar(tmp_path):
    import hashlib

    task = packed(tmp_path, [row_of()])
    export = write_tar(task)
    content = (tmp_path / export.path).read_bytes()
    assert (export.size_bytes, export.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert (export.shard, export.rows) == (task.shard.path, 1)
    assert export.path == task.shard.path.removesuffix("parquet") + "tar"


# -- damage ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", [lambda data: b"no Parquet", lambda data: data[:-100], lambda data: flipped(data)])
def test_a_damaged_shard_is_refused_and_leaves_no_tar(tmp_path, damage):
    task = packed(tmp_path, [row_of()])
    shard = tmp_path / task.shard.path
    shard.write_bytes(damage(shard.read_bytes()))
    with raises(InvalidCorpus, file=str(shard)):
        write_tar(task)
    assert [path.name for path in shard.parent.iterdir()] == [shard.name]


def flipped(data):
    return bytes([*data[:2000], data[2000] ^ 0xFF, *data[2001:]])


@pytest.mark.parametrize("id", ["s2/../../.bashrc", "s2_a/b", "s2_a.b", "s2_A", "s2_a\n", "s2" + 79 * "x"])
def test_ids_that_are_no_names_are_not_written_to_a_tar(tmp_path, id):
    task = packed(tmp_path, [sample_row(id, 1)])
    with raises(InvalidCorpus, file=str(tmp_path / task.shard.path), key="id", value=id):
        write_tar(task)
    assert not (tmp_path / task.path).exists()
