"""The bench's result as Markdown, for the README and the terminal."""

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

# Between these the README holds it.
MARKERS = ("<!-- bench:defects -->", "<!-- /bench:defects -->")


def markdown(found: Mapping[str, Any]) -> str:
    """A row a check, with what it was shown to find; below it the real corpora."""
    defects = [one for one in found["defects"] if "unsuited" not in one]
    return "\n".join(
        [_summary(found, defects), "", *_checks(defects), "", *_missed(defects), "", *_real(found["real"])]
    )


def _summary(found: Mapping[str, Any], defects: list[Mapping[str, Any]]) -> str:
    named, seen = (sum(one[key] for one in defects) for key in ("named", "found"))
    planted, recalled = (sum(one[key] for one in defects) for key in ("planted", "recalled"))
    clean = found["clean"]
    return (
        f"{len(defects)} kinds of defects, planted one by one into the demo's {clean['samples']} samples: {named} named"
        f" by the check that must find them, {seen} found by any; {recalled} of {planted} planted subjects named."
        f" The clean corpus has {len(clean['findings'])} findings."
    )


def _checks(defects: list[Mapping[str, Any]]) -> Iterator[str]:
    yield "| group | check | kinds planted | named | subjects named |"
    yield "|---|---|---|---|---|"
    for (group, check), same in groupby(sorted(defects, key=_place), key=_place):
        kinds = list(same)
        recalled, planted = (sum(one[key] for one in kinds) for key in ("recalled", "planted"))
        yield f"| {group} | `{check}` | {len(kinds)} | {sum(one['named'] for one in kinds)} | {recalled} of {planted} |"


def _place(one: Mapping[str, Any]) -> tuple[str, str]:
    return one["group"], one["check"]


def _missed(defects: list[Mapping[str, Any]]) -> Iterator[str]:
    """The kinds of which a planted subject is not named."""
    short = [one for one in defects if one["recalled"] < one["planted"]]
    if short:
        yield "| not found in full | check | subjects named | what else is said |"
        yield "|---|---|---|---|"
    for one in short:
        others = one.get("crashed") or ", ".join(f"`{name}` {number}" for name, number in one["others"].items())
        yield f"| {one['about']} | `{one['check']}` | {one['recalled']} of {one['planted']} | {others or 'nothing'} |"


def _real(real: Mapping[str, Any]) -> Iterator[str]:
    """What is said of the real corpora as they are, and how many defects of pixels are seen in them."""
    yield "| real corpus | samples | checks made | findings as it is | pixel defects planted | named |"
    yield "|---|---|---|---|---|---|"
    for name, one in real.items():
        if "absent" in one:
            yield f"| {name} | not measured: {one['absent']} | | | | |"
            continue
        kinds = [kind for kind in one["defects"] if "unsuited" not in kind]
        texts = [f"`{entry['check']}`: {entry['problem']} ({len(entry['subjects'])})" for entry in one["findings"]]
        said = "; ".join(texts) or "none"
        yield (
            f"| {name} | {one['samples']} | {one['checks'] - len(one['skipped'])} of {one['checks']} | {said}"
            f" | {len(kinds)} | {sum(kind['named'] for kind in kinds)} |"
        )
