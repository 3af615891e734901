"""`landmark evaluate`: retrieval metrics of a run or of a TREC run file."""

import json
from collections.abc import Iterator
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
    from landmark.train.retrieval.evaluate import EvaluationReport

_COLUMNS = ("mAP", "chance", "above", "R-prec", "chance", "nDCG@10", "chance", "@1000", "chance", "MRR", "Hit@10")


def evaluate(
    corpus: CorpusFolder,
    run: Annotated[Path | None, typer.Argument(help="Run folder of `landmark train`.", metavar="RUN")] = None,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    trec: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the rankings as a TREC run.")] = None,
    from_trec: Annotated[
        Path | None, typer.Option("--from-trec", metavar="FILE", help="Evaluate a TREC run file instead of RUN.")
    ] = None,
    device: Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Evaluate the corpus's queries: mAP, R-precision, nDCG, MRR and Hit, by sensor and class."""
    if (run is None) == (from_trec is None):
        raise InputError("give exactly one of them", file="RUN or --from-trec")
    if trec is not None and run is None:
        raise InputError("writes the rankings of a RUN, and none is given", file="--trec", value=trec)
    if trec is not None and not trec.absolute().parent.is_dir():
        raise InputError(f"there is no folder {trec.parent}", file="--trec", value=trec, remedy="create it")
    import landmark
    from landmark.train import require_libraries
    from landmark.train.retrieval.evaluate import evaluate_run, evaluate_trec

    opened = landmark.open(corpus)
    if run is not None:
        require_libraries()
        from landmark.train.retrieval.embed import load_run

        loaded = load_run(run, device)
        with reporting() as progress:
            report = evaluate_run(opened, loaded, split=split, trec_file=trec, progress=progress)
    else:
        assert from_trec is not None
        report = evaluate_trec(opened, from_trec, split=split)
    echo(json.dumps(asdict(report), indent=1) if as_json else _format(report))


def _format(report: "EvaluationReport") -> str:
    overall, sets = report.overall, report.label_sets["overall"]
    counts = (
        plural(overall.documents, "image"),
        plural(overall.queries, "class", "classes"),
        plural(sets.queries, "label set"),
    )
    rows = {"overall": overall, **report.sensors}
    rows |= {f"label sets, {name}": metrics for name, metrics in report.label_sets.items()}
    width = max(len(name) for name in (*rows, *report.classes))
    return "\n".join(
        [
            f"{report.split}: {', '.join(counts)}",
            f"  {'':{width}} {' '.join(f'{title:>7}' for title in _COLUMNS)}",
            *(f"  {name:{width}} {_format_means(metrics)}" for name, metrics in rows.items()),
            "",
            *_format_classes(report, width),
        ]
    )


def _format_means(metrics: "MeanMetrics") -> str:
    if metrics.map is None:
        return "no relevant image in this split"
    values = (metrics.map, metrics.chance_map, metrics.above_chance, metrics.r_precision, metrics.chance_r_precision)
    ndcg = (metrics.ndcg_10, metrics.chance_ndcg_10, metrics.ndcg_1000, metrics.chance_ndcg_1000)
    return " ".join(f"{value:7.3f}" for value in (*values, *ndcg, metrics.mrr, metrics.hit_10))


def _format_classes(report: "EvaluationReport", width: int) -> Iterator[str]:
    """A line per class: relevant images, mAP and chance, overall and by sensor."""
    names = ["overall", *report.sensors]
    yield f"  {'':{width}} " + " ".join(f"{name:>23}" for name in names)
    yield f"  {'':{width}} " + " ".join(f"{title:>7}" for _ in names for title in ("images", "mAP", "chance"))
    for key, metrics in report.classes.items():
        yield f"  {key:{width}} " + " ".join(_format_class(metrics[name]) for name in names)


def _format_class(metrics: "MeanMetrics") -> str:
    if metrics.map is None:
        return f"{0:7} {'-':>7} {'-':>7}"
    return f"{metrics.relevant:7.0f} {metrics.map:7.3f} {metrics.chance_map:7.3f}"
