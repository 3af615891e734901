"""Defects of annotations that agree with each other, but not with label counts, plan and lock."""

from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.draft import Draft, Planted, Row, ids
from bench.facts import edit_rows
from bench.registry import planting
from bench.relabel import facts_of, with_fractions
from landmark.core.atomic import write_bytes, write_table
from landmark.core.hashing import file_sha256
from landmark.corpus.lock import Lock
from landmark.corpus.manifest import Manifest, read_document

_derived = partial(planting, "words", "annotations")


@_derived("labels, fractions and captions are those of another sample")
def facts_of_another_sample(draft: Draft) -> Planted:
    eligible = {tuple(row["labels"]): row for row in reversed(draft.rows()) if row["labels"]}
    rows = draft.pick("facts-of-another-sample", eligible.values(), pct=0, least=max(4, len(draft.facts) // 50))
    sources = [*rows[1:], rows[0]]
    edits = {row["id"]: facts_of(draft, row, source) for row, source in zip(rows, sources, strict=True)}
    return Planted(ids(rows), len(draft.facts), edits)


@_derived("the two largest classes are exchanged")
def largest_classes_exchanged(draft: Draft) -> Planted:
    def edit(row: Row) -> Row:
        (first, larger), (second, smaller), *smallest = row["fractions"].items()
        shares = {second: larger, first: smaller, **dict(smallest)}
        return with_fractions(draft, row, dict(sorted(shares.items(), key=lambda item: -item[1])))

    distinct = lambda row: len(set(list(row["fractions"].values())[:2])) == 2  # noqa: E731
    return edit_rows(draft, "largest-classes-exchanged", edit, where=distinct)


@_derived("small classes are dropped from the fractions")
def small_classes_dropped(draft: Draft) -> Planted:
    def edit(row: Row) -> Row:
        *larger, _ = row["fractions"].items()
        total = sum(share for _, share in larger)
        return with_fractions(draft, row, {key: share / total for key, share in larger})

    return edit_rows(draft, "small-classes-dropped", edit, where=lambda row: len(row["fractions"]) > 1)


@_derived("label maps are said to be of the next year")
def edition_of_next_year(draft: Draft) -> Planted:
    def edit(row: Row) -> Row:
        return {"sources": [{**source, "year": source["year"] + 1} for source in row["sources"]]}

    return edit_rows(draft, "edition-of-next-year", edit, where=lambda row: bool(row["sources"]))


@_derived("shares of pixels with a class are rounded to tens")
def labelled_share_rounded(draft: Draft) -> Planted:
    def edit(row: Row) -> Row:
        return {"label_valid_pct": min(10 * round(row["label_valid_pct"] / 10), 90)}

    return edit_rows(draft, "labelled-share-rounded", edit)


@_derived("agreement of the label sources is invented")
def agreement_invented(draft: Draft) -> Planted:
    def edit(row: Row) -> Row:
        return {"agreement": dict.fromkeys(row["fractions"], 0.987)}

    return edit_rows(draft, "agreement-invented", edit, where=lambda row: bool(row["fractions"]))


@_derived("licences lack that of the imagery")
def licence_dropped(draft: Draft) -> Planted:
    return edit_rows(draft, "licence-dropped", lambda row: {"licences": row["licences"][1:]})


@_derived("true sentences are in another order than the template's")
def sentence_reordered(draft: Draft) -> Planted:
    def edit(row: Row) -> Row:
        *first, last = row["captions"]
        text, start = f"In this image: {last['text']}", len("In this image: ")
        evidence = [{**span, "start": span["start"] + start, "end": span["end"] + start} for span in last["evidence"]]
        return {"captions": [*first, {**last, "text": text, "evidence": evidence}]}

    return edit_rows(draft, "sentence-reordered", edit, where=lambda row: len(row["captions"]) > 1)


def _replace_counts(corpus: Path, counts: pa.Table) -> None:
    """Write other label counts; lock and manifest name them."""
    write_table(corpus / "label_counts.parquet", counts)
    lock: Lock = read_document(Lock, corpus / "lock.json")
    lock = lock.model_copy(update={"label_counts_sha256": file_sha256(corpus / "label_counts.parquet")})
    write_bytes(corpus / "lock.json", lock.model_dump_json(indent=1).encode())
    manifest: Manifest = read_document(Manifest, corpus / "corpus.json")
    manifest = manifest.model_copy(update={"lock_digest": lock.digest})
    write_bytes(corpus / "corpus.json", manifest.model_dump_json(indent=1).encode())


@_derived("label counts lack pixels, and the lock names them")
def counts_incomplete(draft: Draft) -> Planted:
    counts = pq.read_table(draft.corpus / "label_counts.parquet")
    cells = sorted(set(counts["cell"].to_pylist()))[::7]
    chosen = pc.is_in(counts["cell"], pa.array(cells))
    pixels = pc.if_else(chosen, pc.subtract(counts["pixels"], 1), counts["pixels"])
    changed = counts.set_column(counts.schema.get_field_index("pixels"), counts.schema.field("pixels"), pixels)
    names = tuple((cell,) for cell in cells)
    return Planted(names, len(set(counts["cell"].to_pylist())), after=lambda corpus: _replace_counts(corpus, changed))


@_derived("words of the manifest's grammar are changed")
def grammar_changed(draft: Draft) -> Planted:
    def act(corpus: Path) -> None:
        text = (corpus / "corpus.json").read_text()
        write_bytes(corpus / "corpus.json", text.replace("optical image", "optical photo").encode())

    return Planted((("corpus.json",),), 1, after=act)


@_derived("an attribution is missing in the manifest")
def attribution_dropped(draft: Draft) -> Planted:
    def act(corpus: Path) -> None:
        manifest: Manifest = read_document(Manifest, corpus / "corpus.json")
        fewer = manifest.model_copy(update={"attributions": manifest.attributions[1:]})
        write_bytes(corpus / "corpus.json", fewer.model_dump_json(indent=1).encode())

    return Planted((("corpus.json",),), 1, after=act)
