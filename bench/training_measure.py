"""Measure a training or embedding in a new process: wall and processor seconds of each step, or of each pass.

`landmark` trains with the package that Python imports, so that PYTHONPATH chooses its version.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import landmark
from landmark.corpus.reader import Corpus

EPOCHS = 3


def main() -> None:
    """Measure what the command line names, and print the result as JSON."""
    kind, corpus = sys.argv[1], landmark.open(sys.argv[2])
    print(json.dumps(KINDS[kind](corpus)), flush=True)


class StepTimes:
    """Wall and processor seconds between calls, of steps of an epoch behind the first."""

    def __init__(self) -> None:
        self._times: list[tuple[float, float]] = []

    def after_step(self) -> None:
        """Note the time."""
        self._times.append((time.perf_counter(), time.process_time()))

    def result(self) -> dict[str, Any]:
        """Seconds of each step from the second epoch on, the first of them left out."""
        counted = self._times[len(self._times) // EPOCHS :]
        pairs = list(pairwise(counted))
        return {
            name: [round(later[axis] - earlier[axis], 5) for earlier, later in pairs]
            for axis, name in enumerate(("seconds", "cpu_s"))
        }


def _landmark_steps(corpus: Corpus) -> dict[str, Any]:
    from landmark.train.loop import TrainingConfig, train
    from landmark.train.profile import load_profile

    times = StepTimes()

    def progress(stage: str, *_: object) -> None:
        if stage == "train":
            times.after_step()

    with tempfile.TemporaryDirectory() as folder:
        train(corpus, TrainingConfig(load_profile("tiny", epochs=EPOCHS), Path(folder) / "run", progress=progress))
    return times.result()


def _plain_steps(corpus: Corpus) -> dict[str, Any]:
    from bench.training_plain import train_plainly
    from landmark.train.profile import load_profile

    times = StepTimes()
    train_plainly(corpus, load_profile("tiny", epochs=EPOCHS), times.after_step)
    return times.result()


KINDS: dict[str, Callable[[Corpus], dict[str, Any]]] = {"landmark": _landmark_steps, "plain": _plain_steps}

if __name__ == "__main__":
    main()
