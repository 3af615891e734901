"""Templates: text with {slots}, and [groups] that are omitted if one of their slots has no fact."""

import re
from collections.abc import Mapping, Set
from dataclasses import dataclass
from functools import cache, cached_property

from landmark.core.errors import invalid

_TOKEN = re.compile(r"\{(\w+)\}|([\[\]])|([^\[\]{}]+)|(.)", re.DOTALL)

# Consecutive parts of a text, each with the fact it states ("" for none).
Spans = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Slot:
    """A placeholder for facts; `capital` if its first letter is to be upper case."""

    name: str
    capital: bool


@dataclass(frozen=True)
class Group:
    """A parsed template or group: literal text, slots, and optional groups."""

    nodes: tuple["str | Slot | Group", ...]

    @cached_property
    def required_slots(self) -> frozenset[str]:
        """Names of the slots outside nested groups."""
        return frozenset(node.name for node in self.nodes if isinstance(node, Slot))

    @cached_property
    def all_slots(self) -> frozenset[str]:
        """Names of all slots."""
        return self.required_slots.union(*(node.all_slots for node in self.nodes if isinstance(node, Group)))

    def filled_slots(self, facts: Set[str]) -> frozenset[str] | None:
        """Slots that are filled if these slots have facts; None if a required slot has none."""
        if not self.required_slots <= facts:
            return None
        nested = (node.filled_slots(facts) for node in self.nodes if isinstance(node, Group))
        return self.required_slots.union(*(slots for slots in nested if slots is not None))

    def fill(self, facts: Mapping[str, Spans]) -> Spans:
        """Replace slots by their facts, omitting groups that lack one."""
        spans: Spans = []
        for node in self.nodes:
            if isinstance(node, str):
                spans.append((node, ""))
            elif isinstance(node, Slot):
                spans += _capitalize(facts[node.name]) if node.capital else facts[node.name]
            elif node.filled_slots(facts.keys()) is not None:
                spans += node.fill(facts)
        return spans


@cache
def parse_template(text: str) -> Group:
    """Parse a template.

    Raises:
        PydanticCustomError: unbalanced brackets or braces, or a group without a slot of its own.
    """
    stack: list[list[str | Slot | Group]] = [[]]
    for slot, bracket, literal, stray in _TOKEN.findall(text):
        if stray:
            raise invalid(f"stray {stray!r}", value=text, remedy="write slots as {name}")
        if bracket == "[":
            stack.append([])
        elif bracket == "]":
            if len(stack) == 1:
                raise invalid("] without [", value=text)
            group = Group(tuple(stack.pop()))
            if not group.required_slots:
                raise invalid("a [group] without a slot of its own", value=text)
            stack[-1].append(group)
        else:
            stack[-1].append(Slot(slot.lower(), slot[0].isupper()) if slot else literal)
    if len(stack) > 1:
        raise invalid("[ without ]", value=text)
    return Group(tuple(stack[0]))


def check_slots(text: str, *slots: str) -> str:
    """Return the text if it is a template with no other slots.

    Raises:
        PydanticCustomError: it is not.
    """
    if unknown := parse_template(text).all_slots - set(slots):
        raise invalid(f"unknown slot {{{min(unknown)}}}", value=text, remedy=f"available: {', '.join(sorted(slots))}")
    return text


def annotate(text: str, facts: Mapping[str, Spans], fact: str) -> Spans:
    """Fill a template whose literal words, without surrounding spaces, state a fact of their own."""
    spans: Spans = []
    for words, own_fact in parse_template(text).fill(facts):
        bare = words.strip()
        if own_fact or not bare:
            spans.append((words, own_fact))
            continue
        before, _, after = words.partition(bare)
        spans += [part for part in ((before, ""), (bare, fact), (after, "")) if part[0]]
    return spans


def join(items: list[Spans], last: str, separator: str = ", ") -> Spans:
    """Join items into a list, with another separator before the last."""
    spans = list(items[0])
    for number, item in enumerate(items[1:], start=2):
        spans += [(last if number == len(items) else separator, ""), *item]
    return spans


def fill(text: str, **words: str) -> str:
    """Fill a template with plain text."""
    return to_text(parse_template(text).fill({name: [(value, "")] for name, value in words.items()}))


def to_text(spans: Spans) -> str:
    """The text without its facts."""
    return "".join(words for words, _ in spans)


def _capitalize(spans: Spans) -> Spans:
    words, fact = spans[0]
    return [(words[:1].upper() + words[1:], fact), *spans[1:]]
