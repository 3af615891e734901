"""Acquisitions, cells and recipes for several tests."""

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import shapely
from hypothesis import HealthCheck, settings

from landmark.config.recipe import Recipe
from landmark.core.crs import LONLAT, reproject, transformer
from landmark.core.errors import LandmarkError
from landmark.domain.acquisition import Acquisition, Item
from landmark.domain.schemas import CELLS

NOON = dt.datetime(2021, 7, 1, 12, tzinfo=dt.UTC)
_QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]


def examples(count: int) -> Callable[[Any], Any]:
    """Hypothesis settings for `count` examples."""
    return settings(max_examples=count, deadline=None, suppress_health_check=_QUIET)


def acquisition(**changes: Any) -> Acquisition:
    """A Sentinel-2 acquisition in zone 32 N of 600 px of 10 m, changed by keyword, with a matching footprint."""
    value: dict[str, Any] = {
        "id": "s2_32tqr_20210701t120000_r022",
        "sensor": "s2",
        "datetime": NOON,
        "epsg": 32632,
        "origin": (600_000.0, 5_040_000.0),
        "size_px": (600, 600),
        "pixel_m": 10.0,
        "items": (Item("item", {}, ""),),
        "relative_orbit": 22,
        "cloud_pct": 10.0,
    }
    value |= changes
    if "footprint" not in value:
        value["footprint"] = outline(value)
    return Acquisition(**value)


def outline(value: dict[str, Any]) -> shapely.Polygon:
    """The raster's rectangle in degrees."""
    (left, top), (width, height), pixel = value["origin"], value["size_px"], value["pixel_m"]
    box = shapely.box(left, top - height * pixel, left + width * pixel, top)
    return reproject(shapely.segmentize(box, 1000), value["epsg"], LONLAT)


def cell_table(
    epsg: int, corners: Sequence[tuple[float, float]], *, cell_m: float = 1200, block_m: float = 1200
) -> pa.Table:
    """CELLS rows with some (left, top) corners."""
    rows = []
    for left, top in corners:
        lon, lat = transformer(epsg, LONLAT).transform(left + cell_m / 2, top - cell_m / 2)
        rows.append(
            {
                "cell": f"{epsg}_{left:.0f}_{top:.0f}",
                "epsg": epsg,
                "x": float(left),
                "y": float(top),
                "lon": lon,
                "lat": lat,
                "majortom": "0U_0R",
                "block": f"{epsg}_{(left + cell_m / 2) // block_m:.0f}_{(top - cell_m / 2) // block_m:.0f}",
            }
        )
    return pa.Table.from_pylist(rows, schema=CELLS)


def recipe_of(**changes: Any) -> Recipe:
    """A recipe over the area of `acquisition()`, changed by keyword."""
    value: dict[str, Any] = {
        "name": "tiny",
        "region": {"bbox": [10, 45, 11, 46]},
        "time": {"start": "2021-01-01", "end": "2021-12-31"},
        "labels": [],
    }
    return Recipe.model_validate(value | changes)


def text(path: Path, content: str) -> Path:
    """Write a text file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


@contextmanager
def raises(kind: type[LandmarkError], *, name: str | None = None, **fields: Any) -> Iterator[None]:
    """Expect an error by its class and fields; `name` is the last part of its file."""
    with pytest.raises(kind) as caught:
        yield
    error = caught.value
    assert {field: getattr(error, field) for field in fields} == fields
    assert name is None or (error.file is not None and Path(error.file).name == name)
