"""`landmark evaluate`: retrieval metrics of a run or of a TREC run file."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from landmark.cli import options
from landmark.cli.console import reporting
from landmark.cli.echo import echo
from landmark.cli.train import CorpusFolder, Device
from landmark.core.errors import InputError
from landmark.core.plural import plural

if TYPE_CHECKING:
    from landmark.corpus.metrics import MeanMetrics
    from landmark.train.evaluate import EvaluationReport

_COLUMNS = ("mAP", "chance", "above", "R-prec", "chance", "nDCG@{k}", "MRR", "Hit@{k}")


def evaluate(
    corpus: CorpusFolder,
    run: Annotated[Path | None, typer.Argument(help="Run folder of `landmark train`.", metavar="RUN")] = None,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    k: Annotated[int, typer.Option("--k", min=1, help="Depth of nDCG and Hit.")] = 10,
    trec: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the rankings as a TREC run.")] = None,
    from_trec: Annotated[
        Path | None, typer.Option("--from-trec", metavar="FILE", help="Evaluate a TREC run file instead of RUN.")
    ] = None,
    device: Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Evaluate the corpus's queries: mAP, R-precision, nDCG, MRR and Hit, overall, per sensor and per class."""
    if (run is None) == (from_trec is None):
        raise InputError("give exactly one of them", file="RUN or --from-trec")
    if trec is not None and run is None:
        raise InputError("writes the rankings of a RUN, and none is given", file="--trec", value=trec)
    if trec is not None and not trec.absolute().parent.is_dir():
        raise InputError(f"there is no folder {trec.parent}", file="--trec", value=trec, remedy="create it")
    import landmark
    from landmark.train import require_libraries
    from landmark.train.evaluate import evaluate_run, evaluate_trec

    opened = landmark.open(corpus)
    if run is not None:
        require_libraries()
        from landmark.train.embed import load_run

        loaded = load_run(run, device)
        with reporting() as progress:
            report = evaluate_run(opened, loaded, split=split, k=k, trec_file=trec, progress=progress)
    else:
        assert from_trec is not None
        report = evaluate_trec(opened, from_trec, split=split, k=k)
    echo(json.dumps(asdict(report), indent=1) if as_json else _format(report))


def _format(report: "EvaluationReport") -> str:
    rows = {"overall": report.overall, **report.sensors, **report.classes}
    width = max(len(name) for name in rows)
    titles = " ".join(f"{title.format(k=report.k):>8}" for title in _COLUMNS)
    images, queries = plural(report.overall.documents, "image"), plural(report.overall.queries, "query", "queries")
    lines = [f"  {name:{width}} {_format_row(metrics)}" for name, metrics in rows.items()]
    return "\n".join([f"{report.split}: {images}, {queries}", f"  {'':{width}} {titles}", *lines])


def _format_row(metrics: "MeanMetrics") -> str:
    if metrics.map is None:
        return "no relevant image in this split"
    precision = (metrics.map, metrics.chance_map, metrics.above_chance, metrics.r_precision, metrics.chance_r_precision)
    return " ".join(f"{value:8.3f}" for value in (*precision, metrics.ndcg, metrics.mrr, metrics.hit))
