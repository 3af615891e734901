"""Queries, judgements and rankings in TREC's formats, read and written."""

import hashlib
import json
import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from landmark.core.atomic import atomic_path
from landmark.core.errors import InputError, InsufficientData, InvalidCorpus
from landmark.corpus.reader import Corpus
from landmark.corpus.relevance import Query
from landmark.train.metrics import Order, order_of, tie_ranks


def read_queries(corpus: Corpus) -> list[Query]:
    """The queries a corpus came with.

    Raises:
        InsufficientData: it has none, for want of labels.
        InvalidCorpus: the file is gone, or not the one that was sealed.
    """
    if not corpus.manifest.queries:
        raise InsufficientData(
            f"{corpus.root}: the manifest lists no queries, because no sample has a label (or the corpus was built"
            " before queries were written); build it with `labels`"
        )
    lines = (json.loads(line) for line in _sealed(corpus, "queries.jsonl").splitlines())
    return [Query(line["id"], line["text"], tuple(line["labels"])) for line in lines]


def _sealed(corpus: Corpus, name: str) -> str:
    """The text of a query file as it was sealed.

    Raises:
        InvalidCorpus: it is gone, or its bytes are not those the manifest names.
    """
    path = corpus.root / name
    said = {one.path: one.sha256 for one in corpus.manifest.queries}
    if name not in said:
        raise InvalidCorpus(f"{path} is missing: the manifest lists no such file")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InvalidCorpus(f"{path} is missing: {error.strerror}; `landmark build` writes it again") from error
    if hashlib.sha256(data).hexdigest() != said[name]:
        raise InvalidCorpus(f"{path} is not the file that was sealed; delete it, and `landmark build` writes it again")
    return data.decode()


def read_grades(corpus: Corpus, split: str, *, queries: Sequence[Query], ids: Sequence[str]) -> NDArray[np.int8]:
    """Grades (query, document) of a split's samples, 0 where the file has no line.

    Raises:
        InvalidCorpus: the file is missing, or not the one that was sealed.
    """
    grades = np.zeros((len(queries), len(ids)), dtype=np.int8)
    row_of, column_of = _places([query.id for query in queries]), _places(ids)
    for line in _sealed(corpus, f"qrels/{split}.txt").splitlines():
        query, _, id, grade = line.split()
        grades[row_of[query], column_of[id]] = int(grade)
    return grades


def write_trec(
    path: Path,
    queries: Sequence[Query],
    ids: Sequence[str],
    ranked: Iterable[tuple[Order, NDArray[np.floating]]],
    tag: str,
) -> Iterator[Order]:
    """Write rankings as a TREC run, whole, while they pass through."""
    with atomic_path(path) as partial, partial.open("w", encoding="utf-8") as file:
        for query, (order, scores) in zip(queries, ranked, strict=True):
            file.writelines(
                f"{query.id} Q0 {ids[place]} {rank} {scores[place]:.9g} {tag}\n"
                for rank, place in enumerate(order.tolist(), 1)
            )
            yield order


def read_trec(path: Path, *, queries: Sequence[Query], ids: Sequence[str]) -> list[Order]:
    """Somebody's rankings, a query each, by their scores: as trec_eval does, ranks are not believed.

    A query without a line has an empty ranking.

    Raises:
        InputError: not such a file, or of unknown queries or documents, or with a document twice.
    """
    row_of, column_of, ties = _places([query.id for query in queries]), _places(ids), tie_ranks(ids)
    found = [(array("q"), array("d")) for _ in queries]
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                row, column, score = _read_line(line, f"--from-trec {path}: line {number}", row_of, column_of)
                found[row][0].append(column)
                found[row][1].append(score)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--from-trec {path}: cannot be read: {error}") from error
    orders = []
    for query, (columns, scores) in zip(queries, found, strict=True):
        places = np.array(columns, dtype=np.int64)
        named, times = np.unique(places, return_counts=True)
        if (times > 1).any():
            twice = ids[int(named[times > 1][0])]
            raise InputError(f"--from-trec {path}: {twice!r} stands twice for query {query.id!r}")
        orders.append(places[order_of(np.array(scores), ties[places])])
    return orders


def _read_line(line: str, where: str, row_of: dict[str, int], column_of: dict[str, int]) -> tuple[int, int, float]:
    """Query, document and score of a line, the first two as places."""
    try:
        query, _, id, _, score, _ = line.split()
        value = float(score)
    except ValueError as error:
        raise InputError(f"{where}: want `query Q0 document rank score tag`, found {line.strip()!r}") from error
    if query not in row_of:
        raise InputError(f"{where}: the corpus has no query {query!r}")
    if id not in column_of:
        raise InputError(f"{where}: the split has no sample {id!r}; --split says which is judged")
    if math.isnan(value):
        raise InputError(f"{where}: {id!r} has no score")
    return row_of[query], column_of[id], value


def _places(names: Iterable[str]) -> dict[str, int]:
    return {name: place for place, name in enumerate(names)}
