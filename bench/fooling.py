"""`python -m bench.fooling CORPUS OUT KIND`: change a sealed corpus so that its words no longer follow from its images.

`landmark validate` must pass none of the results, whatever the model. Images stay as they are but for `copied`.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from bench.draft import Bands, Draft, Planted, Row, ids
from bench.relabel import facts_of, with_captions
from bench.reseal import open_draft, reseal
from landmark.config.profiles import load_sensor
from landmark.core.hashing import rank
from landmark.corpus.lock import Lock
from landmark.corpus.manifest import read_document
from landmark.grid.cells import cell_blocks

_SEED = 0
_RIGHT_SHARE = 0.3
_REGION_BLOCKS = 9
Relabel = Callable[[Draft], Mapping[str, Row]]


def main() -> None:
    """Write one fooling corpus."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path, help="a sealed corpus")
    parser.add_argument("out", type=Path, help="new folder")
    parser.add_argument("kind", choices=KINDS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="landmark-fooling-") as scratch:
        fool(open_draft(arguments.corpus, Path(scratch) / "clean"), arguments.out, arguments.kind)


def fool(draft: Draft, out: Path, kind: str) -> None:
    """Write the fooling corpus of a kind into `out`, a new folder."""
    edits = KINDS[kind](draft)
    reseal(draft, Planted(ids({"id": id} for id in edits), len(draft.facts), edits), out)


def region(draft: Draft) -> dict[str, Row]:
    """All samples of a region, which is some neighbouring blocks, have one class."""
    region_of, classes = _regions(draft), sorted(draft.manifest.labels)
    return {
        row["id"]: _with_labels(draft, row, [classes[region_of[row["cell"]] % len(classes)]]) for row in draft.rows()
    }


def thirty_percent(draft: Draft) -> dict[str, Row]:
    """Words are right for 30 % of the samples, and permuted among the others."""
    rows = [row for row in draft.rows() if rank(_SEED, "right", row["id"]) / 2**64 >= _RIGHT_SHARE]
    return _permuted(draft, rows)


def copied(draft: Draft) -> dict[str, Row]:
    """Words are permuted; then test consists of samples of train with slight noise, under other ids."""
    edits, copies = _permuted(draft, draft.rows()), dict[str, Row]()
    for row in draft.rows(split="test"):
        train = draft.rows(split="train", sensor=row["sensor"])
        origin = train[rank(_SEED, "copied", row["id"]) % len(train)]
        bands = _with_noise(row["id"], row["sensor"], draft.bands(origin["id"]))
        source = {**origin, **edits.get(origin["id"], {})}
        copies[row["id"]] = {"bands": bands, **facts_of(draft, row, source)}
    return {**edits, **copies}


def single_class(draft: Draft) -> dict[str, Row]:
    """One class is right; all others are permuted."""
    rows, right = draft.rows(), _most_even_class(draft)
    common = max(draft.manifest.labels, key=lambda name: (name != right, draft.manifest.labels[name]))
    edits = {}
    for row, source in _pairs(rows, "one-class"):
        wrong = [name for name in source["labels"] if name != right]
        labels = [right, *wrong] if right in row["labels"] else wrong or [common]
        edits[row["id"]] = _with_labels(draft, row, labels)
    return edits


def sensor(draft: Draft) -> dict[str, Row]:
    """Each sensor has label sets of its own, drawn at random for each sample."""
    sources, names = _distinct(draft), list(draft.manifest.sensors)
    edits = {}
    for row in draft.rows():
        own = sources[names.index(row["sensor"]) :: len(names)]
        edits[row["id"]] = facts_of(draft, row, own[rank(_SEED, "sensor", row["id"]) % len(own)])
    return edits


def month(draft: Draft) -> dict[str, Row]:
    """All samples of a month of the year have one class."""
    classes = sorted(draft.manifest.labels)
    return {
        row["id"]: _with_labels(draft, row, [classes[row["datetime"].month % len(classes)]]) for row in draft.rows()
    }


