"""Render `bench/experiment/result.json` as the tables of README.md and docs/experiment.md."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.experiment.analysis import LEVEL
from bench.experiment.arms import QUESTIONS, REFERENCE, SINGLE

RESULT = Path(__file__).with_name("result.json")
ROOT = Path(__file__).parents[2]
# Each page contains its tables between these.
MARKERS = ("<!-- bench:experiment -->", "<!-- /bench:experiment -->")

Result = Mapping[str, Any]

DIVISIONS = {
    "random": "images at random",
    "blocks": "blocks held out",
    "events": "events held out",
    "regions": "regions held out",
}
MEASURES = {
    "s1": "Sentinel-1",
    "s2": "Sentinel-2",
    "events": "event classes",
    "s1 events": "Sentinel-1, event classes",
    "s2 events": "Sentinel-2, event classes",
}
RIVALS = {
    "nearest": "five nearest places",
    "bands": "band statistics, logistic",
    "handcrafted": "handcrafted statistics, kernel ridge",
}
_SUMMARY = ("s1", "s2", "events")
_SINGLE_TITLE = "one sensor alone"


def with_table(page: str, text: str) -> str:
    """Return the page with a text between the markers."""
    begin, end = MARKERS
    before, rest = page.split(begin)
    return f"{before}{begin}\n{text}\n{end}{rest.split(end)[1]}"


def summary(result: Result) -> str:
    """Render rivals, CLOSP, and the differences of the other arms from it, by division."""
    columns = [
        (division, measure, own)
        for division, document in result["divisions"].items()
        for measure, own in document["measures"].items()
        if measure in _SUMMARY
    ]
    titles = [f"{DIVISIONS[division]}: {MEASURES[measure]}" for division, measure, _ in columns]
    lines = [f"| | {' | '.join(titles)} |", "|---" * (1 + len(columns)) + "|"]
    lines.append(_line("chance", [f"{own['chance']:.2f}" for _, _, own in columns]))
    for name, title in RIVALS.items():
        lines.append(_line(title, [f"{own['rivals'][name]:.2f}" for _, _, own in columns]))
    lines.append(_line("**CLOSP**", [f"**{_mean(own['arms'][REFERENCE]):.2f}**" for _, _, own in columns]))
    for name, title in arm_titles(result).items():
        lines.append(_line(title, [_difference(own, name) for _, _, own in columns]))
    return "\n".join([*lines, "", _caption(result)])


def arm_titles(result: Result) -> dict[str, str]:
    """Titles of the arms beside the reference; those of one sensor are one."""
    titles = {name: title for name, title in result["arms"].items() if not name.startswith(SINGLE)}
    single = {SINGLE: _SINGLE_TITLE} if len(titles) < len(result["arms"]) else {}
    del titles[REFERENCE]
    return single | titles


def _line(title: str, cells: list[str]) -> str:
    return f"| {title} | {' | '.join(cells)} |"


def _mean(arm: Mapping[str, Any]) -> float:
    return float(sum(arm["maps"]) / len(arm["maps"]))


def _difference(measure: Mapping[str, Any], name: str) -> str:
    """Difference of an arm from the reference, bold where it is decided."""
    if name not in measure["arms"]:
        return ""
    text = format_difference(measure["arms"][name]["difference"])
    pairs = [own for own in measure["comparisons"] if {own["first"], own["second"]} == {name, REFERENCE}]
    return f"**{text}**" if any(own["adjusted_p"] <= LEVEL for own in pairs) else text


def format_difference(difference: Mapping[str, float | None]) -> str:
    """Format a difference as `+0.02 [-0.01, +0.05]`."""
    if difference["low"] is None:
        return f"{difference['mean']:+.2f} [unknown]"
    return f"{difference['mean']:+.2f} [{difference['low']:+.2f}, {difference['high']:+.2f}]"


def _caption(result: Result) -> str:
    divisions = "; ".join(
        f"{DIVISIONS[name]}: {own['images']['train']} images to train on, {own['images']['test']} evaluated in"
        f" {own['blocks']} blocks"
        for name, own in result["divisions"].items()
    )
    return (
        f"`{result['corpus']}`, {result['seeds']} seeds, {result['steps']} steps with {result['batch']} images of each"
        f" sensor. mAP over single classes, general classes by sensor, event classes as the mean of the sensors. Below"
        f" CLOSP: difference from it with its 95 % interval over blocks and seeds; **bold**: decided, p ≤ {LEVEL:g} by"
        f" Holm's correction over all comparisons of its question. {divisions[0].upper()}{divisions[1:]}."
    )


def answers(result: Result) -> str:
    """Render each question with what is decided."""
    return "\n".join(f"- **{question}** {_answer(result, key)}" for key, question in QUESTIONS.items())


def _answer(result: Result, question: str) -> str:
    rows = list(_rows(result, question))
    if not rows:
        return "Not tried: the corpus has not what it needs."
    decided = [
        f"{title}, {DIVISIONS[division]}, {MEASURES[measure]}: {format_difference(own)}"
        for division, measure, title, own in rows
        if own["adjusted_p"] <= LEVEL
    ]
    rest = f"{len(rows) - len(decided)} of {len(rows)} comparisons are undecided."
    return f"Decided: {'; '.join(decided)}. {rest}" if decided else f"Undecided in all {len(rows)} comparisons."


def _rows(result: Result, question: str) -> Iterator[tuple[str, str, str, Mapping[str, Any]]]:
    """Yield division, measure, title and comparison of a question."""
    titles = {REFERENCE: "CLOSP", **arm_titles(result)}
    for division, document in result["divisions"].items():
        for measure, own in document["measures"].items():
            for pair in own["comparisons"]:
                if pair["question"] == question:
                    yield division, measure, f"{titles[pair['first']]} less {titles[pair['second']]}", pair


def _comparisons(result: Result) -> Iterator[str]:
    yield "| | division | | difference in mAP | p | p, corrected |"
    yield "|---|---|---|---|---|---|"
    for question in QUESTIONS:
        for division, measure, title, own in _rows(result, question):
            cells = [DIVISIONS[division], MEASURES[measure], format_difference(own)]
            yield _line(title, [*cells, f"{own['p']:.3f}", f"{own['adjusted_p']:.3f}"])


def _arms(result: Result) -> Iterator[str]:
    """Yield mAP of every arm, and its leads over rivals."""
    yield f"| division | | | mAP | {' | '.join(f'lead over {title}' for title in RIVALS.values())} |"
    yield "|---" * (4 + len(RIVALS)) + "|"
    titles = {REFERENCE: "**CLOSP**", **arm_titles(result)}
    for division, document in result["divisions"].items():
        for measure, own in document["measures"].items():
            for name, title in titles.items():
                if name in own["arms"]:
                    arm = own["arms"][name]
                    leads = [format_difference(arm["lead"][rival]) for rival in RIVALS]
                    yield _line(DIVISIONS[division], [MEASURES[measure], title, f"{_mean(arm):.3f}", *leads])


def _leakage(result: Result) -> Iterator[str]:
    yield "| | test images with train images of the same cell | of the same event | nearest train image (median) |"
    yield "|---|---|---|---|"
    for name, document in result["divisions"].items():
        own = document["leakage"]
        event = "" if own["same_event"] is None else f"{own['same_event']:.0%}"
        yield _line(DIVISIONS[name], [f"{own['same_cell']:.0%}", event, f"{own['nearest_km']:.0f} km"])


def markdown(result: Result) -> str:
    """Render all tables."""
    left_out = ", ".join(DIVISIONS[name] for name in result["left_out"])
    return "\n".join(
        [
            *([f"Left out, as the corpus cannot be divided so: {left_out}.", ""] if left_out else []),
            summary(result),
            "",
            answers(result),
            "",
            *_leakage(result),
            "",
            "<details><summary>Every comparison</summary>",
            "",
            *_comparisons(result),
            "",
            "</details>",
            "<details><summary>Every model beside the rivals</summary>",
            "",
            *_arms(result),
            "",
            "</details>",
        ]
    )


PAGES: Mapping[str, Callable[[Result], str]] = {"docs/experiment.md": markdown, "README.md": summary}
