"""Single samples: pixels as the row groups have them, columns on access, selections, and damage by name."""

import os
import pickle
import random
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import landmark
from landmark.core.errors import GenerationReplaced, InputError, InvalidCorpus
from landmark.corpus.pages import PREFIX_BYTES, find_pages
from landmark.corpus.reader import Corpus
from landmark.domain.schemas import PAGES
from tests.parts import raises
from tests.train.toy import build_toy

Damage = Callable[[Path], object]


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_toy(tmp_path_factory.mktemp("reader") / "corpus")


@pytest.fixture
def copy(toy: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(toy, tmp_path / "corpus"))


def shard_of(corpus: Path, sensor: str, split: str = "train") -> Path:
    return corpus / f"shards/g0000/{sensor}-{split}-00000-of-00001.parquet"


def stored(corpus: Corpus, row: int, columns: list[int]) -> list[bytes]:
    """Values of some pixel columns of a row."""
    sensor = corpus.manifest.shards[corpus.chips.shard_of(row)].sensor
    outs = [np.zeros(PREFIX_BYTES + corpus.chips.value_bytes[sensor][column], np.uint8) for column in columns]
    corpus.chips.read(row, columns, outs)
    return [out[PREFIX_BYTES:].tobytes() for out in outs]


def test_values_are_those_of_the_row_groups_in_any_order_and_thread(toy: Path) -> None:
    corpus = landmark.open(toy)
    truth: list[list[bytes]] = []
    for shard in corpus.manifest.shards:
        names = [field.name for field in corpus.chips.fields[shard.sensor]]
        truth += [[row[name] for name in names] for row in pq.read_table(toy / shard.path).to_pylist()]
    rows = 3 * list(range(len(truth)))
    random.Random(0).shuffle(rows)
    columns = [list(range(len(truth[row])))[:: row % 2 * 2 - 1] for row in rows]
    with ThreadPoolExecutor(8) as pool:
        values = list(pool.map(lambda row, of_row: stored(corpus, row, of_row), rows, columns))
    assert values == [[truth[row][column] for column in of_row] for row, of_row in zip(rows, columns, strict=True)]