def within_block(draft: Draft) -> dict[str, Row]:
    """Words are permuted among the samples of a block."""
    blocks, edits = _blocks(draft), dict[str, Row]()
    for block in sorted(set(blocks.values())):
        edits |= _permuted(draft, [row for row in draft.rows() if blocks[row["cell"]] == block])
    return edits


KINDS: dict[str, Relabel] = {
    "region": region,
    "30-percent": thirty_percent,
    "copied": copied,
    "one-class": single_class,
    "sensor": sensor,
    "month": month,
    "within-block": within_block,
}


def _permuted(draft: Draft, rows: Sequence[Row]) -> dict[str, Row]:
    return {row["id"]: facts_of(draft, row, source) for row, source in _pairs(rows, "permuted")}


def _pairs(rows: Sequence[Row], salt: str) -> Iterator[tuple[Row, Row]]:
    """Yield each row with another of a permutation that keeps the sensor."""
    for name in sorted({row["sensor"] for row in rows}):
        own = [row for row in rows if row["sensor"] == name]
        yield from zip(own, sorted(own, key=lambda row: rank(_SEED, salt, row["id"])), strict=True)


def _distinct(draft: Draft) -> list[Row]:
    """Return a row of each label set that occurs, in random order."""
    rows = {tuple(sorted(row["labels"])): row for row in reversed(draft.rows())}
    return [rows[labels] for labels in sorted(rows, key=lambda labels: rank(_SEED, "distinct", *labels))]


def _blocks(draft: Draft) -> dict[str, str]:
    """Return the block of each cell."""
    lock: Lock = read_document(Lock, draft.corpus / "lock.json")
    cells = sorted({row["cell"] for row in draft.rows()})
    recipe = lock.recipe
    blocks = cell_blocks(cells, cell_m=recipe.patch_px * recipe.resolution_m, block_m=recipe.splits.block_m)
    return dict(zip(cells, blocks, strict=True))


def _regions(draft: Draft) -> dict[str, int]:
    """Return the number of the region of each cell: blocks in strips from west to east, cut from south to north."""
    block_of, corners = _blocks(draft), dict[str, tuple[float, float]]()
    for row in draft.rows():
        block, corner = block_of[row["cell"]], (row["lon"], row["lat"])
        corners[block] = min(corners.get(block, corner), corner)
    n_strips = max(1, round(np.sqrt(len(corners) / _REGION_BLOCKS)))
    number_of: dict[str, int] = {}
    for strip in _parts(sorted(corners, key=lambda block: corners[block]), n_strips):
        n_regions = max(1, round(len(strip) / _REGION_BLOCKS))
        for part in _parts(sorted(strip, key=lambda block: corners[block][::-1]), n_regions):
            number_of |= dict.fromkeys(part, len(set(number_of.values())))
    return {cell: number_of[block] for cell, block in block_of.items()}


def _parts(names: Sequence[str], number: int) -> Iterator[Sequence[str]]:
    edges = np.linspace(0, len(names), number + 1).round().astype(int).tolist()
    return (names[start:end] for start, end in pairwise(edges))


def _most_even_class(draft: Draft) -> str:
    """Return the class whose share of the samples is nearest to a third."""
    labels = draft.manifest.labels
    return min(labels, key=lambda name: abs(labels[name] / len(draft.facts) - 1 / 3))


def _with_labels(draft: Draft, row: Row, labels: Sequence[str]) -> Row:
    equal = dict.fromkeys(labels, 1 / len(labels))
    facts = {"labels": list(labels), "fractions": equal, "subclasses": {}, "agreement": {}}
    return with_captions(draft, row, facts)


def _with_noise(id: str, sensor: str, bands: Bands) -> Bands:
    """Add noise of 1 % of each band's deviation; values without data stay."""
    rng, profile = np.random.default_rng(rank(_SEED, "noise", id)), load_sensor(sensor)
    limits = np.iinfo(profile.dtype)
    noisy = {name: np.rint(band + rng.normal(0, 0.01 * band.std() + 1e-9, band.shape)) for name, band in bands.items()}
    return {
        name: np.where(bands[name] == profile.nodata, bands[name], np.clip(band, limits.min + 1, limits.max))
        for name, band in noisy.items()
    }


if __name__ == "__main__":
    main()
