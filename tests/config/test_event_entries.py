"""Event entries of recipes."""

from pathlib import Path
from typing import Any

import pytest

from landmark.config.event_entries import EventEntry
from landmark.core.errors import InputError
from landmark.core.yaml_files import parse_model


@pytest.mark.parametrize("dates", [{"X": "tomorrow"}, {"X": ["2018-10-29", "2018-10-01"]}, {"X": ["2018-10-29"]}])
def test_invalid_dates_are_refused(dates: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        parse_model(EventEntry, {"source": "effis", "files": ["a"], "dates": dates}, "recipe.yaml")
    assert (caught.value.key, caught.value.value) == ("dates.X", dates["X"])


def test_paths_are_resolved_and_left_out_of_the_canonical_form(tmp_path: Path) -> None:
    dates: Any = {"X": "2018-10-29"}
    entry = EventEntry(source="own.yaml", files=("a/*.zip", "world:events/ems"), dates=dates).resolve_paths(tmp_path)
    assert entry.files == (f"{tmp_path}/a/*.zip", "world:events/ems")
    assert entry.name == "own" and entry.source == f"{tmp_path}/own.yaml"
    assert entry.canonical()["files"] == ["*.zip", "ems"] and entry.canonical()["source"] == "own"
    assert EventEntry.model_validate_json(entry.model_dump_json()) == entry


def test_entries_of_the_same_source_are_merged() -> None:
    first, second = (EventEntry(source="effis", files=(name,), types=("fire",)) for name in "ab")
    assert first.merged_with(second) == EventEntry(source="effis", files=("a", "b"), types=("fire",))
