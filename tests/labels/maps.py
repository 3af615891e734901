"""Small label maps on disk, and label counts of cells over them."""

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

from landmark.config.label_entries import LabelEntry, LabelFile
from landmark.config.recipe import TimeRange
from landmark.core.yaml_files import load_model
from landmark.domain.acquisition import LabelRaster
from landmark.domain.taxonomy import Crosswalk
from landmark.grid.points import Points
from landmark.labels.codes import rank_codes
from landmark.labels.counts import CountConfig, CountTask, LabelCounts, measure_counts, merge
from landmark.labels.editions import LabelSource, Period
from landmark.labels.files import LocalLabels, local_label_files, local_label_rasters
from landmark.labels.label_sampling import sample_ranks

CORINE, DYNAMIC, WORLDCOVER, IO_LULC, VECTORS = (
    load_model(Crosswalk, "taxonomies", name)
    for name in ("corine", "dynamic-world", "worldcover", "io-lulc", "vectors")
)
WORLD = shapely.box(-180, -90, 180, 90)
LEFT, TOP = 600_000.0, 5_040_000.0
PROBABILITY_BANDS = [DYNAMIC.classes[code].key for code in sorted(DYNAMIC.classes)]


def write_map(path: Path, *bands: NDArray[Any], names: list[str] | None = None, **options: Any) -> Path:
    """Write bands and their names as a GeoTIFF; by default in EPSG:32632 at 10 m."""
    profile = {"crs": "EPSG:32632", "transform": Affine(10, 0, LEFT, 0, -10, TOP), **options}
    height, width = bands[0].shape
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = {"height": height, "width": width, "count": len(bands), "dtype": bands[0].dtype}
    with rasterio.open(path, "w", driver="GTiff", **shape, **profile) as file:
        for number, band in enumerate(bands, start=1):
            file.write(band, number)
        file.descriptions = tuple(names or [None] * len(bands))
    return path


def write_export(path: Path, codes: NDArray[Any], probabilities: NDArray[Any] | None = None, **options: Any) -> Path:
    """Write a Dynamic World export: nine bands of probabilities and the label, like Earth Engine."""
    if probabilities is None:
        probabilities = np.stack([np.where(codes == code, 0.6, 0.05) for code in range(9)])
    bands = [band.astype("float32") for band in [*probabilities, codes]]
    return write_map(path, *bands, names=[*PROBABILITY_BANDS, "label"], **options)


def write_polygons(
    path: Path, shapes: list[Any], codes: list[Any], *, field: str = "CODE_18", crs: Any = 32632
) -> Path:
    """Write polygons with a code each, in the format of the suffix."""
    frame = geopandas.GeoDataFrame({field: codes, "AREA_HA": 1.0}, geometry=shapes, crs=crs)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_file(path)
    return path


def local_maps(crosswalk: Crosswalk, *files: Path | LabelFile, **entry: Any) -> list[LabelRaster]:
    """The files as label rasters of a recipe's entry."""
    return local_label_rasters(local_files(crosswalk, *files, **entry), crosswalk, WORLD)


def local_files(crosswalk: Crosswalk, *files: Path | LabelFile, **entry: Any) -> LocalLabels:
    """The files of a recipe's entry."""
    paths = [LabelFile(path=str(file)) if isinstance(file, Path) else file for file in files]
    return local_label_files(LabelEntry(source=crosswalk.name, files=paths, **entry), Path)


def period(name: str = "2021", start: str = "2000-01-01", end: str = "2040-12-31") -> Period:
    """A year or month, cut to a recipe's time range."""
    time = TimeRange(start=dt.date.fromisoformat(start), end=dt.date.fromisoformat(end))
    return Period(name, *time.span(name))


def scattered_points(epsg: int, x: NDArray[Any], y: NDArray[Any]) -> Points:
    """Points in no order, each a rectangle of its own."""
    return Points(epsg, x[:, None], y[:, None])


def codes_at(label: LabelRaster, crosswalk: Crosswalk, points: Points) -> NDArray[Any]:
    """The code at each point, -1 without data, flat."""
    return rank_codes(crosswalk)[sample_ranks(label, crosswalk, points)].ravel()


def count_labels(
    cells: pa.Table,
    *sources: tuple[LabelSource, list[LabelRaster]],
    periods: tuple[Period, ...] = (),
    patch_px: int = 12,
    cell_m: float = 120,
) -> LabelCounts:
    """Label counts of cells from sources with their maps."""
    rasters = tuple(raster for _, maps in sources for raster in maps)
    config = CountConfig(cell_m, patch_px, tuple(source for source, _ in sources), periods or (period(),))
    return merge(config.sources, [measure_counts(CountTask(cells, config, rasters))])


def pixels_by_codes(label_counts: LabelCounts, cell: str, name: str = "2021") -> dict[tuple[int, ...], int]:
    """Pixels per combination of codes of a cell and period."""
    rows = [row for row in label_counts.table.to_pylist() if (row["cell"], row["period"]) == (cell, name)]
    return {tuple(row["codes"]): row["pixels"] for row in rows}
