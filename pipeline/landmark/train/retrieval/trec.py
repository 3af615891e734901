"""Read and write queries, relevance judgements (qrels) and rankings (runs) in TREC's formats."""

import json
import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv

from landmark.core.atomic import atomic_path
from landmark.core.corpus_paths import readable
from landmark.core.errors import InputError, InsufficientData, InvalidCorpus
from landmark.core.hashing import file_sha256
from landmark.corpus.metrics import Ranking, id_order, rank_documents
from landmark.corpus.reader import Corpus
from landmark.corpus.relevance import Query, grade_samples

_BLOCK_BYTES = 2**24


@dataclass(frozen=True, slots=True)
class Judgements:
    """Grades above 0 of the samples of a split, query after query; all others are 0.

    Attributes:
        starts: (query + 1,) first entry of each query, and the number of entries.
        documents: (entry,) row of the sample.
        grades: (entry,).
    """

    starts: NDArray[np.int64]
    documents: NDArray[np.int32]
    grades: NDArray[np.int8]

    def of(self, query: int) -> tuple[NDArray[np.int32], NDArray[np.int8]]:
        """Rows and grades of the samples that are relevant to a query, by its number."""
        entries = slice(self.starts[query], self.starts[query + 1])
        return self.documents[entries], self.grades[entries]


def read_queries(corpus: Corpus) -> list[Query]:
    """Read the queries of a corpus.

    Raises:
        InsufficientData: the corpus has none, as it has no labels.
        InvalidCorpus: the file is missing or differs from the manifest's checksum.
    """
    if not corpus.manifest.queries:
        problem = "the corpus has no queries, because no sample has a label"
        raise InsufficientData(problem, file=corpus.root, key="queries", remedy="build it with `labels`")
    text = _verify(corpus, "queries.jsonl").read_text(encoding="utf-8")
    lines = (json.loads(line) for line in text.splitlines())
    return [Query(line["id"], line["text"], tuple(line["labels"])) for line in lines]


def _verify(corpus: Corpus, name: str) -> Path:
    """Path of a query file, its checksum verified against the manifest."""
    path = corpus.root / name
    checksums = {file.path: file.sha256 for file in corpus.manifest.queries}
    if name not in checksums:
        raise InvalidCorpus("is missing from the manifest", file=path)
    try:
        checksum = file_sha256(readable(corpus.root, name))
    except OSError as error:
        remedy = "`landmark build` writes it again"
        raise InvalidCorpus(f"is missing: {error.strerror}", file=path, remedy=remedy) from error
    if checksum != checksums[name]:
        remedy = "delete it, and `landmark build` writes it again"
        raise InvalidCorpus("differs from the checksum in the manifest", file=path, remedy=remedy)
    return path


def read_judgements(corpus: Corpus, split: str, *, queries: Sequence[Query], ids: Sequence[str]) -> Judgements:
    """Read the judgements of samples of a split, a part of the file at a time; those of other samples are left out.

    Raises:
        InsufficientData: no sample of the split has a label.
        InvalidCorpus: the file is missing or differs from the manifest's checksum.
    """
    name = f"qrels/{split}.txt"
    if name not in {file.path for file in corpus.manifest.queries}:
        raise _without_labels(corpus, split)
    path = _verify(corpus, name)
    names = pa.array([query.id for query in queries], pa.string()), pa.array(ids, pa.string())
    parts = list(_read_qrels(path, *names))
    rows, documents, grades = (np.concatenate(column) for column in zip(*parts, strict=True))
    if (rows[1:] < rows[:-1]).any():
        order = np.argsort(rows, kind="stable")
        rows, documents, grades = rows[order], documents[order], grades[order]
    return Judgements(np.searchsorted(rows, np.arange(len(queries) + 1)), documents, grades)


def judge_samples(corpus: Corpus, split: str, *, queries: Sequence[Query]) -> Judgements:
    """Judge the samples of a split by their labels, as the file of a corpus does.

    Raises:
        InsufficientData: no sample of the split has a label.
    """
    grades = grade_samples(queries, corpus.select(split=split).columns("labels")["labels"])
    if not grades.any():
        raise _without_labels(corpus, split)
    rows, documents = np.nonzero(grades)
    starts = np.searchsorted(rows, np.arange(len(queries) + 1))
    return Judgements(starts, documents.astype(np.int32), grades[rows, documents])


def _without_labels(corpus: Corpus, split: str) -> InsufficientData:
    problem, remedy = "no sample of the split has a label", "choose another with --split"
    return InsufficientData(problem, file=corpus.root, key="split", value=split, remedy=remedy)


def _read_qrels(path: Path, queries: pa.Array, ids: pa.Array) -> Iterator[tuple[NDArray[Any], ...]]:
    """Yield number of the query, row of the document and grade of the lines of some documents of a qrels file."""
    reader = csv.open_csv(
        path,
        csv.ReadOptions(column_names=["query", "iteration", "document", "grade"], block_size=_BLOCK_BYTES),
        csv.ParseOptions(delimiter=" ", quote_char=False),
        csv.ConvertOptions(
            column_types={"query": pa.string(), "document": pa.string(), "grade": pa.int8()},
            include_columns=["query", "document", "grade"],
        ),
    )
    for batch in reader:
        document = pc.index_in(batch["document"], ids)
        query, grade = pc.index_in(batch["query"], queries), batch["grade"]
        selected = document.is_valid()
        yield tuple(own.filter(selected).to_numpy() for own in (query, document, grade))


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


def read_trec(path: Path, *, queries: Sequence[Query], ids: Sequence[str]) -> Iterator[Ranking]:
    """Read a TREC run file; yield the ranking of each query, by score; ranks in the file are ignored, as in trec_eval.

    A query without a line has an empty ranking. A line takes 8 bytes of memory.

    Raises:
        InputError: malformed, or with unknown queries or documents, or a document twice for a query.
    """
    row_of, column_of = _index([query.id for query in queries]), _index(ids)
    entries = [(array("i"), array("f")) for _ in queries]
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                row, column, score = _parse_line(line, f"--from-trec {path}: line {number}", row_of, column_of)
                entries[row][0].append(column)
                entries[row][1].append(score)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read: {error}", file="--from-trec", value=path) from error
    place = np.empty(len(ids), dtype=np.int64)
    place[id_order(ids)] = np.arange(len(ids))
    for query, (columns, scores) in zip(queries, entries, strict=True):
        documents = np.array(columns, dtype=np.int64)
        distinct, counts = np.unique(documents, return_counts=True)
        if (counts > 1).any():
            duplicate = ids[int(distinct[counts > 1][0])]
            raise InputError(f"duplicate document of query {query.id!r}", file=f"--from-trec {path}", value=duplicate)
        yield documents[rank_documents(np.array(scores, dtype=np.float32), np.argsort(place[documents]))]


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
