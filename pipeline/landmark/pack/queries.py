"""Retrieval queries with graded relevance, so that every corpus says how it wants to be searched.

A query asks for classes: each class alone, and each set of classes that samples carry together. Relevance follows from
the labels: 1, the sample carries every class asked for; 2, and these are at least half of its classes; 3, and it
carries no other. A sample without a line is not relevant.
"""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from landmark.base.manifest import QueryFile
from landmark.base.recipe import SPLITS
from landmark.base.taxonomy import Taxonomy
from landmark.io.store import write_bytes

# Beyond these the sets are ever rarer, and the judgements of Europe would outgrow its index.
_SETS = 100
_CARRIED_BY = 2


def query_files(samples: pa.Table, taxonomy: Taxonomy) -> dict[str, list[str]]:
    """Lines of `queries.jsonl` and, per split with a relevant sample, of `qrels/<split>.txt` in TREC's four columns.

    `samples` has the columns id, split and labels; judgements stand in its order.
    """
    carried = [frozenset(labels) for labels in samples["labels"].to_pylist()]
    asked = _queries(carried, taxonomy)
    files = {"queries.jsonl": [json.dumps(query, ensure_ascii=False) for query in asked]}
    rows = list(zip(samples["id"].to_pylist(), samples["split"].to_pylist(), carried, strict=True))
    for split in SPLITS:
        files[f"qrels/{split}.txt"] = list(_judged(asked, [(id, labels) for id, of, labels in rows if of == split]))
    return {path: lines for path, lines in files.items() if lines}


def write_queries(corpus: Path, index: pa.Table, taxonomy: Taxonomy) -> list[QueryFile]:
    """Write the query files of an index, and nothing where no sample has a label."""
    shutil.rmtree(corpus / "qrels", ignore_errors=True)
    files = query_files(index, taxonomy)
    if files:
        (corpus / "qrels").mkdir()
    return [_write(corpus, path, lines) for path, lines in files.items()]


def _queries(carried: Iterable[frozenset[str]], taxonomy: Taxonomy) -> list[dict[str, Any]]:
    """Each class that occurs, in the taxonomy's order, then the sets, the most frequent first."""
    order = list(taxonomy.classes)
    counts = Counter(tuple(sorted(labels, key=order.index)) for labels in carried)
    singles = [(key,) for key in order if any(key in labels for labels in counts)]
    sets = [labels for labels, count in counts.items() if len(labels) > 1 and count >= _CARRIED_BY]
    often = sorted(sets, key=lambda labels: (-counts[labels], labels))[:_SETS]
    return [
        {
            "id": "+".join(labels),
            "text": ". ".join(taxonomy.classes[key].name["en"].lower() for key in labels),
            "labels": list(labels),
        }
        for labels in [*singles, *often]
    ]


def _judged(queries: Iterable[dict[str, Any]], samples: list[tuple[str, frozenset[str]]]) -> Iterator[str]:
    for query in queries:
        wanted = frozenset(query["labels"])
        for id, labels in samples:
            if wanted <= labels:
                yield f"{query['id']} 0 {id} {1 + (2 * len(wanted) >= len(labels)) + (wanted == labels)}"


def _write(corpus: Path, path: str, lines: list[str]) -> QueryFile:
    data = "".join(f"{line}\n" for line in lines).encode()
    write_bytes(corpus / path, data)
    return QueryFile(path=path, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
