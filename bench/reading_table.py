"""Render `bench/reading.json` as the tables of docs/bench.md, and as a plot."""

import math
from collections.abc import Iterable, Iterator, Mapping
from statistics import median
from typing import Any, NamedTuple

# docs/bench.md contains the tables between these.
MARKERS = ("<!-- bench:reading -->", "<!-- /bench:reading -->")

Result = Mapping[str, Any]

TITLES = {
    "floor": "floor: fetch + decode + scatter",
    "landmark": "landmark, arrays",
    "landmark-chips": "landmark, finished chips",
    "odc-eager": "odc.stac.load, then slices",
    "stackstac-lazy": "stackstac, one compute",
    "odc-lazy": "odc-stac lazy, one compute",
    "odc-each": "odc.stac.load per cell",
}
CHOICES = {"contiguous": "512 contiguous", "random": "512 at random", "whole": "whole scene"}


class Row(NamedTuple):
    """A measured value with its target; `limit` is the value that the floor allows.

    `is_minimum`: the value must be at least the target, not at most.
    """

    title: str
    target: float | None
    value: float
    limit: float | None = None
    unit: str = ""
    is_minimum: bool = True

    @property
    def verdict(self) -> str:
        """Whether the target is reached, and if not, whether the floor allows it."""
        if self.target is None:
            return "report"
        if (self.value >= self.target) if self.is_minimum else (self.value <= self.target):
            return "reached"
        return "missed" if self.limit is None or self.limit >= self.target else "missed; beyond the floor"


def rate(result: Result, tool: str, image: str, cells: str, latency_ms: int = 0) -> float:
    """Return the cells per second of a job, by the median round."""
    measurement = result["measurements"][f"{tool} {image} {cells} {latency_ms}"]
    return float(measurement["cells"] / median(measurement["seconds"]))


def rows(result: Result) -> list[Row]:
    """Return every row of the table of targets."""
    return [*_peers(result), *_floors(result), *_costs(result), *_radar(result)]


def _peers(result: Result) -> Iterator[Row]:
    contiguous = {"odc-eager": 4.5, "stackstac-lazy": 20, "odc-lazy": 30, "odc-each": 120}
    for cells, targets in (("contiguous", contiguous), ("random", {"odc-eager": 6})):
        for peer, target in targets.items():
            slow, fast, floor = (rate(result, tool, "s2", cells) for tool in (peer, "landmark", "floor"))
            yield Row(f"{CHOICES[cells]}, against {TITLES[peer]}", target, fast / slow, floor / slow, " x")


def _floors(result: Result) -> Iterator[Row]:
    for cells, target in (("random", 0.75), ("whole", 0.6)):
        speed, floor = (rate(result, tool, "s2", cells) for tool in ("landmark", "floor"))
        yield Row(f"{CHOICES[cells]}, relative to the floor", target, speed / floor)


def _costs(result: Result) -> Iterator[Row]:
    for cells, title in CHOICES.items():
        ratio = rate(result, "landmark", "s2", cells, 30) / rate(result, "landmark", "s2", cells)
        yield Row(f"{title}, 30 ms against 0 ms", 0.9, ratio)
    reads = [result["measurements"][f"landmark s2 {cells} 0"] for cells in CHOICES]
    ratio = max(read["bytes"] / read["block_bytes"] for read in reads)
    yield Row("bytes fetched / bytes of the required blocks, maximum of the three", 1.05, ratio, is_minimum=False)


def _radar(result: Result) -> Iterator[Row]:
    peer, speed, floor = (rate(result, tool, "s1", "whole") for tool in ("odc-eager", "landmark", "floor"))
    yield Row("Sentinel-1 on the 10 m grid, against odc.stac.load", 5, speed / peer, floor / peer, " x")
    peer, speed = (rate(result, tool, "s1-off", "whole") for tool in ("odc-eager", "landmark-chips"))
    yield Row("Sentinel-1 warped, finished chips, against odc.stac.load", 5, speed / peer, floor / peer, " x")
    own, neighbouring = (rate(result, "landmark-chips", "s2", cells) for cells in ("contiguous", "neighbours"))
    yield Row("Sentinel-2 in the neighbouring zone, warped, against its own zone", None, neighbouring / own)


def markdown(result: Result) -> str:
    """Render summary and tables."""
    return "\n".join([_summary(result), "", *target_table(rows(result)), "", *_rates(result), "", _stages(result)])


def _summary(result: Result) -> str:
    scene, verdicts = result["scene"], [row.verdict for row in rows(result) if row.target is not None]
    width, height = scene["tile_px"]
    return (
        f"{verdicts.count('reached')} of {len(verdicts)} targets reached, on {result['cores']} cores, by the median of"
        f" {result['repeats']} rounds. A scene of {width} x {height} px, 12 bands and their mask,"
        f" {scene['s2_bytes_per_px']} B/px (radar {scene['s1_bytes_per_px']}), over HTTP on loopback; all tools"
        f" returned the same pixels for {result['cells_compared']} compared cells."
    )


