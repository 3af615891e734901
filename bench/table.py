"""Render `bench/defects.json` as Markdown, for docs/bench.md and the terminal."""

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

# docs/bench.md contains the tables between these.
MARKERS = ("<!-- bench:defects -->", "<!-- /bench:defects -->")


def markdown(result: Mapping[str, Any]) -> str:
    """Render the table of checks, of kinds not fully detected, and of the real corpora."""
    defects = [defect for defect in result["defects"] if "unsuited" not in defect]
    return "\n".join(
        [_summary(result, defects), "", *_checks(defects), "", *_missed(defects), "", *_real(result["real"])]
    )


def _summary(result: Mapping[str, Any], defects: list[Mapping[str, Any]]) -> str:
    keys = ("named", "detected", "planted", "recalled")
    named, detected, planted, recalled = (sum(defect[key] for defect in defects) for key in keys)
    clean = result["clean"]
    return (
        f"{len(defects)} kinds of defects, planted one at a time into the easy demo's {clean['samples']} samples, those"
        f" of events into the crisis demo's {result['crises']['samples']}:"
        f" {named} detected by the expected check, {detected} by any check; {recalled} of {planted} planted subjects"
        f" named. The clean corpora have {len(clean['findings'])} and"
        f" {len(result['crises']['findings'])} findings."
    )


def _checks(defects: list[Mapping[str, Any]]) -> Iterator[str]:
    yield "| group | check | kinds planted | detected | subjects named |"
    yield "|---|---|---|---|---|"
    for (group, check), same in groupby(sorted(defects, key=_group_and_check), key=_group_and_check):
        kinds = list(same)
        keys = ("named", "recalled", "planted")
        named, recalled, planted = (sum(defect[key] for defect in kinds) for key in keys)
        yield f"| {group} | `{check}` | {len(kinds)} | {named} | {recalled} of {planted} |"


def _group_and_check(defect: Mapping[str, Any]) -> tuple[str, str]:
    return defect["group"], defect["check"]


def _missed(defects: list[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the kinds with planted subjects that are not named."""
    short = [defect for defect in defects if defect["recalled"] < defect["planted"]]
    if short:
        yield "| not fully detected | check | subjects named | other findings |"
        yield "|---|---|---|---|"
    for defect in short:
        findings = defect.get("crashed") or ", ".join(
            f"`{name}` {count}" for name, count in defect["other_checks"].items()
        )
        recalled = f"{defect['recalled']} of {defect['planted']}"
        yield f"| {defect['about']} | `{defect['check']}` | {recalled} | {findings or 'none'} |"


def _real(real: Mapping[str, Any]) -> Iterator[str]:
    """Yield the findings of the real corpora, and how many planted pixel defects are detected in them."""
    yield "| real corpus | samples | checks run | findings without defects | pixel defects planted | detected |"
    yield "|---|---|---|---|---|---|"
    for name, corpus in real.items():
        if "absent" in corpus:
            yield f"| {name} | not measured: {corpus['absent']} | | | | |"
            continue
        kinds = [kind for kind in corpus["defects"] if "unsuited" not in kind]
        texts = [f"`{entry['check']}`: {entry['problem']} ({len(entry['subjects'])})" for entry in corpus["findings"]]
        findings = "; ".join(texts) or "none"
        n_run = corpus["checks"] - len(corpus["skipped"])
        yield (
            f"| {name} | {corpus['samples']} | {n_run} of {corpus['checks']} | {findings}"
            f" | {len(kinds)} | {sum(kind['named'] for kind in kinds)} |"
        )
