"""The layout of the repository: each room has a docs page and tests, modules stay short, references are current."""

from pathlib import Path

import pytest

from landmark.cli.reference import REFERENCES

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "pipeline" / "landmark"
ROOMS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))
MAX_LINES = 300


@pytest.mark.parametrize("room", ROOMS)
def test_room_has_a_docs_page_and_tests(room: str) -> None:
    assert (ROOT / "docs" / f"{room}.md").is_file()
    assert any((ROOT / "tests" / room).glob("test_*.py"))


def test_only_the_public_face_is_at_the_top_level() -> None:
    assert sorted(path.name for path in PACKAGE.glob("*.py")) == ["__init__.py", "__main__.py"]


def test_modules_are_short() -> None:
    lines = {path.relative_to(PACKAGE): len(path.read_text().splitlines()) for path in PACKAGE.rglob("*.py")}
    assert {str(path): count for path, count in lines.items() if count > MAX_LINES} == {}


@pytest.mark.parametrize("name", REFERENCES)
def test_generated_reference_is_current(name: str) -> None:
    committed = (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8")
    assert committed == REFERENCES[name](), "run `make docs`"


def test_links_of_the_documentation_resolve() -> None:
    import re

    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "pipeline" / "README.md"]
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert broken == []
