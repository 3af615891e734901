"""Queries and judgements: what is asked, and what is relevant to it."""

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


def asked(files):
    return [json.loads(line) for line in files.get("queries.jsonl", [])]


@given(samples)
@examples(60)
def test_a_sample_is_as_relevant_as_its_labels_are_those_asked_for(rows):
    files = query_files(table(rows), TAXONOMY)
    for split in ("train", "val", "test"):
        expected = []
        for query in asked(files):
            for number, (carried, of) in enumerate(rows):
                wanted = set(query["labels"])
                if of != split or not wanted <= set(carried):
                    continue
                grade = 3 if wanted == set(carried) else 2 if len(wanted) / len(carried) >= 0.5 else 1
                expected.append(f"{query['id']} 0 s2_{number} {grade}")
        assert files.get(f"qrels/{split}.txt", []) == expected


@given(samples)
@examples(60)
def test_every_class_that_occurs_is_asked_for_and_every_set_that_two_samples_carry(rows):
    queries = asked(query_files(table(rows), TAXONOMY))
    sets = Counter(frozenset(carried) for carried, _ in rows)
    singles = [query["labels"][0] for query in queries if len(query["labels"]) == 1]
    assert singles == [key for key in KEYS if any(key in one for one in sets)]
    several = {frozenset(query["labels"]) for query in queries if len(query["labels"]) > 1}
    assert several == {one for one, count in sets.items() if count >= 2 and len(one) > 1}
    assert len({query["id"] for query in queries}) == len(queries)


def test_a_query_is_worded_as_a_caption_and_the_order_of_labels_is_no_matter():
    rows = [(["water", "trees"], "test"), (["trees", "water"], "test")]
    queries = asked(query_files(table(rows), TAXONOMY))
    assert [query["text"] for query in queries] == ["trees", "water", "trees. water"]


def test_the_most_frequent_sets_are_asked_for_and_no_more_than_a_hundred():
    pool = [key for key, one in TAXONOMY.classes.items() if not one.event]
    many = [[one for bit, one in enumerate(pool) if number >> bit & 1] for number in range(2**8)]
    many = [one for one in many if len(one) > 1]
    rows = [(one, "train") for one in many] + [(one, "train") for one in many] + [(many[-1], "train")] * 5
    sets = [query["labels"] for query in asked(query_files(table(rows), TAXONOMY)) if len(query["labels"]) > 1]
    assert len(sets) == 100 and set(sets[0]) == set(many[-1])


def test_files_say_their_digest_and_stale_ones_go(tmp_path):
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "val.txt").write_text("stale")
    written = write_queries(tmp_path, table([(["water"], "test")]), TAXONOMY)
    assert [one.path for one in written] == ["queries.jsonl", "qrels/test.txt"]
    assert [(tmp_path / one.path).stat().st_size for one in written] == [one.size_bytes for one in written]
    assert (tmp_path / "qrels" / "test.txt").read_text() == "water 0 s2_0 3\n"
    assert not (tmp_path / "qrels" / "val.txt").exists()


def test_without_labels_there_is_nothing_to_ask():
    assert query_files(table([([], "test")]), TAXONOMY) == {}
