"""Plan a corpus: search, probe headers, find cells, count label pixels, choose samples."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import shapely

from landmark.config.recipe import Recipe
from landmark.core.errors import InputError, NoCoverage
from landmark.core.executor import TaskMap, WorkerLost
from landmark.core.memory import release_memory
from landmark.core.plural import plural
from landmark.core.progress import Progress
from landmark.core.ranges.answers import Validators
from landmark.corpus.lock import ClassBalancingSummary
from landmark.corpus.manifest import SplitProof
from landmark.domain.acquisition import Acquisition, LabelRaster
from landmark.domain.drops import DropRecord, ledger_table
from landmark.domain.event import Event
from landmark.events.masks import event_masks
from landmark.grid.cells import source_cells, utm_cells
from landmark.labels.cloud_stats import MaskConfig, cloud_stat_tasks, measure_mask, merge_stats
from landmark.labels.counts import CountConfig, LabelCounts, count_tasks, measure_counts, merge
from landmark.labels.editions import LabelSource, Period
from landmark.labels.files import find_label_files
from landmark.plan.candidates import Candidates, find_candidates
from landmark.plan.choose import LabelFacts, PlanResult, choose_samples
from landmark.plan.class_balancing import BalanceResult, balance_classes
from landmark.plan.clearest import shortlist
from landmark.plan.estimate import Estimate, estimate_amplification, estimate_plan
from landmark.plan.event_sampling import sample_events
from landmark.plan.event_windows import index_events, search_windows, select_events
from landmark.plan.sample import CellSample, divide, sample_cells
from landmark.plan.split_classes import SplitClasses, classes_of_cells, count_split_classes
from landmark.raster.versions import WithVersions
from landmark.stac.search import label_search_area, search
from landmark.workflow.context import BuildContext
from landmark.workflow.headers import probe_headers
from landmark.workflow.lattice import refuse_off_lattice
from landmark.workflow.lock import Plan, write_plan
from landmark.workflow.plan_coverage import count_other_zone_cells, require_sensors
from landmark.workflow.plan_draft import PlanDraft

log = logging.getLogger(__name__)


def make_plan(context: BuildContext, folder: Path, map_tasks: TaskMap, progress: Progress) -> Plan:
    """Plan a corpus, and write plan and lock to its folder.

    Raises:
        LandmarkError: nothing was found or covered, or an input is invalid; the folder is unchanged.
    """
    planner, recipe = _Planner(context, map_tasks, progress), context.recipe

    # stac: which images and label maps there are.
    events = select_events(context.events.events, recipe)
    images = planner.find_images(events)

    # grid, plan: which cells are candidates, and their splits unless these depend on the labels.
    sampled = sample_cells(planner.find_cells(images.acquisitions, events), images.acquisitions, recipe, events)
    release_memory()
    other_zone = count_other_zone_cells(sampled.outside, images.acquisitions, recipe)
    if sampled.cells.num_rows == 0:
        cells_by_reason = ", ".join(f"{count} {name}" for name, count in sampled.counts.items())
        raise NoCoverage(
            f"no {recipe.cell_m:g} m cell is inside the region and an image: {cells_by_reason}",
            file=recipe.name,
            key="region",
            remedy="set `grid: source`, or add images of the cells' own UTM zone" if other_zone else None,
        )

    # labels: pixels of each class in each cell.
    periods = sorted({recipe.time.period_of(acquisition.datetime) for acquisition in images.acquisitions})
    counts = planner.count_labels(sampled.cells, images.label_rasters, periods, events)
    release_memory()
    index = index_events(events, context.event_types, counts.event_combinations)
    rules = context.rules_with(index)
    cell_labels = rules.apply(counts.table)
    release_memory()

    # choose: which splits have which classes, and which image of which cell.
    if recipe.splits.balance == "classes":
        times = sorted({acquisition.datetime for acquisition in images.acquisitions})
        classes = classes_of_cells(sampled.cells["cell"].to_pylist(), cell_labels, rules, times)
        sampled = divide(sampled, recipe, events, classes)
    balance = balance_classes(sampled.cells, cell_labels, recipe.sampling, seed=recipe.sampling.seed)
    balancing = planner.summarize_balance(balance, sampled.cells, images.acquisitions)
    labels = LabelFacts(cell_labels, rules, counts.gaps)
    result, cloud_stats, unread_masks = planner.choose(sampled.filter(balance.mask), images.acquisitions, labels)
    times_of = {acquisition.id: acquisition.datetime for acquisition in images.acquisitions}
    warnings = count_split_classes(result.plan, times_of, rules, cell_labels, recipe).warnings
    # Of a continent these take as much memory as all that is written.
    del sampled, balance, cell_labels, labels
    release_memory()
    draft = PlanDraft(
        context=context,
        samples=result.plan,
        label_counts=_planned_counts(counts.table, result.plan, recipe),
        cloud_stats=cloud_stats,
        drops=pa.concat_tables([ledger_table(images.refused), result.drops]),
        acquisitions={acquisition.id: acquisition for acquisition in images.acquisitions},
        label_rasters=images.label_rasters,
        editions=counts.editions,
        events=events,
        event_combinations=counts.event_combinations,
        considered=result.cell_counts,
        split_proof=SplitProof.model_validate(result.split_proof),
        class_balancing=balancing,
        findings=[*context.events.notes, *images.findings, *unread_masks],
        versions=planner.versions,
    )
    plan = write_plan(folder, draft)
    for warning in warnings:
        log.warning("%s", warning)
    return plan


def describe_splits(plan: Plan, context: BuildContext) -> SplitClasses:
    """Count the planned cells of each class per split."""
    times = {acquisition.id: acquisition.datetime for acquisition in plan.lock.acquisitions}
    rules = context.rules_with(plan.lock.event_index(context.event_types))
    return count_split_classes(plan.samples, times, rules, rules.apply(plan.label_counts), context.recipe)


def estimate_cost(plan: Plan, context: BuildContext) -> Estimate:
    """Estimate requests, bytes and disk space of a plan."""
    return estimate_plan(
        plan.samples,
        plan.lock.acquisitions_by_id,
        context.recipe,
        provider=context.provider,
        sensors=context.sensors,
    )


@dataclass(frozen=True, slots=True)
class _Images:
    """Usable images and label maps.

    Attributes:
        acquisitions: With the grids of their files.
        label_rasters: Of the catalogue and of files.
        refused: Items that cannot be used.
        findings: Items whose grid differs from their file's, or that could not be read.
    """

    acquisitions: list[Acquisition]
    label_rasters: list[LabelRaster]
    refused: list[DropRecord]
    findings: list[str]


@dataclass(frozen=True, slots=True)
class _Planner:
    """The steps of planning that read the archive or need the whole context."""

    context: BuildContext
    map_tasks: TaskMap
    progress: Progress
    versions: dict[str, Validators] = field(default_factory=dict)

    def find_images(self, events: Sequence[Event]) -> _Images:
        """Search the catalogue and the label files, and probe headers."""
        context, recipe = self.context, self.context.recipe
        windows, crosswalks = search_windows(events, recipe), context.label_rules.crosswalks
        result = search(
            context.catalog,
            recipe,
            provider=context.provider,
            crosswalks=[crosswalk for crosswalk in crosswalks if crosswalk.name not in context.label_files],
            windows=windows,
        )
        files = find_label_files(context.label_files, crosswalks, label_search_area(recipe, windows))
        label_rasters = sorted([*result.labels, *files], key=lambda raster: (raster.item_id, raster.layer or ""))
        log.info(
            "found %s and %s", plural(len(result.acquisitions), "acquisition"), plural(len(label_rasters), "label map")
        )
        probed = probe_headers(context, result.acquisitions, lambda *call: self._run(*call))
        acquisitions, off_lattice = refuse_off_lattice(context, probed.acquisitions, lambda *call: self._run(*call))
        refused = [*result.refused, *probed.refused, *off_lattice]
        return _Images(acquisitions, label_rasters, refused, probed.findings)

    def find_cells(self, acquisitions: Sequence[Acquisition], events: Sequence[Event]) -> pa.Table:
        """Find every cell of the region under an image, and near an event with event sampling."""
        recipe = self.context.recipe
        footprints = [acquisition.footprint for acquisition in acquisitions]
        # A region may be a continent and contain few scenes or events.
        region = recipe.region.geometry.intersection(shapely.union_all(footprints))
        if recipe.event_sampling is not None:
            windows = search_windows(events, recipe)
            region = region.intersection(shapely.union_all([window.region for window in windows]))
        size = {"cell_m": recipe.cell_m, "block_m": recipe.splits.block_m}
        if recipe.grid == "utm":
            return utm_cells(region, **size)
        return source_cells(acquisitions, region, **size)

    def count_labels(
        self, cells: pa.Table, rasters: Sequence[LabelRaster], periods: Sequence[str], events: Sequence[Event]
    ) -> LabelCounts:
        """Count the pixels of each combination of label codes and events in the cells."""
        recipe, crosswalks = self.context.recipe, self.context.label_rules.crosswalks
        sources = tuple(LabelSource.from_entry(*pair) for pair in zip(recipe.labels, crosswalks, strict=True))
        spans = tuple(Period(name, *recipe.time.span(name)) for name in periods)
        parts: list[LabelCounts] = []
        if sources or recipe.events:
            masks = event_masks if recipe.events else None
            config = CountConfig(recipe.cell_m, recipe.patch_px, sources, spans, self.context.access, masks)
            tasks = list(count_tasks(cells, rasters, config, events if recipe.events else ()))
            parts += [part for _, part in self._run("labels", measure_counts, tasks)]
        return merge(sources, parts, events=bool(recipe.events))

    def summarize_balance(
        self, balance: BalanceResult, cells: pa.Table, acquisitions: Sequence[Acquisition]
    ) -> ClassBalancingSummary | None:
        """Summarise the effect of class balancing, and what extracting all candidates would have cost."""
        recipe, sensors = self.context.recipe, self.context.sensors
        if recipe.sampling.class_balancing is None:
            return None
        candidates = find_candidates(cells, acquisitions, recipe, sensors)
        amplification = estimate_amplification(candidates, recipe, provider=self.context.provider, sensors=sensors)
        return ClassBalancingSummary(**balance.summary(), amplification_of_all=round(amplification, 3))

    def choose(
        self, sampled: CellSample, acquisitions: Sequence[Acquisition], labels: LabelFacts
    ) -> tuple[PlanResult, pa.Table, list[str]]:
        """Choose the samples of the cells; also return CLOUD_STATS and findings of `measure_masks`."""
        recipe, sensors = self.context.recipe, self.context.sensors
        candidates = find_candidates(sampled.cells, acquisitions, recipe, sensors)
        release_memory()
        if recipe.event_sampling is not None:
            assert labels.cell_labels is not None
            assert labels.rules is not None
            candidates = sample_events(candidates, labels.cell_labels, labels.rules, recipe)
        cloud_stats, unread_masks = self.measure_masks(sampled.cells, acquisitions, candidates)
        release_memory()
        labels = labels if recipe.labels else replace(labels, cell_labels=None)
        result = choose_samples(sampled, candidates, recipe, sensors, labels, cloud_stats)
        require_sensors(result, recipe)
        return result, cloud_stats, unread_masks

    def measure_masks(
        self, cells: pa.Table, acquisitions: Sequence[Acquisition], candidates: Candidates
    ) -> tuple[pa.Table, list[str]]:
        """Measure the quality masks of the clearest acquisitions of each cell; return CLOUD_STATS and findings."""
        context, tables, unread = self.context, dict[str, pa.Table](), list[str]()
        by_id, force = {acquisition.id: acquisition for acquisition in acquisitions}, context.recipe.event_sampling
        for sensor in context.sensors.values():
            if sensor.mask is None:
                continue
            rows = shortlist(candidates, sensor, context.recipe.clouds.best_of, force=force is not None)
            nodata = context.imagery(sensor.name).nodata
            config = MaskConfig(sensor.mask, context.recipe.cell_m, context.catalog.root, context.access, nodata)
            for task, table in self._run("clouds", measure_mask, cloud_stat_tasks(rows, by_id, cells, config)):
                tables[task.acquisition.id] = table.drop_columns("acquisition")
                if n_unread := task.cells.num_rows - len(pc.unique(table["cell"])):
                    unread.append(
                        f"{task.acquisition.id}: its mask could not be read in {n_unread} cells;"
                        " other acquisitions were preferred there"
                    )
        return merge_stats(tables, cells["cell"]), sorted(unread)

    def _run(self, stage: str, function: Callable[[Any], Any], tasks: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
        """Yield (task, result) in the order of completion, reporting progress; keep the versions of what was read.

        Raises:
            InputError: a worker died on a task.
        """
        for number, (task, returned) in enumerate(self.map_tasks(WithVersions(function), tasks), start=1):
            if isinstance(returned, WorkerLost):
                raise InputError(f"{stage} could not be measured: {returned.detail}", file=self.context.recipe.name)
            result, versions = returned
            self.versions.update(versions)
            self.progress(stage, number, len(tasks))
            yield task, result


def _planned_counts(counts: pa.Table, samples: pa.Table, recipe: Recipe) -> pa.Table:
    """Select the label counts of the planned (cell, period); with events, of all periods of a planned cell."""
    if recipe.events:
        return counts.filter(pc.is_in(counts["cell"], value_set=samples["cell"].combine_chunks()))
    keys = [pc.binary_join_element_wise(table["cell"], table["period"], "/") for table in (counts, samples)]
    return counts.filter(pc.is_in(keys[0], value_set=keys[1].combine_chunks()))
