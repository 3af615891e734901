"""Wrong label maps: label counts, lock and annotations agree with each other, and not with the images."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bench.draft import Draft, Planted, Row
from bench.foreign.rows import (
    annotated,
    annotator,
    cell_labels,
    edited,
    in_cells,
    independent,
    neighbour,
    plan_rows,
    scaled,
)
from bench.registry import Unsuited
from landmark.core.atomic import write_bytes, write_table
from landmark.core.hashing import file_sha256
from landmark.corpus.lock import Lock
from landmark.corpus.manifest import Manifest, read_document

# Codes of WorldCover, the first source of the recipes.
_TREES, _CROPS = 10, 40
Counts = dict[tuple[str, str], list[Row]]


def _counts(corpus: Path) -> Counts:
    counts: Counts = {}
    for row in pq.read_table(corpus / "label_counts.parquet").to_pylist():
        counts.setdefault((row["cell"], row["period"]), []).append(row)
    return counts


def _summed(rows: list[Row]) -> list[Row]:
    """Counts with one row per combination of codes."""
    pixels: Counter[tuple[int, ...]] = Counter()
    for row in rows:
        pixels[tuple(row["codes"])] += row["pixels"]
    return [{**rows[0], "codes": list(codes), "pixels": count} for codes, count in sorted(pixels.items()) if count]


def _recounted(draft: Draft, cells: set[str], change: Callable[[Counts, str, str], list[Row]]) -> Planted:
    """Replace the label counts of some cells, and all that follows from them."""
    counts, tools = _counts(draft.corpus), annotator(draft)
    changed = {key: _summed(change(counts, *key)) for key in counts if key[0] in cells}
    rows = [row for row in draft.rows() if row["cell"] in cells]

    def derived(row: Row) -> Row:
        period = plan_rows(draft.corpus)[row["id"]]["period"]
        return annotated(draft, row, cell_labels(draft, changed[row["cell"], period], tools), tools)

    planted = edited(draft, rows, derived)
    table = [row for key, original in counts.items() for row in changed.get(key, original)]
    return replace(planted, after=lambda corpus: _write_counts(corpus, table))


def _write_counts(corpus: Path, rows: list[Row]) -> None:
    path = corpus / "label_counts.parquet"
    write_table(path, pa.Table.from_pylist(rows, schema=pq.read_schema(path)))
    lock: Lock = read_document(Lock, corpus / "lock.json")
    manifest: Manifest = read_document(Manifest, corpus / "corpus.json")
    lock = lock.model_copy(update={"label_counts_sha256": file_sha256(path)})
    write_bytes(corpus / "lock.json", lock.model_dump_json(indent=1).encode())
    card = (corpus / "README.md").read_text(encoding="utf-8").replace(manifest.lock_digest, lock.digest)
    write_bytes(corpus / "README.md", card.encode())
    manifest = manifest.model_copy(update={"lock_digest": lock.digest})
    write_bytes(corpus / "corpus.json", manifest.model_dump_json(indent=1).encode())


def _picked(draft: Draft, salt: str, rows: list[Row], *, pct: float) -> set[str]:
    return {row["cell"] for row in in_cells(draft, salt, rows, pct=pct)}


@independent("words", "vegetation-index", "label maps of some cells exchanged before they were counted")
def maps_exchanged(draft: Draft) -> Planted:
    cells = sorted(_picked(draft, "maps", draft.rows(), pct=6))
    partner = dict(zip(cells, [*cells[1:], cells[0]], strict=True))
    return _recounted(draft, set(cells), lambda counts, cell, period: _moved(counts, cell, period, partner[cell]))


def _moved(counts: Counts, cell: str, period: str, source: str) -> list[Row]:
    rows = counts.get((source, period)) or counts[cell, period]
    return [{**row, "cell": cell} for row in rows]


@independent("words", "vegetation-index", "forest counted as fields in the map of some cells")
def forest_counted_as_fields(draft: Draft) -> Planted:
    forests = [row for row in draft.rows() if row["fractions"].get("trees", 0) > 0.3]
    if not forests:
        raise Unsuited("no forest")

    def recoded(counts: Counts, cell: str, period: str) -> list[Row]:
        return [{**row, "codes": [_swap(row["codes"][0]), *row["codes"][1:]]} for row in counts[cell, period]]

    return _recounted(draft, _picked(draft, "forest", forests, pct=8), recoded)


def _swap(code: int) -> int:
    return {_TREES: _CROPS, _CROPS: _TREES}.get(code, code)


@independent("words", "vegetation-index", "label maps of some cells displaced by half a cell to the east")
def maps_displaced_by_half_a_cell(draft: Draft) -> Planted:
    names = {row["cell"] for row in draft.rows()}
    rows = [row for row in draft.rows() if neighbour(row["cell"]) in names]

    def mixed(counts: Counts, cell: str, period: str) -> list[Row]:
        east = counts.get((neighbour(cell), period)) or counts[cell, period]
        return [{**row, "cell": cell} for row in [*scaled(counts[cell, period], 0.5), *scaled(east, 0.5)]]

    return _recounted(draft, _picked(draft, "half", rows, pct=6), mixed)
