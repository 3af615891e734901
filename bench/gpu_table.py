"""Render `bench/gpu.json` as the tables of docs/bench.md. `python -m bench.gpu_table FILE` takes a result over."""

import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from bench.reading_table import Row, number
from landmark.core.atomic import write_bytes

RESULT = Path(__file__).with_name("gpu.json")
ROOT = Path(__file__).parents[1]
# docs/bench.md contains the tables between these.
MARKERS = ("<!-- bench:gpu -->", "<!-- /bench:gpu -->")

Result = Mapping[str, Any]

TITLES = {"resnet50": "ResNet-50", "vit_small_patch16_224": "ViT-S", "vit_large_patch16_224": "ViT-L"}
# At most so many times the difference that a single rounding of weights and images makes: activations are rounded after
# each layer, too, with independent errors, which add up as their squares.
MAX_ROUNDINGS = 3


class Target(NamedTuple):
    """A row with a target, and how its value follows from the parts of a result."""

    row: Row
    value: Callable[[Mapping[str, Any]], float]


def targets() -> list[Target]:
    """Return every row of the table of targets."""
    mfu = Row("MFU of ViT-L in bfloat16", 0.45, 0)
    plain = Row("ResNet-50: steps a second, relative to the plain loop", 2, 0, unit=" x")
    rows = [Target(mfu, partial(_mfu, name="vit_large_patch16_224")), Target(plain, _plain_ratio)]
    for name, title in TITLES.items():
        data = Row(f"{title}: share of a step that data take", 0.05, 0, is_minimum=False)
        error = Row(f"{title}: error of bfloat16, in single roundings", MAX_ROUNDINGS, 0, is_minimum=False)
        rows += [Target(data, partial(_data_share, name=name)), Target(error, partial(_roundings, name=name))]
    geoclosp = Row("ResNet-50: a step of GeoCLOSP, relative to CLOSP", None, 0, unit=" x")
    return [*rows, Target(geoclosp, _geoclosp_ratio)]


def _mfu(parts: Mapping[str, Any], name: str) -> float:
    return _utilisation(parts, parts[f"training {name}"])


def _utilisation(parts: Mapping[str, Any], steps: Mapping[str, Any]) -> float:
    """Model FLOPs of a step, over its time, over the rate of the matrix product that was measured in the same call."""
    return float(steps["tflop"] / steps["step_s"] / parts["ceiling"]["tflop_per_s"])


def _plain_ratio(parts: Mapping[str, Any]) -> float:
    return float(median(entry["plain"] / entry["landmark"] for entry in parts["plain resnet50"]["rounds"]))


def _geoclosp_ratio(parts: Mapping[str, Any]) -> float:
    return float(median(entry["geoclosp"] / entry["closp"] for entry in parts["geoclosp resnet50"]["rounds"]))


def _data_share(parts: Mapping[str, Any], name: str) -> float:
    """The greater of the time that steps wait, and of what they take longer than with a batch on the device."""
    part = parts[f"training {name}"]
    return float(max(part["waiting"], 1 - part["resident"]["step_s"] / part["step_s"]))


def _roundings(parts: Mapping[str, Any], name: str) -> float:
    """Error of bfloat16 over that of a single rounding: the greatest of gradients, worst group, and embeddings."""
    own, rounding = (parts[f"training {name}"]["correctness"][key] for key in ("bfloat16", "rounding"))
    ratios = [own[name] / rounding[name] for name in ("gradient", "worst_gradient")]
    # The distance of unit vectors goes with the root of 1 - cosine.
    return float(max(*ratios, math.sqrt((1 - own["min_cosine"]) / (1 - rounding["min_cosine"]))))


def with_table(page: str, result: Result) -> str:
    """Return the page with the tables of a result between the markers."""
    begin, end = MARKERS
    before, rest = page.split(begin)
    return f"{before}{begin}\n{markdown(result)}\n{end}{rest.split(end)[1]}"


