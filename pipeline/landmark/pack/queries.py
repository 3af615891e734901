"""Retrieval queries with graded relevance, so that every corpus says how it wants to be searched.

`base/relevance.py` is the rule; a sample without a line is not relevant.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa

from landmark.base.manifest import QueryFile
from landmark.base.recipe import SPLITS
from landmark.base.relevance import Query, grade, make_queries
from landmark.base.taxonomy import Taxonomy
from landmark.io.store import write_bytes


def write_queries(corpus: Path, index: pa.Table, taxonomy: Taxonomy) -> list[QueryFile]:
    """Write `queries.jsonl` and, per split with a relevant sample, `qrels/<split>.txt` in TREC's four columns."""
    carried = [frozenset(labels) for labels in index["labels"].to_pylist()]
    asked = make_queries(carried, {key: one.name["en"].lower() for key, one in taxonomy.classes.items()})
    (corpus / "qrels").mkdir(exist_ok=True)
    for stale in (corpus / "qrels").iterdir():
        stale.unlink()
    files: dict[str, Iterable[str]] = {
        "queries.jsonl": (json.dumps(asdict(query), ensure_ascii=False) for query in asked)
    }
    rows = list(zip(index["id"].to_pylist(), index["split"].to_pylist(), carried, strict=True))
    for split in SPLITS:
        files[f"qrels/{split}.txt"] = _judged(asked, [(id, labels) for id, of, labels in rows if of == split])
    written = (_write(corpus, path, lines) for path, lines in files.items())
    return [one for one in written if one is not None]


def _judged(asked: Iterable[Query], samples: list[tuple[str, frozenset[str]]]) -> Iterator[str]:
    for query in asked:
        wanted = frozenset(query.labels)
        for id, labels in samples:
            if relevance := grade(wanted, labels):
                yield f"{query.id} 0 {id} {relevance}"


def _write(corpus: Path, path: str, lines: Iterable[str]) -> QueryFile | None:
    data = "".join(f"{line}\n" for line in lines).encode()
    if not data:
        return None
    write_bytes(corpus / path, data)
    return QueryFile(path=path, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
