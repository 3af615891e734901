"""Small label maps on disk, and what the cover says of one cell over them."""

import datetime as dt
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pyarrow as pa
import rasterio
import shapely
from numpy.typing import NDArray
from rasterio.transform import Affine

from landmark.config.label_entries import LabelEntry
from landmark.config.recipe import TimeRange
from landmark.core.yaml_files import load_model
from landmark.domain.acquisition import LabelRaster
from landmark.domain.taxonomy import Crosswalk
from landmark.grid.points import Points
from landmark.labels.codes import rank_codes
from landmark.labels.counts import LabelCounts, CountTask, merge, measure_counts
from landmark.labels.editions import Period, LabelSource
from landmark.labels.files import LocalLabels, local_label_rasters
from landmark.labels.label_sampling import sample_ranks

CORINE, DYNAMIC, WORLDCOVER, IO_LULC = (
    load_model(Crosswalk, "taxonomies", name) for name in ("corine", "dynamic-world", "worldcover", "io-lulc")
)
WORLD = shapely.box(-180, -90, 180, 90)
LEFT, TOP = 600_000.0, 5_040_000.0
SHARES = [DYNAMIC.classes[code].key for code in sorted(DYNAMIC.classes)]


def raster(path: Path, *bands: NDArray[Any], names: list[str] | None = None, **options: Any) -> Path:
    """Bands as a GeoTIFF with their names; EPSG:32632 at 10 m unless options say otherwise."""
    profile = {"crs": "EPSG:32632", "transform": Affine(10, 0, LEFT, 0, -10, TOP), **options}
    height, width = bands[0].shape
    path.parent.mkdir(parents=True, exist_ok=True)
    said = {"height": height, "width": width, "count": len(bands), "dtype": bands[0].dtype}
    with rasterio.open(path, "w", driver="GTiff", **said, **profile) as to:
        for number, band in enumerate(bands, start=1):
            to.write(band, number)
        to.descriptions = tuple(names or [None] * len(bands))
    return path


def export(path: Path, codes: NDArray[Any], shares: NDArray[Any] | None = None, **options: Any) -> Path:
    """A Dynamic World export: nine bands of probabilities and the label, as Earth Engine writes them."""
    if shares is None:
        shares = np.stack([np.where(codes == code, 0.6, 0.05) for code in range(9)])
    bands = [band.astype("float32") for band in [*shares, codes]]
    return raster(path, *bands, names=[*SHARES, "label"], **options)


def polygons(path: Path, shapes: list[Any], codes: list[Any], *, field: str = "CODE_18", crs: Any = 32632) -> Path:
    """A file of polygons with a code each, in the format its ending says."""
    frame = geopandas.GeoDataFrame({field: codes, "AREA_HA": 1.0}, geometry=shapes, crs=crs)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_file(path)
    return path


def maps(crosswalk: Crosswalk, *files: Path, **entry: Any) -> list[LabelRaster]:
    """The files as the catalogue hands them on."""
    return local_label_rasters(LocalLabels(LabelEntry(source=crosswalk.name, **entry), files), crosswalk, WORLD)


def period(name: str = "2021", start: str = "2000-01-01", end: str = "2040-12-31") -> Period:
    """A year or month, cut to a recipe's time."""
    time = TimeRange(start=dt.date.fromisoformat(start), end=dt.date.fromisoformat(end))
    return Period(name, *time.span(name))


def each_alone(epsg: int, x: NDArray[Any], y: NDArray[Any]) -> Points:
    """Points in no order, each a rectangle of its own."""
    return Points(epsg, x[:, None], y[:, None])


def codes_at(label: LabelRaster, crosswalk: Crosswalk, points: Points) -> NDArray[Any]:
    """The code at each point, -1 where there is none, one after the other."""
    return rank_codes(crosswalk)[sample_ranks(label, crosswalk, points)].ravel()


def covered(
    cells: pa.Table, *sources: tuple[LabelSource, list[LabelRaster]], periods: tuple[Period, ...] = (), px: int, m: float
) -> LabelCounts:
    """The cover of cells from sources with their maps."""
    rasters = tuple(raster for _, found in sources for raster in found)
    taken = tuple(source for source, _ in sources)
    return merge(taken, [measure_counts(CountTask(cells, m, px, taken, periods or (period(),), rasters))])


def counts(cover: LabelCounts, cell: str, name: str = "2021") -> dict[tuple[int, ...], int]:
    """Pixels per combination of codes."""
    rows = [row for row in cover.table.to_pylist() if (row["cell"], row["period"]) == (cell, name)]
    return {tuple(row["codes"]): row["pixels"] for row in rows}
