"""Annotations derived again from label counts, plan and lock, and compared with rows."""

import pytest
from bench.draft import Draft
from hypothesis import given
from hypothesis import strategies as st

from landmark.captions.annotator import load_annotation_inputs
from landmark.captions.grammar import Grammar
from landmark.core.yaml_files import Resources
from landmark.corpus.lock import Lock
from landmark.corpus.manifest import read_document
from landmark.quality.rows.annotations import DerivedRows
from landmark.quality.rows.derivation import CorpusDerivation
from landmark.quality.rows.differences import describe_difference, is_close
from tests.parts import examples


@pytest.fixture(scope="module")
def draft(sealed):
    return Draft(sealed)


@pytest.fixture(scope="module")
def lock(sealed):
    return read_document(Lock, sealed / "lock.json")


@pytest.fixture(scope="module")
def derived(draft, lock):
    """The derived rows of the first shard, and that shard's rows."""
    shard = draft.manifest.shards[0]
    derivation = CorpusDerivation(draft.corpus, draft.manifest, lock)
    assert (derivation.reason, derivation.flags) == ("", [])
    return DerivedRows(derivation.of(shard)), draft.rows(shard=shard.path)


CHANGES = {
    "labels": lambda row: [*row["labels"], "burned_area"],
    "fractions": lambda row: {key: share * 0.999 for key, share in row["fractions"].items()},
    "label_valid_pct": lambda row: row["label_valid_pct"] - 0.01,
    "subclasses": lambda row: dict(reversed(row["subclasses"].items())) | {"worldcover/other": 0.1},
    "agreement": lambda row: dict.fromkeys(row["agreement"], 1.1),
    "sources": lambda row: [{**source, "gap_days": source["gap_days"] + 1} for source in row["sources"]],
    "events": lambda row: [{"id": "EMSR000"}],
    "captions": lambda row: [{**caption, "text": f"{caption['text']} "} for caption in row["captions"]],
    "questions": lambda row: [{"question": "Why?"}],
    "licences": lambda row: row["licences"][1:],
    "product": lambda row: "another",
}


@pytest.mark.parametrize("column", CHANGES)
def test_a_column_that_does_not_follow_from_label_counts_is_named(derived, column):
    rows, facts = derived
    for row in facts:
        assert rows.compare(row) == []
        ((problem, detail),) = rows.compare(row | {column: CHANGES[column](row)})
        assert problem.startswith(f"{column}: ") and detail


def test_a_sample_of_another_plan_is_not_compared(derived):
    rows, (row, *_) = derived
    assert rows.compare(row | {"id": f"{row['id']}x"}) is None


def test_words_of_another_version_are_those_of_the_manifest(draft, lock):
    """The files of the package have changed since the corpus was built: its own taxonomy and words are used."""
    grammar = draft.manifest.model_dump(mode="json")["grammar"]
    english = grammar["languages"]["en"]
    grammar = {"languages": {"en": {**english, "version": "0", "and": " as well as "}}}
    manifest = draft.manifest.model_copy(update={"grammar": grammar})
    embedded = {("taxonomies/captions", "en"): Grammar.model_validate(grammar).languages["en"]}
    inputs = load_annotation_inputs(lock.recipe, Resources(embedded, prefer_embedded=True))
    older = lock.model_copy(update={"inputs_digest": inputs.inputs_digest})
    assert CorpusDerivation(draft.corpus, manifest, older).reason == ""
    # With neither, nothing can be derived.
    assert CorpusDerivation(draft.corpus, draft.manifest, older).reason
    # The lock names the files of the package, and the manifest others.
    flags = CorpusDerivation(draft.corpus, manifest, lock).flags
    assert [flag.subject for flag in flags] == ["corpus.json"]


def test_documents_must_name_the_sources(draft, lock, corpus):
    manifest = draft.manifest.model_copy(update={"licences": [], "attributions": [], "title": "Another"})
    assert len(CorpusDerivation(draft.corpus, manifest, lock).flags) == 3
    (corpus / "ATTRIBUTION.md").write_text("# Attribution")
    subjects = {flag.subject for flag in CorpusDerivation(corpus, draft.manifest, lock).flags}
    assert subjects == {"ATTRIBUTION.md"}


@pytest.mark.parametrize("update", [{"plan_sha256": "0"}, {"label_counts_sha256": "0"}, {"inputs_digest": "0"}])
def test_tables_and_files_other_than_the_locks_are_not_derived_from(draft, lock, update):
    derivation = CorpusDerivation(draft.corpus, draft.manifest, lock.model_copy(update=update))
    assert derivation.reason and derivation.of(draft.manifest.shards[0]) is None


def test_without_a_lock_the_checks_do_not_apply(draft):
    assert CorpusDerivation(draft.corpus, draft.manifest, None).reason


scalars = st.none() | st.booleans() | st.text(max_size=3) | st.floats(-1e3, 1e3, width=32)
values = st.recursive(scalars, lambda item: st.lists(item, max_size=3) | st.dictionaries(st.text(max_size=2), item))


@given(values)
@examples(60)
def test_a_value_is_close_to_itself_alone(value):
    assert is_close(value, value) and describe_difference(value, value) == ""
    assert not is_close([value], [value, 1]) and describe_difference([value], [[value]])
    assert not is_close({"a": value}, {"a": [value]}) and describe_difference({"a": value}, {"a": [value]})
