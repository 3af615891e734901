"""The scene of the read benchmark: its images, and the selections of cells that are read."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import shapely
from numpy.typing import NDArray

from landmark.config.profiles import Sensor
from landmark.config.recipe import Recipe
from landmark.core.crs import reproject
from landmark.domain.acquisition import Acquisition
from landmark.extract.request import ExtractRequest
from landmark.stac.search import search
from landmark.workflow.context import BuildContext, load_context

PATCH_PX, CELL_M = 120, 1200
CONTIGUOUS = (16, 32)  # rows and columns of cells
RANDOM = 512
NEIGHBOUR = 32632
WARM_UP = 4
_ARCHIVE = Path(__file__).with_name("archive.yaml")

Corners = NDArray[np.int64]  # (cell, 2): left and top in metres


def recipe(folder: Path, sensors: Sequence[str] = ("s1", "s2")) -> Recipe:
    """Return a recipe of all cells of the scene, which drops no chip."""
    labels = folder / "labels"
    return Recipe.model_validate(
        {
            "name": "scene",
            "provider": str(_ARCHIVE),
            "region": {"bbox": [10.5, 44, 14, 47]},
            "time": {"start": "2022-01-01", "end": "2022-12-31", "period": "year"},
            "sensors": sensors,
            "grid": "source",
            "clouds": {"max_chip_pct": 100},
            "min_valid_pct": 0,
            "labels": [
                {"source": "dynamic-world", "files": [str(labels / "dynamic-world" / "*.tif")]},
                {"source": "corine", "files": [str(labels / "corine" / "*.tif")], "max_gap_days": 2000},
            ],
            "splits": {"buffer_m": 0},
        }
    )


@dataclass(frozen=True, slots=True)
class Reading:
    """Cells to read of one image.

    Attributes:
        root: Folder or URL of the hrefs, ending in a slash.
        item: The image as a STAC item with hrefs under `root`, for the peers.
        epsg: Zone of the cells: the image's own, or the neighbouring one.
        corners: (left, top) of each cell in metres of that zone.
        cores: Number of threads a tool may compute with.
        parts: Filled by tools that measure the seconds of their parts.
    """

    acquisition: Acquisition
    sensor: Sensor
    context: BuildContext
    root: str
    item: pystac.Item
    epsg: int
    corners: Corners
    cores: int
    parts: dict[str, float] = field(default_factory=dict)

    @property
    def factors(self) -> dict[int, tuple[str, ...]]:
        """Bands and mask by pixel size in units of 10 m."""
        bands = {group.factor: group.bands for group in self.sensor.groups}
        if mask := self.sensor.mask:
            bands[mask.factor] = (*bands[mask.factor], mask.band)
        return bands

    @property
    def request(self) -> ExtractRequest:
        """The request that a build's task makes for these cells; no chip is dropped for its content."""
        return ExtractRequest(
            acquisition=self.acquisition,
            ids=tuple(f"{left}_{top}" for left, top in self.corners.tolist()),
            corners=tuple((float(left), float(top)) for left, top in self.corners.tolist()),
            root=self.root,
            access=self.context.access,
            sensor=self.sensor,
            collection=self.context.imagery(self.sensor.name),
            patch_px=PATCH_PX,
            resolution_m=CELL_M / PATCH_PX,
            max_chip_pct=self.context.recipe.clouds.max_chip_pct,
            min_valid_pct=self.context.recipe.min_valid_pct,
            epsgs=(self.epsg,) * len(self.corners),
        )

    def href(self, band: str) -> str:
        """Return the path or URL of a band."""
        return self.acquisition.items[0].href(band, self.root)


