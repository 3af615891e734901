"""What `bench.reading` found, as the README's tables and as a plot."""

import math
from collections.abc import Iterator, Mapping
from statistics import median
from typing import Any, NamedTuple

# Between these the README holds it.
MARKERS = ("<!-- bench:reading -->", "<!-- /bench:reading -->")

Found = Mapping[str, Any]

TITLES = {
    "floor": "floor: fetch + decode + scatter",
    "ours": "landmark, arrays",
    "judged": "landmark, judged chips",
    "odc-eager": "odc.stac.load, then slices",
    "stackstac-lazy": "stackstac, one compute",
    "odc-lazy": "odc-stac lazy, one compute",
    "odc-each": "odc.stac.load per cell",
}
CHOICES = {"contiguous": "512 contiguous", "random": "512 at random", "whole": "whole scene"}


class Row(NamedTuple):
    """A figure that was aimed at; `most` is what the floor leaves room for, where it bounds the figure."""

    what: str
    target: float | None
    reached: float
    most: float | None = None
    unit: str = ""
    least: bool = True

    @property
    def verdict(self) -> str:
        """Whether it was reached, and if not, whether it could be."""
        if self.target is None:
            return "report"
        if (self.reached >= self.target) if self.least else (self.reached <= self.target):
            return "reached"
        return "missed" if self.most is None or self.most >= self.target else "missed; beyond the floor"


def rate(found: Found, tool: str, image: str, cells: str, latency_ms: int = 0) -> float:
    """Cells per second, by the median round."""
    one = found["taken"][f"{tool} {image} {cells} {latency_ms}"]
    return one["cells"] / median(one["seconds"])


def rows(found: Found) -> list[Row]:
    """Every figure that was aimed at."""
    return [*_peers(found), *_floors(found), *_costs(found), *_radar(found), *_whole(found)]


def _peers(found: Found) -> Iterator[Row]:
    aims = {"odc-eager": 4.5, "stackstac-lazy": 20, "odc-lazy": 30, "odc-each": 120}
    for cells, wanted in (("contiguous", aims), ("random", {"odc-eager": 6})):
        for peer, target in wanted.items():
            theirs, ours, floor = (rate(found, tool, "s2", cells) for tool in (peer, "ours", "floor"))
            yield Row(f"{CHOICES[cells]}, against {TITLES[peer]}", target, ours / theirs, floor / theirs, " x")


def _floors(found: Found) -> Iterator[Row]:
    for cells, target in (("random", 0.75), ("whole", 0.6)):
        ours, floor = (rate(found, tool, "s2", cells) for tool in ("ours", "floor"))
        yield Row(f"{CHOICES[cells]}, of the floor", target, ours / floor)


def _costs(found: Found) -> Iterator[Row]:
    late = {cells: rate(found, "ours", "s2", cells, 30) / rate(found, "ours", "s2", cells) for cells in CHOICES}
    for cells, share in late.items():
        yield Row(f"{CHOICES[cells]}, 30 ms against 0 ms", 0.9, share)
    reads = [found["taken"][f"ours s2 {cells} 0"] for cells in CHOICES]
    yield Row("bytes fetched / bytes of the blocks touched, the worst of the three", 1.05,
              max(one["bytes"] / one["block_bytes"] for one in reads), least=False)  # fmt: skip
    yield Row("most memory of a worker, whole scene", 600, max(found["whole"]["worker_mb"]), unit=" MB", least=False)


def _radar(found: Found) -> Iterator[Row]:
    theirs, ours, floor = (rate(found, tool, "s1", "whole") for tool in ("odc-eager", "ours", "floor"))
    yield Row("Sentinel-1 on the lattice, against odc.stac.load", 5, ours / theirs, floor / theirs, " x")
    theirs, ours = (rate(found, tool, "s1-off", "whole") for tool in ("odc-eager", "judged"))
    yield Row("Sentinel-1 warped, judged, against odc.stac.load", 5, ours / theirs, floor / theirs, " x")
    own, other = (rate(found, "judged", "s2", cells) for cells in ("contiguous", "neighbours"))
    yield Row("Sentinel-2 for the neighbouring zone, warped, against its own", None, other / own)


def _whole(found: Found) -> Iterator[Row]:
    whole = found["whole"]
    parts = {name: median(seconds) for name, seconds in whole["parts_s"].items()}
    yield Row("build, against the sum of its parts", 0.8, sum(parts.values()) / median(whole["build_s"]))
    read = found["taken"]["ours s2 whole 0"]
    per_cell = parts["cover"] / whole["samples"], median(read["seconds"]) / read["cells"]
    yield Row("cover of the whole scene, against reading it", 1, per_cell[0] / per_cell[1], least=False)


def markdown(found: Found) -> str:
    """The tables."""
    return "\n".join([_summary(found), "", *_table(found), "", *_rates(found), "", _stages(found)])


