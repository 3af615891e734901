"""Dynamic World for a corpus: a Python script that a person runs with their own Earth Engine account.

Python and not the Code Editor's JavaScript, because the editor makes a person click "Run" once for each export.
"""

import datetime as dt
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from landmark.config.region import TimeRange
from landmark.core.atomic import write_bytes
from landmark.core.errors import InputError, InvalidCorpus
from landmark.workflow.lock import read_plan

# Edge of the squares that cells are gathered in. A multiple of the usual cell, so that no cell lies in two;
# 4,800 x 4,800 pixels of ten bytes, far from what Earth Engine refuses.
_SQUARE_M = 48_000
_PIXEL_M = 10
_NODATA = 255

_SCRIPT = '''\
"""Dynamic World for the corpus {name}: exports {exports} GeoTIFFs from Earth Engine to your Google Drive.

    pip install earthengine-api
    earthengine authenticate
    python {file} YOUR-CLOUD-PROJECT

Then download the folder {folder} from the drive and build with

    landmark build RECIPE --labels 'dynamic-world=FOLDER/*.tif'

Each file holds, over one region and one period of the corpus, the most frequent class of Dynamic World's maps (band
`label`, 0 to 8) and the mean of each of their nine probabilities in percent. Where no map has data, every band is
{nodata}, which the file declares as no data: Earth Engine would write 0 there, and 0 is water. A file's name says the
middle of its period. Pixels are {pixel} m and stand on the UTM zone's grid, edge on edge with the cells of the corpus.

Dynamic World (GOOGLE/DYNAMICWORLD/V1) is CC-BY-4.0, by Google and the World Resources Institute.
"""

import sys

import ee

FOLDER = "{folder}"
NODATA = {nodata}
BANDS = ["water", "trees", "grass", "flooded_vegetation", "crops", "shrub_and_scrub", "built", "bare", "snow_and_ice"]

# Period: first day, first day after it, and the moment that stands in the names of its files.
PERIODS = {{
{periods}
}}

# Period, region, EPSG code, left and top edge in metres, width and height in pixels.
EXPORTS = [
{rows}
]


def composite(start, end, area):
    """The period's most frequent label and mean probabilities in percent, as bytes, no data outside all maps."""
    maps = ee.ImageCollection("GOOGLE/DYNAMICWORLD/V1").filterDate(start, end).filterBounds(area)
    label = maps.select("label").mode()
    shares = maps.select(BANDS).mean().multiply(100).round()
    return label.addBands(shares).rename(["label", *BANDS]).unmask(NODATA, False).toByte()


def export(period, region, epsg, left, top, width, height):
    """A task that writes one file: the region's pixels, and no others."""
    start, end, moment = PERIODS[period]
    crs = f"EPSG:{{epsg}}"
    right, bottom = left + {pixel} * width, top - {pixel} * height
    area = ee.Geometry.Rectangle([left, bottom, right, top], proj=crs, geodesic=False)
    name = f"{{moment}}_{{region}}"
    return ee.batch.Export.image.toDrive(
        image=composite(start, end, area),
        description=name,
        folder=FOLDER,
        fileNamePrefix=name,
        dimensions=f"{{width}}x{{height}}",
        crs=crs,
        crsTransform=[{pixel}, 0, left, 0, -{pixel}, top],
        maxPixels=1e9,
        formatOptions={{"noData": NODATA}},
    )


def main():
    """Start every export that this project does not list as begun or done."""
    ee.Initialize(project=sys.argv[1])
    begun = {{task.config["description"] for task in ee.batch.Task.list() if task.state not in ("FAILED", "CANCELLED")}}
    for row in EXPORTS:
        task = export(*row)
        if task.config["description"] in begun:
            continue
        task.start()
        print(task.config["description"])


if __name__ == "__main__":
    main()
'''


class Region(NamedTuple):
    """One export: pixels of a zone's grid, over a period."""

    period: str
    name: str
    epsg: int
    left: float
    top: float
    width: int
    height: int


def export_script(corpus: Path, out: Path) -> int:
    """Write the script for the planned cells of a corpus; returns how many files it exports.

    Raises:
        InvalidCorpus: the folder holds no plan.
        InputError: `out` cannot be written.
    """
    planned = read_plan(corpus)
    if planned is None:
        raise InvalidCorpus(f"{corpus} holds no plan; make one with `landmark plan`")
    if out.is_dir():
        raise InputError(f"--out {out}: is a folder; name the script in it")
    if not out.parent.is_dir():
        raise InputError(f"--out {out}: there is no folder {out.parent}")
    recipe = planned.lock.recipe
    regions = export_regions(planned.plan, cell_m=recipe["patch_px"] * recipe["resolution_m"])
    spans = period_spans((region.period for region in regions), TimeRange.model_validate(recipe["time"]))
    text = _SCRIPT.format(
        name=recipe["name"],
        exports=len(regions),
        file=out.name,
        folder=f"landmark-{recipe['name']}-dynamic-world",
        nodata=_NODATA,
        pixel=_PIXEL_M,
        periods=_lines(f'"{period}": {json.dumps(span)}' for period, span in spans.items()),
        rows=_lines(json.dumps(region) for region in regions),
    )
    write_bytes(out, text.encode())
    return len(regions)


def export_regions(plan: pa.Table, *, cell_m: float) -> list[Region]:
    """Rectangles that hold every planned cell, few per zone and period, on the pixels of the cells' grid."""
    cells = plan.group_by(["period", "epsg", "x", "y"], use_threads=False).aggregate([]).to_pylist()
    squares: dict[tuple[str, int, int, int], list[tuple[float, float]]] = {}
    for cell in cells:
        col, row = math.floor(cell["x"] / _SQUARE_M), math.floor((cell["y"] - cell_m) / _SQUARE_M)
        squares.setdefault((cell["period"], cell["epsg"], col, row), []).append((cell["x"], cell["y"]))
    return [_around(corners, square, cell_m) for square, corners in sorted(squares.items())]


def period_spans(periods: Iterable[str], time: TimeRange) -> dict[str, tuple[str, str, str]]:
    """Per period: its first day in the recipe's time, the first day after it, and the moment between them (UTC)."""
    return {period: _span(period, time) for period in sorted(set(periods))}


def _around(corners: list[tuple[float, float]], square: tuple[str, int, int, int], cell_m: float) -> Region:
    period, epsg, col, row = square
    left, top = min(x for x, _ in corners), max(y for _, y in corners)
    width = max(x for x, _ in corners) + cell_m - left
    height = top - (min(y for _, y in corners) - cell_m)
    pixels = (math.ceil(size / _PIXEL_M - 1e-6) for size in (width, height))
    return Region(period, f"{epsg}-{col}-{row}", epsg, _whole(left), _whole(top), *pixels)


def _whole(metres: float) -> float:
    return int(metres) if metres.is_integer() else metres


def _span(period: str, time: TimeRange) -> tuple[str, str, str]:
    year, month = int(period[:4]), int(period[5:] or 0)
    after = dt.date(year + 1, 1, 1) if month in (0, 12) else dt.date(year, month + 1, 1)
    start, end = max(dt.date(year, month or 1, 1), time.start), min(after, time.end + dt.timedelta(days=1))
    middle = dt.datetime.combine(start, dt.time()) + (end - start) / 2
    return f"{start}", f"{end}", f"{middle:%Y%m%dT%H%M%S}"


def _lines(entries: Iterable[str]) -> str:
    return "\n".join(f"    {entry}," for entry in entries)
