"""Templates: text with {slots}, and [groups] that are left out where one of their slots has no fact."""

import re
from collections.abc import Mapping, Set
from dataclasses import dataclass
from functools import cache

_TOKEN = re.compile(r"\{(\w+)\}|([\[\]])|([^\[\]{}]+)|(.)", re.DOTALL)

# What is said: words, and the fact they state ("" for glue).
Pieces = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for facts; `capital` where a sentence starts with it."""

    name: str
    capital: bool


@dataclass(frozen=True, slots=True)
class Group:
    """A stretch of a template: literal text, slots, and groups that may be left out."""

    nodes: tuple["str | Slot | Group", ...]

    @property
    def slots(self) -> frozenset[str]:
        """Names of the slots it cannot do without."""
        return frozenset(node.name for node in self.nodes if isinstance(node, Slot))

    @property
    def every(self) -> frozenset[str]:
        """Names of all its slots."""
        return self.slots.union(*(node.every for node in self.nodes if isinstance(node, Group)))

    def stated(self, facts: Set[str]) -> frozenset[str] | None:
        """The slots that are filled where these have facts; None where one it needs has none."""
        if not self.slots <= facts:
            return None
        inner = (node.stated(facts) for node in self.nodes if isinstance(node, Group))
        return self.slots.union(*(found for found in inner if found is not None))

    def filled(self, facts: Mapping[str, Pieces]) -> Pieces:
        """The pieces of the text, in order."""
        pieces: Pieces = []
        for node in self.nodes:
            if isinstance(node, str):
                pieces.append((node, ""))
            elif isinstance(node, Slot):
                pieces += _capital(facts[node.name]) if node.capital else facts[node.name]
            elif node.stated(facts.keys()) is not None:
                pieces += node.filled(facts)
        return pieces


@cache
def parsed(text: str) -> Group:
    """A template's structure.

    Raises:
        ValueError: a bracket or a brace without its other, or a group that no fact could leave out.
    """
    open_: list[list[str | Slot | Group]] = [[]]
    for slot, bracket, literal, stray in _TOKEN.findall(text):
        if stray:
            raise ValueError(f"a stray {stray!r}; a slot is written {{name}}")
        if bracket == "[":
            open_.append([])
        elif bracket == "]":
            if len(open_) == 1:
                raise ValueError("a ] without its [")
            group = Group(tuple(open_.pop()))
            if not group.slots:
                raise ValueError("a [group] needs a slot of its own")
            open_[-1].append(group)
        else:
            open_[-1].append(Slot(slot.lower(), slot[0].isupper()) if slot else literal)
    if len(open_) > 1:
        raise ValueError("a [ without its ]")
    return Group(tuple(open_[0]))


def allowed(text: str, *slots: str) -> str:
    """The text, once it is known to be a template with no slots but these.

    Raises:
        ValueError: it is not.
    """
    if unknown := parsed(text).every - set(slots):
        raise ValueError(f"no slot {{{min(unknown)}}}; there are {', '.join(sorted(slots))}")
    return text


def marked(text: str, facts: Mapping[str, Pieces], fact: str) -> Pieces:
    """A filled template whose own words state a fact, too; the space around them states none."""
    pieces: Pieces = []
    for words, of in parsed(text).filled(facts):
        bare = words.strip()
        if of or not bare:
            pieces.append((words, of))
            continue
        before, _, after = words.partition(bare)
        pieces += [(part, what) for part, what in ((before, ""), (bare, fact), (after, "")) if part]
    return pieces


def joined(items: list[Pieces], last: str, glue: str = ", ") -> Pieces:
    """A list of things said, with other words before the last of them."""
    pieces = list(items[0])
    for number, item in enumerate(items[1:], start=2):
        pieces += [(last if number == len(items) else glue, ""), *item]
    return pieces


def filled(text: str, **facts: str) -> str:
    """A template with words for its slots."""
    return plain(parsed(text).filled({name: [(words, "")] for name, words in facts.items()}))


def plain(pieces: Pieces) -> str:
    """The words alone."""
    return "".join(words for words, _ in pieces)


def _capital(pieces: Pieces) -> Pieces:
    words, fact = pieces[0]
    return [(words[:1].upper() + words[1:], fact), *pieces[1:]]