def _summary(found: Found) -> str:
    scene, met = found["scene"], [row for row in rows(found) if row.verdict == "reached"]
    aimed = [row for row in rows(found) if row.target is not None]
    width, height = scene["tile_px"]
    return (
        f"{len(met)} of {len(aimed)} targets reached, on {found['cores']} cores, by the median of {found['repeats']}"
        f" rounds. A scene of {width} x {height} px, 12 bands and their mask, {scene['s2_bytes_per_px']} B/px (radar"
        f" {scene['s1_bytes_per_px']}), over HTTP on loopback; {found['cells_compared']} cells were compared between"
        " tools, which handed out the same pixels."
    )


def _table(found: Found) -> Iterator[str]:
    yield "| | target | reached | the floor allows | |"
    yield "|---|---|---|---|---|"
    for row in rows(found):
        bound = "≥" if row.least else "≤"
        target = "" if row.target is None else f"{bound} {row.target:g}{row.unit}"
        most = "" if row.most is None else f"{_number(row.most)}{row.unit}"
        yield f"| {row.what} | {target} | {_number(row.reached)}{row.unit} | {most} | {row.verdict} |"


def _rates(found: Found) -> Iterator[str]:
    yield f"| cells/s, 0 / 30 ms | {' | '.join(CHOICES.values())} | Sentinel-1 | warped |"
    yield "|---|---|---|---|---|---|"
    for tool, title in TITLES.items():
        optical = [_pair(found, f"{tool} s2 {cells}") for cells in CHOICES]
        radar = [_pair(found, f"{tool} {image} whole") for image in ("s1", "s1-off")]
        yield f"| {title} | {' | '.join([*optical, *radar])} |"


def _pair(found: Found, name: str) -> str:
    every = [found["taken"].get(f"{name} {latency_ms}") for latency_ms in (0, 30)]
    return " / ".join(_number(one["cells"] / median(one["seconds"])) for one in every if one)


def _stages(found: Found) -> str:
    """Where the seconds of a whole scene go."""
    floor = found["taken"]["floor s2 whole 0"]["parts_s"]
    read, full = (median(found["taken"][f"{tool} s2 whole 0"]["seconds"]) for tool in ("ours", "judged"))
    cut = median(found["taken"]["ours s2 whole 0"]["parts_s"]["decode and copy"])
    whole = found["whole"]
    parts = ", ".join(f"{name} {median(seconds):.1f}" for name, seconds in whole["parts_s"].items())
    return (
        f"Seconds of the whole scene: read {read:.1f}, in which each core decodes and copies for {cut:.1f}; judge"
        f" {full - read:.1f} more. The floor:"
        f" {', '.join(f'{name} {median(seconds):.1f}' for name, seconds in floor.items())}. A build in one process"
        f" takes {median(whole['build_s']):.1f}: {parts}, and the rest."
    )


def _number(value: float) -> str:
    """Three digits, but no fewer than the whole ones."""
    digits = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:,.{digits}f}"


# -- the plot ----------------------------------------------------------------------------------------------------------

_WIDTH, _LEFT, _BAR, _GAP = 760, 230, 13, 26
_DECADES = 4  # powers of ten of cells/s, from the axis at 1
_FILLS = {"floor": "#c9ced6", "ours": "#1b7837", "judged": "#7fbf7b"}


def plot(found: Found) -> str:
    """Bars of cells/s on a logarithmic axis, a group for each choice of cells; the red line is at 30 ms."""
    parts, y = [], 30.0
    for cells, title in CHOICES.items():
        parts.append(f'<text x="8" y="{y:.0f}" font-weight="bold">{title}</text>')
        for tool in TITLES:
            if f"{tool} s2 {cells} 0" in found["taken"]:
                y += _BAR + 4
                parts += _bars(found, tool, cells, y)
        y += _GAP
    axis = [_tick(10**power, y - 10) for power in range(_DECADES + 1)]
    body = "\n".join([*axis, *parts])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y + 12:.0f}" font-family="sans-serif"'
        f' font-size="12">\n<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n'
    )


def _bars(found: Found, tool: str, cells: str, y: float) -> Iterator[str]:
    fill = _FILLS.get(tool, "#4575b4")
    yield f'<text x="{_LEFT - 8}" y="{y - 2:.0f}" text-anchor="end">{TITLES[tool]}</text>'
    speed = rate(found, tool, "s2", cells)
    yield f'<rect x="{_LEFT}" y="{y - _BAR:.0f}" width="{_x(speed) - _LEFT:.1f}" height="{_BAR}" fill="{fill}"/>'
    if f"{tool} s2 {cells} 30" in found["taken"]:
        late = _x(rate(found, tool, "s2", cells, 30))
        yield f'<rect x="{late - 1:.1f}" y="{y - _BAR:.0f}" width="2" height="{_BAR}" fill="#d73027"/>'
    yield f'<text x="{_x(speed) + 5:.1f}" y="{y - 2:.0f}">{_number(speed)}</text>'


def _tick(speed: int, bottom: float) -> str:
    x = _x(speed)
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="14" y2="{bottom:.0f}" stroke="#dddddd"/>'
        f'<text x="{x:.1f}" y="11" text-anchor="middle" fill="#666666">{speed:,}</text>'
    )


def _x(speed: float) -> float:
    return _LEFT + max(0.0, math.log10(speed)) / _DECADES * (_WIDTH - _LEFT - 60)
