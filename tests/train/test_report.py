"""Reports of an evaluation: a folder of Markdown, JSON and figures."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import landmark
from landmark.core.errors import InvalidCorpus, RunMismatch
from landmark.corpus.reader import Corpus
from landmark.train.retrieval.evaluate import EvaluationReport, evaluate_trec
from landmark.train.retrieval.report import report_folder, write_report
from landmark.train.retrieval.tables import make_tables, single_events
from tests.conftest import Run
from tests.parts import raises
from tests.train.toy import build_toy, dense_ranking

FILES = ["classes.png", "events.png", "report.json", "report.md"]


def flood(id: str) -> list[dict[str, Any]]:
    """Odd samples are of a flood, every other of them before it."""
    if not int(id[-1]) % 2:
        return []
    fact = {"id": f"flood-{id[:2]}", "type": "flood", "fraction": 0.5, "in_aoi": True, "product": "p", "days": 1.0}
    is_before = int(id[-1]) % 4 == 1
    return [fact | ({"phase": "before"} if is_before else {"phase": "during", "label": "trees"})]


@pytest.fixture(scope="module")
def ranked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A corpus with events, and a TREC run."""
    folder = tmp_path_factory.mktemp("ranked")
    corpus = build_toy(folder / "corpus", counts={"test": 12}, events=flood)
    (folder / "run.txt").write_text(dense_ranking(landmark.open(corpus), "test"))
    return corpus, folder / "run.txt"


@pytest.fixture(scope="module")
def report(ranked: tuple[Path, Path]) -> EvaluationReport:
    return evaluate_trec(landmark.open(ranked[0]), ranked[1], split="test")


def test_the_command_writes_markdown_json_and_figures(landmark: Run, ranked: tuple[Path, Path]) -> None:
    corpus, run = ranked
    code, out, err = landmark("evaluate", corpus, "--from-trec", run, "--out", "report")
    assert code == 0, err
    assert sorted(path.name for path in Path("report").iterdir()) == FILES
    for name in ("classes.png", "events.png"):
        with Image.open(Path("report") / name) as image:
            assert image.width > 600 and len(image.convert("RGB").getcolors(2**16) or ()) > 3
            assert "Software" not in image.info
    markdown, before = Path("report/report.md").read_text(), Path("report/report.json").read_bytes()
    assert "](classes.png)" in markdown and "](events.png)" in markdown
    assert max(map(len, out.splitlines())) <= 120
    code, out, _ = landmark("evaluate", corpus, "--from-trec", run, "--out", "report", "--json")
    assert code == 0 and json.loads(out) == json.loads(before)
    assert Path("report/report.json").read_bytes() == before


def test_tables_have_the_figures_of_the_report(report: EvaluationReport) -> None:
    means, classes, types, phases = make_tables(report)
    assert means.rows[0][:4] == (
        "overall",
        f"{report.overall.map:.3f}",
        f"{report.overall.chance_map:.3f}",
        f"{report.overall.above_chance:z.3f}",
    )
    assert [row[0] for row in classes.rows] == list(report.classes)
    kind = report.events["overall"].types[0]
    assert types.rows == [types.rows[0]] and types.rows[0][:4] == (
        "flood: trees",
        str(kind.events),
        f"{kind.map:.3f}",
        f"{kind.chance_map:.3f}",
    )
    assert [row[0] for row in phases.rows] == ["flood, before", "flood, during"]
    assert [row[0] for row in single_events(report.events).rows] == ["flood-s1: trees", "flood-s2: trees"]
    for table in (means, classes, types, phases, single_events(report.events)):
        assert {len(row) for row in table.rows} == {1 + len(table.columns)}
        text, markdown = list(table.to_text()), list(table.to_markdown())
        assert len(text) >= 3 + len(table.rows) and len({line.count("|") for line in markdown[2:]}) == 1


def test_a_report_without_events_has_no_figure_of_them(
    toy_corpus: Corpus, report: EvaluationReport, tmp_path: Path
) -> None:
    (tmp_path / "run.txt").write_text(dense_ranking(toy_corpus, "test"))
    plain = evaluate_trec(toy_corpus, tmp_path / "run.txt", split="test")
    for own, files in ((report, FILES), (plain, [name for name in FILES if name != "events.png"])):
        with report_folder(tmp_path / "out"):
            write_report(tmp_path / "out", own, "toy")
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == files
    first = (tmp_path / "out" / "classes.png").read_bytes()
    with report_folder(tmp_path / "out"):
        write_report(tmp_path / "out", plain, "toy")
    assert (tmp_path / "out" / "classes.png").read_bytes() == first


def test_folders_with_other_files_and_links_are_refused(tmp_path: Path) -> None:
    (tmp_path / "run.json").touch()
    with raises(RunMismatch, file=str(tmp_path), value="run.json"), report_folder(tmp_path):
        pass
    shutil.copy(tmp_path / "run.json", tmp_path / "report.md")
    (tmp_path / "run.json").unlink()
    (tmp_path / "classes.png").symlink_to("/tmp")
    with raises(InvalidCorpus), report_folder(tmp_path):
        pass
