"""Render `bench/scale.json` as the tables of docs/bench.md, and as a plot."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from bench.reading_table import Row, number, target_table
from bench.scale_build import STAGES
from landmark.core.plural import plural

# docs/bench.md contains the tables between these.
MARKERS = ("<!-- bench:scale -->", "<!-- /bench:scale -->")

Result = Mapping[str, Any]

SIZES = ("1x", "4x", "16x")
_PAIRS = (("1x", "4x"), ("4x", "16x"))
TWO_WORKERS, SINGLE_CORE = "two workers", "single core"
# Stage → what of it is done in the client, and what its tasks are.
_SERIAL = {
    "plan": "search, cells, choice of samples, plan and lock; headers and label maps are read by the workers",
    "extract": "tasks are made and counted; one task is an acquisition",
    "pack": "rows of the shards are listed; one task is a shard, and all are written to one disk",
    "documents": "all of it",
}
# Memory of the client that a corpus of Europe may take (bench/europe.py), divided by its samples.
_CLIENT_KB = 3e6 / 650_000
_FURTHER = 1.25


def stage_median(result: Result, build: str, stage: str, key: str) -> float:
    """Return a cost of a stage by the median of the rounds."""
    return float(median(each[build]["stages"][stage][key] for each in result["rounds"]))


def build_peak(result: Result, build: str, key: str) -> float:
    """Return the peak memory of client or worker over the stages, by the median of the rounds."""
    return float(median(max(cost[key] for cost in each[build]["stages"].values()) for each in result["rounds"]))


def seconds(result: Result, build: str) -> float:
    """Return the seconds of a build by the median of the rounds."""
    return float(median(sum(cost["wall_s"] for cost in each[build]["stages"].values()) for each in result["rounds"]))


def cpu_seconds(result: Result, build: str, stage: str) -> float:
    """Return the processor seconds of a stage, in the client and the workers."""
    return sum(stage_median(result, build, stage, f"{process}_cpu_s") for process in ("client", "workers"))


def further_cost(result: Result, costs: Mapping[str, float], smaller: str, larger: str) -> float:
    """Return the cost of a sample that the larger build has beyond the smaller one: constant costs are not in it."""
    builds = result["rounds"][0]
    return (costs[larger] - costs[smaller]) / (builds[larger]["samples"] - builds[smaller]["samples"])


def rows(result: Result) -> list[Row]:
    """Return every row of the table of targets."""
    client, worker = (
        {size: build_peak(result, size, f"{process}_mb") for size in SIZES} for process in ("client", "worker")
    )
    wall = {size: seconds(result, size) for size in SIZES}
    cpu = {size: sum(cpu_seconds(result, size, stage) for stage in STAGES) for size in SIZES}
    return [
        Row("peak memory of a worker, 16x / 4x", 1.1, worker["16x"] / worker["4x"], is_minimum=False),
        Row("peak memory of a worker, 16x", 600, worker["16x"], unit=" MB", is_minimum=False),
        Row("peak memory of the client, of a further sample between 4x and 16x", round(_CLIENT_KB, 1),
            1e3 * further_cost(result, client, "4x", "16x"), unit=" kB", is_minimum=False),
        *(Row(f"{kind} of a further sample, from 4x to 16x / from 1x to 4x", _FURTHER,
              further_cost(result, costs, "4x", "16x") / further_cost(result, costs, "1x", "4x"), is_minimum=False)
          for kind, costs in (("seconds", wall), ("processor time", cpu))),
        Row("16x: two workers on two cores, against one worker on one core", 1.6,
            seconds(result, SINGLE_CORE) / seconds(result, TWO_WORKERS), unit=" x"),
        Row("16x: two workers, against one worker, both on all cores", None,
            seconds(result, "16x") / seconds(result, TWO_WORKERS), unit=" x"),
    ]  # fmt: skip


def markdown(result: Result) -> str:
    """Render the tables of targets, of a further sample, of memory and of workers."""
    builds = result["rounds"][0]
    sizes = " / ".join(f"{builds[size]['samples']:,}" for size in SIZES)
    lines = [
        f"{sizes} samples (1x / 4x / 16x) on {result['cores']} cores beside a load of {result['load']:g}, by the median"
        f" of {plural(len(result['rounds']), 'round')}; sizes are built by one worker. Builds of a size had the same"
        " content.",
        "",
        *target_table(rows(result)),
        "",
        *_sample_table(result),
        "",
        *_memory_table(result),
        "",
        *_worker_table(result),
    ]
    return "\n".join(lines)


def _sample_table(result: Result) -> Iterator[str]:
    yield "| ms of a further sample | wall, 1x to 4x | wall, 4x to 16x | processor, 1x to 4x | processor, 4x to 16x |"
    yield "|---|---|---|---|---|"
    walls = {stage: {size: stage_median(result, size, stage, "wall_s") for size in SIZES} for stage in STAGES}
    cpus = {stage: {size: cpu_seconds(result, size, stage) for size in SIZES} for stage in STAGES}
    for stage in STAGES:
        yield _line(stage, [_further_ms(result, costs[stage], *pair) for costs in (walls, cpus) for pair in _PAIRS])
    sums = [{size: sum(costs[stage][size] for stage in STAGES) for size in SIZES} for costs in (walls, cpus)]
    yield _line("**build**", [_further_ms(result, costs, *pair) for costs in sums for pair in _PAIRS])


def _further_ms(result: Result, costs: Mapping[str, float], smaller: str, larger: str) -> float:
    return 1e3 * further_cost(result, costs, smaller, larger)


def _memory_table(result: Result) -> Iterator[str]:
    yield f"| peak memory, MB | {' | '.join(f'client, {size} | worker, {size}' for size in SIZES)} |"
    yield f"|---|{'---|---|' * len(SIZES)}"
    for stage in STAGES:
        pairs = [
            [stage_median(result, size, stage, f"{process}_mb") for process in ("client", "worker")] for size in SIZES
        ]
        yield f"| {stage} | {' | '.join(f'{value:.0f}' if value else '' for pair in pairs for value in pair)} |"


def _worker_table(result: Result) -> Iterator[str]:
    yield (
        "| 16x, seconds | one worker, one core | one worker | two workers | two cores / one core"
        " | processor: workers | processor: client | in the client |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    for stage in STAGES:
        single_core, single, two = (
            stage_median(result, build, stage, "wall_s") for build in (SINGLE_CORE, "16x", TWO_WORKERS)
        )
        workers, client = (stage_median(result, TWO_WORKERS, stage, f"{each}_cpu_s") for each in ("workers", "client"))
        speed_up = f"{number(single_core / two)} x"
        values = [
            number(single_core),
            number(single),
            number(two),
            speed_up,
            number(workers),
            number(client),
            _SERIAL[stage],
        ]
        yield f"| {stage} | {' | '.join(values)} |"


def _line(title: str, values: Sequence[float]) -> str:
    return f"| {title} | {' | '.join(number(value) for value in values)} |"


# -- the plot ----------------------------------------------------------------------------------------------------------

_WIDTH, _HEIGHT, _LEFT, _TOP, _PANEL = 760, 300, 56, 30, 290
_BOTTOM, _GAP, _TICKS = 250, 90, 4
_COLOURS = ("#4575b4", "#1b7837", "#7fbf7b", "#d73027")


def plot(result: Result) -> str:
    """Draw seconds of the stages, and peak memory of client and worker, over the number of samples."""
    samples = [result["rounds"][0][size]["samples"] for size in SIZES]
    stages = {stage: [stage_median(result, size, stage, "wall_s") for size in SIZES] for stage in STAGES}
    peaks = {process: [build_peak(result, size, f"{process}_mb") for size in SIZES] for process in ("client", "worker")}
    panels = [
        *_panel(_LEFT, "seconds of a stage, one worker", samples, stages),
        *_panel(_LEFT + _PANEL + _GAP, "peak memory, MB", samples, peaks),
    ]
    body = "\n".join(panels)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif"'
        f' font-size="12">\n<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n'
    )


def _panel(left: float, title: str, samples: Sequence[int], lines: Mapping[str, Sequence[float]]) -> Iterator[str]:
    """Yield a panel with linear axes from zero, a line and a legend entry for each name."""
    highest = 1.1 * max(value for values in lines.values() for value in values)
    yield f'<text x="{left}" y="14" font-weight="bold">{title}</text>'
    for step in range(_TICKS + 1):
        value = highest * step / _TICKS
        y = _y(value, highest)
        yield f'<line x1="{left}" x2="{left + _PANEL}" y1="{y:.1f}" y2="{y:.1f}" stroke="#dddddd"/>'
        yield f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end" fill="#666666">{value:,.0f}</text>'
    for count in samples:
        x = left + _PANEL * count / max(samples)
        yield f'<text x="{x:.1f}" y="{_BOTTOM + 16}" text-anchor="middle" fill="#666666">{count:,}</text>'
    for place, (colour, (name, values)) in enumerate(zip(_COLOURS, lines.items(), strict=False)):
        points = [
            (left + _PANEL * count / max(samples), _y(value, highest))
            for count, value in zip(samples, values, strict=True)
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
        yield from (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points)
        yield f'<text x="{left + 70 * place}" y="{_HEIGHT - 10}" fill="{colour}">{name}</text>'


def _y(value: float, highest: float) -> float:
    return _BOTTOM - (_BOTTOM - _TOP) * value / highest
