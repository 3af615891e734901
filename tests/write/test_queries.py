"""Queries and their relevance judgements."""

import json
from collections import Counter

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from landmark.core.yaml_files import load_model
from landmark.domain.taxonomy import Taxonomy
from landmark.write.queries import query_files, write_queries
from tests.parts import examples

TAXONOMY = load_model(Taxonomy, "taxonomies", "landmark")
KEYS = list(TAXONOMY.classes)[:5]
labels = st.lists(st.sampled_from(KEYS), unique=True, max_size=4)
samples = st.lists(st.tuples(labels, st.sampled_from(["train", "val", "test"])), max_size=30)


def table(rows):
    ids = [f"s2_{number}" for number in range(len(rows))]
    columns = {"id": ids, "split": [split for _, split in rows], "labels": [labels for labels, _ in rows]}
    return pa.table(
        columns, schema=pa.schema({"id": pa.string(), "split": pa.string(), "labels": pa.list_(pa.string())})
    )


def queries_in(files):
    return [json.loads(line) for line in files.get("queries.jsonl", [])]


@given(samples)
@examples(60)
def test_relevance_follows_from_the_labels_of_query_and_sample(rows):
    files = query_files(table(rows), TAXONOMY)
    for split in ("train", "val", "test"):
        expected = []
        for query in queries_in(files):
            query_labels = set(query["labels"])
            for number, (sample_labels, sample_split) in enumerate(rows):
                if sample_split != split or not query_labels <= set(sample_labels):
                    continue
                share = len(query_labels) / len(sample_labels)
                grade = 3 if share == 1 else 2 if share >= 0.5 else 1
                expected.append(f"{query['id']} 0 s2_{number} {grade}")
        assert files.get(f"qrels/{split}.txt", []) == expected


@given(samples)
@examples(60)
def test_queries_are_the_classes_and_the_label_sets_of_two_or_more_samples(rows):
    queries = queries_in(query_files(table(rows), TAXONOMY))
    sets = Counter(frozenset(sample_labels) for sample_labels, _ in rows)
    singles = [query["labels"][0] for query in queries if len(query["labels"]) == 1]
    assert singles == [key for key in KEYS if any(key in label_set for label_set in sets)]
    several = {frozenset(query["labels"]) for query in queries if len(query["labels"]) > 1}
    assert several == {label_set for label_set, count in sets.items() if count >= 2 and len(label_set) > 1}
    assert len({query["id"] for query in queries}) == len(queries)


def test_a_query_reads_like_a_caption_whatever_the_order_of_labels():
    rows = [(["water", "trees"], "test"), (["trees", "water"], "test")]
    queries = queries_in(query_files(table(rows), TAXONOMY))
    assert [query["text"] for query in queries] == ["trees", "water", "trees. water"]


def test_at_most_a_hundred_label_sets_are_queried_the_most_frequent_first():
    keys = [key for key, entry in TAXONOMY.classes.items() if not entry.event]
    label_sets = [[key for bit, key in enumerate(keys) if number >> bit & 1] for number in range(2**8)]
    label_sets = [label_set for label_set in label_sets if len(label_set) > 1]
    rows = [(label_set, "train") for label_set in [*label_sets, *label_sets, *[label_sets[-1]] * 5]]
    sets = [query["labels"] for query in queries_in(query_files(table(rows), TAXONOMY)) if len(query["labels"]) > 1]
    assert len(sets) == 100 and set(sets[0]) == set(label_sets[-1])


def test_files_are_described_by_their_size_and_stale_files_are_deleted(tmp_path):
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "val.txt").write_text("stale")
    written = write_queries(tmp_path, table([(["water"], "test")]), TAXONOMY)
    assert [file.path for file in written] == ["queries.jsonl", "qrels/test.txt"]
    assert [(tmp_path / file.path).stat().st_size for file in written] == [file.size_bytes for file in written]
    assert (tmp_path / "qrels" / "test.txt").read_text() == "water 0 s2_0 3\n"
    assert not (tmp_path / "qrels" / "val.txt").exists()


def test_without_labels_no_query_is_written():
    assert query_files(table([([], "test")]), TAXONOMY) == {}
