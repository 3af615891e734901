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
from landmark.catalog import search
from landmark.lockfile import Planned
from landmark.run import Lost, MapUnits
from landmark.setting import Setting

log = logging.getLogger(__name__)

Progress = Callable[[str, int, int], None]


def make_plan(
    setting: Setting, out: Path, map_units: MapUnits[cover.CoverUnit, cover.Cover], progress: Progress
) -> Planned:
    """Search, sample, measure the cover, draw, and write plan and lock to `out`.

    Raises:
        LandmarkError: nothing found, nothing covered, or an input cannot be understood; `out` is untouched then.
    """
    recipe, meaning = setting.recipe, setting.meaning
    found = search(
        setting.document,
        recipe,
        provider=setting.provider,
        crosswalks=meaning.crosswalks,
        files=setting.label_files,
    )
    log.info("found %d acquisitions and %d label maps", len(found.acquisitions), len(found.labels))
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
    measured = _measure(setting, sampled.cells, found.labels, periods, map_units, progress)
    facts = meaning.fold(measured.table) if meaning.crosswalks else None
    drawn = draw.draw(
        sampled, found.acquisitions, recipe, facts=facts, sensors=setting.sensors, label_gaps=measured.gaps
    )
    return lockfile.write_plan(
        out,
        setting,
        plan=drawn.plan,
        cover=_planned_cover(measured.table, drawn.plan),
        left_out=drawn.left_out,
        acquisitions={one.id: one for one in found.acquisitions},
        labels=found.labels,
        editions=measured.editions,
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
    periods: Sequence[str],
    map_units: MapUnits[cover.CoverUnit, cover.Cover],
    progress: Progress,
) -> cover.Cover:
    recipe, crosswalks = setting.recipe, setting.meaning.crosswalks
    sources = tuple(cover.Source.of(*pair) for pair in zip(recipe.labels, crosswalks, strict=True))
    spans = tuple(cover.Period(name, *recipe.time.span(name)) for name in periods)
    parts: list[cover.Cover] = []
    if sources:
        units = list(
            cover.cover_units(
                candidates,
                rasters,
                cell_m=recipe.cell_m,
                patch_px=recipe.patch_px,
                sources=sources,
                periods=spans,
            )
        )
        for _, part in map_units(cover.measure, units):
            if isinstance(part, Lost):
                raise InputError(f"the cover could not be measured: {part.detail}")
            parts.append(part)
            progress("cover", len(parts), len(units))
    return cover.gathered(sources, parts)


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
