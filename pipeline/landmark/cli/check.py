"""`landmark check`: check a sealed corpus."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from landmark.cli import options
from landmark.cli.console import reporting
from landmark.cli.echo import echo
from landmark.core.errors import InputError
from landmark.core.plural import plural

if TYPE_CHECKING:
    from landmark.quality.findings import Report

# Subjects printed per finding.
_MAX_SUBJECTS = 3

Corpus = Annotated[Path, typer.Argument(help="A sealed corpus.")]
Rules = Annotated[Path | None, typer.Option(help="A YAML file that changes severities and limits of checks by name.")]
Junit = Annotated[Path | None, typer.Option(help="Also write the results as JUnit XML.")]
Sample = Annotated[
    float,
    typer.Option(min=0.001, max=1, help="Share of cells whose pixels are measured; below 1 no file is hashed."),
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the cells that are measured.")]
Against = Annotated[
    Path | None,
    typer.Option(metavar="BASE", help="Report only what BASE does not have: a corpus, or its `--json` report."),
]
Deep = Annotated[bool, typer.Option(help="Also compare parts of images: three times as long, 2 KB a sample.")]
FailOn = Annotated[Literal["error", "warning"], typer.Option(help="Least severity that ends with exit code 1.")]


def check(
    corpus: Corpus,
    rules: Rules = None,
    junit: Junit = None,
    sample: Sample = 1.0,
    seed: Seed = 0,
    deep: Deep = False,
    against: Against = None,
    fail_on: FailOn = "warning",
    workers: options.Workers = None,
    scheduler: options.Scheduler = None,
    worker_timeout: options.WorkerTimeout = 600,
    as_json: options.Json = False,
) -> None:
    """Check files, pixels, captions, splits and bias of a corpus. Exit codes: 0 clean, 1 findings, 2 cannot run."""
    from landmark.core.atomic import write_bytes
    from landmark.quality.check import check as check_corpus
    from landmark.quality.check_profile import load_check_profile
    from landmark.quality.findings import read_report
    from landmark.quality.junit import to_junit

    if junit is not None and not junit.absolute().parent.is_dir():
        raise InputError("no such folder", file="--junit", value=junit.parent, remedy="make it first")
    if against is not None and not against.exists():
        raise InputError("no such report or corpus", file="--against", value=against)
    profile, executor = load_check_profile(rules, deep=deep), options.executor(workers, scheduler, worker_timeout)

    def run(folder: Path) -> "Report":
        with reporting() as progress:
            try:
                return check_corpus(
                    folder.absolute(), profile, executor=executor, share=sample, seed=seed, progress=progress
                )
            except OSError as error:
                # Exit code 1 would mean findings.
                raise InputError(f"cannot be read: {error.strerror or error}", file=error.filename or folder) from error

    base = None if against is None else read_report(against) if against.is_file() else run(against)
    report = run(corpus)
    if base is not None:
        report = report.minus_baseline(base)
    echo(report.model_dump_json(indent=1) if as_json else "\n".join(_page(report)))
    if junit is not None:
        try:
            write_bytes(junit, to_junit(report, profile, fail_on=fail_on).encode())
        except OSError as error:
            raise InputError(f"cannot be written: {error.strerror}", file="--junit", value=junit) from error
    if report.findings(fail_on):
        raise typer.Exit(1)


def _page(report: "Report") -> Iterator[str]:
    samples = plural(report.samples, "sample")
    yield f"{report.corpus}: {samples}, pixels of {report.pixels_read}, content {report.content_digest}"
    for finding in report.findings():
        yield f"  {finding.severity:<7}  {finding.check}: {finding.problem} ({len(finding.subjects)})"
        if finding.severity == "note":
            continue
        for subject, detail in list(finding.subjects.items())[:_MAX_SUBJECTS]:
            # A line feed in an id would forge a line, such as a command to a CI system.
            yield f"             {subject}{f': {detail}' if detail else ''}".replace("\n", "\\n")
        if (more := len(finding.subjects) - _MAX_SUBJECTS) > 0:
            yield f"             and {more} more; --json lists all"
        yield f"           → {report.checks[finding.check].remedy}"
    if report.baseline_digest is not None:
        yield f"  against {report.baseline_digest}: flags of the baseline are omitted; {report.fixed} are fixed"
    skipped = {name: result.skipped for name, result in report.checks.items() if result.skipped}
    for reason in dict.fromkeys(skipped.values()):
        yield f"  not checked: {', '.join(name for name in skipped if skipped[name] == reason)} ({reason})"
    counts = Counter(finding.severity for finding in report.findings())
    summary = ", ".join(plural(counts[name], name) for name in ("error", "warning", "note") if counts[name])
    yield f"  {plural(len(report.checks) - len(skipped), 'check')}: {summary or 'clean'}"