def test_a_forked_process_reads(toy: Path) -> None:
    corpus = landmark.open(toy)
    expected = corpus[corpus.ids[0]].fields["captions"], stored(corpus, 9, [0])
    if not (child := os.fork()):
        try:
            read = corpus[corpus.ids[0]].fields["captions"], stored(corpus, 9, [0])
            os._exit(0 if read == expected and corpus.columns("subclasses").num_rows == len(corpus) else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (corpus[corpus.ids[0]].fields["captions"], stored(corpus, 9, [0])) == expected


def test_fields_of_a_sample_are_those_of_the_row(toy: Path) -> None:
    corpus = landmark.open(toy)
    for row, sample in zip(corpus.table.to_pylist(), corpus, strict=True):
        maps = {name: dict(row[name]) for name in ("fractions", "subclasses", "agreement")}
        assert sample.fields == row | maps
        assert sample.labels == row["labels"] and sample.caption() == row["captions"][0]["text"]
        copied = pickle.loads(pickle.dumps(sample))
        assert copied.fields == row | maps and copied.id == row["id"]
        with pytest.raises(AttributeError):
            _ = sample.page_offsets


# -- columns and selections --------------------------------------------------------------------------------------------


def test_columns_are_read_on_access_from_the_generation_that_was_opened(copy: Path) -> None:
    corpus = landmark.open(copy)
    expected, pickled = pq.read_table(copy / "index.parquet"), pickle.dumps(corpus)
    newer = expected.replace_schema_metadata({**expected.schema.metadata, b"landmark:content": b"other"})
    pq.write_table(newer, copy / "new.parquet")
    (copy / "new.parquet").replace(copy / "index.parquet")
    part = corpus.select(sensor="s2", split="val")
    columns = part.columns("captions", "id")
    assert columns.column_names == ["captions", "id"]
    assert columns.to_pylist() == expected.select(["captions", "id"]).take(part.rows).to_pylist()
    with raises(GenerationReplaced, file=str(copy)):
        pickle.loads(pickled)


def test_a_damaged_column_of_the_index_is_an_error_on_reading(copy: Path) -> None:
    path = copy / "index.parquet"
    group = pq.read_metadata(path).row_group(0)
    chunk = next(chunk for chunk in map(group.column, range(group.num_columns)) if "text" in chunk.path_in_schema)
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    data = bytearray(path.read_bytes())
    data[start : start + chunk.total_compressed_size] = bytes(chunk.total_compressed_size)
    path.write_bytes(data)
    corpus = landmark.open(copy)
    assert corpus[corpus.ids[0]].labels
    for read in (lambda: corpus.table, lambda: corpus.columns("captions"), lambda: corpus[corpus.ids[0]].captions):
        with raises(InvalidCorpus, file=str(path)):
            read()


def test_an_unknown_column_is_refused_by_name(toy: Path) -> None:
    corpus = landmark.open(toy)
    with raises(InputError, key="columns", value="caption"):
        corpus.columns("id", "caption")


CONDITIONS: list[tuple[Any, Callable[[dict[str, Any]], bool]]] = [
    ([("lon", "<", 10)], lambda row: row["lon"] < 10),
    (
        [("lon", "<", 10), ("sensor", "==", "s2")],
        lambda row: row["lon"] < 10 and row["sensor"] == "s2",
    ),
    (
        [[("lon", "<", -100)], [("lon", ">", 100), ("split", "in", {"val", "test"})]],
        lambda row: row["lon"] < -100 or (row["lon"] > 100 and row["split"] in {"val", "test"}),
    ),
    # Null in half of the rows.
    ([("platform", "!=", "x")], lambda row: row["platform"] is not None),
    ([("platform", "not in", ["x"])], lambda row: row["platform"] is not None),
    (pc.field("cloud_pct") < 10, lambda row: row["cloud_pct"] is not None and row["cloud_pct"] < 10),
    (~(pc.field("relative_orbit") == 7), lambda row: row["relative_orbit"] is not None),
    (pc.scalar(True), lambda row: True),
    (
        pc.starts_with(pc.field("id"), "s1") & (pc.field("lat") > 0),
        lambda row: row["sensor"] == "s1" and row["lat"] > 0,
    ),
]


@pytest.mark.parametrize(("where", "meets"), CONDITIONS)
def test_conditions_select_the_rows_that_meet_them(
    where: Any, meets: Callable[[dict[str, Any]], bool], toy: Path
) -> None:
    corpus = landmark.open(toy)
    rows = corpus.table.to_pylist()
    assert corpus.select(where=where).ids == [row["id"] for row in rows if meets(row)]
    expected = [row["id"] for row in rows if meets(row) and row["split"] == "train" and "trees" in row["labels"]]
    part = corpus.select(split="train").select(where=where, label="trees")
    assert part.ids == expected and (np.diff(part.rows) > 0).all()


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ([("cloud_pc", "<", 10)], "cloud_pc"),
        (pc.field("cloud_pc") < 10, "cloud_pc"),
        ([("page_bytes", "<", 10)], "page_bytes"),
        (pc.field("place", "village") == "x", "place"),
    ],
)
def test_conditions_on_unknown_columns_are_refused_by_name(where: Any, value: str, toy: Path) -> None:
    with raises(InputError, key="where", value=value):
        landmark.open(toy).select(where=where)


@pytest.mark.parametrize(
    "where",
    [
        "lon < 10",
        [],
        [[]],
        [("lon", 10)],
        [("lon", "~", 10)],
        ("lon", "<", 10),
        [("lon", "<", "x")],
        pc.field("lon") < "x",
        pc.field("lon"),
        3,
    ],
)
def test_conditions_that_are_none_are_refused(where: Any, toy: Path) -> None:
    with raises(InputError, key="where"):
        landmark.open(toy).select(where=where)


@pytest.mark.parametrize(
    ("key", "value"),
    [("split", "tain"), ("split", 5), ("sensor", "s3"), ("label", "forest lake"), ("label", 5), ("label", ["trees"])],
)
def test_names_that_no_sample_can_have_are_refused(key: str, value: Any, toy: Path) -> None:
    with raises(InputError, key=key, value=value):
        landmark.open(toy).select(**{key: value})


def test_a_class_that_no_sample_has_selects_none(toy: Path) -> None:
    corpus = landmark.open(toy)
    (label, *_) = corpus.manifest.taxonomy.classes.keys() - corpus.manifest.labels.keys()
    assert len(corpus.select(label=label)) == 0


# -- damage ------------------------------------------------------------------------------------------------------------


def swap(corpus: Path) -> None:
    """Exchange two shards."""
    first, second = shard_of(corpus, "s2"), shard_of(corpus, "s2", "test")
    first.rename(corpus / "third")
    second.rename(first)
    (corpus / "third").rename(second)


def truncate(corpus: Path) -> None:
    os.truncate(shard_of(corpus, "s2"), 5000)


def use_another_schema(corpus: Path) -> None:
    pq.write_table(pq.read_table(shard_of(corpus, "s2")).drop_columns("s2_x1"), shard_of(corpus, "s2"))


