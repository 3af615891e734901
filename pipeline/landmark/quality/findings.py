"""Result types: a flag per problem and subject, findings that group flags, a result per check, and the report."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import Field, ValidationError

from landmark.core.errors import InputError
from landmark.core.yaml_files import StrictModel
from landmark.quality.suspects.suspect_report import Suspects

# Damaged rows can hold characters that terminals interpret and XML forbids.
_UNPRINTABLE = re.compile(r"[^\t\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


class Flag(NamedTuple):
    """One problem of one subject.

    Attributes:
        problem: What is wrong, the same text for all subjects.
        subject: What it concerns: a sample's id, a file's path, a class.
        detail: Observed and expected values.
    """

    problem: str
    subject: str
    detail: str = ""


class NotApplicable(Exception):
    """The corpus has nothing that the check could examine; the message is the reason."""


class Finding(StrictModel):
    """All subjects for which a check reports the same problem."""

    check: str
    severity: Severity
    problem: str
    subjects: dict[str, str] = Field(description="Sample id, file or class → observed and expected values")


class CheckResult(StrictModel):
    """Result of one check."""

    severity: Severity
    requirement: str
    remedy: str
    findings: list[Finding] = Field([], description="Empty if the corpus passes")
    skipped: str | None = Field(None, description="Why the check could not be applied")


class Report(StrictModel):
    """Result of `landmark check`."""

    format: int = 1
    corpus: str = Field(description="Name of the corpus")
    content_digest: str = Field(description="Content digest of the corpus")
    samples: int
    pixels_read: int = Field(description="Samples whose pixels were measured; below `samples` with --sample")
    options_digest: str = Field(description="Digest of profile, --sample and --seed; only equal ones are comparable")
    baseline_digest: str | None = Field(None, description="With --against: content digest of the baseline corpus")
    fixed: int = Field(0, description="With --against: number of subjects flagged in the baseline alone")
    checks: dict[str, CheckResult]
    suspects: Suspects | None = Field(None, description="With --suspects: ranked labels and events")

    def findings(self, min_severity: Severity = "note") -> list[Finding]:
        """Findings of at least a severity, the most severe first."""
        included = SEVERITIES[: SEVERITIES.index(min_severity) + 1]
        findings = [finding for result in self.checks.values() for finding in result.findings]
        return sorted(
            (finding for finding in findings if finding.severity in included),
            key=lambda finding: SEVERITIES.index(finding.severity),
        )

    def minus_baseline(self, base: "Report") -> "Report":
        """The report without flags that `base` has too: same check, problem and subject.

        Raises:
            InputError: `base` was made with other options, or is itself reduced by a baseline.
        """
        if base.baseline_digest is not None:
            raise InputError(
                "this report was itself made with --against", file="--against", value=base.corpus,
                remedy="make it again without --against",
            )  # fmt: skip
        if base.options_digest != self.options_digest:
            raise InputError(
                "this report was made with other --rules, --sample or --seed", file="--against", value=base.corpus,
                remedy="make it again with the same options",
            )  # fmt: skip
        known, current = _flag_keys(base), _flag_keys(self)
        checks = {
            name: result.model_copy(update={"findings": list(_new_findings(result.findings, known))})
            for name, result in self.checks.items()
        }
        fixed = len(known - current)
        return self.model_copy(
            update={"checks": checks, "baseline_digest": base.content_digest, "fixed": fixed}
        )  # fmt: skip


def group_flags(check: str, severity: Severity, flags: Iterable[Flag]) -> list[Finding]:
    """Group the flags of one check by problem, sorted, so that the order of the workers does not matter."""
    groups: dict[str, dict[str, str]] = {}
    for flag in sorted(flags):
        subject, detail = (_UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text) for text in flag[1:])
        groups.setdefault(flag.problem, {}).setdefault(subject, detail)
    return [
        Finding(check=check, severity=severity, problem=problem, subjects=subjects)
        for problem, subjects in groups.items()
    ]


def read_report(path: Path) -> Report:
    """Read a report written by `landmark check --json`.

    Raises:
        InputError: unreadable, or not a report.
    """
    try:
        return Report.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=path) from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or None
        raise InputError(f"not a report of `landmark check --json`: {first['msg']}", file=path, key=key) from error


def _flag_keys(report: Report) -> set[tuple[str, str, str]]:
    return {(finding.check, finding.problem, subject) for finding in report.findings() for subject in finding.subjects}


def _new_findings(findings: Iterable[Finding], known: set[tuple[str, str, str]]) -> Iterable[Finding]:
    """Findings without the known subjects; none without any left."""
    for finding in findings:
        subjects = {
            subject: detail
            for subject, detail in finding.subjects.items()
            if (finding.check, finding.problem, subject) not in known
        }
        if subjects:
            yield finding.model_copy(update={"subjects": subjects})
