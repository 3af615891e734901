"""Recipe → plan and lock: catalog, cells, cover and draw, in that order."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import shapely

from landmark import cells, cover, draw, lockfile
from landmark.base.archive import Acquisition, LabelRaster
from landmark.base.errors import InputError, NoCoverage
from landmark.base.recipe import Recipe
from landmark.base.schemas import cover_schema
from landmark.base.taxonomy import LabelVintage
from landmark.catalog import search
from landmark.lockfile import Planned
from landmark.run import Lost, MapUnits
from landmark.setting import Setting

log = logging.getLogger(__name__)

Progress = Callable[[str, int, int], None]


def make_plan(
    setting: Setting, out: Path, map_units: MapUnits[cover.CoverUnit, pa.Table], progress: Progress
) -> Planned:
    """Search, sample, measure the cover, draw, and write plan and lock to `out`.

    Raises:
        LandmarkError: nothing found, nothing covered, or an input cannot be understood; `out` is untouched then.
    """
    recipe, meaning = setting.recipe, setting.meaning
    found = search(setting.document, recipe, provider=setting.provider, crosswalks=meaning.crosswalks)
    log.info("found %d acquisitions and %d label rasters", len(found.acquisitions), len(found.labels))
    _refuse_resolution(recipe, found.acquisitions)
    # A region may be a continent and hold a few scenes: only cells under an image are enumerated.
    region = recipe.region.geometry.intersection(shapely.union_all([one.footprint for one in found.acquisitions]))
    size = {"cell_m": recipe.cell_m, "block_m": recipe.splits.block_m}
    on_utm = recipe.grid == "utm"
    grid = cells.utm_cells(region, **size) if on_utm else cells.source_cells(found.acquisitions, region, **size)
    sampled = draw.sample(grid, found.acquisitions, recipe)
    if sampled.cells.num_rows == 0:
        raise NoCoverage(
            f"{recipe.name}: no whole {recipe.cell_m:g} m cell of the region lies inside an image: {sampled.considered}"
        )
    periods = sorted({recipe.time.period_of(one.moment) for one in found.acquisitions})
    spans = [raster.vintage for raster in found.labels]
    table = _measure(setting, sampled.cells, found.labels, setting.vintages(spans, periods), map_units, progress)
    facts = meaning.fold(table) if meaning.crosswalks else None
    drawn = draw.draw(sampled, found.acquisitions, recipe, facts=facts, sensors=setting.sensors)
    return lockfile.write_plan(
        out,
        setting,
        plan=drawn.plan,
        cover=_planned_cover(table, drawn.plan),
        left_out=drawn.left_out,
        acquisitions={one.id: one for one in found.acquisitions},
        labels=found.labels,
        considered=drawn.considered,
        proof=drawn.proof,
    )


def estimate(planned: Planned, setting: Setting) -> draw.Estimate:
    """What the plan will cost."""
    acquisitions = planned.lock.read_acquisitions()
    return draw.estimate(planned.plan, acquisitions, setting.recipe, provider=setting.provider, sensors=setting.sensors)


def _measure(
    setting: Setting,
    candidates: pa.Table,
    rasters: Sequence[LabelRaster],
    chosen: dict[str, tuple[LabelVintage, ...]],
    map_units: MapUnits[cover.CoverUnit, pa.Table],
    progress: Progress,
) -> pa.Table:
    recipe, crosswalks = setting.recipe, setting.meaning.crosswalks
    tables = [cover_schema(setting.meaning.sources).empty_table()]
    if crosswalks:
        units = list(
            cover.cover_units(
                candidates,
                rasters,
                cell_m=recipe.cell_m,
                patch_px=recipe.patch_px,
                crosswalks=crosswalks,
                vintages=chosen,
                access=setting.access,
            )
        )
        for _, table in map_units(cover.measure, units):
            if isinstance(table, Lost):
                raise InputError(f"the cover could not be measured: {table.detail}")
            tables.append(table)
            progress("cover", len(tables) - 1, len(units))
    return pa.concat_tables(tables).sort_by([("cell", "ascending"), ("period", "ascending")])


def _planned_cover(cover_table: pa.Table, plan: pa.Table) -> pa.Table:
    """The rows whose (cell, period) a planned sample refers to."""
    keys = [pc.binary_join_element_wise(table["cell"], table["period"], "/") for table in (cover_table, plan)]
    return cover_table.filter(pc.is_in(keys[0], value_set=keys[1].combine_chunks()))


def _refuse_resolution(recipe: Recipe, acquisitions: Sequence[Acquisition]) -> None:
    for sensor in recipe.sensors:
        sizes = {one.pixel_m for one in acquisitions if one.sensor == sensor}
        if recipe.resolution_m not in sizes:
            shown = ", ".join(f"{size:g}" for size in sorted(sizes))
            raise InputError(
                f"{recipe.name}: `resolution_m` is {recipe.resolution_m:g}, but {sensor} has pixels of {shown} m;"
                " images are cut at their own resolution"
            )
