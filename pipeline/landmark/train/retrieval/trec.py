"""Read and write queries, relevance judgements (qrels) and rankings (runs) in TREC's formats."""

import hashlib
import json
import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from landmark.core.atomic import atomic_path
from landmark.core.corpus_paths import readable
from landmark.core.errors import InputError, InsufficientData, InvalidCorpus
from landmark.corpus.metrics import Ranking, rank_documents, tie_ranks
from landmark.corpus.reader import Corpus
from landmark.corpus.relevance import Query


def read_queries(corpus: Corpus) -> list[Query]:
    """Read the queries of a corpus.

    Raises:
        InsufficientData: the corpus has none, as it has no labels.
        InvalidCorpus: the file is missing or differs from the manifest's checksum.
    """
    if not corpus.manifest.queries:
        problem = "the corpus has no queries, because no sample has a label"
        raise InsufficientData(problem, file=corpus.root, key="queries", remedy="build it with `labels`")
    lines = (json.loads(line) for line in _read_verified(corpus, "queries.jsonl").splitlines())
    return [Query(line["id"], line["text"], tuple(line["labels"])) for line in lines]


def _read_verified(corpus: Corpus, name: str) -> str:
    """Text of a query file, its checksum verified against the manifest."""
    path = corpus.root / name
    checksums = {file.path: file.sha256 for file in corpus.manifest.queries}
    if name not in checksums:
        raise InvalidCorpus("is missing from the manifest", file=path)
    try:
        data = readable(corpus.root, name).read_bytes()
    except OSError as error:
        remedy = "`landmark build` writes it again"
        raise InvalidCorpus(f"is missing: {error.strerror}", file=path, remedy=remedy) from error
    if hashlib.sha256(data).hexdigest() != checksums[name]:
        remedy = "delete it, and `landmark build` writes it again"
        raise InvalidCorpus("differs from the checksum in the manifest", file=path, remedy=remedy)
    return data.decode()


def read_grades(corpus: Corpus, split: str, *, queries: Sequence[Query], ids: Sequence[str]) -> NDArray[np.int8]:
    """Read grades (query, document) of a split's samples, 0 where the file has no line.

    Raises:
        InvalidCorpus: the file is missing or differs from the manifest's checksum.
    """
    grades = np.zeros((len(queries), len(ids)), dtype=np.int8)
    row_of, column_of = _index([query.id for query in queries]), _index(ids)
    for line in _read_verified(corpus, f"qrels/{split}.txt").splitlines():
        query, _, id, grade = line.split()
        grades[row_of[query], column_of[id]] = int(grade)
    return grades


def write_trec(
    path: Path,
    queries: Sequence[Query],
    ids: Sequence[str],
    ranked: Iterable[tuple[Ranking, NDArray[np.floating]]],
    tag: str,
) -> Iterator[Ranking]:
    """Write rankings as a TREC run file, atomically, and yield each ranking.

    Args:
        path: The file.
        queries: One per ranking.
        ids: Document ids.
        ranked: Rankings with the scores (document,) of each query.
        tag: Name of the run, without spaces.
    """
    with atomic_path(path) as partial, partial.open("w", encoding="utf-8") as file:
        for query, (ranking, scores) in zip(queries, ranked, strict=True):
            file.writelines(
                f"{query.id} Q0 {ids[row]} {rank} {scores[row]:.9g} {tag}\n"
                for rank, row in enumerate(ranking.tolist(), 1)
            )
            yield ranking


def read_trec(path: Path, *, queries: Sequence[Query], ids: Sequence[str]) -> list[Ranking]:
    """Read a TREC run file: one ranking per query, by score; ranks in the file are ignored, as in trec_eval.

    A query without a line has an empty ranking.

    Raises:
        InputError: malformed, or with unknown queries or documents, or a document twice for a query.
    """
    row_of, column_of, ties = _index([query.id for query in queries]), _index(ids), tie_ranks(ids)
    entries = [(array("q"), array("d")) for _ in queries]
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                row, column, score = _parse_line(line, f"--from-trec {path}: line {number}", row_of, column_of)
                entries[row][0].append(column)
                entries[row][1].append(score)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read: {error}", file="--from-trec", value=path) from error
    rankings = []
    for query, (columns, scores) in zip(queries, entries, strict=True):
        documents = np.array(columns, dtype=np.int64)
        distinct, counts = np.unique(documents, return_counts=True)
        if (counts > 1).any():
            duplicate = ids[int(distinct[counts > 1][0])]
            raise InputError(f"duplicate document of query {query.id!r}", file=f"--from-trec {path}", value=duplicate)
        rankings.append(documents[rank_documents(np.array(scores), ties[documents])])
    return rankings


def _parse_line(line: str, place: str, row_of: dict[str, int], column_of: dict[str, int]) -> tuple[int, int, float]:
    """Query row, document column and score of a line; `place` is named in errors."""
    try:
        query, _, id, _, score, _ = line.split()
        value = float(score)
    except ValueError as error:
        problem = "malformed line; expected `query Q0 document rank score tag`"
        raise InputError(problem, file=place, value=line.strip()) from error
    if query not in row_of:
        raise InputError("the corpus has no such query", file=place, key="query", value=query)
    if id not in column_of:
        remedy = "--split selects the evaluated split"
        raise InputError("the split has no such sample", file=place, key="document", value=id, remedy=remedy)
    if math.isnan(value):
        raise InputError("the score is not a number", file=place, key="score", value=score)
    return row_of[query], column_of[id], value


def _index(names: Iterable[str]) -> dict[str, int]:
    return {name: number for number, name in enumerate(names)}
