"""Counts in messages."""


def plural(count: int, noun: str, nouns: str | None = None) -> str:
    """A count with its noun: `1 sample`, `2 samples`, and `2 classes` with `nouns="classes"`."""
    return f"{count} {noun if count == 1 else nouns or f'{noun}s'}"
