"""Retrieval queries with graded relevance, written beside every corpus.

`corpus/relevance.py` defines the grades; samples without a line are not relevant.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import chain
from pathlib import Path

import pyarrow as pa

from landmark.config.recipe import SPLITS
from landmark.core.atomic import atomic_file
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
    files = {path: list(lines) for path, lines in _query_lines(samples, taxonomy)}
    return {path: lines for path, lines in files.items() if lines}


def write_queries(corpus: Path, index: pa.Table, taxonomy: Taxonomy) -> list[QueryFile]:
    """Write the query files of an index; none where no sample has a label."""
    delete_folder(corpus, "qrels")
    files = []
    for path, lines in _query_lines(index, taxonomy):
        if (first := next(lines, None)) is not None:
            make_folder(corpus, "qrels")
            files.append(_write(corpus, path, chain([first], lines)))
    return files


def _query_lines(samples: pa.Table, taxonomy: Taxonomy) -> Iterator[tuple[str, Iterator[str]]]:
    """Yield each file's path and lines, which are made one at a time: there are many times more than samples."""
    distinct: dict[frozenset[str], frozenset[str]] = {}
    label_sets = [distinct.setdefault(labels, labels) for labels in map(frozenset, samples["labels"].to_pylist())]
    queries = make_queries(label_sets, {key: entry.name["en"].lower() for key, entry in taxonomy.classes.items()})
    yield "queries.jsonl", (json.dumps(asdict(query), ensure_ascii=False) for query in queries)
    rows = list(zip(samples["id"].to_pylist(), samples["split"].to_pylist(), label_sets, strict=True))
    for split in SPLITS:
        judged = [(id, labels) for id, row_split, labels in rows if row_split == split]
        yield f"qrels/{split}.txt", _judgements(queries, judged)


def _judgements(queries: Iterable[Query], samples: list[tuple[str, frozenset[str]]]) -> Iterator[str]:
    distinct = {labels for _, labels in samples}
    for query in queries:
        query_labels = frozenset(query.labels)
        grades = {labels: grade(query_labels, labels) for labels in distinct}
        for id, labels in samples:
            if relevance := grades[labels]:
                yield f"{query.id} 0 {id} {relevance}"


def _write(corpus: Path, path: str, lines: Iterable[str]) -> QueryFile:
    with atomic_file(writable(corpus, path)) as file:
        for line in lines:
            file.write(f"{line}\n".encode())
    return QueryFile(path=path, size_bytes=file.size_bytes, sha256=file.sha256)
