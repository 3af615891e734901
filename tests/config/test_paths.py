"""Paths of recipes that lead into an embedded world."""

from pathlib import Path

import pytest

from landmark.config.paths import absolute_path, world_path


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("world:labels/*.tif", "/cache/world/labels/*.tif"),
        ("world-easy:events/ems", "/cache/world-easy/events/ems"),
        ("world:/labels/x.tif", "/cache/world/labels/x.tif"),
        ("/labels/x.tif", "/labels/x.tif"),
        ("world/x.tif", "/recipes/world/x.tif"),
        ("world-other:x.tif", "/recipes/world-other:x.tif"),
    ],
)
def test_only_world_paths_change(path: str, expected: str) -> None:
    absolute = absolute_path(path, Path("/recipes"))
    assert world_path(absolute, lambda name: Path("/cache") / name) == expected
