"""Probe the headers of acquisitions; where a STAC item disagrees, the header is used."""

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from landmark.config.recipe import Recipe
from landmark.core.errors import InputError, NoCoverage
from landmark.domain.acquisition import Acquisition
from landmark.domain.drops import DropRecord, Reason
from landmark.stac.header_probe import HeaderProbe, find_implausible_grids, grid_mismatch, probe_header
from landmark.workflow.context import BuildContext

log = logging.getLogger(__name__)

# (stage, function, tasks) → (task, result) of each.
RunTasks = Callable[[str, Callable[[Any], Any], Sequence[Any]], Iterable[tuple[Any, Any]]]


@dataclass(frozen=True, slots=True)
class ProbedAcquisitions:
    """Acquisitions with the grids of their files.

    Attributes:
        acquisitions: Those at the recipe's resolution.
        refused: Those without a usable grid, or of another resolution.
        findings: Items whose grid differs from their file's, or whose file could not be read.
    """

    acquisitions: list[Acquisition]
    refused: list[DropRecord]
    findings: list[str]


def probe_headers(context: BuildContext, acquisitions: Sequence[Acquisition], run: RunTasks) -> ProbedAcquisitions:
    """Probe acquisitions whose items are not reliable, are implausible, or have another pixel size than the recipe.

    The first of each sensor is compared with the files of all its bands, and if they differ, all are.

    Raises:
        NoCoverage: no acquisition of a sensor is usable.
        InputError: no acquisition of a sensor has the recipe's resolution.
    """
    recipe = context.recipe
    probed = _probe(context, acquisitions, run)
    results = [(acquisition, probed.get(acquisition.id, acquisition)) for acquisition in acquisitions]
    usable = [(item, result) for item, result in results if isinstance(result, Acquisition)]
    refused = [result for _, result in results if isinstance(result, DropRecord)]
    findings = [line for item, result in usable if (line := grid_mismatch(item, result)) is not None]
    findings += [
        f"{record.id} was skipped: it could not be read while planning ({record.detail}); plan again to include it"
        for record in refused
        if not record.final
    ]
    skipped = [f"{record.id} was skipped: {_reason(record)}" for record in refused if record.final]
    for line in [*findings, *skipped]:
        log.warning("%s", line)
    for sensor in recipe.sensors:
        if not any(result.sensor == sensor for _, result in usable):
            first = next(result for item, result in results if item.sensor == sensor)
            assert isinstance(first, DropRecord)
            problem = f"no image of this sensor is usable; {first.id}: {_reason(first)}"
            raise NoCoverage(problem, file=recipe.name, key="sensors", value=sensor)
    grids = [result for _, result in usable]
    _check_resolution(recipe, grids)
    refused += [
        DropRecord(acquisition.items[0].id, "", "stac", "resolution", f"pixels of {acquisition.pixel_m:g} m")
        for acquisition in grids
        if acquisition.pixel_m != recipe.resolution_m
    ]
    matching = [acquisition for acquisition in grids if acquisition.pixel_m == recipe.resolution_m]
    return ProbedAcquisitions(matching, refused, findings)


def _probe(
    context: BuildContext, acquisitions: Sequence[Acquisition], run: RunTasks
) -> dict[str, Acquisition | DropRecord]:
    """Results of the probes by acquisition; trusted items whose file cannot be read now are left out."""
    trusted = [
        acquisition
        for acquisition in acquisitions
        if context.imagery(acquisition.sensor).header == "trust" and acquisition.pixel_m == context.recipe.resolution_m
    ]
    first = {acquisition.sensor: acquisition for acquisition in reversed(acquisitions)}
    first_ids, trusted_ids = ({each.id for each in group} for group in (first.values(), trusted))
    unprobed = trusted_ids - first_ids - {acquisition.id for acquisition in find_implausible_grids(trusted)}
    results: dict[str, Acquisition | DropRecord] = {}

    def probe(batch: Sequence[Acquisition], complete: Collection[str]) -> None:
        probes = [_header_probe(context, each, all_bands=each.id in complete) for each in batch]
        for task, result in run("headers", probe_header, probes) if probes else ():
            if isinstance(result, Acquisition) or result.final or task.acquisition.id not in trusted_ids:
                results[task.acquisition.id] = result

    probe([each for each in acquisitions if each.id not in unprobed], first_ids)
    refused, differing = set[str](), set[str]()
    for sensor, item in first.items():
        result = results.get(item.id, item)
        if isinstance(result, DropRecord):
            refused |= {sensor} if result.final else set()
        elif grid_mismatch(item, result):
            differing.add(sensor)
    again = [each for each in acquisitions if not isinstance(results.get(each.id), DropRecord)]
    again = [each for each in again if each.sensor in refused or (each.sensor in differing and each.id in unprobed)]
    probe(again, {each.id for each in again if each.sensor in refused})
    return results


def _header_probe(context: BuildContext, acquisition: Acquisition, *, all_bands: bool) -> HeaderProbe:
    """The probe of one of the finest bands, and of the remaining ones if all are checked."""
    band, item = _first_band(context, acquisition), acquisition.items[0]
    more_bands = tuple(name for name in item.assets if name != band) if all_bands else ()
    return HeaderProbe(acquisition, band, context.catalog.root, context.access, more_bands)


def _first_band(context: BuildContext, acquisition: Acquisition) -> str:
    return context.sensors[acquisition.sensor].groups[0].bands[0]


def _reason(record: DropRecord) -> str:
    return f"{Reason[record.reason].text} ({record.detail})"


def _check_resolution(recipe: Recipe, acquisitions: Sequence[Acquisition]) -> None:
    for sensor in recipe.sensors:
        sizes = {acquisition.pixel_m for acquisition in acquisitions if acquisition.sensor == sensor}
        if recipe.resolution_m not in sizes:
            raise InputError(
                f"{sensor} has pixels of {', '.join(f'{size:g}' for size in sorted(sizes))} m; images are not resampled"
                " to another pixel size",
                file=recipe.name,
                key="resolution_m",
                value=recipe.resolution_m,
            )
