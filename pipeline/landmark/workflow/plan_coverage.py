"""What a plan leaves empty: a sensor without samples is refused; splits and cells without are warned of."""

import logging
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from shapely.geometry.base import BaseGeometry

from landmark.config.recipe import SPLITS, Recipe
from landmark.core.errors import NoCoverage
from landmark.core.plural import plural
from landmark.domain.acquisition import Acquisition
from landmark.plan.choose import PlanResult

log = logging.getLogger(__name__)


def require_sensors(result: PlanResult, recipe: Recipe) -> None:
    """Require a sample of each sensor, and warn of splits without a cell, which a limit may leave empty.

    Raises:
        NoCoverage: a sensor has no sample.
    """
    planned = set(pc.unique(result.plan["sensor"]).to_pylist())
    for sensor in recipe.sensors:
        if sensor not in planned:
            counts = sorted(Counter(result.drops["reason"].to_pylist()).items())
            reasons = ", ".join(f"{count} {reason}" for reason, count in counts) or "no cell is inside an image"
            raise NoCoverage(
                f"no sample of this sensor can be planned: {reasons}",
                file=recipe.name,
                key="sensors",
                value=sensor,
                remedy="widen region, time or clouds, set `grid: source`, or leave the sensor out",
            )
    if recipe.limit is None:
        for split in SPLITS:
            if getattr(recipe.splits, split) and not result.split_proof["cells"][split]:
                blocks = len(pc.unique(result.plan["block"]))
                log.warning("split %s is empty: the plan has %s, in other splits", split, plural(blocks, "block"))


def count_other_zone_cells(outside: pa.Table, acquisitions: Sequence[Acquisition], recipe: Recipe) -> int:
    """Count the cells without a raster of their own zone whose centre is in an image of another zone, and warn of them.

    Args:
        outside: Cells outside the rasters of their own zone.
        acquisitions: All acquisitions; those of Sentinel-2 decide if it is among the sensors.
        recipe: Its sensors and grid.
    """
    if recipe.grid != "utm" or not outside.num_rows:
        return 0
    sensor, footprints = max(recipe.sensors), dict[int, list[BaseGeometry]]()
    for acquisition in acquisitions:
        if acquisition.sensor == sensor:
            footprints.setdefault(acquisition.epsg, []).append(acquisition.footprint)
    epsg, lon, lat = (outside[name].to_numpy() for name in ("epsg", "lon", "lat"))
    covered = np.zeros(outside.num_rows, dtype=bool)
    for zone, parts in footprints.items():
        area = shapely.union_all(parts)
        shapely.prepare(area)
        rows = np.flatnonzero((epsg != zone) & ~covered)
        covered[rows] = shapely.contains_xy(area, lon[rows], lat[rows])
    if count := int(covered.sum()):
        log.warning(
            "%d cells get no image: %s covers them only with images of a neighbouring UTM zone; add the tiles of their"
            " own zone to the catalogue",
            count,
            sensor,
        )
    return count
