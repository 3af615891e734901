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
    from landmark.quality.suspects.suspect_report import Suspects as SuspectsResult

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
Deep = Annotated[bool, typer.Option(help="Also compare parts of images: about twice as long, 1.5 KB a sample.")]
Suspects = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.html",
        help="Read all pixels again for labels and events that they contradict, and write a page of the worst.",
    ),
]
FailOn = Annotated[Literal["error", "warning"], typer.Option(help="Least severity that ends with exit code 1.")]


def check(
    corpus: Corpus,
    rules: Rules = None,
    junit: Junit = None,
    sample: Sample = 1.0,
    seed: Seed = 0,
    deep: Deep = False,
    against: Against = None,
    suspects: Suspects = None,
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
    from landmark.quality.suspects.suspects import add_suspects, find_suspects

    if junit is not None and not junit.absolute().parent.is_dir():
        raise InputError("no such folder", file="--junit", value=junit.parent, remedy="make it first")
    if suspects is not None:
        _check_page(suspects)
    if against is not None and not against.exists():
        raise InputError("no such report or corpus", file="--against", value=against)
    profile, executor = load_check_profile(rules, deep=deep), options.executor(workers, scheduler, worker_timeout)

    def run(folder: Path) -> "Report":
        with reporting() as progress:
            try:
                report = check_corpus(
                    folder.absolute(), profile, executor=executor, share=sample, seed=seed, progress=progress
                )
                if suspects is not None:
                    report = add_suspects(report, profile, find_suspects(folder.absolute(), profile, progress))
            except OSError as error:
                # Exit code 1 would mean findings.
                raise InputError(f"cannot be read: {error.strerror or error}", file=error.filename or folder) from error
        return report

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
    if suspects is not None:
        _write_page(suspects, corpus, report)
    if report.findings(fail_on):
        raise typer.Exit(1)


def _check_page(path: Path) -> None:
    if path.suffix != ".html" or path.is_dir():
        raise InputError("not the name of a page", file="--suspects", value=path, remedy="name it .html")
    if not path.absolute().parent.is_dir():
        raise InputError("no such folder", file="--suspects", value=path.parent, remedy="make it first")


def _write_page(path: Path, corpus: Path, report: "Report") -> None:
    from landmark.core.atomic import write_bytes
    from landmark.report.suspects_page import render_suspects

    assert report.suspects is not None
    try:
        write_bytes(path, render_suspects(corpus, report.suspects).encode())
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", file="--suspects", value=path) from error


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
    if report.suspects is not None:
        yield f"  suspects: {_noise(report.suspects)}"
    counts = Counter(finding.severity for finding in report.findings())
    summary = ", ".join(plural(counts[name], name) for name in ("error", "warning", "note") if counts[name])
    yield f"  {plural(len(report.checks) - len(skipped), 'check')}: {summary or 'clean'}"


def _noise(suspects: "SuspectsResult") -> str:
    if (noise := suspects.noise) is None:
        return f"cannot tell which labels are wrong: {suspects.cannot_tell or 'the checks are off'}"
    interval = f"{noise.rate_pct:.1f} % ({noise.low_pct:.1f} to {noise.high_pct:.1f} %)"
    return f"labels of another place on {interval} of {plural(noise.samples, 'sample')}"
