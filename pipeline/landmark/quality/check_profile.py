"""The check profile, `profiles/checks/default.yaml`: severity, thresholds and texts of every check."""

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from landmark.core.errors import InputError
from landmark.core.yaml_files import StrictModel, load_model, parse_model, read_yaml

KIND = "profiles/checks"

Limits = Mapping[str, float]
SeverityLevel = Literal["error", "warning", "note", "off"]


class CheckSpec(StrictModel):
    """Severity, thresholds and texts of one check."""

    group: Literal["integrity", "pixels", "words", "splits", "bias"]
    severity: SeverityLevel
    requirement: str = Field(description="Requirement that a corpus must meet")
    remedy: str = Field(description="What to do about a finding")
    limits: dict[str, float] = Field({}, description="Thresholds by name; the suffix of a name is its unit")
    deep: bool = Field(False, description="Only applied with --deep")


class CheckProfile(StrictModel):
    """All checks by name."""

    checks: dict[str, CheckSpec]
    deep: bool = Field(False, description="Whether the checks that need --deep are applied")

    @property
    def active(self) -> dict[str, CheckSpec]:
        """The checks that are not off."""
        return {name: spec for name, spec in self.checks.items() if spec.severity != "off"}

    @property
    def limits(self) -> dict[str, Limits]:
        """Thresholds of the checks that are applied."""
        return {name: spec.limits for name, spec in self.active.items() if self.deep or not spec.deep}


class CheckOverride(StrictModel):
    """Changes to one check."""

    severity: SeverityLevel | None = None
    limits: dict[str, float] = Field({}, description="Thresholds to change")


class ProfileOverrides(StrictModel):
    """A user's rules file."""

    checks: dict[str, CheckOverride] = Field({}, description="Check name → what to change")


def load_check_profile(overrides: Path | None = None, *, deep: bool = False) -> CheckProfile:
    """Load the shipped profile, with the severities and limits that a rules file changes.

    Args:
        overrides: The rules file.
        deep: Whether the checks that need --deep are applied.

    Raises:
        InputError: the file is malformed, or names an unknown check or limit.
    """
    profile = load_model(CheckProfile, KIND, "default").model_copy(update={"deep": deep})
    if overrides is None:
        return profile
    changes = parse_model(ProfileOverrides, read_yaml(overrides), overrides)
    _require_known(overrides, "checks", "check", changes.checks, profile.checks)
    checks = dict(profile.checks)
    for name, change in changes.checks.items():
        spec = checks[name]
        _require_known(overrides, f"checks.{name}.limits", "limit", change.limits, spec.limits)
        update: dict[str, Any] = {"limits": {**spec.limits, **change.limits}}
        if change.severity is not None:
            update["severity"] = change.severity
        checks[name] = spec.model_copy(update=update)
    return profile.model_copy(update={"checks": checks})


def _require_known(file: Path, key: str, kind: str, names: Iterable[str], known: Mapping[str, Any]) -> None:
    for name in names:
        if name not in known:
            similar = difflib.get_close_matches(name, known, n=1)
            suggestion = f"did you mean `{similar[0]}`? " if similar else ""
            remedy = f"{suggestion}known: {', '.join(known) or 'none'}"
            raise InputError(f"unknown {kind}", file=file, key=f"{key}.{name}", remedy=remedy)
