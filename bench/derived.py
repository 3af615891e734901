"""Defects of annotations that agree with each other, but not with label counts, plan and lock."""

import datetime as dt
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.draft import Draft, Planted, Row, ids
from bench.facts import edit_rows
from bench.registry import Unsuited, planting
from bench.relabel import facts_of, with_fractions
from landmark.core.atomic import write_bytes, write_table
from landmark.core.hashing import file_sha256
from landmark.corpus.lock import Lock
from landmark.corpus.manifest import Manifest, read_document

_derived = partial(planting, "words", "annotations")
_planned = partial(planting, "integrity", "plan")


def _set(draft: Draft, salt: str, name: str, value: Callable[[Row], Any], **where: Any) -> Planted:
    """Change one column of a few rows that have these values."""
    eligible = lambda row: all(row[key] == wanted for key, wanted in where.items())  # noqa: E731
    return edit_rows(draft, salt, lambda row: {name: value(row)}, where=eligible)


# -- Annotations -----------------------------------------------------------------------------------------------------


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
        (first, larger), (second, smaller), *others = row["fractions"].items()
        shares = {second: larger, first: smaller, **dict(others)}
        return with_fractions(draft, row, dict(sorted(shares.items(), key=lambda item: -item[1])))

    distinct = lambda row: len(set(list(row["fractions"].values())[:2])) == 2  # noqa: E731
    return edit_rows(draft, "largest-classes-exchanged", edit, where=distinct)


@_derived("small classes are dropped from the fractions")
def small_classes_dropped(draft: Draft) -> Planted:
    def edit(row: Row) -> Row:
        *kept, _ = row["fractions"].items()
        total = sum(share for _, share in kept)
        return with_fractions(draft, row, {key: share / total for key, share in kept})

    return edit_rows(draft, "small-classes-dropped", edit, where=lambda row: len(row["fractions"]) > 1)


@_derived("label maps are said to be of the next year")
def edition_of_next_year(draft: Draft) -> Planted:
    def edit(row: Row) -> Row:
        return {"sources": [{**source, "year": source["year"] + 1} for source in row["sources"]]}

    return edit_rows(draft, "edition-of-next-year", edit, where=lambda row: bool(row["sources"]))


@_derived("all pixels are said to have a class")
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
        *others, last = row["captions"]
        text, start = f"In this image: {last['text']}", len("In this image: ")
        evidence = [{**span, "start": span["start"] + start, "end": span["end"] + start} for span in last["evidence"]]
        return {"captions": [*others, {**last, "text": text, "evidence": evidence}]}

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


# -- Plan and lock ---------------------------------------------------------------------------------------------------


@_planned("samples are said to be of the twin satellite")
def platform_of_the_twin(draft: Draft) -> Planted:
    twins = {row["platform"] for row in draft.rows(sensor="s2")}
    value = lambda row: next((twin for twin in sorted(twins) if twin != row["platform"]), "Sentinel-2C")  # noqa: E731
    return _set(draft, "platform-of-the-twin", "platform", value, sensor="s2")


@_planned("ascending passes are said to be descending")
def pass_reversed(draft: Draft) -> Planted:
    value = lambda row: "descending" if row["orbit_direction"] == "ascending" else "ascending"  # noqa: E731
    return _set(draft, "pass-reversed", "orbit_direction", value, sensor="s1")


@_planned("items are those of another image of the tile")
def item_of_another_image(draft: Draft) -> Planted:
    items = sorted({row["items"][0] for row in draft.rows(sensor="s2")})
    if len(items) < 2:
        raise Unsuited("one image")
    value = lambda row: [items[(items.index(row["items"][0]) + 1) % len(items)]]  # noqa: E731
    return _set(draft, "item-of-another-image", "items", value, sensor="s2")


@_planned("processing baselines are the newest")
def baseline_newest(draft: Draft) -> Planted:
    return _set(draft, "baseline-newest", "baseline", lambda row: "05.11", sensor="s2")


@_planned("times are a day late, and ids with them")
def a_day_late(draft: Draft) -> Planted:
    rows = draft.pick("a-day-late", draft.rows(pair=None) or draft.rows())
    edits: dict[str, Row] = {}
    names = {}
    for row in rows:
        later = row["datetime"] + dt.timedelta(days=1)
        names[row["id"]] = row["id"].replace(f"{row['datetime']:%Y%m%d}", f"{later:%Y%m%d}")
        edits[row["id"]] = {"id": names[row["id"]], "datetime": later}
    for row in draft.rows():
        if row["pair"] in names:
            edits[row["id"]] = {**edits.get(row["id"], {}), "pair": names[row["pair"]]}
    return Planted(tuple((name,) for name in names.values()), len(draft.rows()), edits)
