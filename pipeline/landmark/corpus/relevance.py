"""What a corpus is asked, and which samples answer: a rule over labels, for those who write queries and who judge.

A query asks for classes: each class alone, and each set of classes that samples carry together.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

# Beyond these the sets are ever rarer, and the judgements of Europe would outgrow its index.
_SETS = 100
_CARRIED_BY = 2


@dataclass(frozen=True, slots=True)
class Query:
    """Classes asked for, and the words that ask; the fields are the keys of a line of `queries.jsonl`."""

    id: str
    text: str
    labels: tuple[str, ...]


def make_queries(carried: Iterable[frozenset[str]], names: Mapping[str, str]) -> list[Query]:
    """Each class that occurs, in the order of `names` (class → its words), then the sets, the most frequent first."""
    order = list(names)
    counts = Counter(tuple(sorted(labels, key=order.index)) for labels in carried)
    singles = [(key,) for key in order if any(key in labels for labels in counts)]
    sets = [labels for labels, count in counts.items() if len(labels) > 1 and count >= _CARRIED_BY]
    often = sorted(sets, key=lambda labels: (-counts[labels], labels))[:_SETS]
    return [Query("+".join(keys), ". ".join(names[key] for key in keys), keys) for keys in [*singles, *often]]


def grade(wanted: frozenset[str], labels: frozenset[str]) -> int:
    """0 unless a sample carries every class asked for; 2, these are at least half of its classes; 3, all of them."""
    if not wanted <= labels:
        return 0
    return 1 + (2 * len(wanted) >= len(labels)) + (wanted == labels)
