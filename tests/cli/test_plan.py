"""The page of `landmark plan`."""

import pytest

from landmark.cli import plan
from landmark.corpus.manifest import EventCells

NONE = EventCells(split=None, affected=0, before=0, unaffected=0, distant=0)
SAMPLED = EventCells(split="test", affected=4, before=4, unaffected=2, distant=1)


@pytest.mark.parametrize(
    ("cells", "lines"), [({"flood": NONE, "fire": NONE}, 1), ({"flood": SAMPLED, "fire": NONE}, 3)]
)
def test_events_have_rows_if_cells_are_sampled_around_them(cells: dict[str, EventCells], lines: int) -> None:
    assert len(list(plan._events(cells))) == lines
