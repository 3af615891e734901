"""Defects planted one by one into a small corpus are reported by their check; the action and the hook fail on them."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from bench.defects import RESULT
from bench.draft import Draft, Planted
from bench.famous import FAMOUS
from bench.remeasure import CleanCorpus, check_again, measure_clean
from bench.reseal import open_draft, reseal
from bench.table import FAMOUS_MARKERS, MARKERS, famous, markdown
from bench.trial import Trial, flags, run_trial

from bench import DEFECTS
from landmark.core.executor import ExecutorConfig
from landmark.quality.check import check
from landmark.quality.check_profile import load_check_profile
from landmark.quality.suspects import suspects

ROOT = Path(__file__).parents[2]
COMMITTED = json.loads(RESULT.read_text())

# Kinds that the committed result lists as not found.
UNNAMED = {"direction-low", "single-zone-class"}
OWN = {kind: defect for kind, defect in DEFECTS.items() if defect.origin == "own"}
# Defects of pixels are planted in memory by test_pixels; one of them goes through a sealed corpus here.
THROUGH_FILES = [
    kind for kind, defect in OWN.items() if not (defect.wide or defect.events) and defect.group != "pixels"
]
OF_EVENTS = [kind for kind, defect in OWN.items() if defect.events]


@pytest.fixture(scope="module")
def corpus(sealed: Path, tmp_path_factory: pytest.TempPathFactory) -> CleanCorpus:
    """A sealed corpus, measured."""
    return measure_clean(open_draft(sealed, tmp_path_factory.mktemp("planted") / "resealed"))


@pytest.fixture(scope="module")
def clean(corpus: CleanCorpus) -> Draft:
    """The sealed corpus as a draft."""
    return corpus.draft


@pytest.fixture(scope="module")
def crisis(sealed_crisis: Path, tmp_path_factory: pytest.TempPathFactory) -> CleanCorpus:
    """A sealed corpus with events, measured."""
    return measure_clean(open_draft(sealed_crisis, tmp_path_factory.mktemp("planted-events") / "resealed"))


def test_the_clean_corpora_have_no_findings(corpus: CleanCorpus, crisis: CleanCorpus) -> None:
    assert flags(corpus.report) == flags(crisis.report) == {}


@pytest.mark.long
@pytest.mark.parametrize("kind", [*THROUGH_FILES, "black"])
def test_a_defect_is_reported_by_the_expected_check(kind: str, corpus: CleanCorpus, tmp_path: Path) -> None:
    result = run_trial(Trial(kind, corpus, tmp_path))
    assert result.unsuited is None
    assert result.planted > 0
    assert result.named, result
    assert result.recalled == result.planted, result


@pytest.mark.long
@pytest.mark.parametrize("kind", OF_EVENTS)
def test_a_defect_of_events_is_reported_by_the_expected_check(kind: str, crisis: CleanCorpus, tmp_path: Path) -> None:
    result = run_trial(Trial(kind, crisis, tmp_path))
    assert result.unsuited is None
    assert result.named and result.recalled == result.planted, result


@pytest.mark.long
@pytest.mark.parametrize(
    "kind",
    [
        "black",
        "pair-of-another-cell",
        "cell-in-two-splits",
        "duplicate-id",
        "shards-exchanged",
        "counts-incomplete",
        "grammar-changed",
    ],
)
def test_measuring_changed_cells_again_gives_the_report_of_a_full_check(
    kind: str, corpus: CleanCorpus, tmp_path: Path
) -> None:
    planted = DEFECTS[kind].plant(corpus.draft)
    rewritten = reseal(corpus.draft, planted, tmp_path / kind)
    report = check_again(tmp_path / kind, corpus, planted, rewritten)
    assert report == check(tmp_path / kind, load_check_profile(deep=True), executor=ExecutorConfig())
    assert report != corpus.report


def test_a_rate_sets_how_many_samples_have_the_defect(corpus: CleanCorpus, tmp_path: Path) -> None:
    result = run_trial(Trial("lon-lat-exchanged", corpus, tmp_path, rate_pct=50))
    assert result.planted == result.recalled == round(corpus.report.samples / 2)
    assert run_trial(Trial("shard-missing", corpus, tmp_path, rate_pct=50)).unsuited is not None


# -- The bench and its committed result ------------------------------------------------------------------------------


def test_a_corpus_that_resealing_changes_is_not_a_draft(clean: Draft, tmp_path: Path) -> None:
    changed = Path(shutil.copytree(clean.corpus, tmp_path / "changed"))
    manifest = (changed / "corpus.json").read_text()
    (changed / "corpus.json").write_text(manifest.replace('"written": ', '"written": 1'))
    with pytest.raises(ValueError):
        open_draft(changed, tmp_path / "resealed")


def test_a_defect_without_effect_is_refused(clean: Draft, tmp_path: Path) -> None:
    (id, row), *_ = clean.facts.items()
    with pytest.raises(ValueError):
        reseal(clean, Planted(((id,),), 1, {id: {"lon": row["lon"]}}), tmp_path / "same")


def test_planting_is_deterministic(clean: Draft, tmp_path: Path) -> None:
    for name in ("first", "second"):
        reseal(clean, DEFECTS["rgb-reversed"].plant(clean), tmp_path / name)
    assert (tmp_path / "first" / "corpus.json").read_bytes() == (tmp_path / "second" / "corpus.json").read_bytes()


def test_every_check_has_a_defect() -> None:
    failing = {name for name, spec in load_check_profile().checks.items() if spec.severity in ("error", "warning")}
    # Suspects have tests of their own.
    assert failing - {*suspects.CHECKS} == {defect.check for defect in OWN.values()}


def test_the_committed_result_is_current_and_complete() -> None:
    assert COMMITTED["kinds"] == {kind: defect.describe() for kind, defect in DEFECTS.items()}
    present = {name: corpus for name, corpus in COMMITTED["corpora"].items() if "absent" not in corpus}
    assert [corpus["findings"] for corpus in present.values()] == [[] for _ in present]
    trials = [trial for name in ("demo-easy-0", "crisis-demo-0") for trial in present[name]["trials"]]
    of_kind = {trial["kind"]: trial for trial in trials if "rate_pct" not in trial}
    assert of_kind.keys() == DEFECTS.keys()
    assert not [kind for kind, trial in of_kind.items() if "unsuited" in trial]
    assert {kind for kind in OWN if not of_kind[kind]["named"]} <= UNNAMED


@pytest.mark.parametrize(
    ("page", "markers", "table"),
    [("bench.md", MARKERS, markdown), ("famous.md", FAMOUS_MARKERS, lambda result: famous(result, FAMOUS))],
)
def test_the_docs_show_the_committed_result(
    page: str, markers: tuple[str, str], table: Callable[[dict[str, Any]], str]
) -> None:
    start, end = markers
    text = (ROOT / "docs" / page).read_text()
    assert text.split(start)[1].split(end)[0].strip() == table(COMMITTED)


def test_every_famous_defect_is_planted_and_named() -> None:
    trials = COMMITTED["corpora"]["demo-easy-0"]["trials"]
    named = {trial["kind"] for trial in trials if "rate_pct" not in trial and trial["named"] and "message" in trial}
    assert {entry.kind for entry in FAMOUS} <= named


# -- Action and hook -------------------------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command with this checkout's `landmark` on the path."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT / "pipeline")}

    def call(*command: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=tmp_path, env={**env, **more}, capture_output=True, text=True, check=False)

    return call


@pytest.fixture
def pair(clean: Draft, tmp_path: Path) -> tuple[Path, Path]:
    """A clean corpus and one with a token in a column."""
    shutil.copytree(clean.corpus, tmp_path / "corpora" / "good")
    reseal(clean, DEFECTS["signed-address"].plant(clean), tmp_path / "corpora" / "bad")
    return tmp_path / "corpora" / "good", tmp_path / "corpora" / "bad"


@pytest.mark.long
def test_the_hook_checks_each_corpus_that_a_commit_touches(
    run: Callable[..., subprocess.CompletedProcess[str]], pair: tuple[Path, Path], tmp_path: Path
) -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    touched = {
        name: [
            path.relative_to(tmp_path).as_posix()
            for path in sorted((tmp_path / "corpora" / name).rglob("*"))
            if re.search(hook["files"], path.as_posix())
        ]
        for name in ("good", "bad")
    }
    assert len(touched["good"]) > 5
    command = f'{hook["entry"]} "$@"'
    result = run("bash", "-c", command, "hook", *touched["good"], *touched["bad"])
    assert result.returncode == 1
    bad, good = result.stdout.split("tiny: ")[1:]
    assert "  error " not in good
    assert "  error    secrets: " in bad


@pytest.mark.long
def test_the_action_fails_on_new_findings_and_writes_reports(
    run: Callable[..., subprocess.CompletedProcess[str]], pair: tuple[Path, Path], tmp_path: Path
) -> None:
    action = yaml.safe_load((ROOT / ".github/actions/check/action.yml").read_text())
    step = next(step for step in action["runs"]["steps"] if step.get("name") == "Check")
    defaults = {name: str(entry.get("default", "")) for name, entry in action["inputs"].items()} | {"workers": "0"}
    good, bad = pair

    def run_step(**changes: str) -> int:
        inputs = {**defaults, **changes}
        env = {
            name: re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda match: inputs[match[1]], text)
            for name, text in step["env"].items()
        }
        summary = {"GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md")}
        return run("bash", "-eo", "pipefail", "-c", step["run"], **env, **summary).returncode

    assert run_step(corpus=str(good)) == 0
    assert run_step(corpus=str(bad), report="first") == 1
    assert "| error | secrets |" in (tmp_path / "summary.md").read_text()
    assert "<failure" in (tmp_path / "first" / "check.xml").read_text()
    assert run_step(corpus=str(bad), against=str(tmp_path / "first" / "check.json")) == 0
    assert run_step(corpus=str(tmp_path)) == 2
