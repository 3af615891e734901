"""`python -m bench.loader`: landmark's loader against a lower bound and other loaders, on the same samples.

Writes `bench/loader.json` and its tables in docs/bench.md. `--quick` measures one round and writes nothing.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.loader_access import measure_access
from bench.loader_corpus import bench_corpus
from bench.loader_measure import LITDATA_PYTHON, TOOLS, measure, python_of
from bench.loader_rivals import BATCH, WORKERS, litdata_folder
from bench.loader_table import MARKERS, markdown
from landmark.core.atomic import write_bytes
from landmark.core.process_share import available_cores
from landmark.corpus.manifest import read_manifest

RESULT = Path(__file__).with_name("loader.json")
PAGE = Path(__file__).parents[1] / "docs" / "bench.md"
_LIBRARIES = ("landmark", "numpy", "imagecodecs", "pyarrow", "torch", "webdataset", "datasets")


def main() -> None:
    """Measure, write the result, and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="number of rounds; medians of ratios are reported")
    parser.add_argument("--seconds", type=float, default=3, help="duration of a measurement, at least one epoch")
    parser.add_argument("--quick", action="store_true", help="measure one round and write nothing")
    arguments = parser.parse_args()
    result = bench(bench_corpus(), rounds=1 if arguments.quick else arguments.repeats, seconds=arguments.seconds)
    if not arguments.quick:
        write_bytes(RESULT, f"{json.dumps(result, indent=1)}\n".encode())
        write_bytes(PAGE, with_tables(PAGE.read_text(encoding="utf-8"), result).encode())
    print(markdown(result))


def with_tables(page: str, result: dict[str, Any]) -> str:
    """Return the page with the tables of a result between the markers."""
    begin, end = MARKERS
    (before, rest), tables = page.split(begin), markdown(result)
    return f"{before}{begin}\n{tables}\n{end}{rest.split(end)[1]}"


def bench(corpus: Path, *, rounds: int, seconds: float) -> dict[str, Any]:
    """Measure all loaders of `TOOLS` that are installed, alternating, and the access to single samples."""
    tools = [tool for tool in TOOLS if tool != "litdata" or _convert_to_litdata(corpus)]
    _into_memory(corpus, litdata_folder(corpus))
    checked = {tool: _measure(tool, corpus, seconds=0, watch=True) for tool in tools}
    timed = [{tool: _measure(tool, corpus, seconds=seconds) for tool in tools} for _ in range(rounds)]
    return {
        "cores": available_cores(),
        "batch": BATCH,
        "workers": WORKERS,
        "versions": {name: version(name) for name in _LIBRARIES},
        "corpus": _describe(corpus),
        "same_samples": same_samples(checked),
        "peak_mb": {tool: result["peak_mb"] for tool, result in checked.items()},
        "rounds": timed,
        **measure_access(corpus),
    }


def same_samples(checked: Mapping[str, Mapping[str, Any]]) -> int:
    """Return how many samples all loaders delivered in an epoch; those at 10 m are other arrays of the same.

    Raises:
        AssertionError: two loaders delivered other samples or pixels.
    """
    counts = {tool: result["different"] for tool, result in checked.items()}
    digests = {tool: result["digest"] for tool, result in checked.items() if tool != "landmark-10m"}
    if len(set(counts.values())) > 1 or len(set(digests.values())) > 1:
        raise AssertionError(f"loaders disagree on samples or pixels: {counts}, {digests}")
    return int(counts["floor"])


def _measure(tool: str, corpus: Path, *, seconds: float, watch: bool = False) -> dict[str, Any]:
    result = measure(tool, corpus, seconds=seconds, watch=watch)
    wall, cpu = (result["samples"] / result[cost] for cost in ("seconds", "cpu_s"))
    print(f"{tool}: {wall:.0f} samples/s, {cpu:.0f} per CPU second", file=sys.stderr)
    return result


def _convert_to_litdata(corpus: Path) -> bool:
    """Whether litData is installed; its files are written where they are missing."""
    if not LITDATA_PYTHON.exists():
        print("litData is not installed (bench/install.sh)", file=sys.stderr)
        return False
    command = [python_of("litdata"), "-m", "bench.loader_rivals", str(corpus)]
    subprocess.run(command, stdout=sys.stderr, check=True)
    return True


def _into_memory(*folders: Path) -> None:
    """Read every file into the page cache: disk speed is not measured."""
    for path in (path for folder in folders for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            while file.read(2**24):
                pass


def _describe(corpus: Path) -> dict[str, Any]:
    shards = read_manifest(corpus).shards
    samples = sum(shard.rows for shard in shards)
    return {
        "samples": samples,
        "shards": len(shards),
        "groups": sum(-(-shard.rows // shard.group_rows) for shard in shards),
        "kb": round(sum(shard.size_bytes for shard in shards) / samples / 1000, 1),
    }


if __name__ == "__main__":
    main()