@dataclass(frozen=True)
class Scene:
    """The scene, read from its folder."""

    folder: Path

    @cached_property
    def context(self) -> BuildContext:
        """The recipe of the scene, loaded."""
        return load_context(recipe(self.folder), str(self.folder))

    @cached_property
    def images(self) -> dict[str, Acquisition]:
        """`s2`, `s1` on the 10 m lattice, `s1-off` between its pixels."""
        context = self.context
        # No label source is in the catalogue: the recipe reads their files.
        result = search(context.catalog, context.recipe, provider=context.provider, crosswalks=())
        return {_name(acquisition): acquisition for acquisition in result.acquisitions}

    @cached_property
    def cells(self) -> Corners:
        """All complete cells of the Sentinel-2 tile, (row, column, 2), from its upper left corner."""
        (left, top), (width, height) = self.images["s2"].origin, self.images["s2"].size_px
        return _lattice(left, top, rows=height // PATCH_PX, columns=width // PATCH_PX)

    @cached_property
    def neighbours(self) -> Corners:
        """Cells of the neighbouring zone that are completely in the tile, (row, column, 2)."""
        (left, top), (width, height) = self.images["s2"].origin, self.images["s2"].size_px
        tile = shapely.box(left, top - 10 * height, left + 10 * width, top)
        west, south, east, north = _inscribed(reproject(tile, self.images["s2"].epsg, NEIGHBOUR))
        left, top = -(-west // CELL_M) * CELL_M, north // CELL_M * CELL_M
        return _lattice(left, top, rows=int((top - south) // CELL_M), columns=int((east - left) // CELL_M))

    def select_cells(self, selection: str) -> Corners:
        """Select cells: `whole`, `contiguous`, `random`, `neighbours`, or `warm-up` (in a corner of the scene)."""
        match selection:
            case "whole":
                return self.cells.reshape(-1, 2)
            case "contiguous":
                return _middle(self.cells)
            case "neighbours":
                return _middle(self.neighbours)
            case "random":
                order = np.random.default_rng(0).permutation(self.cells.size // 2)[:RANDOM]
                return self.cells.reshape(-1, 2)[np.sort(order)]
        return self.cells[0, :WARM_UP]

    def reading(self, image: str, selection: str, *, root: str, cores: int) -> Reading:
        """Return selected cells of an image, with hrefs under a root."""
        acquisition, context = self.images[image], self.context
        epsg = NEIGHBOUR if selection == "neighbours" else acquisition.epsg
        item = _item(self.folder, acquisition, root)
        return Reading(
            acquisition,
            context.sensors[acquisition.sensor],
            context,
            root,
            item,
            epsg,
            self.select_cells(selection),
            cores,
        )


def _middle(cells: Corners) -> Corners:
    rows, columns = CONTIGUOUS
    down, across = (cells.shape[0] - rows) // 2, (cells.shape[1] - columns) // 2
    return cells[down : down + rows, across : across + columns].reshape(-1, 2)


def _lattice(left: float, top: float, *, rows: int, columns: int) -> Corners:
    steps = CELL_M * np.arange(max(rows, columns))
    return np.stack(np.meshgrid(left + steps[:columns], top - steps[:rows]), axis=-1).astype(np.int64)


def _inscribed(outline: shapely.Polygon) -> tuple[float, float, float, float]:
    """Return (west, south, east, north) of an upright box inside a tile that is slightly rotated in another zone."""
    xs, ys = (np.sort(axis[:4]) for axis in shapely.get_coordinates(outline).T)
    return float(xs[1]), float(ys[1]), float(xs[2]), float(ys[2])


def _name(acquisition: Acquisition) -> str:
    lattice = all(edge % 10 == 0 for edge in acquisition.origin)
    return acquisition.sensor if lattice else f"{acquisition.sensor}-off"


def _item(folder: Path, acquisition: Acquisition, root: str) -> pystac.Item:
    """Return the STAC item of an image with absolute hrefs."""
    image_folder = Path(next(iter(acquisition.items[0].assets.values()))).parent
    document: dict[str, Any] = json.loads((folder / image_folder / f"{acquisition.items[0].id}.json").read_text())
    for asset in document["assets"].values():
        asset["href"] = f"{root}{image_folder}/{asset['href'].removeprefix('./')}"
    return pystac.Item.from_dict({**document, "links": []})


def spans(corners: Corners) -> tuple[int, int, int, int]:
    """Return (west, south, east, north) of cells."""
    (west, south), (east, north) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    return west, south - CELL_M, east + CELL_M, north


def offsets(corners: Corners, origin: Sequence[float], pixel_m: float) -> list[tuple[int, int]]:
    """Return (row, column) of each cell's upper left pixel in an array with its corner at (left, top)."""
    left, top = origin
    return [(round((top - y) / pixel_m), round((x - left) / pixel_m)) for x, y in corners.tolist()]
