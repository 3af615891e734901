"""Markdown reference of the check profile, written to `docs/reference/checks.md`."""

from collections.abc import Iterator
from itertools import groupby

from landmark.quality.check_profile import CheckProfile, load_check_profile

_TITLES = {
    "integrity": "Integrity: files, tables and rows agree",
    "pixels": "Pixels: values are as the format defines",
    "words": "Words: labels and captions agree with each other and with the pixels",
    "splits": "Splits: no leakage from train to test",
    "bias": "Bias: no class can be predicted from a circumstance instead of the image",
}


def checks_reference() -> str:
    """Render a table per group of checks, with severity, requirement, limits and remedy."""
    return "\n".join(_lines(load_check_profile())) + "\n"


def _lines(profile: CheckProfile) -> Iterator[str]:
    yield "<!-- Generated from profiles/checks/default.yaml by `python -m landmark.cli.reference docs/reference`. -->"
    yield "# Checks"
    yield ""
    yield "What `landmark check` requires of a corpus. A rules file changes severities and limits:"
    yield "see [quality.md](../quality.md)."
    for group, items in groupby(profile.checks.items(), key=lambda item: item[1].group):
        yield from ("", f"## {_TITLES[group]}", "")
        yield "| check | severity | requirement | limits | remedy |"
        yield "|---|---|---|---|---|"
        for name, spec in items:
            limits = "<br>".join(f"`{limit}: {value:g}`" for limit, value in spec.limits.items())
            yield f"| `{name}` | {spec.severity} | {spec.requirement} | {limits} | {spec.remedy} |"
