"""`landmark events`: inspect crisis packages and catalogues, and fetch public ones."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from landmark.cli import options
from landmark.cli.echo import echo
from landmark.core.errors import InputError
from landmark.core.plural import plural

app = typer.Typer(help="Crisis events: inspect packages and catalogues, and fetch public ones.", no_args_is_help=True)

Magnitude = Annotated[float | None, typer.Option(help="Exclude weaker earthquakes.")]


@app.callback()
def _root() -> None:
    pass


@app.command()
def show(
    files: Annotated[list[Path], typer.Argument(help="Files, folders and zips.")],
    source: Annotated[
        str, typer.Option(help="How files are read: a file in taxonomies/events/ by name, or a path.")
    ] = "copernicus-ems",
    date: Annotated[
        list[str] | None,
        typer.Option(
            metavar="EVENT=START[/END]",
            help="When an event or activation began, e.g. EMSR332=2018-10-29. Repeatable.",
        ),
    ] = None,
    within_km: Annotated[float | None, typer.Option(help="Radius of the ground near an earthquake.")] = None,
    min_magnitude: Magnitude = None,
    as_json: options.Json = False,
) -> None:
    """Show the events in files before a build: times, areas, repaired and skipped features."""
    from landmark.config.event_entries import EventEntry
    from landmark.core.yaml_files import parse_model
    from landmark.events.files import resolve_event_files
    from landmark.events.load import read_events
    from landmark.events.source import load_source

    options_of_entry = {"within_km": within_km, "min_magnitude": min_magnitude, "dates": dict(map(_date, date or []))}
    entry = parse_model(
        EventEntry, {"source": source, "files": list(map(str, files)), **options_of_entry}, "landmark events show"
    )
    paths = resolve_event_files(entry, lambda _: Path.cwd())
    read = read_events(entry, load_source(source), paths)
    rows = [_row(event, read.repaired.get(event.id)) for event in read.events]
    if as_json:
        echo(json.dumps({"events": rows, "notes": read.notes}, indent=1, ensure_ascii=False))
        return
    echo("\n".join(_table(rows)))
    for note in read.notes:
        _print(note)


@app.command()
def fetch(
    source: Annotated[str, typer.Argument(help="A feed by the name or path of its profile, e.g. usgs-earthquakes.")],
    out: Annotated[Path, typer.Option(help="Folder for the files.")] = Path("events"),
    since: Annotated[str | None, typer.Option(help="First day or moment, UTC.")] = None,
    until: Annotated[str | None, typer.Option(help="Last day or moment, UTC.")] = None,
    min_magnitude: Magnitude = None,
    bbox: Annotated[str | None, typer.Option(help="west,south,east,north in degrees.")] = None,
    code: Annotated[list[str] | None, typer.Option(help="An activation, e.g. EMSR332. Repeatable.")] = None,
) -> None:
    """Fetch a public feed: Copernicus EMS packages, EFFIS burnt areas, USGS earthquakes; run again to resume."""
    from landmark.core.yaml_files import load_model
    from landmark.events.feed import Feed, FeedQuery
    from landmark.events.fetch import fetch as fetch_feed
    from landmark.events.source import load_source

    feed = load_model(Feed, "profiles/events", source)
    query = FeedQuery(
        since=_parse_time("--since", since),
        until=_parse_time("--until", until, last=True),
        min_magnitude=min_magnitude,
        bbox=_box(bbox),
        codes=tuple(code or ()),
    )
    for path in fetch_feed(feed, query, out, progress=_progress):
        echo(path)
    feed_source = load_source(feed.name)
    command = f"landmark events show {out} --source {feed.name}"
    _print(f"{feed_source.attribution} ({feed_source.licence}); inspect the files with {command}")


def _row(event: Any, repaired: int | None) -> dict[str, Any]:
    from landmark.domain.event import AOI, NEAR
    from landmark.events.geometry import affected_km2, area_km2

    return {
        "id": event.id,
        "type": event.type,
        "start": f"{event.start:%Y-%m-%dT%H:%MZ}",
        "end": f"{event.end:%Y-%m-%dT%H:%MZ}",
        "product": event.product,
        "km2": round(affected_km2(event), 3),
        "aoi_km2": round(area_km2(event.part(AOI)), 3),
        "near_km2": round(area_km2(event.part(NEAR)), 3),
        "parts": [part.name for part in event.parts],
        "observed": None if event.observed is None else f"{event.observed:%Y-%m-%dT%H:%MZ}",
        "magnitude": event.magnitude,
        "repaired": repaired,
    }


def _table(rows: list[dict[str, Any]]) -> list[str]:
    names = [name for name in rows[0] if any(row[name] not in (None, 0.0) for row in rows)] if rows else ["id"]
    cells = [names, *([_cell(row[name]) for name in names] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    return [*lines, plural(len(rows), "event")]


def _cell(value: Any) -> str:
    return "" if value is None else " ".join(value) if isinstance(value, list) else str(value)


def _date(text: str) -> tuple[str, list[str] | str]:
    name, _, span = text.partition("=")
    if not name or not span:
        raise InputError(
            "must be EVENT=START", file="--date", value=text, remedy="write for example EMSR332=2018-10-29"
        )
    return name, span.split("/") if "/" in span else span


def _parse_time(option: str, text: str | None, *, last: bool = False) -> Any:
    from landmark.core.time import parse_utc

    try:
        return None if text is None else parse_utc(text, last=last)
    except ValueError as error:
        raise InputError(
            "not a time", file=option, value=text, remedy="give a day such as 2022-06-01, or a time in ISO 8601"
        ) from error


def _box(text: str | None) -> Any:
    from landmark.core.crs import lonlat_problem

    try:
        box = None if text is None else tuple(float(edge) for edge in text.split(","))
    except ValueError:
        box = ()
    if box is not None and not (len(box) == 4 and box[0] < box[2] and box[1] < box[3]):
        raise InputError("not a box", file="--bbox", value=text, remedy="give west,south,east,north in degrees")
    if box is not None and (problem := lonlat_problem(box)) is not None:
        raise InputError(problem[0], file="--bbox", value=text, remedy=problem[1])
    return box


def _progress(stage: str, done: int, total: int, detail: str = "") -> None:
    _print(f"{stage}: {done} of {total}" + (f": {detail}" if detail else ""))


def _print(line: str) -> None:
    echo(line, err=True)
