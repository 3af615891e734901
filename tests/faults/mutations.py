"""Seeded damage of valid files: bytes of any format, and values and keys of YAML and JSON."""

import copy
import random
from typing import Any

# Values that no author means, put in the place of any other.
ODD_VALUES: tuple[Any, ...] = (
    None,
    -1,
    0,
    1e309,
    float("nan"),
    10**400,
    True,
    "",
    "\ud800",
    "\0",
    "x" * 100_000,
    [],
    {},
    [[]],
    {"": None},
    [None, "a", 1],
    "2021-13-45",
    "../../etc/passwd",
    "((a+)+)+$",
    "{" * 50,
)


def damaged_bytes(data: bytes, seed: int) -> bytes:
    """Bytes with some flipped, cut off, inserted, repeated or zeroed; half of the places are in the header."""
    rng = random.Random(seed)
    content = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        place = rng.randrange(min(len(content), 512) if rng.random() < 0.5 else len(content)) if content else 0
        length = rng.choice((1, 2, 4, 8, 64, 512))
        match rng.randrange(6):
            case 0:
                content[place : place + 1] = bytes([rng.randrange(256)])
            case 1:
                content = content[:place]
            case 2:
                content[place:place] = rng.randbytes(length)
            case 3:
                content[place : place + length] = bytes(length)
            case 4:
                content[place : place + length] = b"\xff" * length
            case _:
                content[place:place] = content[place : place + length]
    return bytes(content)


def damaged_document(value: Any, seed: int) -> Any:
    """A copy of lists and mappings with some values replaced, keys renamed or deleted, or parts repeated."""
    rng = random.Random(seed)
    document = copy.deepcopy(value)
    for _ in range(rng.choice((1, 1, 2, 5))):
        _damage(document, rng)
    return document


def _damage(document: Any, rng: random.Random) -> None:
    places = list(_places(document))
    if not places:
        return
    parent, key = rng.choice(places)
    match rng.randrange(7):
        case 0 | 1 | 2:
            parent[key] = copy.deepcopy(rng.choice(ODD_VALUES))
        case 3:
            del parent[key]
        case 4 if isinstance(parent, dict):
            parent[rng.choice(("", "x" * 1000, "name", str(key) + "s"))] = parent.pop(key)
        case 4 | 5:
            donor, donor_key = rng.choice(places)
            parent[key] = copy.deepcopy(donor[donor_key])
        case _:
            nested: Any = parent[key]
            for _ in range(rng.choice((1, 3, 90, 300))):
                nested = [nested]
            parent[key] = nested


def _places(value: Any) -> Any:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in list(children):
        yield value, key
        yield from _places(child)
