from pathlib import Path

from landmark.config.reference import recipe_reference


def test_the_committed_reference_is_current() -> None:
    """If this fails, run `make docs`."""
    committed = Path(__file__).parents[2] / "docs/reference/recipe.md"
    assert committed.read_text(encoding="utf-8") == recipe_reference()
