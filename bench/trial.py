"""One defect: planted, checked, and what became of it."""

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
    """A unit of the bench: a kind of defect, the clean corpus, what is said of it, and where copies may lie."""

    kind: str
    draft: Draft
    clean: Report
    scratch: Path


@dataclass(frozen=True, slots=True)
class Result:
    """What the gate said of a corpus with one defect.

    Attributes:
        planted: Subjects the defect fell upon, of `of` it could have.
        found: Some check says something it does not say of the clean corpus.
        named: The expected check does.
        recalled: Planted subjects that the expected check names.
        others: What other checks say besides, check → number of subjects.
        unsuited: Why the defect could not be planted.
        crashed: The error the gate ended in.
    """

    kind: str
    group: str
    check: str
    about: str
    planted: int = 0
    of: int = 0
    found: bool = False
    named: bool = False
    recalled: int = 0
    others: dict[str, int] | None = None
    unsuited: str | None = None
    crashed: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Without what does not apply."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def tried(trial: Trial) -> Result:
    """Plant a defect, check, and remove the copy."""
    defect, out = DEFECTS[trial.kind], trial.scratch / trial.kind
    try:
        planted = defect.plant(trial.draft)
    except Unsuited as lack:
        return Result(defect.kind, defect.group, defect.check, defect.about, unsuited=str(lack))
    try:
        reseal(trial.draft, planted, out)
    except ValueError as same:
        shutil.rmtree(out, ignore_errors=True)
        return Result(defect.kind, defect.group, defect.check, defect.about, unsuited=str(same))
    try:
        report = check(out, load_check_profile(), executor=ExecutorConfig())
    except Exception as error:
        # A gate that falls over has found nothing, and the bench goes on.
        crashed = f"{type(error).__name__}: {error}"
        return replace(judged(defect, planted, {}), crashed=crashed)
    else:
        return judged(defect, planted, flags(report.minus_baseline(trial.clean)))
    finally:
        shutil.rmtree(out, ignore_errors=True)


def flags(report: Report) -> dict[str, dict[str, str]]:
    """Check → subject → what is said of it, by errors and warnings."""
    found: dict[str, dict[str, str]] = {}
    for one in report.findings("warning"):
        for subject, seen in one.subjects.items():
            found.setdefault(one.check, {}).setdefault(subject, f"{one.problem}: {seen}" if seen else one.problem)
    return found


def judged(defect: Defect, planted: Planted, said: dict[str, dict[str, str]]) -> Result:
    """Compare what the gate says with what was planted."""
    named = said.get(defect.check, {})
    told = [f"{subject}: {text}" for subject, text in named.items()]
    recalled = sum(any(name in line for name in names for line in told) for names in planted.subjects)
    return Result(
        defect.kind,
        defect.group,
        defect.check,
        defect.about,
        planted=len(planted.subjects),
        of=planted.of,
        found=bool(said),
        named=bool(named),
        recalled=recalled,
        others={name: len(subjects) for name, subjects in sorted(said.items()) if name != defect.check},
    )
