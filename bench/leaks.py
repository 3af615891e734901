"""Defects between samples: leaking splits, duplicates, and classes confounded with something else."""

import datetime as dt
from collections.abc import Callable, Iterable
from functools import partial

import numpy as np

from bench.draft import Bands, Draft, Planted, Row
from bench.registry import Unsuited, planting
from bench.relabel import facts_of, reclassify, with_captions
from landmark.core.hashing import rank

_splits = partial(planting, "splits")
_bias = partial(planting, "bias")


def _shard(draft: Draft, sensor: str, split: str) -> str:
    return next(shard.path for shard in draft.manifest.shards if (shard.sensor, shard.split) == (sensor, split))


def _resplit(draft: Draft, rows: list[Row], split: str) -> tuple[dict[str, Row], dict[str, str]]:
    return {row["id"]: {"split": split} for row in rows}, {
        row["id"]: _shard(draft, row["sensor"], split) for row in rows
    }


@_splits("split-cells", "a cell is in two splits")
def cell_in_two_splits(draft: Draft) -> Planted:
    both = [row for row in draft.rows(sensor="s1", split="train") if draft.rows(sensor="s2", cell=row["cell"])]
    rows = draft.pick("cell-in-two-splits", both, pct=1)
    edits, moves = _resplit(draft, rows, "test")
    return Planted(
        tuple((row["cell"], row["id"]) for row in rows), len({row["cell"] for row in both}), edits, moves=moves
    )


@_splits("split-buffer", "random splits: neighbouring cells are in different splits", wide=True)
def neighbours_split(draft: Draft) -> Planted:
    cells = {row["cell"]: row for row in draft.rows(split="train")}
    inner = [row for row in cells.values() if _neighbours(row, cells.values())]
    chosen = {row["cell"] for row in draft.pick("neighbours-split", inner, pct=3)}
    edits, moves = _resplit(draft, [row for row in draft.rows() if row["cell"] in chosen], "test")
    names = tuple(
        (cell, *(neighbour["cell"] for neighbour in _neighbours(cells[cell], cells.values())))
        for cell in sorted(chosen)
    )
    return Planted(names, len(cells), edits, moves=moves)


def _neighbours(row: Row, candidates: Iterable[Row]) -> list[Row]:
    def distance_m(candidate: Row) -> float:
        (_, _, left, _, _, top), (_, _, x, _, _, y) = candidate["transform"], row["transform"]
        return float(max(abs(left - x), abs(top - y)))

    same_zone = (candidate for candidate in candidates if candidate["epsg"] == row["epsg"])
    return [candidate for candidate in same_zone if 0 < distance_m(candidate) <= 1200]


@_splits("split-events", "one event is in two splits")
def event_on_both_sides(draft: Draft) -> Planted:
    event = {"id": "EMSR342", "type": "fire", "phase": "after", "fraction": 0.4, "in_aoi": True, "product": "GRA"}
    train = draft.pick("event-on-both-sides", draft.rows(split="train"), pct=1, least=4)
    test = draft.pick("event-on-both-sides", draft.rows(split="test"), pct=1, least=2)
    edits = {
        row["id"]: {**with_captions(draft, row, {"labels": ["burned_area", *row["labels"]]}), "events": [event]}
        for row in [*train, *test]
    }
    return Planted((("EMSR342",),), 1, edits)


# -- Duplicates ------------------------------------------------------------------------------------------------------


@_splits("duplicates", "duplicate pixels under two ids")
def copied_under_another_id(draft: Draft) -> Planted:
    rows = draft.pick("copied-under-another-id", draft.rows(sensor="s2"), pct=1)
    extra, names = [], []
    for row in rows:
        later = row["datetime"] + dt.timedelta(days=5)
        head, _, orbit = row["id"].rsplit("_", 2)
        id = f"{head}_{later:%Y%m%dt%H%M%S}_{orbit}"
        extra.append((row["id"], {"id": id, "datetime": later, "pair": None, "pair_gap_s": None}))
        names.append((row["id"], id, row["sha256"]))
    return Planted(tuple(names), len(draft.facts), extra=tuple(extra))


