"""Recipe → plan and lock: catalog, cells, cover and draw, in that order."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import shapely

from landmark.config.recipe import Recipe
from landmark.core.errors import InputError, NoCoverage
from landmark.core.executor import TaskMap, WorkerLost
from landmark.domain.acquisition import Acquisition, LabelRaster
from landmark.domain.drops import DropRecord, Reason, ledger_table
from landmark.domain.event import Event
from landmark.domain.schemas import CLOUD_STATS
from landmark.events.masks import event_masks
from landmark.grid.cells import source_cells, utm_cells
from landmark.labels.cloud_stats import MaskConfig, cloud_stat_tasks, measure_mask
from landmark.labels.counts import CountConfig, LabelCounts, count_tasks, measure_counts, merge
from landmark.labels.editions import LabelSource, Period
from landmark.plan.candidates import find_candidates as choices_of_draw
from landmark.plan.choose import LabelFacts
from landmark.plan.choose import choose_samples as draw_of_draw
from landmark.plan.class_balancing import BalanceResult, balance_classes
from landmark.plan.clearest import shortlist
from landmark.plan.estimate import Estimate, estimate_amplification
from landmark.plan.estimate import estimate_plan as estimate_of_draw
from landmark.plan.event_sampling import sample_events
from landmark.plan.event_windows import index_events, search_windows, select_events
from landmark.plan.sample import sample_cells
from landmark.stac.header_probe import HeaderProbe, grid_mismatch, probe_header
from landmark.stac.search import search
from landmark.workflow import lock as lockfile
from landmark.workflow.context import BuildContext
from landmark.workflow.lock import Planned

log = logging.getLogger(__name__)

Progress = Callable[[str, int, int], None]


def make_plan(setting: BuildContext, out: Path, map_units: TaskMap[Any, Any], progress: Progress) -> Planned:
    """Search, sample, measure the cover, draw, and write plan and lock to `out`.

    Raises:
        LandmarkError: nothing found, nothing covered, or an input cannot be understood; `out` is untouched then.
    """
    recipe = setting.recipe
    happening = select_events(setting.events.events, recipe)
    found = search(
        setting.catalog,
        recipe,
        provider=setting.provider,
        crosswalks=setting.label_rules.crosswalks,
        files=setting.label_files,
        windows=search_windows(happening, recipe),
    )
    log.info("found %d acquisitions and %d label maps", len(found.acquisitions), len(found.labels))
    grids = _grids(setting, found.acquisitions, map_units, progress)
    acquisitions = grids.acquisitions
    sampled = sample_cells(_cells(setting, acquisitions, happening), acquisitions, recipe, happening)
    if sampled.cells.num_rows == 0:
        raise NoCoverage(
            f"{recipe.name}: no whole {recipe.cell_m:g} m cell of the region lies inside an image: {sampled.counts}"
        )
    periods = sorted({recipe.time.period_of(one.datetime) for one in acquisitions})
    measured = _measure(setting, sampled.cells, found.labels, periods, happening, map_units, progress)
    knowing = setting.with_event_index(index_events(happening, setting.event_types, measured.event_combinations))
    facts = knowing.label_rules.apply(measured.table)
    selection = balance_classes(sampled.cells, facts, recipe.sampling, seed=recipe.sampling.seed)
    told = _told(selection, sampled.cells, acquisitions, setting)
    sampled = sampled.filter(selection.mask)
    choices = choices_of_draw(sampled.cells, acquisitions, recipe, setting.sensors)
    if recipe.event_sampling is not None:
        choices = sample_events(choices, facts, knowing.label_rules, recipe)
    clear, unread = _clear(setting, sampled.cells, acquisitions, choices, map_units, progress)
    drawn = draw_of_draw(
        sampled,
        choices,
        recipe,
        setting.sensors,
        LabelFacts(facts if recipe.labels else None, knowing.label_rules, measured.gaps),
        clear,
    )
    return lockfile.write_plan(
        out,
        setting,
        plan=drawn.plan,
        cover=_planned_cover(measured.table, drawn.plan, recipe),
        clear=clear,
        left_out=pa.concat_tables([ledger_table([*found.refused, *grids.refused]), drawn.drops]),
        acquisitions={one.id: one for one in acquisitions},
        labels=found.labels,
        editions=measured.editions,
        events=happening,
        marks=measured.event_combinations,
        considered=drawn.cell_counts,
        proof=drawn.split_proof,
        meaning=told,
        findings=[*setting.events.notes, *grids.findings, *unread],
    )


def _told(
    selection: BalanceResult, cells: pa.Table, acquisitions: Sequence[Acquisition], setting: BuildContext
) -> dict[str, Any]:
    """What choosing by meaning did to the classes, and what the candidates would cost if all of them were kept."""
    recipe, sensors = setting.recipe, setting.sensors
    if recipe.sampling.class_balancing is None:
        return {}
    offered = choices_of_draw(cells, acquisitions, recipe, sensors)
    whole = estimate_amplification(offered, recipe, provider=setting.provider, sensors=sensors)
    return {**selection.summary(), "amplification_of_all": round(whole, 3)}


def _cells(setting: BuildContext, acquisitions: Sequence[Acquisition], events: Sequence[Event]) -> pa.Table:
    """Every cell that could be taken: a region may be a continent and hold a few scenes or events."""
    recipe = setting.recipe
    region = recipe.region.geometry.intersection(shapely.union_all([one.footprint for one in acquisitions]))
    if recipe.event_sampling is not None:
        region = region.intersection(shapely.union_all([window.region for window in search_windows(events, recipe)]))
    size = {"cell_m": recipe.cell_m, "block_m": recipe.splits.block_m}
    return utm_cells(region, **size) if recipe.grid == "utm" else source_cells(acquisitions, region, **size)


def estimate_cost(planned: Planned, setting: BuildContext) -> Estimate:
    """What the plan will cost."""
    acquisitions = planned.lock.read_acquisitions()
    return estimate_of_draw(
        planned.plan, acquisitions, setting.recipe, provider=setting.provider, sensors=setting.sensors
    )


@dataclass(frozen=True, slots=True)
class _Grids:
    """Acquisitions on the grid their files have, those that have none, and where an item says otherwise."""

    acquisitions: list[Acquisition]
    refused: list[DropRecord]
    findings: list[str]


def _grids(
    setting: BuildContext, found: Sequence[Acquisition], map_units: TaskMap[Any, Any], progress: Progress
) -> _Grids:
    """Ask the headers of the acquisitions whose item is not to be trusted, or says another pixel size than is wanted.

    Raises:
        NoCoverage: none is left of a sensor.
    """
    looks = {
        one.id: HeaderProbe(one, setting.sensors[one.sensor].groups[0].bands[0], setting.catalog.root, setting.access)
        for one in found
        if setting.imagery(one.sensor).header == "probe" or one.pixel_m != setting.recipe.resolution_m
    }
    asked = {
        unit.acquisition.id: result
        for unit, result in _done(map_units, probe_header, list(looks.values()), "headers", progress)
    }
    measured = [asked.get(one.id, one) for one in found]
    kept = [one for one in measured if isinstance(one, Acquisition)]
    refused = [one for one in measured if isinstance(one, DropRecord)]
    said = {one.id: one for one in found}
    findings = [line for one in kept if (line := grid_mismatch(said[one.id], one)) is not None]
    findings += [
        f"{one.id} is left out: it could not be read while planning ({one.detail}); plan again to have it"
        for one in refused
        if not one.final
    ]
    told = [f"{one.id} is left out: {Reason[one.reason].text} ({one.detail})" for one in refused if one.final]
    for line in [*findings, *told]:
        log.warning("%s", line)
    for sensor in setting.recipe.sensors:
        if not any(one.sensor == sensor for one in kept):
            first = next(lost for one, lost in zip(found, measured, strict=True) if one.sensor == sensor)
            assert isinstance(first, DropRecord)
            raise NoCoverage(
                f"{setting.recipe.name}: no image of {sensor} can be used, as {first.id}: {Reason[first.reason].text}"
                f" ({first.detail})"
            )
    _refuse_resolution(setting.recipe, kept)
    fitting = [one for one in kept if one.pixel_m == setting.recipe.resolution_m]
    refused += [
        DropRecord(one.items[0].id, "", "stac", "resolution", f"pixels of {one.pixel_m:g} m")
        for one in kept
        if one.pixel_m != setting.recipe.resolution_m
    ]
    return _Grids(fitting, refused, findings)


def _clear(
    setting: BuildContext,
    candidates: pa.Table,
    acquisitions: Sequence[Acquisition],
    choices: Any,
    map_units: TaskMap[Any, Any],
    progress: Progress,
) -> tuple[pa.Table, list[str]]:
    """What the masks of the clearest few acquisitions of each cell show, and which could not be read."""
    recipe, tables, unread = setting.recipe, [CLOUD_STATS.empty_table()], []
    known = {one.id: one for one in acquisitions}
    for sensor in setting.sensors.values():
        if sensor.mask is not None:
            units = cloud_stat_tasks(
                shortlist(choices, sensor, recipe.clouds.best_of, force=recipe.event_sampling is not None),
                known,
                candidates,
                MaskConfig(sensor.mask, recipe.cell_m, setting.catalog.root, setting.access),
            )
            for unit, table in _done(map_units, measure_mask, units, "clear", progress):
                tables.append(table)
                if lost := unit.cells.num_rows - len(pc.unique(table["cell"])):
                    unread.append(
                        f"{unit.acquisition.id}: its mask could not be read in {lost} cells: others went first"
                    )
    table = pa.concat_tables(tables).sort_by([(name, "ascending") for name in ("cell", "acquisition", "code")])
    return table, sorted(unread)


def _done(
    map_units: TaskMap[Any, Any], fn: Callable[[Any], Any], units: Sequence[Any], stage: str, progress: Progress
) -> Iterator[tuple[Any, Any]]:
    """Each unit with its result, in the order they end.

    Raises:
        InputError: a unit killed its worker.
    """
    for number, (unit, result) in enumerate(map_units(fn, units), start=1):
        if isinstance(result, WorkerLost):
            raise InputError(f"{stage} could not be measured: {result.detail}")
        progress(stage, number, len(units))
        yield unit, result


def _measure(
    setting: BuildContext,
    candidates: pa.Table,
    rasters: Sequence[LabelRaster],
    periods: Sequence[str],
    events: Sequence[Event],
    map_units: TaskMap[Any, Any],
    progress: Progress,
) -> LabelCounts:
    recipe, crosswalks = setting.recipe, setting.label_rules.crosswalks
    sources = tuple(LabelSource.from_entry(*pair) for pair in zip(recipe.labels, crosswalks, strict=True))
    spans = tuple(Period(name, *recipe.time.span(name)) for name in periods)
    parts: list[LabelCounts] = []
    if sources or recipe.events:
        masks = event_masks if recipe.events else None
        config = CountConfig(recipe.cell_m, recipe.patch_px, sources, spans, setting.access, masks)
        units = list(count_tasks(candidates, rasters, config, events if recipe.events else ()))
        parts += [part for _, part in _done(map_units, measure_counts, units, "cover", progress)]
    return merge(sources, parts, events=bool(recipe.events))


def _planned_cover(cover_table: pa.Table, plan: pa.Table, recipe: Recipe) -> pa.Table:
    """The rows whose (cell, period) a planned sample refers to; with events, all periods of its cell."""
    if recipe.events:
        return cover_table.filter(pc.is_in(cover_table["cell"], value_set=plan["cell"].combine_chunks()))
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
