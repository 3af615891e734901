"""`landmark labels` and `landmark sheet` as a person types them."""

import ast
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Run
from tests.labels.clms import MAP, Clms, serving, write_profile


def test_a_map_is_ordered_and_the_way_to_build_with_it_is_said(landmark: Run, tmp_path: Path) -> None:
    clms = Clms()
    with serving(clms):
        (tmp_path / "key.json").write_text(json.dumps(clms.service_key()))
        source = write_profile(clms, tmp_path / "corine.yaml")
        code, out, err = landmark("labels", "fetch", source, "--key", tmp_path / "key.json", "--out", "maps")
    assert code == 0, err
    assert Path(out.strip()).read_bytes() == MAP
    assert "--labels corine=maps/U2018_CLC2018_V2020_20u1.tif" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["corine"], "needs your own key"),
        (["corine", "--key", "nothing.json"], "cannot be read"),
        (["corin"], "Did you mean 'corine'?"),
    ],
)
def test_what_is_missing_is_told_before_anything_is_asked(landmark: Run, arguments: list[str], said: str) -> None:
    code, out, err = landmark("labels", "fetch", *arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert not Path("labels").exists()


def test_a_plan_gives_a_script(landmark: Run, recipe: Callable[..., Path]) -> None:
    assert landmark("plan", recipe(), "--limit", 3, "--workers", 0)[0] == 0
    code, out, err = landmark("labels", "script", "corpora/tiny")
    assert code == 0, err
    ast.parse(Path(out.strip()).read_text())
    assert landmark("labels", "script", "corpora/none")[0] == 2


def test_a_sheet_is_a_picture_or_a_page_as_its_name_says(landmark: Run, recipe: Callable[..., Path]) -> None:
    assert landmark("build", recipe(), "--limit", 3, "--workers", 0)[0] == 0
    for name, start in (("a.html", b"<!doctype html>"), ("a.png", b"\x89PNG")):
        assert landmark("sheet", "corpora/tiny", "--out", name)[0] == 0
        assert Path(name).read_bytes().startswith(start)
    code, _, err = landmark("sheet", "corpora/tiny", "--out", "nowhere/a.html")
    assert code == 2
    assert "nowhere/a.html" in err
