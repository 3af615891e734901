"""The scene that reading is measured on: its images, and which of its cells are read."""

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
    """A recipe of the whole scene, all its cells, and every chip whatever it shows."""
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
        root: Where hrefs start: a folder or URL, ending in a slash.
        item: The image as the peers know it, hrefs under `root`.
        epsg: Zone of the cells: the image's own, or its neighbour's.
        corners: (left, top) of each cell in metres of that zone.
        cores: Threads a tool may compute with.
        parts: Where a tool that knows writes down the seconds of the parts of its work.
    """

    acquisition: Acquisition
    sensor: Sensor
    setting: BuildContext
    root: str
    item: pystac.Item
    epsg: int
    corners: Corners
    cores: int
    parts: dict[str, float] = field(default_factory=dict)

    @property
    def factors(self) -> dict[int, tuple[str, ...]]:
        """Pixel size in 10 m → the bands and the mask that have it."""
        found = {group.factor: group.bands for group in self.sensor.groups}
        if mask := self.sensor.mask:
            found[mask.factor] = (*found[mask.factor], mask.band)
        return found

    @property
    def cut(self) -> ExtractRequest:
        """The same as a unit of a build asks for it; no chip is dropped for what it shows."""
        return ExtractRequest(
            acquisition=self.acquisition,
            ids=tuple(f"{left}_{top}" for left, top in self.corners.tolist()),
            corners=tuple((float(left), float(top)) for left, top in self.corners.tolist()),
            root=self.root,
            access=self.setting.access,
            sensor=self.sensor,
            collection=self.setting.imagery(self.sensor.name),
            patch_px=PATCH_PX,
            resolution_m=CELL_M / PATCH_PX,
            max_chip_pct=self.setting.recipe.clouds.max_chip_pct,
            min_valid_pct=self.setting.recipe.min_valid_pct,
            epsgs=(self.epsg,) * len(self.corners),
        )

    def href(self, band: str) -> str:
        """Where a band lies."""
        return self.acquisition.items[0].href(band, self.root)


@dataclass(frozen=True)
class Scene:
    """The scene, read from its folder."""

    folder: Path

    @cached_property
    def setting(self) -> BuildContext:
        """The recipe over it, with all it names."""
        return load_context(recipe(self.folder), str(self.folder))

    @cached_property
    def images(self) -> dict[str, Acquisition]:
        """`s2`, `s1` on the 10 m lattice, `s1-off` between its pixels."""
        setting = self.setting
        found = search(
            setting.catalog,
            setting.recipe,
            provider=setting.provider,
            crosswalks=setting.label_rules.crosswalks,
            files=setting.label_files,
        )
        return {_name(one): one for one in found.acquisitions}

    @cached_property
    def cells(self) -> Corners:
        """Every whole cell of the Sentinel-2 tile (row, column), from its upper left corner on."""
        (left, top), (width, height) = self.images["s2"].origin, self.images["s2"].size_px
        return _lattice(left, top, rows=height // PATCH_PX, columns=width // PATCH_PX)

    @cached_property
    def neighbours(self) -> Corners:
        """Cells of the neighbouring zone that lie wholly in the tile (row, column)."""
        (left, top), (width, height) = self.images["s2"].origin, self.images["s2"].size_px
        tile = shapely.box(left, top - 10 * height, left + 10 * width, top)
        west, south, east, north = _inscribed(reproject(tile, self.images["s2"].epsg, NEIGHBOUR))
        left, top = -(-west // CELL_M) * CELL_M, north // CELL_M * CELL_M
        return _lattice(left, top, rows=int((top - south) // CELL_M), columns=int((east - left) // CELL_M))

    def chosen(self, which: str) -> Corners:
        """`whole`, `contiguous`, `random`, `neighbours`, or `warm-up`: these lie in a corner of the scene."""
        match which:
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

    def reading(self, image: str, which: str, *, root: str, cores: int) -> Reading:
        """Some cells of an image, its hrefs under a root."""
        one, setting = self.images[image], self.setting
        epsg = NEIGHBOUR if which == "neighbours" else one.epsg
        item = _item(self.folder, one, root)
        return Reading(one, setting.sensors[one.sensor], setting, root, item, epsg, self.chosen(which), cores)


def _middle(cells: Corners) -> Corners:
    rows, columns = CONTIGUOUS
    down, across = (cells.shape[0] - rows) // 2, (cells.shape[1] - columns) // 2
    return cells[down : down + rows, across : across + columns].reshape(-1, 2)


def _lattice(left: float, top: float, *, rows: int, columns: int) -> Corners:
    steps = CELL_M * np.arange(max(rows, columns))
    return np.stack(np.meshgrid(left + steps[:columns], top - steps[:rows]), axis=-1).astype(np.int64)


def _inscribed(outline: shapely.Polygon) -> tuple[float, float, float, float]:
    """West, south, east, north of an upright box inside a tile that another zone sees turned a little."""
    xs, ys = (np.sort(axis[:4]) for axis in shapely.get_coordinates(outline).T)
    return float(xs[1]), float(ys[1]), float(xs[2]), float(ys[2])


def _name(one: Acquisition) -> str:
    lattice = all(edge % 10 == 0 for edge in one.origin)
    return one.sensor if lattice else f"{one.sensor}-off"


def _item(folder: Path, one: Acquisition, root: str) -> pystac.Item:
    """The STAC item of an image with whole hrefs."""
    place = Path(next(iter(one.items[0].assets.values()))).parent
    said: dict[str, Any] = json.loads((folder / place / f"{one.items[0].id}.json").read_text())
    for asset in said["assets"].values():
        asset["href"] = f"{root}{place}/{asset['href'].removeprefix('./')}"
    return pystac.Item.from_dict({**said, "links": []})


def spans(corners: Corners) -> tuple[int, int, int, int]:
    """West, south, east, north of cells."""
    (west, south), (east, north) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    return west, south - CELL_M, east + CELL_M, north


def offsets(corners: Corners, origin: Sequence[float], pixel_m: float) -> list[tuple[int, int]]:
    """(row, column) of each cell's upper left pixel in an array that starts at (left, top)."""
    left, top = origin
    return [(round((top - y) / pixel_m), round((x - left) / pixel_m)) for x, y in corners.tolist()]
