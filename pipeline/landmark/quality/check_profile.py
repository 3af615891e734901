"""The rules a corpus is held to, `profiles/checks/default.yaml`: per check a severity, limits, and words."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from landmark.core.errors import InputError
from landmark.core.yaml_files import Strict, find, parse, read
from landmark.quality.findings import Severity

KIND = "profiles/checks"

Limits = Mapping[str, float]
# YAML reads a bare `off` as false.
Level = Annotated[Severity | Literal["off"], BeforeValidator(lambda value: "off" if value is False else value)]


class Rule(Strict):
    """How one check judges."""

    group: Literal["integrity", "pixels", "words", "splits", "bias"]
    severity: Level
    about: str = Field(description="What a corpus that passes has")
    remedy: str = Field(description="What to do about a finding")
    limits: dict[str, float] = Field({}, description="Thresholds by name; the unit stands in the name")


class Rules(Strict):
    """All checks, by name."""

    checks: dict[str, Rule]


class Change(Strict):
    """What a person's rules file may say of a check; the rest stays as shipped."""

    severity: Level | None = None
    limits: dict[str, float] = Field({}, description="Thresholds to change")


class Changes(Strict):
    """A person's rules file."""

    checks: dict[str, Change]


def load_rules(changed: Path | None = None) -> Rules:
    """The shipped rules, with the severities and limits a file changes.

    Raises:
        InputError: the file is malformed, or names a check or a limit there is not.
    """
    rules = parse(Rules, read(find(KIND, "default")), find(KIND, "default"))
    if changed is None:
        return rules
    changes = parse(Changes, read(changed), changed).checks
    for name, change in changes.items():
        _known(name, rules.checks, f"{changed}: `checks.{name}`: no such check")
        for limit in change.limits:
            _known(limit, rules.checks[name].limits, f"{changed}: `checks.{name}.limits.{limit}`: no such limit")
    return Rules(checks={name: _with(rule, changes.get(name)) for name, rule in rules.checks.items()})


def _with(rule: Rule, change: Change | None) -> Rule:
    if change is None:
        return rule
    update: dict[str, Any] = {"limits": {**rule.limits, **change.limits}}
    return rule.model_copy(update=update | ({"severity": change.severity} if change.severity else {}))


def _known(name: str, names: Mapping[str, Any], complaint: str) -> None:
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"; did you mean `{near[0]}`?" if near else ""
        raise InputError(f"{complaint}{hint} There are: {', '.join(names) or 'none'}")
