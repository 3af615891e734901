"""`python -m bench.training`: steps of a training against a plain loop and an older version, and embedding.

Writes `bench/training.json` and its table in docs/bench.md. `--quick` measures one round and writes nothing.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from bench.training_table import RESULT, ROOT, markdown, with_table
from landmark import world
from landmark.config.recipe import load_recipe
from landmark.core.atomic import write_bytes
from landmark.core.executor import ExecutorConfig
from landmark.core.process_share import available_cores
from landmark.workflow.build import BuildRequest, build

# The version before towers in plain PyTorch, fused AdamW and channels_last.
BEFORE = "43218e5"


def main() -> None:
    """Measure, write the result, and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, help="the demo, sealed; by default it is built")
    parser.add_argument("--repeats", type=int, default=5, help="number of rounds; medians of ratios are reported")
    parser.add_argument("--quick", action="store_true", help="measure one round and write nothing")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="landmark-training-") as folder:
        corpus = arguments.corpus or _build_demo(Path(folder))
        result = bench(corpus, Path(folder), rounds=1 if arguments.quick else arguments.repeats)
    if not arguments.quick:
        write_bytes(RESULT, f"{json.dumps(result, indent=1)}\n".encode())
        page = ROOT / "docs/bench.md"
        write_bytes(page, with_table(page.read_text(encoding="utf-8"), result).encode())
    print(markdown(result))


def bench(corpus: Path, folder: Path, *, rounds: int) -> dict[str, Any]:
    """Measure in alternating processes; the older version is left out where Git has none."""
    before = _unpack(BEFORE, folder / "before")
    arms = {"plain": ROOT, "landmark": ROOT} | ({"before": before} if before else {})
    steps = [
        {
            arm: _median_step(_measure("landmark" if arm == "before" else arm, corpus, root))
            for arm, root in arms.items()
        }
        for _ in range(rounds)
    ]
    embedding = {model: _measure(f"embed-{model}", corpus, ROOT) for model in ("tiny", "closp")}
    return {"cores": available_cores(), "before": BEFORE if before else None, "steps": steps, "embedding": embedding}


def _build_demo(folder: Path) -> Path:
    os.environ["LANDMARK_CACHE"] = str(folder / "cache")
    world.demo()
    build(BuildRequest(load_recipe("demo"), folder / "demo", ExecutorConfig(available_cores())))
    return folder / "demo"


def _unpack(commit: str, folder: Path) -> Path | None:
    """Write the package of a commit to a folder; None where Git or the commit is missing."""
    try:
        command = ["git", "-C", str(ROOT), "archive", commit, "pipeline"]
        archive = subprocess.run(command, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        print(f"Git has no commit {commit} here", file=sys.stderr)
        return None
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
    return folder


def _measure(kind: str, corpus: Path, root: Path) -> dict[str, Any]:
    """Measure in a new process, with the package in a folder."""
    paths = os.pathsep.join([str(root / "pipeline"), str(ROOT)])
    command = [sys.executable, "-m", "bench.training_measure", kind, str(corpus.resolve())]
    result = subprocess.run(command, env=os.environ | {"PYTHONPATH": paths}, stdout=subprocess.PIPE, check=True)
    document: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return document


def _median_step(times: dict[str, list[float]]) -> dict[str, float]:
    medians = {name: round(median(values), 5) for name, values in times.items()}
    print(medians, file=sys.stderr)
    return medians


if __name__ == "__main__":
    main()
