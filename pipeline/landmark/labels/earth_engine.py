"""Write a Python script that exports Dynamic World for a plan from the user's Earth Engine account.

Python and not the Code Editor's JavaScript, which needs a click per export.
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
from landmark.core.errors import InputError
from landmark.core.yaml_files import load_model
from landmark.domain.taxonomy import Crosswalk

# Edge of the squares into which cells are grouped, one export each: 4,800 x 4,800 pixels of ten bytes, far below Earth
# Engine's limits. A multiple of the usual cell edge, so that no cell is in two squares.
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

Each file covers one region and one period of the corpus: the most frequent class of Dynamic World's maps (band `label`,
0 to 8) and the means of their nine probabilities in percent. Without data every band is {nodata}, the file's nodata
value (Earth Engine would write 0, which is water). The date in a file's name is the middle of its period. Pixels are
{pixel} m, aligned with the cells of the corpus in their UTM zone.

Dynamic World (GOOGLE/DYNAMICWORLD/V1) is CC-BY-4.0, by Google and the World Resources Institute.
"""

import sys

import ee

FOLDER = "{folder}"
NODATA = {nodata}
BANDS = {bands}

# Period: first day, first day after it, and the time in the names of its files.
PERIODS = {{
{periods}
}}

# Period, region, EPSG code, left and top edge in metres, width and height in pixels.
EXPORTS = [
{rows}
]


def composite(start, end, area):
    """The period's most frequent label and mean probabilities in percent, as bytes; NODATA where no map has data."""
    maps = ee.ImageCollection("GOOGLE/DYNAMICWORLD/V1").filterDate(start, end).filterBounds(area)
    label = maps.select("label").mode()
    probabilities = maps.select(BANDS).mean().multiply(100).round()
    return label.addBands(probabilities).rename(["label", *BANDS]).unmask(NODATA, False).toByte()


def export(period, region, epsg, left, top, width, height):
    """Return the task that exports one file."""
    start, end, time = PERIODS[period]
    crs = f"EPSG:{{epsg}}"
    right, bottom = left + {pixel} * width, top - {pixel} * height
    area = ee.Geometry.Rectangle([left, bottom, right, top], proj=crs, geodesic=False)
    name = f"{{time}}_{{region}}"
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
    """Start the exports that this project has not started before, except failed ones."""
    ee.Initialize(project=sys.argv[1])
    names = {{task.config["description"] for task in ee.batch.Task.list() if task.state not in ("FAILED", "CANCELLED")}}
    for row in EXPORTS:
        task = export(*row)
        if task.config["description"] in names:
            continue
        task.start()
        print(task.config["description"])


if __name__ == "__main__":
    main()
'''


class ExportRegion(NamedTuple):
    """One export: a rectangle of pixels in a UTM zone, and a period."""

    period: str
    name: str
    epsg: int
    left: float
    top: float
    width: int
    height: int


def write_export_script(out: Path, *, name: str, cells: pa.Table, cell_m: float, time: TimeRange) -> int:
    """Write the script for a plan and return the number of files that it exports.

    Args:
        out: The script.
        name: Name of the corpus.
        cells: A row per cell and period, maybe repeated: `period`, `epsg`, `x` and `y` (left and top in metres).
        cell_m: Edge of a cell.
        time: Time range of the recipe, to which periods are cut.

    Raises:
        InputError: `out` cannot be written.
    """
    if out.is_dir():
        raise InputError("is a folder", file="--out", value=out, remedy="give a file in the folder")
    if not out.parent.is_dir():
        raise InputError(
            f"there is no folder {out.parent}", file="--out", value=out, remedy="create it, or give another"
        )
    regions = export_regions(cells, cell_m=cell_m)
    intervals = period_intervals((region.period for region in regions), time)
    crosswalk = load_model(Crosswalk, "taxonomies", "dynamic-world")
    text = _SCRIPT.format(
        name=name,
        exports=len(regions),
        file=out.name,
        folder=f"landmark-{name}-dynamic-world",
        nodata=_NODATA,
        pixel=_PIXEL_M,
        bands=json.dumps([entry.key for _, entry in sorted(crosswalk.classes.items())]),
        periods=_lines(f"{json.dumps(period)}: {json.dumps(interval)}" for period, interval in intervals.items()),
        rows=_lines(json.dumps(region) for region in regions),
    )
    write_bytes(out, text.encode())
    return len(regions)


def export_regions(cells: pa.Table, *, cell_m: float) -> list[ExportRegion]:
    """Rectangles that cover all cells in their periods, few per zone and period, aligned with the cells' pixels."""
    rows = cells.group_by(["period", "epsg", "x", "y"], use_threads=False).aggregate([]).to_pylist()
    squares: dict[tuple[str, int, int, int], list[tuple[float, float]]] = {}
    for row in rows:
        square = math.floor(row["x"] / _SQUARE_M), math.floor((row["y"] - cell_m) / _SQUARE_M)
        squares.setdefault((row["period"], row["epsg"], *square), []).append((row["x"], row["y"]))
    return [_bounding_region(corners, square, cell_m) for square, corners in sorted(squares.items())]


def period_intervals(periods: Iterable[str], time: TimeRange) -> dict[str, tuple[str, str, str]]:
    """Per period: its first day in the time range, the first day after it, and the middle of both (UTC)."""
    return {period: _interval(period, time) for period in sorted(set(periods))}


def _bounding_region(
    corners: list[tuple[float, float]], square: tuple[str, int, int, int], cell_m: float
) -> ExportRegion:
    period, epsg, col, row = square
    left, top = min(x for x, _ in corners), max(y for _, y in corners)
    width = max(x for x, _ in corners) + cell_m - left
    height = top - (min(y for _, y in corners) - cell_m)
    pixels = (math.ceil(size / _PIXEL_M - 1e-6) for size in (width, height))
    return ExportRegion(period, f"{epsg}-{col}-{row}", epsg, _integral(left), _integral(top), *pixels)


def _integral(metres: float) -> float:
    return int(metres) if metres.is_integer() else metres


def _interval(period: str, time: TimeRange) -> tuple[str, str, str]:
    year, month = int(period[:4]), int(period[5:] or 0)
    after = dt.date(year + 1, 1, 1) if month in (0, 12) else dt.date(year, month + 1, 1)
    start, end = max(dt.date(year, month or 1, 1), time.start), min(after, time.end + dt.timedelta(days=1))
    middle = dt.datetime.combine(start, dt.time()) + (end - start) / 2
    return f"{start}", f"{end}", f"{middle:%Y%m%dT%H%M%S}"


def _lines(entries: Iterable[str]) -> str:
    return "\n".join(f"    {entry}," for entry in entries)
