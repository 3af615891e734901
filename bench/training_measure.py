"""Measure a training or an embedding in a new process, and print its seconds as JSON.

`landmark` is the package that Python imports, so that PYTHONPATH chooses its version.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import landmark
from landmark.corpus.reader import Corpus
from landmark.train.loop import TrainingConfig, train
from landmark.train.profile import load_profile

EPOCHS = 3

Times = list[tuple[float, float]]


def main() -> None:
    """Measure what the command line names."""
    kind, folder = sys.argv[1:]
    print(json.dumps(KINDS[kind](landmark.open(folder))), flush=True)


def _landmark_steps(corpus: Corpus) -> dict[str, list[float]]:
    times: Times = []

    def progress(stage: str, *_: object) -> None:
        if stage == "train":
            times.append(_now())

    with tempfile.TemporaryDirectory() as folder:
        train(corpus, TrainingConfig(load_profile("tiny", epochs=EPOCHS), Path(folder) / "run", progress=progress))
    return _between(times)


def _plain_steps(corpus: Corpus) -> dict[str, list[float]]:
    # Older versions of landmark lack what this and the next function import.
    from bench.training_plain import train_plainly
    from landmark.train.net import limit_threads

    profile, times = load_profile("tiny", epochs=EPOCHS), Times()
    with limit_threads(profile.budget.threads):
        train_plainly(corpus, profile, lambda: times.append(_now()))
    return _between(times)


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _between(times: Times) -> dict[str, list[float]]:
    """Wall and processor seconds of each step, from the second epoch on."""
    pairs = list(pairwise(times[len(times) // EPOCHS :]))
    return {
        name: [round(later[axis] - earlier[axis], 5) for earlier, later in pairs]
        for axis, name in enumerate(("seconds", "cpu_s"))
    }


def _embedding(corpus: Corpus, *, model: str, images: int, repeats: int) -> dict[str, Any]:
    from bench.training_embed import measure_embedding

    return measure_embedding(corpus, load_profile(model), images=images, repeats=repeats)


KINDS: dict[str, Callable[[Corpus], dict[str, Any]]] = {
    "landmark": _landmark_steps,
    "plain": _plain_steps,
    "embed-tiny": partial(_embedding, model="tiny", images=400, repeats=5),
    "embed-closp": partial(_embedding, model="closp", images=32, repeats=3),
}

if __name__ == "__main__":
    main()
