"""Render `bench/training.json` as the table of docs/bench.md."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from bench.reading_table import Row, number, target_table

RESULT = Path(__file__).with_name("training.json")
ROOT = Path(__file__).parents[1]
# docs/bench.md contains the table between these.
MARKERS = ("<!-- bench:training -->", "<!-- /bench:training -->")

Result = Mapping[str, Any]

ARMS = {"plain": "plain loop, tensors in memory", "landmark": "`landmark train`", "before": "`landmark train` before"}


def with_table(page: str, result: Result) -> str:
    """Return the page with the table of a result between the markers."""
    begin, end = MARKERS
    before, rest = page.split(begin)
    return f"{before}{begin}\n{markdown(result)}\n{end}{rest.split(end)[1]}"


def markdown(result: Result) -> str:
    """Render summary, targets, and milliseconds."""
    return "\n".join([_summary(result), "", *target_table(rows(result)), "", *_milliseconds(result)])


def rows(result: Result) -> list[Row]:
    """Return every row of the table of targets."""
    ratios, loops = [], [("plain", "the plain loop", 1.05)]
    if result["before"]:
        loops.append(("before", result["before"], 0.75))
    for arm, title, target in loops:
        value, limit = (_ratio(result["steps"], "landmark", arm, name) for name in ("seconds", "cpu_s"))
        ratios.append(Row(f"step, relative to {title}", target, value, is_minimum=False))
        ratios.append(Row("the same, by processor seconds", None, limit))
    for model, own in result["embedding"].items():
        # Processor seconds of reading and of forward passes share the same cores.
        value, limit = (_ratio(own["rounds"], "forward", "embed", name) for name in ("seconds", "cpu_s"))
        ratios.append(Row(f"embedding with `{model}`, relative to forward passes", 0.8, value))
        ratios.append(Row("the same, by processor seconds", None, limit))
    return ratios


def _ratio(rounds: list[Mapping[str, Any]], first: str, second: str, name: str) -> float:
    """Median over rounds of the ratio of wall or processor seconds."""
    return median(entry[first][name] / entry[second][name] for entry in rounds)


def _summary(result: Result) -> str:
    verdicts = [row.verdict for row in rows(result) if row.target is not None]
    return (
        f"{verdicts.count('reached')} of {len(verdicts)} targets reached, on {result['cores']} cores, by the median of"
        f" {len(result['steps'])} rounds of training; {result['embedding']['tiny']['images']} images (`tiny`) and"
        f" {result['embedding']['closp']['images']} (`closp`) embedded."
    )


def _milliseconds(result: Result) -> Iterator[str]:
    yield "| a step of `tiny`, 32 + 32 images | wall, ms | processor, ms |"
    yield "|---|---|---|"
    for arm, title in ARMS.items():
        if arm in result["steps"][0]:
            times = (1000 * median(entry[arm][name] for entry in result["steps"]) for name in ("seconds", "cpu_s"))
            yield f"| {title} | {' | '.join(map(number, times))} |"
    yield ""
    yield "| an image | embedding, ms | of it processor | forward pass, ms | of it processor |"
    yield "|---|---|---|---|---|"
    for model, own in result["embedding"].items():
        times = (
            1000 * median(entry[part][name] for entry in own["rounds"]) / own["images"]
            for part in ("embed", "forward")
            for name in ("seconds", "cpu_s")
        )
        yield f"| `{model}` | {' | '.join(map(number, times))} |"
