"""`python -m bench.check_speed SMALL LARGE`: speed and memory of `landmark check`, against reading the same shards.

Takes two sealed corpora, of which the second is several times as large. Writes `bench/check_speed.json` and its table
in docs/bench.md. One process and one core; a corpus is read once before, so that disk speed is not measured.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from bench.reading_table import Row, target_table
from landmark.core.atomic import write_bytes
from landmark.core.executor import ExecutorConfig
from landmark.corpus.manifest import read_manifest
from landmark.corpus.tables import TableFile
from landmark.quality.check import check
from landmark.quality.check_profile import load_check_profile

RESULT = Path(__file__).with_name("check_speed.json")
PAGE = Path(__file__).parents[1] / "docs" / "bench.md"
MARKERS = ("<!-- bench:check-speed -->", "<!-- /bench:check-speed -->")
Result = Mapping[str, Any]


def main() -> None:
    """Measure both corpora and write the result; or one task in this process, whose result is printed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpora", type=Path, nargs=2, metavar="CORPUS", help="a corpus, and a larger one")
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds; medians are reported")
    parser.add_argument("--task", choices=TASKS, help="only do this with the first corpus, and print what it takes")
    arguments = parser.parse_args()
    small, large = arguments.corpora
    if arguments.task:
        print(json.dumps(measure(arguments.task, small)))
        return
    rounds = [
        {f"{task} {name}": _measure_apart(task, corpus) for name, corpus in (("small", small), ("large", large))
         for task in TASKS}
        for _ in range(arguments.rounds)
    ]  # fmt: skip
    write_bytes(RESULT, f"{json.dumps({'rounds': rounds}, indent=1)}\n".encode())
    write_bytes(PAGE, with_table(PAGE.read_text(encoding="utf-8"), {"rounds": rounds}).encode())
    print(markdown({"rounds": rounds}))


def with_table(page: str, result: Result) -> str:
    """Return the page with the table of a result between the markers."""
    begin, end = MARKERS
    before, rest = page.split(begin)
    return f"{before}{begin}\n{markdown(result)}\n{end}{rest.split(end)[1]}"


def read_shards(corpus: Path) -> int:
    """Read and decompress all columns of all shards; return the number of samples."""
    samples = 0
    for shard in read_manifest(corpus).shards:
        with TableFile(corpus / shard.path) as file:
            samples += sum(file.read_group(number).num_rows for number in range(len(file.group_rows)))
    return samples


def check_corpus(corpus: Path) -> int:
    """Run all checks of the shipped profile; return the number of samples."""
    return check(corpus, load_check_profile(), executor=ExecutorConfig(0)).samples


TASKS: dict[str, Callable[[Path], int]] = {"read": read_shards, "check": check_corpus}


def measure(task: str, corpus: Path) -> dict[str, float]:
    """Samples, CPU seconds, and peak memory of this process in 10^6 bytes."""
    start = time.process_time()
    samples = TASKS[task](corpus)
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"samples": samples, "cpu_s": round(time.process_time() - start, 3), "peak_mb": round(peak_kb / 1000, 1)}


def _measure_apart(task: str, corpus: Path) -> dict[str, float]:
    """Measure in a new process."""
    command = [sys.executable, "-m", "bench.check_speed", "--task", task, str(corpus), str(corpus)]
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    result: dict[str, float] = json.loads(output.splitlines()[-1])
    return result


def markdown(result: Result) -> str:
    """Render rates, their ratio, and memory."""
    samples = {name: result["rounds"][0][f"check {name}"]["samples"] for name in ("small", "large")}
    first = f"Corpora of {samples['small']:,} and {samples['large']:,} samples; CPU time of one core."
    return "\n".join([first, "", *target_table(rows(result))])


def rows(result: Result) -> Iterator[Row]:
    """Return every row of the table; medians of the rounds."""
    rounds = result["rounds"]
    rate = {
        task: median(entry[f"{task} large"]["samples"] / entry[f"{task} large"]["cpu_s"] for entry in rounds)
        for task in TASKS
    }
    peak_mb = {name: median(entry[f"check {name}"]["peak_mb"] for entry in rounds) for name in ("small", "large")}
    yield Row("samples checked per second and core", 250, rate["check"])
    yield Row("samples read and decompressed per second and core", None, rate["read"])
    ratios = [
        (entry["check large"]["cpu_s"] / entry["check large"]["samples"])
        / (entry["read large"]["cpu_s"] / entry["read large"]["samples"])
        for entry in rounds
    ]
    yield Row("CPU time of a check, times that of reading", 13, median(ratios), unit=" x", is_minimum=False)
    yield Row("peak memory: the smaller corpus", None, peak_mb["small"], unit=" MB")
    yield Row("peak memory: the larger corpus", None, peak_mb["large"], unit=" MB")


if __name__ == "__main__":
    main()