def target_table(rows: Iterable[Row]) -> Iterator[str]:
    """Render values, targets, and what the floor allows."""
    yield "| | target | measured | the floor allows | |"
    yield "|---|---|---|---|---|"
    for row in rows:
        bound = "≥" if row.is_minimum else "≤"
        target = "" if row.target is None else f"{bound} {row.target:g}{row.unit}"
        limit = "" if row.limit is None else f"{number(row.limit)}{row.unit}"
        yield f"| {row.title} | {target} | {number(row.value)}{row.unit} | {limit} | {row.verdict} |"


def _rates(result: Result) -> Iterator[str]:
    yield f"| cells/s, 0 / 30 ms | {' | '.join(CHOICES.values())} | Sentinel-1 | warped |"
    yield "|---|---|---|---|---|---|"
    for tool, title in TITLES.items():
        optical = [_pair(result, f"{tool} s2 {cells}") for cells in CHOICES]
        radar = [_pair(result, f"{tool} {image} whole") for image in ("s1", "s1-off")]
        yield f"| {title} | {' | '.join([*optical, *radar])} |"


def _pair(result: Result, name: str) -> str:
    pair = [result["measurements"].get(f"{name} {latency_ms}") for latency_ms in (0, 30)]
    return " / ".join(number(entry["cells"] / median(entry["seconds"])) for entry in pair if entry)


def _stages(result: Result) -> str:
    """Describe the seconds of the whole scene by part."""
    floor = result["measurements"]["floor s2 whole 0"]["parts_s"]
    read, full = (
        median(result["measurements"][f"{tool} s2 whole 0"]["seconds"]) for tool in ("landmark", "landmark-chips")
    )
    decode = median(result["measurements"]["landmark s2 whole 0"]["parts_s"]["decode and copy"])
    return (
        f"Seconds of the whole scene: {read:.1f} to read, of which each core decodes and copies for {decode:.1f};"
        f" {full - read:.1f} more to finish the chips. The floor:"
        f" {', '.join(f'{name} {median(seconds):.1f}' for name, seconds in floor.items())}."
    )


def number(value: float) -> str:
    """Format with three significant digits, or all digits before the decimal point."""
    digits = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:,.{digits}f}"


# -- the plot ----------------------------------------------------------------------------------------------------------

_WIDTH, _LEFT, _BAR, _GAP = 760, 230, 13, 26
_DECADES = 4  # powers of ten of cells/s, from the axis at 1
_FILLS = {"floor": "#c9ced6", "landmark": "#1b7837", "landmark-chips": "#7fbf7b"}


def plot(result: Result) -> str:
    """Draw bars of cells/s on a logarithmic axis, grouped by selection of cells; the red line is at 30 ms latency."""
    parts, y = [], 30.0
    for cells, title in CHOICES.items():
        parts.append(f'<text x="8" y="{y:.0f}" font-weight="bold">{title}</text>')
        for tool in TITLES:
            if f"{tool} s2 {cells} 0" in result["measurements"]:
                y += _BAR + 4
                parts += _bars(result, tool, cells, y)
        y += _GAP
    axis = [_tick(10**power, y - 10) for power in range(_DECADES + 1)]
    body = "\n".join([*axis, *parts])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y + 12:.0f}" font-family="sans-serif"'
        f' font-size="12">\n<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n'
    )


def _bars(result: Result, tool: str, cells: str, y: float) -> Iterator[str]:
    fill = _FILLS.get(tool, "#4575b4")
    yield f'<text x="{_LEFT - 8}" y="{y - 2:.0f}" text-anchor="end">{TITLES[tool]}</text>'
    speed = rate(result, tool, "s2", cells)
    yield f'<rect x="{_LEFT}" y="{y - _BAR:.0f}" width="{_x(speed) - _LEFT:.1f}" height="{_BAR}" fill="{fill}"/>'
    if f"{tool} s2 {cells} 30" in result["measurements"]:
        delayed = _x(rate(result, tool, "s2", cells, 30))
        yield f'<rect x="{delayed - 1:.1f}" y="{y - _BAR:.0f}" width="2" height="{_BAR}" fill="#d73027"/>'
    yield f'<text x="{_x(speed) + 5:.1f}" y="{y - 2:.0f}">{number(speed)}</text>'


def _tick(speed: int, bottom: float) -> str:
    x = _x(speed)
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="14" y2="{bottom:.0f}" stroke="#dddddd"/>'
        f'<text x="{x:.1f}" y="11" text-anchor="middle" fill="#666666">{speed:,}</text>'
    )


def _x(speed: float) -> float:
    return _LEFT + max(0.0, math.log10(speed)) / _DECADES * (_WIDTH - _LEFT - 60)
