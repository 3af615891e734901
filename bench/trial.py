"""Plant one defect, check the corpus, and compare the findings with what was planted."""

import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bench import DEFECTS
from bench.draft import Draft, Planted
from bench.registry import Defect, Unsuited
from bench.reseal import reseal
from landmark.core.executor import ExecutorConfig
from landmark.quality.check import check
from landmark.quality.check_profile import load_check_profile
from landmark.quality.findings import Report


@dataclass(frozen=True, slots=True)
class Trial:
    """A task: a kind of defect, the clean corpus, its report, and a folder for copies."""

    kind: str
    draft: Draft
    clean: Report
    scratch: Path


@dataclass(frozen=True, slots=True)
class Result:
    """Findings of a corpus with one defect.

    Attributes:
        planted: Number of subjects with the defect, of `of` possible ones.
        detected: Any check has a finding that the clean corpus does not have.
        named: The expected check has one.
        recalled: Planted subjects that the expected check names.
        other_checks: Number of subjects that other checks name, by check.
        unsuited: Why the defect could not be planted.
        crashed: The error that ended the check.
    """

    kind: str
    group: str
    check: str
    about: str
    planted: int = 0
    of: int = 0
    detected: bool = False
    named: bool = False
    recalled: int = 0
    other_checks: dict[str, int] | None = None
    unsuited: str | None = None
    crashed: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The fields that are not None."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def run_trial(trial: Trial) -> Result:
    """Plant a defect, check the corpus, and remove the copy."""
    defect, out = DEFECTS[trial.kind], trial.scratch / trial.kind
    try:
        planted = defect.plant(trial.draft)
    except Unsuited as error:
        return Result(defect.kind, defect.group, defect.check, defect.about, unsuited=str(error))
    try:
        reseal(trial.draft, planted, out)
    except ValueError as error:
        shutil.rmtree(out, ignore_errors=True)
        return Result(defect.kind, defect.group, defect.check, defect.about, unsuited=str(error))
    try:
        report = check(out, load_check_profile(), executor=ExecutorConfig())
    except Exception as error:
        # A check that crashes detects nothing; the benchmark continues.
        crashed = f"{type(error).__name__}: {error}"
        return replace(score(defect, planted, {}), crashed=crashed)
    else:
        return score(defect, planted, flags(report.minus_baseline(trial.clean)))
    finally:
        shutil.rmtree(out, ignore_errors=True)


def flags(report: Report) -> dict[str, dict[str, str]]:
    """Return the errors and warnings as check → subject → text."""
    texts: dict[str, dict[str, str]] = {}
    for finding in report.findings("warning"):
        for subject, value in finding.subjects.items():
            text = f"{finding.problem}: {value}" if value else finding.problem
            texts.setdefault(finding.check, {}).setdefault(subject, text)
    return texts


def score(defect: Defect, planted: Planted, flagged: dict[str, dict[str, str]]) -> Result:
    """Compare the flags of all checks with what was planted."""
    named = flagged.get(defect.check, {})
    lines = [f"{subject}: {text}" for subject, text in named.items()]
    recalled = sum(any(name in line for name in names for line in lines) for names in planted.subjects)
    return Result(
        defect.kind,
        defect.group,
        defect.check,
        defect.about,
        planted=len(planted.subjects),
        of=planted.of,
        detected=bool(flagged),
        named=bool(named),
        recalled=recalled,
        other_checks={name: len(subjects) for name, subjects in sorted(flagged.items()) if name != defect.check},
    )
