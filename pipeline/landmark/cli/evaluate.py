"""`landmark evaluate`: how well a run, or anybody's ranking, retrieves."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from landmark.cli import options
from landmark.cli.train import CorpusFolder, Device, progress_shown
from landmark.core.errors import InputError

_COLUMNS = ("mAP", "chance", "above", "R-prec", "chance", "nDCG@{k}", "MRR", "Hit@{k}")


def evaluate(
    corpus: CorpusFolder,
    run: Annotated[Path | None, typer.Argument(help="A run of `landmark train`.", metavar="RUN")] = None,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    k: Annotated[int, typer.Option("--k", min=1, help="Depth of nDCG and Hit.")] = 10,
    trec: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the rankings as a TREC run.")] = None,
    from_trec: Annotated[
        Path | None, typer.Option("--from-trec", metavar="FILE", help="Judge a TREC run in place of RUN.")
    ] = None,
    device: Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Ask a run the corpus's own queries: mAP, R-precision, nDCG, MRR and Hit, overall, per sensor and per class."""
    if (run is None) == (from_trec is None):
        raise InputError("give a RUN folder, or --from-trec with a ranking: one of the two")
    if trec is not None and run is None:
        raise InputError(f"--trec {trec}: writes the rankings of a RUN, and there is none")
    if trec is not None and not trec.resolve().parent.is_dir():
        raise InputError(f"--trec {trec}: there is no folder {trec.parent}; make it first")
    import landmark
    from landmark.train import require_libraries
    from landmark.train.evaluate import evaluate_run, evaluate_trec

    opened = landmark.open(corpus)
    if run is not None:
        require_libraries()
        with progress_shown() as progress:
            report = evaluate_run(opened, run, split=split, k=k, device=device, trec_file=trec, progress=progress)
    else:
        assert from_trec is not None
        report = evaluate_trec(opened, from_trec, split=split, k=k)
    typer.echo(json.dumps(asdict(report), indent=1) if as_json else _page(report))


def _page(report: Any) -> str:
    rows = {"overall": report.overall, **report.sensors, **report.classes}
    width = max(len(name) for name in rows)
    titles = " ".join(f"{title.format(k=report.k):>8}" for title in _COLUMNS)
    head = f"{report.split}: {report.overall.documents} images, {report.overall.queries} queries"
    return "\n".join(
        [head, f"  {'':{width}} {titles}", *(f"  {name:{width}} {_row(one)}" for name, one in rows.items())]
    )


def _row(one: Any) -> str:
    if one.map is None:
        return "no relevant image in this split"
    figures = (one.map, one.chance_map, one.above_chance, one.r_precision, one.chance_r_precision)
    return " ".join(f"{figure:8.3f}" for figure in (*figures, one.ndcg, one.mrr, one.hit))
