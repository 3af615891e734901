"""What a check says: flags of single things, findings that gather them, a verdict a check, the report of all."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import Field, ValidationError

from landmark.core.errors import InputError
from landmark.core.yaml_files import Strict

# Neither a terminal nor XML may be handed what a broken row holds.
_UNPRINTABLE = re.compile(r"[^\t\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


class Flag(NamedTuple):
    """One thing that is not as it should be.

    Attributes:
        what: What is wrong, in the same words for all things of its kind.
        subject: A sample's id, a file's path, a class: what it is wrong with.
        seen: The figures, and what they should have been.
    """

    what: str
    subject: str
    seen: str = ""


class NotApplicable(Exception):
    """A check has nothing to look at in this corpus; the message says why."""


class Finding(Strict):
    """Everything one check says in the same words."""

    check: str
    severity: Severity
    what: str
    subjects: dict[str, str] = Field(description="Sample, file, class … → the figures seen there")


class Verdict(Strict):
    """What became of one check."""

    severity: Severity
    about: str
    remedy: str
    findings: list[Finding] = Field([], description="Empty where the corpus passes")
    skipped: str | None = Field(None, description="Why there was nothing to look at")


class Report(Strict):
    """What `landmark check` found in a corpus."""

    format: int = 1
    corpus: str = Field(description="Name of the corpus")
    content: str = Field(description="The corpus's content digest")
    samples: int
    looked_at: int = Field(description="Samples whose pixels were measured; fewer than `samples` with --sample")
    terms: str = Field(description="Digest of rules and sample: reports of other terms cannot be compared")
    against: str | None = Field(None, description="Content digest of the corpus whose findings are left out")
    mended: int = Field(0, description="With `against`: subjects flagged there and no longer here")
    checks: dict[str, Verdict]

    def findings(self, worst: Severity = "note") -> list[Finding]:
        """Findings at least as severe as `worst`, the most severe first."""
        heard = SEVERITIES[: SEVERITIES.index(worst) + 1]
        found = [finding for verdict in self.checks.values() for finding in verdict.findings]
        return sorted(
            (finding for finding in found if finding.severity in heard),
            key=lambda finding: SEVERITIES.index(finding.severity),
        )

    def beyond(self, base: "Report") -> "Report":
        """The report without what `base` flags, too: the same subject, for the same reason, by the same check.

        Raises:
            InputError: `base` was made by other rules or of another sample, or leaves out findings itself.
        """
        if base.against is not None:
            raise InputError(f"--against: the report of {base.corpus} was itself made with --against; give a whole one")
        if base.terms != self.terms:
            raise InputError(
                f"--against: the report of {base.corpus} was made with other --rules, --sample or --seed; make it again"
            )
        known, mine = _flagged(base), _flagged(self)
        checks = {
            name: verdict.model_copy(update={"findings": _new(verdict, known)}) for name, verdict in self.checks.items()
        }
        changes = {"checks": checks, "against": base.content, "mended": len(known - mine)}
        return self.model_copy(update=changes)


def gather(check: str, severity: Severity, flags: Iterable[Flag]) -> list[Finding]:
    """The flags of one check, gathered by what they say; subjects sorted, so that the order of units is no matter."""
    kinds: dict[str, dict[str, str]] = {}
    for flag in sorted(flags):
        kinds.setdefault(flag.what, {}).setdefault(
            *(_UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text) for text in flag[1:])
        )
    return [Finding(check=check, severity=severity, what=what, subjects=subjects) for what, subjects in kinds.items()]


def read_report(path: Path) -> Report:
    """A report that `landmark check --json` wrote.

    Raises:
        InputError: unreadable, or no such report.
    """
    try:
        return Report.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except ValidationError as error:
        where = error.errors()[0]
        raise InputError(f"{path}: not a report of `landmark check --json`: {where['loc']}: {where['msg']}") from error


def _flagged(report: Report) -> set[tuple[str, str, str]]:
    return {(one.check, one.what, subject) for one in report.findings() for subject in one.subjects}


def _new(verdict: Verdict, known: set[tuple[str, str, str]]) -> list[Finding]:
    left: list[Finding] = []
    for one in verdict.findings:
        subjects: Mapping[str, str] = {
            subject: seen for subject, seen in one.subjects.items() if (one.check, one.what, subject) not in known
        }
        if subjects:
            left.append(one.model_copy(update={"subjects": dict(subjects)}))
    return left
