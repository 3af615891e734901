"""Render `bench/rivals.json` as the tables of docs/bench.md, docs/train.md and README.md."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.reading_table import Row, number

RESULT = Path(__file__).with_name("rivals.json")
ROOT = Path(__file__).parents[1]
# Each page contains its table between these.
MARKERS = ("<!-- bench:rivals -->", "<!-- /bench:rivals -->")

Result = Mapping[str, Any]

RIVALS = {
    "prior": "label prior",
    "sensor": "sensor",
    "date": "date",
    "nearest": "five nearest places",
    "bands": "band statistics, logistic",
    "handcrafted": "handcrafted statistics, kernel ridge",
}
SENSORS = {"s1": "Sentinel-1", "s2": "Sentinel-2"}
_MAX_MB, _MIN_BLOCKS = 450, 20
_LEVEL = 0.05


def with_table(page: str, text: str) -> str:
    """Return the page with a text between the markers."""
    begin, end = MARKERS
    before, rest = page.split(begin)
    return f"{before}{begin}\n{text}\n{end}{rest.split(end)[1]}"


def comparison(result: Result, name: str = "demo") -> str:
    """Render the rivals of a corpus, and CLOSP below them."""
    sensors = result["corpora"][name]["sensors"]
    columns = " | ".join(f"{SENSORS[sensor]}: mAP | above chance | lead of CLOSP" for sensor in sensors)
    lines = [f"| | {columns} |", "|---" * (1 + 3 * len(sensors)) + "|"]
    lines += [_line(title, [_cells(own["rivals"][key]) for own in sensors.values()]) for key, title in RIVALS.items()]
    model = [f"**{own['map']:.2f}** | **{own['above_chance']:.2f}** | " for own in sensors.values()]
    return "\n".join([*lines, _line(f"**CLOSP `{result['model']}`**", model), "", _caption(result, name)])


def _line(title: str, cells: list[str]) -> str:
    return f"| {title} | {' | '.join(cells)} |"


def _cells(rival: Mapping[str, Any]) -> str:
    mean, low, high = rival["lead"]
    return f"{rival['map']:.2f} | {rival['above_chance']:.2f} | {mean:+.2f} [{low:+.2f}, {high:+.2f}]"


def _caption(result: Result, name: str) -> str:
    corpus, seeds = result["corpora"][name], result["seeds"]
    counts = ", ".join(f"{own['n_images']} {SENSORS[key]} images" for key, own in corpus["sensors"].items())
    blocks = min(own["n_blocks"] for own in corpus["sensors"].values())
    return (
        f"`{name}`: {counts} of the test split, in {blocks} blocks; mean average precision over single classes, above"
        f" chance as (mAP - chance) / (1 - chance), leads with 95 % intervals over blocks"
        f"{f' and {seeds} seeds' if seeds > 1 else ''}. `landmark validate`, margin {corpus['margin']:g}:"
        f" **{corpus['state']}**."
    )


def markdown(result: Result) -> str:
    """Render the targets, and the rivals of each corpus."""
    corpora = [part for name in result["corpora"] for part in ("", comparison(result, name))]
    return "\n".join([_summary(result), "", *_targets(result), *corpora, "", *_nulls(result)])


def rows(result: Result) -> Iterator[Row]:
    """Yield the rows of the table of targets, all of the demo."""
    demo = result["corpora"]["demo"]
    rivals = demo["sensors"]["s2"]["rivals"]
    titles = (("bands", 0.35), ("handcrafted", 0.9))
    for key, target in titles:
        title = f"Sentinel-2, {RIVALS[key]}: (mAP - chance) / (1 - chance)"
        yield Row(title, target, rivals[key]["above_chance"], is_minimum=False)
    blocks = min(own["n_blocks"] for own in demo["sensors"].values())
    yield Row("blocks of the test split", _MIN_BLOCKS, blocks)
    yield Row("size of the world", _MAX_MB, demo["world_mb"], unit=" MB", is_minimum=False)


def _summary(result: Result) -> str:
    verdicts = [row.verdict for row in rows(result)]
    samples = " and ".join(f"{corpus['samples']:,} ({name})" for name, corpus in result["corpora"].items())
    return (
        f"{verdicts.count('reached')} of {len(verdicts)} targets reached, on {result['cores']} cores. Samples:"
        f" {samples}."
    )


def _targets(result: Result) -> Iterator[str]:
    yield "| the demo | target | measured | |"
    yield "|---|---|---|---|"
    for row in rows(result):
        bound = "≥" if row.is_minimum else "≤"
        yield f"| {row.title} | {bound} {row.target:g}{row.unit} | {number(row.value)}{row.unit} | {row.verdict} |"


def _nulls(result: Result) -> Iterator[str]:
    yield "| | chance mAP | leakage figure of the manifest | p of the block null | classes with p ≤ 0.05 |"
    yield "|---|---|---|---|---|"
    for name, corpus in result["corpora"].items():
        for sensor, own in corpus["sensors"].items():
            beaten = sum(row["p"] <= _LEVEL for row in own["classes"].values())
            figures = f"{own['chance_map']:.2f} | {own['leakage']:.2f} | {own['null_p']:.3f}"
            yield f"| {name}, {SENSORS[sensor]} | {figures} | {beaten} of {len(own['classes'])} |"


PAGES: Mapping[str, Callable[[Result], str]] = {
    "docs/bench.md": markdown,
    "docs/train.md": comparison,
    "README.md": comparison,
}
