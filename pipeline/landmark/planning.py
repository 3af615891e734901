"""Recipe → plan and lock: catalog, cells, cover and draw, in that order."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from landmark import cells, cover, draw, lockfile
from landmark.base.archive import LabelRaster
from landmark.base.errors import InputError, NoCoverage
from landmark.base.files import load
from landmark.base.manifest import LabelInput
from landmark.base.profiles import Provider, Sensor, load_sensors
from landmark.base.recipe import Recipe
from landmark.base.schemas import cover_schema
from landmark.base.taxonomy import LabelVintage, Meaning, load_meaning, nearest_vintage
from landmark.catalog import Document, open_document, search
from landmark.lockfile import Planned
from landmark.narrate import Grammar, load_grammar
from landmark.run import Lost, MapUnits

log = logging.getLogger(__name__)

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Setting:
    """Everything a recipe refers to, read and checked at the door; workers get values, never files."""

    recipe: Recipe
    provider: Provider
    sensors: dict[str, Sensor]
    meaning: Meaning
    grammar: Grammar
    document: Document


def prepare(recipe: Recipe, catalog: str | None) -> Setting:
    """Read what the recipe names. `catalog` goes before the recipe's own.

    Raises:
        InputError: naming file, key, value and remedy.
    """
    return Setting(
        recipe=recipe,
        provider=load(Provider, "profiles/providers", recipe.provider),
        sensors=dict(load_sensors(recipe.sensors)),
        meaning=load_meaning(recipe),
        grammar=load_grammar(recipe.captions),
        document=open_document(_catalog(recipe, catalog)),
    )


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
    region, size = recipe.region.geometry, {"cell_m": recipe.cell_m, "block_m": recipe.splits.block_m}
    on_utm = recipe.grid == "utm"
    grid = cells.utm_cells(region, **size) if on_utm else cells.source_cells(found.acquisitions, region, **size)
    sampled = draw.sample(grid, found.acquisitions, recipe)
    if sampled.cells.num_rows == 0:
        raise NoCoverage(
            f"{recipe.name}: no whole {recipe.cell_m:g} m cell of the region lies inside an image: {sampled.considered}"
        )
    periods = sorted({recipe.time.period_of(one.moment) for one in found.acquisitions})
    spans = [raster.vintage for raster in found.labels]
    table = _measure(
        setting, sampled.cells, found.labels, vintages(spans, meaning.sources, periods), map_units, progress
    )
    facts = meaning.fold(table) if meaning.crosswalks else None
    drawn = draw.draw(sampled, found.acquisitions, recipe, facts=facts, sensors=setting.sensors)
    return lockfile.write_plan(
        out,
        drawn.plan,
        _planned_cover(table, drawn.plan),
        drawn.left_out,
        recipe=recipe,
        meaning=meaning,
        catalog=setting.document.id,
        root=setting.document.root,
        acquisitions={one.id: one for one in found.acquisitions},
        labels=found.labels,
        considered=drawn.considered,
        proof=drawn.proof,
    )


def vintages(
    editions: Iterable[LabelVintage], sources: Sequence[str], periods: Iterable[str]
) -> dict[str, tuple[LabelVintage, ...]]:
    """The edition of each source that serves each period, in the order of the sources."""
    known = list(editions)
    return {
        period: tuple(nearest_vintage([one for one in known if one.name == name], period) for name in sources)
        for period in periods
    }


def estimate(planned: Planned, setting: Setting) -> draw.Estimate:
    """What the plan will cost."""
    acquisitions = planned.lock.read_acquisitions()
    return draw.estimate(planned.plan, acquisitions, setting.recipe, provider=setting.provider, sensors=setting.sensors)


def locked_vintage(entry: LabelInput) -> LabelVintage:
    """A label edition as the lock remembers it."""
    return LabelVintage(entry.source, entry.version, entry.start, entry.end)


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


def _catalog(recipe: Recipe, given: str | None) -> str:
    place = given or recipe.catalog
    if place == "world":
        from landmark import world

        return str(world.demo())
    if place is None:
        raise InputError(
            f"{recipe.name}: gives no `catalog`, and this version does not search STAC APIs yet:"
            " name a static STAC catalogue, ItemCollection or Item with --catalog"
        )
    return place
