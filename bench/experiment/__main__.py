"""`python -m bench.experiment`: try the claims of CLOSP and GeoCLOSP (arXiv 2507.10403) on a corpus.

Without `--corpus` the demo is built and tried, and `bench/experiment/result.json`, docs/experiment.md and README.md
are written. A run that was interrupted is resumed by the same command.
"""

import argparse
import json
import os
from pathlib import Path

from bench.experiment.divisions import DIVISIONS
from bench.experiment.experiment import ExperimentConfig, experiment
from bench.experiment.plots import draw_differences, draw_maps
from bench.experiment.table import PAGES, RESULT, ROOT, markdown, with_table
from landmark import world
from landmark.config.recipe import load_recipe
from landmark.core.atomic import write_bytes
from landmark.core.errors import LandmarkError
from landmark.core.executor import ExecutorConfig
from landmark.core.process_share import available_cores
from landmark.core.signals import ended_by_signals
from landmark.train.net import pick_device
from landmark.train.profile import load_profile
from landmark.workflow.build import BuildRequest, build

_SHORT = ("random", "regions")


def main() -> None:
    """Run what is missing, write figures and plots, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help=f"divisions {' and '.join(_SHORT)}, 3 seeds")
    parser.add_argument("--corpus", type=Path, help="a sealed corpus; by default the demo is built")
    parser.add_argument("--out", type=Path, default=ROOT / "runs/experiment", help="folder of the trainings")
    parser.add_argument("--model", default="tiny", help="profile of the reference")
    parser.add_argument("--geo-model", default="geoclosp-tiny", help="profile with a location tower")
    parser.add_argument("--divisions", nargs="+", choices=list(DIVISIONS), help="by default all that the corpus has")
    parser.add_argument("--seeds", type=int, help="by default 5")
    parser.add_argument("--epochs", type=int, help="by default the profile's")
    parser.add_argument("--jobs", type=int, help="trainings at a time; by default one a core, or one on a GPU")
    parser.add_argument("--device", default="cpu", choices=("auto", "cpu", "cuda"))
    arguments = parser.parse_args()
    try:
        result = experiment(_config(arguments))
    except LandmarkError as error:
        parser.error(str(error))
    own = arguments.corpus is None
    write_bytes(RESULT if own else arguments.out / "result.json", f"{json.dumps(result, indent=1)}\n".encode())
    plots = ROOT / "docs" if own else arguments.out
    draw_maps(result, plots / "experiment-map.png")
    draw_differences(result, plots / "experiment-differences.png")
    for name, render in PAGES.items() if own else ():
        path = ROOT / name
        write_bytes(path, with_table(path.read_text(encoding="utf-8"), render(result)).encode())
    write_bytes(arguments.out / "report.md", f"{markdown(result)}\n".encode())
    print(markdown(result))


def _config(arguments: argparse.Namespace) -> ExperimentConfig:
    corpus = (arguments.corpus or _build_demo(arguments.out)).resolve()
    return ExperimentConfig(
        corpus,
        arguments.out,
        load_profile(arguments.model, epochs=arguments.epochs),
        load_profile(arguments.geo_model),
        arguments.divisions or (_SHORT if arguments.short else tuple(DIVISIONS)),
        range(arguments.seeds or (3 if arguments.short else 5)),
        arguments.jobs or (available_cores() if pick_device(arguments.device).type == "cpu" else 1),
        arguments.device,
    )


def _build_demo(out: Path) -> Path:
    os.environ.setdefault("LANDMARK_CACHE", str(out / "cache"))
    world.demo()
    build(BuildRequest(load_recipe("demo"), out / "demo", ExecutorConfig(available_cores())))
    return out / "demo"


if __name__ == "__main__":
    with ended_by_signals():
        main()
