"""`landmark check`: the gate."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from landmark.cli import options
from landmark.cli.console import reporting
from landmark.core.errors import InputError
from landmark.domain.drops import Tally

_SHOWN = 3

Corpus = Annotated[Path, typer.Argument(help="A sealed corpus.")]
Rules = Annotated[Path | None, typer.Option(help="A YAML file that changes severities and limits of checks by name.")]
Junit = Annotated[Path | None, typer.Option(help="Also write the verdicts as JUnit XML.")]
Sample = Annotated[
    float,
    typer.Option(min=0.001, max=1, help="Share of cells whose pixels are measured; below 1 nothing is hashed."),
]
Seed = Annotated[int, typer.Option(min=0, help="Another seed measures other cells.")]
Against = Annotated[
    Path | None,
    typer.Option(metavar="BASE", help="Report only what BASE does not have: a corpus, or its `--json` report."),
]
FailOn = Annotated[Literal["error", "warning"], typer.Option(help="The mildest findings that end with exit 1.")]


def check(
    corpus: Corpus,
    rules: Rules = None,
    junit: Junit = None,
    sample: Sample = 1.0,
    seed: Seed = 0,
    against: Against = None,
    fail_on: FailOn = "warning",
    workers: options.Workers = None,
    scheduler: options.Scheduler = None,
    as_json: options.Json = False,
) -> None:
    """Hold a sealed corpus to the rules; exit 0 clean, 1 findings, 2 cannot run."""
    from landmark.core.atomic import write_bytes
    from landmark.core.executor import Where
    from landmark.quality import check as gate
    from landmark.quality.check_profile import load_rules
    from landmark.quality.findings import read_report
    from landmark.quality.junit import junit as to_junit

    if junit is not None and not junit.resolve().parent.is_dir():
        raise InputError(f"--junit {junit}: there is no folder {junit.parent}; make it first")
    if against is not None and not against.exists():
        raise InputError(f"--against {against}: there is no such report or corpus")
    wanted, where = load_rules(rules), Where(options.processes(workers), scheduler)

    def judged(folder: Path) -> Any:
        with reporting() as progress:
            try:
                return gate.check(
                    folder.resolve(),
                    wanted,
                    where=where,
                    share=sample,
                    seed=seed,
                    progress=lambda done, of: progress("check", done, of, Tally.zero()),
                )
            except OSError as error:
                # Exit 1 would say that there are findings.
                raise InputError(f"{error.filename or folder}: cannot be read: {error.strerror or error}") from error

    base = None if against is None else read_report(against) if against.is_file() else judged(against)
    report = judged(corpus)
    if base is not None:
        report = report.beyond(base)
    typer.echo(report.model_dump_json(indent=1) if as_json else "\n".join(_page(report)))
    if junit is not None:
        try:
            write_bytes(junit, to_junit(report, wanted, fail_on=fail_on).encode())
        except OSError as error:
            raise InputError(f"--junit {junit}: cannot be written: {error.strerror}") from error
    if report.findings(fail_on):
        raise typer.Exit(1)


def _page(report: Any) -> Iterator[str]:
    yield f"{report.corpus}: {report.samples} samples, pixels of {report.looked_at}, content {report.content}"
    for finding in report.findings():
        yield f"  {finding.severity:<7}  {finding.check}: {finding.what} ({len(finding.subjects)})"
        if finding.severity == "note":
            continue
        for subject, seen in list(finding.subjects.items())[:_SHOWN]:
            yield f"             {subject}" + (f": {seen}" if seen else "")
        if (more := len(finding.subjects) - _SHOWN) > 0:
            yield f"             and {more} more; --json has them all"
        yield f"           → {report.checks[finding.check].remedy}"
    if report.against is not None:
        yield f"  against {report.against}: what was flagged there is left out; {report.mended} flags are gone"
    skipped = {name: verdict.skipped for name, verdict in report.checks.items() if verdict.skipped}
    for why in dict.fromkeys(skipped.values()):
        yield f"  not checked: {', '.join(name for name in skipped if skipped[name] == why)} ({why})"
    counts = Counter(finding.severity for finding in report.findings())
    said = ", ".join(
        f"{counts[name]} {name}{'s' * (counts[name] > 1)}" for name in ("error", "warning", "note") if counts[name]
    )
    yield f"  {len(report.checks) - len(skipped)} checks: {said or 'clean'}"
