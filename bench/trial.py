"""Plant one defect, check the corpus, and compare the findings with what was planted."""

import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bench import DEFECTS
from bench.draft import Planted
from bench.registry import Unsuited
from bench.remeasure import CleanCorpus, check_again
from bench.reseal import reseal
from landmark.quality.findings import Report

_MAX_CHARS = 240  # of a message


@dataclass(frozen=True, slots=True)
class Trial:
    """A task.

    Attributes:
        kind: Of defect.
        scratch: Folder for copies of the corpus, on its disk.
        rate_pct: Of the samples that can have the defect, instead of the kind's own rate.
    """

    kind: str
    clean: CleanCorpus
    scratch: Path
    rate_pct: float | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """Findings of a corpus with one defect.

    Attributes:
        rate_pct: Share of the samples that were to have the defect; None at the kind's own rate.
        planted: Number of subjects with the defect, of `of` possible ones.
        detected: Any check has a finding that the clean corpus does not have.
        named: The expected check has one.
        recalled: Planted subjects that the expected check names.
        recalled_by_any: Planted subjects that any check names.
        other_checks: Number of subjects that other checks name, by check.
        message: The expected check's first flag of a planted subject.
        unsuited: Why the defect could not be planted.
        crashed: The error that ended the check.
    """

    kind: str
    rate_pct: float | None = None
    planted: int = 0
    of: int = 0
    detected: bool = False
    named: bool = False
    recalled: int = 0
    recalled_by_any: int = 0
    other_checks: dict[str, int] | None = None
    message: str | None = None
    unsuited: str | None = None
    crashed: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The fields that are not None; what other checks find, and where, only where it matters."""
        values = {name: value for name, value in asdict(self).items() if value is not None}
        if self.recalled == self.planted:
            values.pop("other_checks", None)
        if self.recalled_by_any == self.recalled:
            values.pop("recalled_by_any")
        if self.rate_pct is not None:
            values.pop("message", None)
        return values


def run_trial(trial: Trial) -> Result:
    """Plant a defect, check the corpus, and remove the copy."""
    defect, rate_pct = DEFECTS[trial.kind], trial.rate_pct
    draft, out = (
        replace(trial.clean.draft, rate_pct=rate_pct, picks=set()),
        trial.scratch / f"{trial.kind}-{rate_pct or 'own'}",
    )
    bare = Result(defect.kind, rate_pct)
    try:
        planted = defect.plant(draft)
        if rate_pct is not None and not draft.picks:
            raise Unsuited("the defect has no rate")
        rewritten = reseal(draft, planted, out)
    except Exception as error:
        # Corpora without orbits, texts or classes lack what some defects change.
        shutil.rmtree(out, ignore_errors=True)
        return replace(bare, unsuited=str(error) or type(error).__name__)
    try:
        report = check_again(out, trial.clean, planted, rewritten)
    except Exception as error:
        # A check that crashes detects nothing; the benchmark continues.
        return replace(score(bare, planted, {}), crashed=f"{type(error).__name__}: {error}")
    else:
        return score(bare, planted, flags(report.minus_baseline(trial.clean.report)))
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


def score(bare: Result, planted: Planted, flagged: dict[str, dict[str, str]]) -> Result:
    """Compare the flags of all checks with what was planted."""
    expected = DEFECTS[bare.kind].check
    named = {check: texts for check, texts in flagged.items() if expected in ("", check)}
    of_subjects = _lines_of_subjects(planted, named)
    return replace(
        bare,
        planted=len(planted.subjects),
        of=planted.of,
        detected=bool(flagged),
        named=bool(named),
        recalled=sum(map(bool, of_subjects)),
        recalled_by_any=sum(map(bool, _lines_of_subjects(planted, flagged))),
        other_checks={name: len(subjects) for name, subjects in sorted(flagged.items()) if name != expected},
        message=next((lines[0][:_MAX_CHARS] for lines in of_subjects if lines), None),
    )


def _lines_of_subjects(planted: Planted, flagged: dict[str, dict[str, str]]) -> list[list[str]]:
    """Per planted subject, the texts that name it."""
    lines = [f"{subject}: {text}" for texts in flagged.values() for subject, text in texts.items()]
    return [[line for line in lines if any(name in line for name in names)] for names in planted.subjects]
