"""Render `bench/loader.json` as the tables of docs/bench.md."""

from collections.abc import Iterator, Mapping
from statistics import median
from typing import Any

from bench.reading_table import Row, number, target_table

# docs/bench.md contains the tables between these.
MARKERS = ("<!-- bench:loader -->", "<!-- /bench:loader -->")

Result = Mapping[str, Any]

TITLES = {
    "floor": "floor: pread + CRC + zstd + one copy",
    "floor-in-place": "the floor without the copy",
    "landmark": "landmark",
    "dataloader": "DataLoader over the row groups",
    "webdataset": "webdataset",
    "datasets": "`datasets`, streaming",
    "litdata": "litData",
    "landmark-10m": "landmark, 12 bands at 10 m, float32, normalised",
}
_MEMORY_MB = 900


def markdown(result: Result) -> str:
    """Render summary, targets, rates, and what was waited for."""
    tables = [*target_table(rows(result)), "", *_rates(result)]
    return "\n".join([_summary(result), "", *tables, "", _waits(result)])


def ratio(result: Result, tool: str, peer: str, cost: str = "seconds") -> float:
    """Return the samples per second (or per CPU second, `cpu_s`) of a tool over a peer's: the median of the rounds."""
    return median(_rate(entry[tool], cost) / _rate(entry[peer], cost) for entry in result["rounds"])


def _rate(measurement: Mapping[str, float], cost: str) -> float:
    return measurement["samples"] / measurement[cost]


def rows(result: Result) -> list[Row]:
    """Return every row of the table of targets."""
    return [*_comparisons(result), *_costs(result), *_access(result)]


def _comparisons(result: Result) -> Iterator[Row]:
    yield Row("relative to the floor", 0.9, ratio(result, "landmark", "floor"))
    yield Row("relative to the floor, per CPU second", None, ratio(result, "landmark", "floor", "cpu_s"))
    for tool, target in (("dataloader", 1.2), ("webdataset", 2), ("datasets", None), ("litdata", None)):
        if tool in result["peak_mb"]:
            limit = ratio(result, "floor", tool)
            yield Row(f"against {TITLES[tool]}", target, ratio(result, "landmark", tool), limit, " x")


def _costs(result: Result) -> Iterator[Row]:
    for tool in ("landmark", "landmark-10m"):
        peak_mb = result["peak_mb"][tool]
        yield Row(f"peak memory: {TITLES[tool]}", _MEMORY_MB, peak_mb, unit=" MB", is_minimum=False)


def _access(result: Result) -> Iterator[Row]:
    first, pairs = result["first_batch_s"], result["same_group_pairs"]
    yield Row("`corpus[id]` at random, per CPU second", 400, result["single_per_cpu_s"])
    yield Row("first batch after opening, local", None, median(first["local"]), unit=" s")
    yield Row("first batch after opening, 30 ms latency", 0.5, median(first["latency"]), unit=" s", is_minimum=False)
    milliseconds = 1000 * median(result["resume_s"])
    yield Row("resume in the middle of 10 million rows", 50, milliseconds, unit=" ms", is_minimum=False)
    shuffled, grouped = (number(pairs[name]) for name in ("full shuffle", "window of one group"))
    title = (
        f"pairs of one row group in a batch ({shuffled} if all rows are shuffled, {grouped} in windows of one group)"
    )
    yield Row(title, None, pairs["landmark"])


def _summary(result: Result) -> str:
    corpus, verdicts = result["corpus"], [row.verdict for row in rows(result) if row.target is not None]
    return (
        f"{verdicts.count('reached')} of {len(verdicts)} targets reached, on {result['cores']} cores, by the median of"
        f" {len(result['rounds'])} rounds. {corpus['samples']:,} Sentinel-2 samples, {corpus['kb']:.0f} kB each, in"
        f" {corpus['shards']} shards and {corpus['groups']} row groups; batches of {result['batch']},"
        f" {result['workers']} threads or workers, files in the page cache. In an epoch, all loaders delivered the same"
        f" {result['same_samples']:,} samples, with the same pixels, once each."
    )


def _rates(result: Result) -> Iterator[str]:
    yield "| | samples/s | samples per CPU second | cores in use | peak memory, MB |"
    yield "|---|---|---|---|---|"
    for tool, title in TITLES.items():
        if tool not in result["peak_mb"]:
            yield f"| {title} | not installed | | | |"
            continue
        measured = [entry[tool] for entry in result["rounds"]]
        rates = [number(median(_rate(entry, cost) for entry in measured)) for cost in ("seconds", "cpu_s")]
        cores = median(entry["cpu_s"] / entry["seconds"] for entry in measured)
        yield f"| {title} | {' | '.join(rates)} | {cores:.2f} | {result['peak_mb'][tool]:.0f} |"


def _waits(result: Result) -> str:
    stats, threads = result["stats"], result["workers"]
    total = threads * stats["seconds"]
    parts = {"reading": stats["read_s"], "checksum and zstd": stats["decode_s"], "preparing": stats["prepare_s"]}
    shares = ", ".join(f"{name} {100 * seconds / total:.0f} %" for name, seconds in parts.items())
    rest = 100 - 100 * sum(parts.values()) / total
    return (
        f"Time of landmark's {threads} threads in an epoch: {shares}, other {rest:.0f} %. The consumer waited"
        f" {100 * stats['consumer_wait_s'] / stats['seconds']:.0f} % of the time for the next batch."
    )