def markdown(result: Result) -> str:
    """Render the targets, and below them the speeds and the training, as far as they were measured."""
    parts = result["parts"]
    lines = [_summary(result), "", "| | target | measured | |", "|---|---|---|---|"]
    lines += [_target_line(target, parts) for target in targets()]
    measured = {name: part for name, part in parts.items() if "missing" not in part}
    if "ceiling" in measured and any(f"training {name}" in measured for name in TITLES):
        lines += ["", *_speeds(measured)]
    if "closp" in measured:
        lines += ["", *_retrieval(measured["closp"], result)]
    missing = [f"{name}: {part['missing']}" for name, part in parts.items() if "missing" in part]
    return "\n".join([*lines, *([""] if missing else []), *(f"- {line}" for line in missing)])


def _summary(result: Result) -> str:
    if result["device"] is None:
        return "No card was at hand: all figures are owed."
    corpus = result["corpus"]
    return (
        f"On one {result['device']} with {result['machine']['cores']} cores and PyTorch {result['torch']}; `closp` with"
        f" a text tower {result['text']}; `{corpus['name']}`, {corpus['samples']} samples of {corpus['image_px']} px."
    )


def _target_line(target: Target, parts: Mapping[str, Any]) -> str:
    row, bound = target.row, "≥" if target.row.is_minimum else "≤"
    limit = "" if row.target is None else f"{bound} {row.target:g}{row.unit}"
    try:
        measured = row._replace(value=target.value(parts))
    except KeyError:
        return f"| {row.title} | {limit} |  | owed |"
    return f"| {row.title} | {limit} | {number(measured.value)}{row.unit} | {measured.verdict} |"


def _speeds(parts: Mapping[str, Any]) -> Iterator[str]:
    yield (
        "| | trained from the corpus, images/s | waiting | MFU | peak, GB | one batch at 224 px, images/s | MFU | GB"
        " | four times the batch, images/s | MFU | GB | embedded from the corpus, images/s | forward alone |"
    )
    yield "|---" * 13 + "|"
    for name, title in TITLES.items():
        if own := parts.get(f"training {name}"):
            # ViTs enlarge all images themselves.
            enlarged = own["resident"] if name.startswith("vit") else parts.get(f"224 px {name}")
            cells = [own["images_per_s"], own["waiting"], _mfu(parts, name), own["peak_gb"]]
            for batch in (enlarged, parts.get(f"large batch {name}")):
                cells += [batch["images_per_s"], _utilisation(parts, batch), batch["peak_gb"]] if batch else [None] * 3
            cells += _embedding_rates(parts.get(f"embedding {name}"))
            yield f"| {title} | {' | '.join('' if cell is None else number(cell) for cell in cells)} |"
    yield ""
    yield f"The matrix ceiling, a product of bfloat16 matrices: {number(parts['ceiling']['tflop_per_s'])} TFLOP/s."


def _embedding_rates(part: Mapping[str, Any] | None) -> list[float | None]:
    if part is None:
        return [None, None]
    return [part["images"] / median(entry[key]["seconds"] for entry in part["rounds"]) for key in ("embed", "forward")]


def _retrieval(part: Mapping[str, Any], result: Result) -> Iterator[str]:
    yield (
        f"`closp`, text tower {result['text']}, {part['steps']} steps ({part['epochs']} epochs) in"
        f" {number(part['train_s'])} s, evaluated in {number(part['evaluate_s'])} s:"
    )
    yield ""
    yield "| test split | images | mAP | chance | R-precision | nDCG@10 | MRR |"
    yield "|---|---|---|---|---|---|---|"
    for name, own in part["retrieval"].items():
        values = (own[key] for key in ("map", "chance_map", "r_precision", "ndcg_10", "mrr"))
        cells = ("" if value is None else f"{value:.3f}" for value in values)
        yield f"| {name} | {own['documents']} | {' | '.join(cells)} |"


def main() -> None:
    """Take a result over, and write its tables."""
    result = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    if result["smoke"] or result["device"] == "CPU":
        sys.exit("error: not a result of a GPU")
    write_bytes(RESULT, f"{json.dumps(result, indent=1)}\n".encode())
    page = ROOT / "docs/bench.md"
    write_bytes(page, with_table(page.read_text(encoding="utf-8"), result).encode())
    print(markdown(result))


if __name__ == "__main__":
    main()