def _copy_from_train(draft: Draft, salt: str, change: Callable[[str, Bands], Bands], *, split: str = "test") -> Planted:
    """Give samples of a split the pixels and labels of samples of train."""
    # Featureless chips all look alike; chips with several classes do not.
    varied = [row for row in draft.rows(sensor="s2", split="train") if len(row["labels"]) >= 3]
    targets = draft.pick(salt, draft.rows(sensor="s2", split=split), least=2)
    apart = [row for row in varied if all(row["cell"] != target["cell"] for target in targets)]
    origins = draft.pick(f"{salt}-origin", apart, pct=0, least=len(targets))
    if len(origins) < len(targets):
        raise Unsuited("too few samples of train with three classes")
    edits, names = {}, []
    for row, origin in zip(targets, origins, strict=True):
        bands = change(row["id"], draft.bands(origin["id"]))
        edits[row["id"]] = {"bands": bands, **facts_of(draft, row, origin)}
        names.append((row["id"], origin["id"]))
    return Planted(tuple(names), len(draft.facts), edits)


@_splits("duplicates", "pixels of train are in test")
def copied_into_test(draft: Draft) -> Planted:
    return _copy_from_train(draft, "copied-into-test", lambda id, bands: bands)


def _noisy(id: str, bands: Bands) -> Bands:
    rng = np.random.default_rng(rank(0, "noise", id))
    return {name: np.clip(np.rint(band * rng.normal(1, 0.01, band.shape)), 1, 65535) for name, band in bands.items()}


@_splits("near-duplicates", "pixels of train are in test, with slight noise", wide=True)
def copied_with_noise(draft: Draft) -> Planted:
    return _copy_from_train(draft, "copied-with-noise", _noisy)


@_splits("near-duplicates", "pixels of train are in test, brightened and coarsened", wide=True)
def copied_requantised(draft: Draft) -> Planted:
    def change(id: str, bands: Bands) -> Bands:
        return {name: np.clip(32 * np.rint(1.04 * band / 32), 1, 65535) for name, band in bands.items()}

    return _copy_from_train(draft, "copied-requantised", change)


@_splits("near-duplicates", "pixels are in another cell of their split, with slight noise", wide=True)
def copied_within_train(draft: Draft) -> Planted:
    return _copy_from_train(draft, "copied-within-train", _noisy, split="train")


# -- Confounded classes ----------------------------------------------------------------------------------------------


def _holders(draft: Draft, label: str) -> list[Row]:
    rows = [row for row in draft.rows() if label in row["labels"]]
    if len(rows) < 20:
        raise Unsuited(f"fewer than 20 samples of {label}")
    return rows


def _only_where(draft: Draft, label: str, replacement: str, where: Callable[[Row], bool]) -> Planted:
    rows = _holders(draft, label)
    edits = {row["id"]: reclassify(draft, row, label, replacement) for row in rows if not where(row)}
    if not edits or len(edits) == len(rows):
        raise Unsuited(f"{label} cannot be restricted to a part of its samples")
    return Planted(((label,),), len(draft.manifest.labels), edits)


@_bias("bias-source", "a class comes from a single source", wide=True)
def single_source_class(draft: Draft) -> Planted:
    edits: dict[str, Row] = {}
    for row in draft.rows():
        built = "built" in row["labels"]
        source = {**row["sources"][0], "name": "corine" if built else "worldcover", "agreement": None}
        subclasses = {f"{source['name']}/{key.split('/')[1]}": share for key, share in row["subclasses"].items()}
        edits[row["id"]] = {"sources": [source], "subclasses": subclasses, "agreement": {}}
    _holders(draft, "built")
    return Planted((("built",),), len(draft.manifest.labels), edits)


@_bias("bias-sensor", "only radar samples have a class", wide=True)
def single_sensor_class(draft: Draft) -> Planted:
    return _only_where(draft, "water", "bare", lambda row: row["sensor"] == "s1")


@_bias("bias-place", "a class occurs in a single zone", wide=True)
def single_zone_class(draft: Draft) -> Planted:
    holders = _holders(draft, "shrub_and_scrub")
    zones = [row["epsg"] for row in holders]
    home = max(set(zones), key=lambda zone: (zones.count(zone), zone))
    return _only_where(draft, "shrub_and_scrub", "grass", lambda row: row["epsg"] == home)


@_bias("bias-event", "every burned sample is of a single fire", wide=True)
def single_event_class(draft: Draft) -> Planted:
    event = {"id": "EMSR447", "type": "fire", "phase": "after", "fraction": 0.6, "in_aoi": True, "product": "GRA"}
    rows = draft.pick("class-of-one-event", draft.rows(split="train"), pct=6, least=12)
    edits = {
        row["id"]: {**with_captions(draft, row, {"labels": ["burned_area", *row["labels"]]}), "events": [event]}
        for row in rows
    }
    return Planted((("burned_area",),), 1, edits)
