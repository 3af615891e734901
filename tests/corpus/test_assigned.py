"""Other values in columns of the index are read back in every way, and all else stays as it was."""

import pickle
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

import landmark
from landmark.config.recipe import SPLITS
from landmark.core.errors import InputError
from landmark.corpus.reader import Corpus
from landmark.domain.schemas import INDEX
from tests.parts import examples, raises
from tests.train.toy import CLASSES, build_toy


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return landmark.open(build_toy(tmp_path_factory.mktemp("assigned") / "corpus", {"train": 6, "val": 4}))


def caption(text: str) -> dict[str, Any]:
    return {"style": "structured", "lang": "en", "text": text, "template": "t@1", "evidence": []}


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "split": st.sampled_from(SPLITS),
    "lon": st.floats(-180, 180),
    "cloud_pct": st.none() | st.floats(0, 100, width=32),
    "labels": st.lists(st.sampled_from(CLASSES), unique=True),
    "fractions": st.dictionaries(st.sampled_from(CLASSES), st.floats(0, 1, width=32)).map(lambda own: [*own.items()]),
    "captions": st.lists(st.text(max_size=4).map(caption), max_size=2),
}


def chunked(name: str, values: list[Any], size: int) -> pa.ChunkedArray:
    parts = [values[start : start + size] for start in range(0, len(values), size)]
    return pa.chunked_array(parts, INDEX.field(name).type)


@given(data=st.data())
@examples(15)
def test_assigned_columns_are_read_back_in_every_way(data: st.DataObject, corpus: Corpus) -> None:
    chosen = data.draw(st.lists(st.sampled_from(corpus.ids), min_size=1, unique=True))
    part = corpus.select(where=pc.field("id").isin(chosen))
    names = data.draw(st.lists(st.sampled_from(list(VALUES)), min_size=1, unique=True))
    columns = {name: data.draw(st.lists(VALUES[name], min_size=len(part), max_size=len(part))) for name in names}
    assigned = part.assign(**columns)

    expected = [row | {name: columns[name][n] for name in names} for n, row in enumerate(part.table.to_pylist())]
    for own in (assigned, pickle.loads(pickle.dumps(assigned))):
        assert own.columns(*names).to_pylist() == [{name: row[name] for name in names} for row in expected]
        assert own.table.to_pylist() == expected and own.table.schema == part.table.schema
        for row, sample, before in zip(expected, own, part, strict=True):
            maps = {name: dict(row[name]) for name in ("fractions", "subclasses", "agreement")}
            assert sample.fields == row | maps == own[row["id"]].fields
            assert np.array_equal(sample.mask, before.mask)
        texts = [list_ for batch in own.list_batches("captions", "text") for list_ in batch.to_pylist()]
        assert texts == [[{"text": own["text"]} for own in row["captions"]] for row in expected]
        for split in SPLITS:
            assert own.select(split=split).ids == [row["id"] for row in expected if row["split"] == split]
        assert own.select(where=[("lon", ">", 0)]).ids == [row["id"] for row in expected if row["lon"] > 0]
        assert own.index()["lon"].tolist() == [row["lon"] for row in expected]

    # The digest is of the values, and not of how they were assigned.
    again = part
    for name in data.draw(st.permutations(names)):
        again = again.assign(**{name: part.columns(name)[name][::-1]})
        again = again.assign(**{name: chunked(name, columns[name], data.draw(st.integers(1, 5)))})
    assert again.content_digest == assigned.content_digest and again.assigned == assigned.assigned
    assert (assigned.content_digest == corpus.content_digest) == (expected == part.table.to_pylist())
    restored = assigned.assign(**{name: part.columns(name)[name] for name in names})
    assert restored.content_digest == part.content_digest == corpus.manifest.content_digest
    assert restored.assigned == () and set(assigned.assigned) <= set(names)


def test_a_single_value_changes_the_digest(corpus: Corpus) -> None:
    splits = corpus.columns("split")["split"].to_pylist()
    divisions = [[*splits[:row], "test", *splits[row + 1 :]] for row in range(len(splits))]
    digests = {corpus.assign(split=own).content_digest for own in (splits, *divisions)}
    assert len(digests) == len(splits) + 1
    # The same sample, by itself.
    single = corpus.select(where=[("id", "==", corpus.ids[3])]).assign(split=["test"])
    assert single.content_digest == corpus.assign(split=divisions[3]).content_digest


@pytest.mark.parametrize(
    ("name", "values", "key", "value"),
    [
        ("spilt", ["train"] * 20, "columns", "spilt"),
        ("page_bytes", [[1]] * 20, "columns", "page_bytes"),
        ("id", ["a"] * 20, "id", None),
        ("sha256", ["a"] * 20, "sha256", None),
        ("split", ["train"] * 19, "split", 19),
        ("split", ["train"] * 19 + ["tests"], "split", "tests"),
        ("split", pa.chunked_array([["train"] * 19, ["all"]]), "split", "all"),
        ("split", [*["train"] * 19, None], "split", "sample 19"),
        ("labels", [[]] * 19 + [["trees", "forest lake"]], "labels", "forest lake"),
        ("labels", [["trees", "water"]] * 19 + [["trees", "water", "trees"]], "labels", "sample 19"),
        ("lon", ["east"] * 20, "lon", None),
        ("lon", pa.array(["east"] * 20), "lon", None),
        ("lon", 5, "lon", None),
        ("captions", [["trees"]] * 20, "captions", None),
    ],
)
def test_values_that_do_not_fit_are_refused(name: str, values: Any, key: str, value: Any, corpus: Corpus) -> None:
    with raises(InputError, key=key, value=value):
        corpus.assign(**{name: values})


def test_files_are_those_of_the_build(corpus: Corpus) -> None:
    """They hold the samples, and know nothing of assigned splits."""
    splits = ["test" if id.startswith("s1") else "val" for id in corpus.ids]
    assigned = corpus.assign(split=splits, lon=np.zeros(len(splits)))
    assert assigned.files() == corpus.files() and assigned.files(sensor="s2") == corpus.files(sensor="s2")
    assert assigned.select(split="test").files() == corpus.files(sensor="s1")
    with raises(InputError, key="split", value="val"):
        assigned.files(split="val")
    assert corpus.assign(lon=np.zeros(len(splits))).files(split="val") == corpus.files(split="val")


def test_values_come_as_arrays_of_other_types(corpus: Corpus) -> None:
    count = len(corpus)
    for values in (np.ones(count, np.float32), pa.array([1] * count), [1] * count):
        assert corpus.assign(lon=values).columns("lon")["lon"].to_pylist() == [1.0] * count
