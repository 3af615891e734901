"""`python -m bench.gpu`: speed and correctness of training on a GPU, in one call of at most eight minutes.

    python -m bench.gpu --corpus corpora/demo --out runs/gpu  # on the machine with the card; nothing is downloaded
    python -m bench.gpu_table runs/gpu/gpu.json                # writes bench/gpu.json and its table in docs/bench.md

Needs the packages of `pip install '.[train]'` that reading a corpus and training import: torch with CUDA, tokenizers,
safetensors, scikit-learn, matplotlib, pyarrow, pydantic, shapely, pyproj, imagecodecs, scipy, PyYAML; and a C compiler
for Triton. A corpus that is missing is built, which needs all packages. The result is written after each part, so that
a call that is stopped keeps what it has; a part without time is noted as such. `--smoke` runs the same code with small
numbers, on a CPU within a minute or two with a small corpus.
"""

import argparse
import json
import platform
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

START = time.perf_counter()

# Modules that a training imports, and the package that has each.
_MODULES = {"yaml": "PyYAML", "sklearn": "scikit-learn"} | {
    name: name
    for name in (
        *("numpy", "pyarrow", "pydantic", "shapely", "pyproj", "imagecodecs", "scipy", "torch", "tokenizers"),
        *("safetensors", "matplotlib", "threadpoolctl"),
    )
}
ARCHITECTURES = ("vit_large_patch16_224", "resnet50", "vit_small_patch16_224")
# Seconds that a part may take, of a call of 470.
_SECONDS = 470


class OutOfTime(BaseException):
    """A part took longer than its share. No `Exception`, so that nothing but the clock handles it."""


def main() -> None:
    """Measure part by part, and write the result after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=Path("corpora/demo"), help="a sealed corpus; built if missing")
    parser.add_argument("--out", type=Path, required=True, help="folder of the result, gpu.json")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--seconds", type=float, default=_SECONDS, help="time of the call")
    parser.add_argument("--text", type=Path, help="folder of a pretrained text tower; otherwise it is from scratch")
    parser.add_argument("--smoke", action="store_true", help="small towers, small batches and few steps")
    arguments = parser.parse_args()
    if missing := _missing_packages():
        sys.exit(f"error: packages are missing: {', '.join(missing)}")
    bench(arguments)


def _missing_packages() -> list[str]:
    from importlib.util import find_spec

    return sorted(package for module, package in _MODULES.items() if find_spec(module) is None)


def bench(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run all parts that fit in the time."""
    from bench.gpu_parts import Setup, describe
    from landmark.train.net import pick_device

    corpus, device = arguments.corpus, pick_device(arguments.device)
    if not (corpus / "corpus.json").exists():
        _build_demo(corpus)
    small = {"batch": 8, "steps": 4, "rounds": 2, "matrix": 128, "training_steps": 6, "correctness": 4}
    setup = Setup(corpus, device, arguments.text, **(small if arguments.smoke else {}))
    result: dict[str, Any] = {"smoke": arguments.smoke, "machine": _machine(), **describe(setup), "parts": {}}
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, share, run in parts_of(setup, ("tiny",) if arguments.smoke else ARCHITECTURES):
        start = time.perf_counter()
        seconds = min(arguments.seconds * share, arguments.seconds - (start - START))
        result["parts"][name] = {**_measure(run, seconds), "seconds": round(time.perf_counter() - start, 1)}
        print(f"{name}: {json.dumps(result['parts'][name])}", file=sys.stderr, flush=True)
        (arguments.out / "gpu.json").write_text(f"{json.dumps(result, indent=1)}\n", encoding="utf-8")
    return result


def parts_of(setup: Any, architectures: tuple[str, ...]) -> Iterator[tuple[str, float, Callable[[], dict[str, Any]]]]:
    """Yield name, share of the time, and measurement of each part; those that targets need come first."""
    from bench import gpu_parts

    largest, *smaller = architectures
    middle = smaller[0] if smaller else largest
    yield "ceiling", 0.05, partial(gpu_parts.measure_ceiling, setup)
    for architecture in architectures[:2]:
        yield f"training {architecture}", 0.25, partial(gpu_parts.measure_training, setup, architecture)
    yield f"plain {middle}", 0.12, partial(gpu_parts.compare_with_plain, setup, middle)
    for architecture in architectures[2:]:
        yield f"training {architecture}", 0.12, partial(gpu_parts.measure_training, setup, architecture)
    yield "closp", 0.2, partial(gpu_parts.train_closp, setup, middle)
    yield f"geoclosp {middle}", 0.2, partial(gpu_parts.compare_with_geoclosp, setup, middle)
    for architecture in architectures:
        yield f"embedding {architecture}", 0.08, partial(gpu_parts.measure_embeddings, setup, architecture)
    yield f"224 px {middle}", 0.2, partial(gpu_parts.measure_large_batch, setup, middle, 1)
    for architecture in architectures:
        yield f"large batch {architecture}", 0.15, partial(gpu_parts.measure_large_batch, setup, architecture, 4)


def _measure(run: Callable[[], dict[str, Any]], seconds: float) -> dict[str, Any]:
    """What a part measures; or why there is nothing: an error of one part leaves the smaller."""
    try:
        with _limit(seconds):
            return run()
    except OutOfTime:
        return {"missing": "not measured: out of time"}
    except Exception as error:
        return {"missing": f"not measured: {type(error).__name__}: {error}"}


@contextmanager
def _limit(seconds: float) -> Iterator[None]:
    """Raise OutOfTime in the main thread after some seconds."""

    def stop(signal_number: int, frame: FrameType | None) -> None:
        raise OutOfTime

    if seconds <= 1:
        raise OutOfTime
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _machine() -> dict[str, Any]:
    from landmark.core.process_share import available_cores

    return {"python": platform.python_version(), "cores": available_cores()}


def _build_demo(folder: Path) -> None:
    from landmark.config.recipe import load_recipe
    from landmark.core.executor import ExecutorConfig
    from landmark.core.process_share import available_cores
    from landmark.workflow.build import BuildRequest, build

    build(BuildRequest(load_recipe("demo"), folder, ExecutorConfig(available_cores())))


if __name__ == "__main__":
    main()