def edit_page(place: int, value: bytes) -> Damage:
    """Replace bytes of all pages of a shard."""

    def edit(corpus: Path) -> None:
        data = bytearray(shard_of(corpus, "s2").read_bytes())
        pages = find_pages(shard_of(corpus, "s2"))
        for offset, size in zip(pages.offsets.ravel().tolist(), pages.sizes.ravel().tolist(), strict=True):
            start = offset + place if place >= 0 else offset + size + place
            data[start : start + len(value)] = value
        shard_of(corpus, "s2").write_bytes(data)

    return edit


# Bytes 2 and 3 of a page are its type and the first of its uncompressed size; the count of values is behind the CRC.
DAMAGES: dict[str, Damage] = {
    "swapped": swap,
    "truncated": truncate,
    "missing": lambda corpus: shard_of(corpus, "s2").unlink(),
    "schema": use_another_schema,
    "page type": edit_page(1, b"\x04"),
    "page size": edit_page(3, b"\xff"),
    "header": edit_page(0, b"\xff" * 40),
    "data": edit_page(-1, b"\x99"),
    "zeros": edit_page(0, bytes(30)),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("is_open", [False, True])
def test_damage_to_a_shard_is_an_error_that_names_the_file(damage: Damage, is_open: bool, copy: Path) -> None:
    truth = {sample.id: sample.mask for sample in landmark.open(copy).select(sensor="s1")}
    corpus = landmark.open(copy)
    if is_open:
        list(corpus)
    damage(copy)
    for id in corpus.select(sensor="s2", split="train").ids:
        with raises(InvalidCorpus, file=str(shard_of(copy, "s2"))):
            corpus[id]
    assert all(np.array_equal(corpus[id].mask, mask) for id, mask in truth.items())


def replace_by_copy(path: Path) -> None:
    Path(shutil.copy2(path, f"{path}.new")).replace(path)


@pytest.mark.parametrize("change", [lambda path: os.utime(path, ns=(0, 1)), replace_by_copy])
def test_a_shard_that_changes_while_open_is_an_error(change: Damage, copy: Path) -> None:
    corpus = landmark.open(copy)
    radar, optical = (corpus.select(sensor=sensor, split="train").ids for sensor in ("s1", "s2"))
    corpus[radar[0]], corpus[optical[0]]
    shard = shard_of(copy, "s2")
    change(shard)
    with raises(InvalidCorpus, file=str(shard)):
        corpus[optical[1]]
    corpus.chips.files.close()
    with raises(InvalidCorpus, file=str(shard)):
        corpus[optical[1]]
    corpus[radar[1]], landmark.open(copy)[optical[1]]


def edit_index(change: Callable[[Any, Any], object]) -> Damage:
    """Change offsets and sizes of the pages in the index."""

    def edit(corpus: Path) -> None:
        path = corpus / "index.parquet"
        table = pq.read_table(path)
        offsets, sizes = (table[name].to_pylist() for name in PAGES.names[:2])
        change(offsets, sizes)
        for field, values in zip(list(PAGES)[:2], (offsets, sizes), strict=True):
            place = table.column_names.index(field.name)
            table = table.set_column(place, field, pa.array(values, field.type))
        pq.write_table(table, path)

    return edit


def to_other_rows(offsets: list[list[int]], sizes: list[list[int]]) -> None:
    """The pages of the last row for the one before it."""
    for values in (offsets, sizes):
        values[-2] = values[-1]


INDEX_DAMAGES: dict[str, Damage] = {
    "outside": edit_index(lambda offsets, sizes: offsets[-2].__setitem__(0, 10**9)),
    "negative": edit_index(lambda offsets, sizes: offsets[-2].__setitem__(0, -5)),
    "huge": edit_index(lambda offsets, sizes: sizes[-2].__setitem__(0, 2**31 - 1)),
    "empty": edit_index(lambda offsets, sizes: sizes[-2].__setitem__(0, 0)),
    "too few": edit_index(lambda offsets, sizes: offsets[-2].pop()),
    "too many": edit_index(lambda offsets, sizes: sizes[-2].append(30)),
    "null": edit_index(lambda offsets, sizes: offsets[-2].__setitem__(0, None)),
    "no page": edit_index(lambda offsets, sizes: offsets[-2].__setitem__(0, 5)),
    "other rows": edit_index(to_other_rows),
    "other size": edit_index(lambda offsets, sizes: sizes[-2].__setitem__(0, sizes[-2][0] - 1)),
}


@pytest.mark.parametrize("damage", INDEX_DAMAGES.values(), ids=INDEX_DAMAGES)
def test_an_index_that_leads_to_other_pages_is_an_error(damage: Damage, copy: Path) -> None:
    damage(copy)
    corpus = landmark.open(copy)
    with raises(InvalidCorpus):
        corpus[corpus.ids[-2]]
