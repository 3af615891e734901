"""How often Python's garbage collector runs."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# Rows of tables are objects by the hundred thousand, and hardly any refer to each other in a circle.
_NEW_OBJECTS = 50_000


@contextmanager
def rare_collections() -> Iterator[None]:
    """Let the process look for garbage only after 50,000 new objects within a block, unless it never does."""
    before = gc.get_threshold()
    gc.set_threshold(before[0] and max(_NEW_OBJECTS, before[0]), *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
