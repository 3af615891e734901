"""`landmark bench`: how fast this machine reads a provider's images."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from landmark.cli import options

if TYPE_CHECKING:
    from landmark.workflow.read_benchmark import Speed

Patches = Annotated[int, typer.Option(min=1, help="Cells to read of each image, once neighbouring, once scattered.")]


def bench(
    recipe: options.RecipeName = None,
    region: options.Region = None,
    sensors: options.Sensors = None,
    catalog: options.Catalog = None,
    patches: Patches = 512,
    as_json: options.Json = False,
) -> None:
    """Read patches of one image of each sensor, and say what a build would wait for."""
    from landmark.workflow.context import prepare
    from landmark.workflow.preview import trial_recipe
    from landmark.workflow.read_benchmark import speeds

    whole = options.recipe(recipe, region, sensors, None)
    narrow = catalog is None and whole.catalog is None
    images_alone = {"labels": (), "events": (), "around_events": None, "places": None}
    wanted = trial_recipe(whole.model_copy(update=images_alone), samples=patches, seed=0, narrow=narrow)
    found = []
    for speed in speeds(prepare(wanted, catalog), patches):
        found.append(speed)
        if not as_json:
            typer.echo(_page(speed))
    if as_json:
        typer.echo(json.dumps([asdict(speed) for speed in found], indent=1))


def _page(speed: "Speed") -> str:
    rate, gdal = (speed.patches / seconds for seconds in (speed.seconds, speed.gdal_seconds))
    routes = ", ".join(f"{count} {route}" for route, count in speed.routes.items())
    rows = [
        f"{speed.sensor}  {speed.patches} {speed.cells} cells of {speed.acquisition}",
        f"    read       {rate:.0f} patches/s, {rate / gdal:.1f} times as many as by rasterio  (rasters: {routes})",
    ]
    if speed.requests:
        megabytes = speed.fetched_bytes / 1e6
        rows.append(
            f"    waits for  {speed.requests} requests, {megabytes:.1f} MB: fetching alone {speed.fetch_seconds:.2f} s,"
            f" decoding alone {speed.decode_seconds:.2f} s, all together {speed.seconds:.2f} s"
        )
    if speed.unread:
        rows.append(f"    unread     {speed.unread} patches")
    return "\n".join(rows)
