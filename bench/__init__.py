"""How well `landmark check` finds what goes wrong with corpora: defects planted one by one, and real corpora."""

from bench import damage, facts, labels, leaks, optical, pairs, radar, words
from bench.registry import DEFECTS

__all__ = ["DEFECTS", "damage", "facts", "labels", "leaks", "optical", "pairs", "radar", "words"]
