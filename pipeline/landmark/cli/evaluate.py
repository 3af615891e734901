"""`landmark evaluate`: retrieval metrics of a run or of a TREC run file."""

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from landmark.cli import options
from landmark.cli.console import reporting
from landmark.cli.echo import echo
from landmark.cli.train import CorpusFolder, Device
from landmark.core.errors import InputError

if TYPE_CHECKING:
    from landmark.corpus.reader import Corpus
    from landmark.train.retrieval.evaluate import EvaluationReport


def evaluate(
    corpus: CorpusFolder,
    run: Annotated[
        Path | None,
        typer.Argument(help="Run folder of `landmark train`, or a folder of `save_pretrained`.", metavar="RUN"),
    ] = None,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Also write a report: Markdown, JSON and figures.")
    ] = None,
    trec: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the rankings as a TREC run.")] = None,
    from_trec: Annotated[
        Path | None, typer.Option("--from-trec", metavar="FILE", help="Evaluate a TREC run file instead of RUN.")
    ] = None,
    device: Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Evaluate the corpus's queries: mAP, R-precision, nDCG, MRR and Hit, by sensor, class and event."""
    if (run is None) == (from_trec is None):
        raise InputError("give exactly one of them", file="RUN or --from-trec")
    if trec is not None and run is None:
        raise InputError("writes the rankings of a RUN, and none is given", file="--trec", value=trec)
    if trec is not None and not trec.absolute().parent.is_dir():
        raise InputError(f"there is no folder {trec.parent}", file="--trec", value=trec, remedy="create it")
    import landmark
    from landmark.train import require_libraries
    from landmark.train.retrieval.report import report_folder, to_json, write_report
    from landmark.train.retrieval.tables import make_tables

    opened = landmark.open(corpus)
    if run is not None or out is not None:
        require_libraries()
    with nullcontext() if out is None else report_folder(out.absolute()):
        report = _evaluate_run(opened, run, split, trec, device) if run else _evaluate_trec(opened, from_trec, split)
        if out is not None:
            write_report(out.absolute(), report, f"{(run or from_trec or out).name} on {opened.manifest.name}")
    blocks = ["\n".join(table.to_text()) for table in make_tables(report)]
    blocks += ["\n".join(f"note: {note}" for note in report.notes)] if report.notes else []
    echo(to_json(report) if as_json else "\n\n".join(blocks))


def _evaluate_run(opened: "Corpus", run: Path, split: str, trec: Path | None, device: str) -> "EvaluationReport":
    from landmark.train.retrieval.embed import load_run
    from landmark.train.retrieval.evaluate import evaluate_run

    loaded = load_run(run, device)
    with reporting() as progress:
        return evaluate_run(opened, loaded, split=split, trec_file=trec, progress=progress)


def _evaluate_trec(opened: "Corpus", file: Path | None, split: str) -> "EvaluationReport":
    from landmark.train.retrieval.evaluate import evaluate_trec

    assert file is not None
    return evaluate_trec(opened, file, split=split)
