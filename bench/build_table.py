"""Render `bench/build.json` as the tables of docs/bench.md."""

from collections.abc import Callable, Iterator, Mapping
from statistics import median
from typing import Any

from bench.reading_table import Row, number, target_table

# docs/bench.md contains the tables between these.
MARKERS = ("<!-- bench:build -->", "<!-- /bench:build -->")

Result = Mapping[str, Any]
Round = Mapping[str, Any]

# Stage → steps that it cannot omit.
_FLOORS = {
    "plan": (),
    "extract": ("fetch", "decode", "scatter", "sha256 of pixels"),
    "pack": ("zstd", "sha256 of shards", "disk"),
    "documents": (),
}


def rows(result: Result) -> list[Row]:
    """Return every row of the table of targets; each is the median of the rounds' ratios."""

    def of_rounds(value: Callable[[Round], float]) -> float:
        return float(median(value(each) for each in result["rounds"]))

    return [
        Row("build / reading and finishing the chips", 2, of_rounds(lambda x: _build_s(x) / x["parts_s"]["read"]),
            is_minimum=False),
        Row("build, relative to the floor", 0.5, of_rounds(lambda x: sum(_steps(x).values()) / _build_s(x))),
        Row("label counts of the whole scene / reading its arrays", 1,
            of_rounds(lambda x: x["parts_s"]["label counts"] / x["arrays_s"]), is_minimum=False),
        Row("peak memory of a worker, whole scene", 600, max(each["worker_mb"] for each in result["rounds"]),
            unit=" MB", is_minimum=False),
    ]  # fmt: skip


def markdown(result: Result) -> str:
    """Render the tables of stages and of targets."""
    first = result["rounds"][0]
    lines = [
        f"{first['samples']:,} samples in one process on {result['cores']} cores, by the median of"
        f" {len(result['rounds'])} rounds.",
        "",
        *_stage_table(result),
        "",
        *target_table(rows(result)),
        "",
        _parts_text(result),
    ]
    return "\n".join(lines)


def _stage_table(result: Result) -> Iterator[str]:
    yield "| stage | seconds | steps of the floor, seconds | floor | of the floor |"
    yield "|---|---|---|---|---|"
    steps = {name: median(_steps(each)[name] for each in result["rounds"]) for name in _steps(result["rounds"][0])}
    for stage, names in _FLOORS.items():
        seconds = median(each["stages_s"][stage] for each in result["rounds"])
        text = ", ".join(f"{name} {number(steps[name])}" for name in names)
        yield _line(stage, seconds, text, sum(steps[name] for name in names))
    yield _line("**build**", median(_build_s(each) for each in result["rounds"]), "", sum(steps.values()))


def _line(stage: str, seconds: float, steps: str, floor: float) -> str:
    share = f"{number(floor)} | {number(floor / seconds)}" if floor else " | "
    return f"| {stage} | {number(seconds)} | {steps} | {share} |"


def _parts_text(result: Result) -> str:
    names = result["rounds"][0]["parts_s"]
    parts = ", ".join(f"{name} {median(each['parts_s'][name] for each in result['rounds']):.1f}" for name in names)
    return f"Seconds of the parts of a build, each alone: {parts}."


def _steps(measured: Round) -> dict[str, float]:
    """Seconds of the steps that no build can omit."""
    return {**measured["floor_s"], "disk": measured["parts_s"]["disk"]}


def _build_s(measured: Round) -> float:
    return float(sum(measured["stages_s"].values()))
