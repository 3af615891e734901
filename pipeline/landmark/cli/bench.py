"""`landmark bench`: measure how fast this machine reads a provider's images."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from landmark.cli import options
from landmark.core.plural import plural

if TYPE_CHECKING:
    from landmark.workflow.read_benchmark import ReadSpeed

Patches = Annotated[int, typer.Option(min=1, help="Cells to read per image, once neighbouring and once scattered.")]


def bench(
    recipe: options.RecipeName = None,
    region: options.Region = None,
    sensors: options.Sensors = None,
    catalog: options.Catalog = None,
    allow_private: options.AllowPrivate = False,
    patches: Patches = 512,
    as_json: options.Json = False,
) -> None:
    """Read patches of one image per sensor, and report where a build spends its time."""
    from landmark.workflow.context import load_context
    from landmark.workflow.preview import preview_recipe
    from landmark.workflow.read_benchmark import measure_speeds

    full = options.recipe(recipe, region, sensors, None)
    narrow = catalog is None and full.catalog is None
    imagery_only = {"labels": (), "events": (), "event_sampling": None, "gazetteer": None}
    small = preview_recipe(full.model_copy(update=imagery_only), samples=patches, seed=0, narrow=narrow)
    measured = []
    for speed in measure_speeds(load_context(small, catalog, allow_private=allow_private), patches):
        measured.append(speed)
        if not as_json:
            typer.echo(_page(speed))
    if as_json:
        typer.echo(json.dumps([asdict(speed) for speed in measured], indent=1))


def _page(speed: "ReadSpeed") -> str:
    rate, gdal = (speed.patches / seconds for seconds in (speed.seconds, speed.gdal_seconds))
    routes = ", ".join(f"{count} {route}" for route, count in speed.routes.items())
    rows = [
        f"{speed.sensor}  {plural(speed.patches, f'{speed.cells} cell')} of {speed.acquisition}",
        f"    read       {rate:.0f} patches/s, {rate / gdal:.1f} times as many as by rasterio  (rasters: {routes})",
    ]
    if speed.requests:
        megabytes = speed.fetched_bytes / 1e6
        rows.append(
            f"    waits for  {plural(speed.requests, 'request')}, {megabytes:.1f} MB: fetching alone"
            f" {speed.fetch_seconds:.2f} s, decoding alone {speed.decode_seconds:.2f} s,"
            f" all together {speed.seconds:.2f} s"
        )
    if speed.unread:
        rows.append(f"    unread     {plural(speed.unread, 'patch', 'patches')}")
    return "\n".join(rows)
