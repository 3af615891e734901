"""Retrieval queries of a corpus and the relevance of samples to them, derived from labels.

There is a query for each class, and one for each set of classes that samples have together.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

# More sets would be rare ones, with judgements larger than the index of a continental corpus.
_MAX_SETS = 100
_MIN_SAMPLES = 2


@dataclass(frozen=True, slots=True)
class Query:
    """A line of `queries.jsonl`.

    Attributes:
        id: Class keys joined by `+`.
        text: Names of the classes.
        labels: Class keys.
    """

    id: str
    text: str
    labels: tuple[str, ...]

    @property
    def is_class(self) -> bool:
        """Whether it is a query for a single class."""
        return len(self.labels) == 1


def make_queries(label_sets: Iterable[frozenset[str]], names: Mapping[str, str]) -> list[Query]:
    """Make the queries for single classes in the order of `names`, then for sets, most frequent first.

    Args:
        label_sets: Labels of each sample.
        names: Class key → name, of all classes.
    """
    order = list(names)
    counts = Counter(tuple(sorted(labels, key=order.index)) for labels in label_sets)
    singles = [(key,) for key in order if any(key in labels for labels in counts)]
    sets = [labels for labels, count in counts.items() if len(labels) > 1 and count >= _MIN_SAMPLES]
    frequent = sorted(sets, key=lambda labels: (-counts[labels], labels))[:_MAX_SETS]
    return [Query("+".join(keys), ". ".join(names[key] for key in keys), keys) for keys in [*singles, *frequent]]


def grade(query: frozenset[str], labels: frozenset[str]) -> int:
    """Relevance of a sample to a query: 0 unless the sample has all classes of the query.

    1; 2 if they are at least half of the sample's classes; 3 if they are all of them.
    """
    if not query <= labels:
        return 0
    return 1 + (2 * len(query) >= len(labels)) + (query == labels)


def grade_samples(queries: Sequence[Query], labels: pa.ChunkedArray) -> NDArray[np.int8]:
    """`grade` of each query and sample (query, sample), of the samples' labels, lists of distinct keys."""
    classes = sorted({key for query in queries for key in query.labels})
    mask, counts = label_mask(labels, classes), pc.list_value_length(labels).to_numpy()
    grades = np.zeros((len(queries), len(labels)), dtype=np.int8)
    for row, query in enumerate(queries):
        size, has_all = len(query.labels), mask[[classes.index(key) for key in query.labels]].all(axis=0)
        grades[row] = has_all * (1 + (2 * size >= counts) + (size == counts))
    return grades


def label_mask(labels: pa.ChunkedArray, classes: Sequence[str]) -> NDArray[np.bool_]:
    """(class, sample), true where the sample's labels, a list of keys, contain the class."""
    rows = labels.combine_chunks()
    mask = np.zeros((len(classes), len(rows)), dtype=bool)
    index = pc.index_in(pc.list_flatten(rows), pa.array(classes, pa.string())).fill_null(-1).to_numpy()
    sample = pc.list_parent_indices(rows).to_numpy()
    mask[index[index >= 0], sample[index >= 0]] = True
    return mask
