"""Refuse acquisitions whose pixels are not on the lattice of the recipe's cells, before anything is planned on them."""

from collections.abc import Iterator, Sequence

from landmark.config.profiles import Sensor
from landmark.core.errors import NoCoverage
from landmark.domain.acquisition import Acquisition
from landmark.domain.drops import DropRecord
from landmark.grid.cells import off_lattice_px
from landmark.grid.zones import is_zone
from landmark.stac.header_probe import HeaderProbe, probe_header
from landmark.workflow.context import BuildContext
from landmark.workflow.headers import RunTasks


def refuse_off_lattice(
    context: BuildContext, acquisitions: Sequence[Acquisition], run: RunTasks
) -> tuple[list[Acquisition], list[DropRecord]]:
    """Return the acquisitions that cells of `grid: utm` can be copied from, and a drop record for each of the others.

    Only where the origin of the finest bands is off the lattice of a coarser band, that band's header is read.

    Raises:
        NoCoverage: no acquisition of a sensor is on the lattice.
    """
    recipe, by_id = context.recipe, {acquisition.id: acquisition for acquisition in acquisitions}
    copied = [acquisition for acquisition in acquisitions if not context.sensors[acquisition.sensor].warped]
    if recipe.grid != "utm":
        return list(acquisitions), []
    refused = {
        acquisition.id: _drop_record(acquisition, f"EPSG:{acquisition.epsg} is no UTM zone on WGS 84")
        for acquisition in copied
        if not is_zone(acquisition.epsg)
    }
    aligned = [acquisition for acquisition in copied if acquisition.id not in refused]
    probes = [probe for acquisition in aligned for probe in _doubtful(context, acquisition)]
    for probe, result in run("headers", probe_header, probes) if probes else ():
        # An unreadable header is a failure of extraction, which can be retried.
        if isinstance(result, Acquisition):
            if off_px := off_lattice_px(result, result.pixel_m):
                (left, top), pixel_m = result.origin, result.pixel_m
                detail = f"{probe.band}: corner ({left:.10g}, {top:.10g}) is {off_px:.3f} px of {pixel_m:g} m off"
                refused.setdefault(result.id, _drop_record(result, detail))
            elif result.pixel_m == recipe.resolution_m:
                by_id[result.id] = result
    for sensor in recipe.sensors:
        of_sensor = [acquisition.id for acquisition in acquisitions if acquisition.sensor == sensor]
        if of_sensor and all(id in refused for id in of_sensor):
            raise NoCoverage(
                f"no image of {sensor} is on the lattice of the cells; {refused[of_sensor[0]].detail}",
                file=recipe.name,
                key="grid",
                value=recipe.grid,
                remedy="set `grid: source`: cells then start at the corners of the images",
            )
    return [by_id[id] for id in by_id if id not in refused], list(refused.values())


def _doubtful(context: BuildContext, acquisition: Acquisition) -> Iterator[HeaderProbe]:
    """The first band of each pixel size on whose lattice the acquisition's origin is not."""
    sensor, resolution_m = context.sensors[acquisition.sensor], context.recipe.resolution_m
    for factor, band in _bands_by_factor(sensor, acquisition).items():
        if off_lattice_px(acquisition, factor * resolution_m):
            yield HeaderProbe(acquisition, band, context.catalog.root, context.access)


def _bands_by_factor(sensor: Sensor, acquisition: Acquisition) -> dict[int, str]:
    bands = {group.factor: group.bands[0] for group in sensor.groups}
    if sensor.mask is not None and all(sensor.mask.band in item.assets for item in acquisition.items):
        bands.setdefault(sensor.mask.factor, sensor.mask.band)
    return bands


def _drop_record(acquisition: Acquisition, detail: str) -> DropRecord:
    return DropRecord(acquisition.items[0].id, "", "stac", "off_lattice", detail)
