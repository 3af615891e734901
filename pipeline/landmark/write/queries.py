"""Retrieval queries with graded relevance, written beside every corpus.

`corpus/relevance.py` defines the grades; samples without a line are not relevant.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa

from landmark.config.recipe import SPLITS
from landmark.core.atomic import write_bytes
from landmark.core.corpus_paths import delete_folder, make_folder, writable
from landmark.corpus.manifest import QueryFile
from landmark.corpus.relevance import Query, grade, make_queries
from landmark.domain.taxonomy import Taxonomy


def query_files(samples: pa.Table, taxonomy: Taxonomy) -> dict[str, list[str]]:
    """Lines of `queries.jsonl` and, per split with a relevant sample, of `qrels/<split>.txt` in TREC's four columns.

    Args:
        samples: Columns id, split and labels; judgements keep their order.
        taxonomy: Names of the classes.
    """
    distinct: dict[frozenset[str], frozenset[str]] = {}
    label_sets = [distinct.setdefault(labels, labels) for labels in map(frozenset, samples["labels"].to_pylist())]
    queries = make_queries(label_sets, {key: entry.name["en"].lower() for key, entry in taxonomy.classes.items()})
    files = {"queries.jsonl": [json.dumps(asdict(query), ensure_ascii=False) for query in queries]}
    rows = list(zip(samples["id"].to_pylist(), samples["split"].to_pylist(), label_sets, strict=True))
    for split in SPLITS:
        judged = [(id, labels) for id, row_split, labels in rows if row_split == split]
        files[f"qrels/{split}.txt"] = list(_judgements(queries, judged))
    return {path: lines for path, lines in files.items() if lines}


def write_queries(corpus: Path, index: pa.Table, taxonomy: Taxonomy) -> list[QueryFile]:
    """Write the query files of an index; none where no sample has a label."""
    delete_folder(corpus, "qrels")
    files = query_files(index, taxonomy)
    if files:
        make_folder(corpus, "qrels")
    return [_write(corpus, path, lines) for path, lines in files.items()]


def _judgements(queries: Iterable[Query], samples: list[tuple[str, frozenset[str]]]) -> Iterator[str]:
    distinct = {labels for _, labels in samples}
    for query in queries:
        query_labels = frozenset(query.labels)
        grades = {labels: grade(query_labels, labels) for labels in distinct}
        for id, labels in samples:
            if relevance := grades[labels]:
                yield f"{query.id} 0 {id} {relevance}"


def _write(corpus: Path, path: str, lines: list[str]) -> QueryFile:
    data = "".join(f"{line}\n" for line in lines).encode()
    write_bytes(writable(corpus, path), data)
    return QueryFile(path=path, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
