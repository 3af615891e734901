"""Parts of planters: picks of rows and cells, edits of columns, chips and annotations."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bench.draft import Bands, Draft, Planted, Row, ids
from bench.registry import Group, Plant, Unsuited, planting
from landmark.captions.annotate import Annotator, annotate_sample, image_of
from landmark.captions.annotator import load_annotation_inputs
from landmark.config.recipe import Recipe
from landmark.core.hashing import rank
from landmark.corpus.lock import Lock
from landmark.corpus.manifest import read_document
from landmark.labels.label_rules import CellLabels

Array = NDArray[Any]
_SCENE_SAMPLES = 15


def independent(
    group: Group, check: str, about: str, *, wide: bool = False, events: bool = False
) -> Callable[[Plant], Plant]:
    """Register a planter of this package."""
    return planting(group, check, about, wide=wide, events=events, origin="independent")


def edited(draft: Draft, rows: Sequence[Row], change: Callable[[Row], Row]) -> Planted:
    """Change columns of some rows.

    Raises:
        Unsuited: no row changes.
    """
    edits = {row["id"]: edit for row in rows if (edit := change(row)) and any(edit[k] != row.get(k) for k in edit)}
    if not edits:
        raise Unsuited("no sample that it would change")
    return Planted(tuple((id,) for id in edits), len(draft.facts), edits)


def repainted(draft: Draft, rows: Sequence[Row], change: Callable[[Bands], Bands]) -> Planted:
    """Change pixels of some rows; bands that `change` omits stay."""
    if not rows:
        raise Unsuited("no such sample")
    edits = {}
    for row in rows:
        bands = draft.bands(row["id"])
        edits[row["id"]] = {"bands": bands | change({name: band.copy() for name, band in bands.items()})}
    return Planted(ids(rows), len(draft.rows(sensor=rows[0]["sensor"])), edits)


def scene(draft: Draft, sensor: str, salt: str, **columns: Any) -> list[Row]:
    """Rows of one acquisition of a sensor with many samples.

    Raises:
        Unsuited: all have few.
    """
    items: dict[str, list[Row]] = {}
    for row in draft.rows(sensor=sensor, **columns):
        items.setdefault(row["items"][0], []).append(row)
    large = [item for item, rows in items.items() if len(rows) >= _SCENE_SAMPLES]
    if not large:
        raise Unsuited("no acquisition with many samples")
    return items[min(large, key=lambda item: rank(0, salt, item))]


def as_scene(draft: Draft, planted: Planted) -> Planted:
    """Count the rows of one acquisition as one subject, named by item or acquisition."""
    rows = [draft.facts[id] for id in planted.edits]
    acquisitions = {plan_rows(draft.corpus)[row["id"]]["acquisition"] for row in rows}
    names = tuple(sorted({item for row in rows for item in row["items"]} | acquisitions))
    of = len({item for row in draft.rows(sensor=rows[0]["sensor"]) for item in row["items"]})
    return Planted((names,), of, planted.edits)


def in_cells(draft: Draft, salt: str, rows: Iterable[Row], *, pct: float = 3) -> list[Row]:
    """All rows, of both sensors, of some cells of `rows`."""
    cells = {row["cell"]: row for row in sorted(rows, key=lambda row: str(row["id"]), reverse=True)}
    chosen = {row["cell"] for row in draft.pick(salt, cells.values(), pct=pct)}
    return [row for row in draft.rows() if row["cell"] in chosen]


def by_cell(draft: Draft, **columns: Any) -> dict[str, list[Row]]:
    """Rows by cell, in the order of time."""
    cells: dict[str, list[Row]] = {}
    for row in sorted(draft.rows(**columns), key=lambda row: (row["cell"], row["datetime"], row["id"])):
        cells.setdefault(row["cell"], []).append(row)
    return cells


def neighbour(cell: str, *, east: int = 1, north: int = 0) -> str:
    """Name of the cell so many columns east and rows north."""
    zone, column, row = cell.split("_")
    return f"{zone}_{int(column) + east}_{int(row) + north}"


def renamed(row: Row, time: datetime, orbit: int | None = None) -> str:
    """The id of a row with another time or orbit."""
    orbit = row["relative_orbit"] if orbit is None else orbit
    return f"{row['sensor']}_{row['cell']}_{time:%Y%m%dt%H%M%S}_r{orbit:03d}"


def with_partners(draft: Draft, edits: Mapping[str, Row]) -> dict[str, Row]:
    """Add the edits that keep pairs: the partner's `pair`, and both gaps in seconds."""
    result = {id: dict(edit) for id, edit in edits.items()}
    for id, edit in edits.items():
        row = draft.facts[id]
        if row["pair"] is None:
            continue
        partner = draft.facts[row["pair"]]
        time = edit.get("datetime", row["datetime"])
        partner_time = edits.get(partner["id"], {}).get("datetime", partner["datetime"])
        gap = round((time - partner_time).total_seconds())  # type: ignore[operator]
        result[id]["pair_gap_s"] = gap
        changed = result.setdefault(partner["id"], {})
        changed |= {"pair": edit.get("id", id), "pair_gap_s": -gap}
    return result


@lru_cache(maxsize=2)
def plan_rows(corpus: Path) -> dict[str, Row]:
    """Rows of the plan by id."""
    return {row["id"]: row for row in pq.read_table(corpus / "plan.parquet").to_pylist()}


@lru_cache(maxsize=2)
def lock_of(corpus: Path) -> Lock:
    """The lock."""
    lock: Lock = read_document(Lock, corpus / "lock.json")
    return lock


@lru_cache(maxsize=2)
def _counts_by_cell(corpus: Path) -> dict[tuple[str, str], list[Row]]:
    cells: dict[tuple[str, str], list[Row]] = {}
    for row in pq.read_table(corpus / "label_counts.parquet").to_pylist():
        cells.setdefault((row["cell"], row["period"]), []).append(row)
    return cells


def annotator(draft: Draft, *, threshold_pct: float | None = None) -> Annotator:
    """The annotator of the corpus's recipe, with another threshold if one is named."""
    return _annotator(draft.corpus, threshold_pct)


@lru_cache(maxsize=4)
def _annotator(corpus: Path, threshold_pct: float | None) -> Annotator:
    lock = lock_of(corpus)
    changes = {"gazetteer": None} | ({} if threshold_pct is None else {"thresholds": {"default": threshold_pct}})
    recipe = Recipe.model_validate(lock.recipe.model_dump() | changes)
    return load_annotation_inputs(recipe).annotator(lock)


def cell_counts(draft: Draft, row: Row, *, cell: str | None = None) -> list[Row]:
    """Rows of the label counts of a row's cell, or of another cell, in the row's period.

    Raises:
        Unsuited: the cell has no label counts.
    """
    cell, period = cell or row["cell"], plan_rows(draft.corpus)[row["id"]]["period"]
    counts = _counts_by_cell(draft.corpus).get((cell, period))
    if not counts:
        raise Unsuited(f"{cell} has no label counts")
    return counts


def scaled(counts: list[Row], share: float) -> list[Row]:
    """Counts of a share of the pixels; rounded so that their sum is the share of the sum."""
    edges = np.rint(share * np.cumsum([0, *(count["pixels"] for count in counts)])).astype(int).tolist()
    parts = zip(counts, pairwise(edges), strict=True)
    return [{**count, "pixels": end - start} for count, (start, end) in parts if end > start]


def cell_labels(draft: Draft, counts: list[Row], annotator: Annotator) -> CellLabels:
    """Labels that follow from the label counts of one cell and period."""
    table = pa.Table.from_pylist(counts, schema=pq.read_schema(draft.corpus / "label_counts.parquet"))
    return annotator.fold_counts(table).get(counts[0]["cell"], counts[0]["period"])


def annotated(
    draft: Draft, row: Row, labels: CellLabels, annotator: Annotator, changes: Mapping[str, Any] | None = None
) -> Row:
    """Annotation columns that follow from some labels of the cell and changed columns; the licences stay."""
    image = image_of({**row, **(changes or {})}, plan_rows(draft.corpus)[row["id"]], keep_place=True)
    columns = annotate_sample(image, labels, annotator)
    return {name: value for name, value in columns.items() if name not in ("licences", "place")}


def power(stored: Array) -> NDArray[np.float64]:
    """Linear gamma0 of stored hundredths of a dB."""
    return np.power(10.0, stored.astype(np.float64) / 1000)


def decibels(linear: Array) -> NDArray[np.int16]:
    """Stored hundredths of a dB of linear gamma0."""
    stored: NDArray[np.int16] = np.rint(1000 * np.log10(np.maximum(linear, 1e-6))).astype(np.int16)
    return stored


def reflectance(values: Array) -> NDArray[np.uint16]:
    """Stored reflectance, at least 1: 0 is nodata."""
    return np.clip(np.rint(values), 1, 65535).astype(np.uint16)


def generator(band: Array) -> np.random.Generator:
    """Random numbers that differ between chips."""
    return np.random.default_rng(abs(int(band.sum(dtype=np.int64))))


def unrounded(band: Array) -> NDArray[np.float64]:
    """Values as they may have been before they were rounded to whole numbers."""
    noise = generator(band).uniform(-0.5, 0.5, band.shape)
    values: NDArray[np.float64] = band + noise
    return values


def moved(band: Array, *, right: int = 0, down: int = 0) -> Array:
    """A band moved by whole pixels; reflected at the edges that it leaves."""
    rows, columns = np.indices(band.shape)
    last = len(band) - 1
    source = [last - np.abs(last - np.abs(index)) for index in (rows - down, columns - right)]
    moved: Array = band[source[0], source[1]]
    return moved


def window(draft: Draft, row: Row, *, right: int, down: int) -> Bands | None:
    """Pixels of the same acquisition so many metres / 10 to the right and down; None if a neighbour is missing.

    Both must be multiples of 6, at least 0 and less than the chip's edge.
    """
    chips = _chips_by_place(draft)
    x, y = row["transform"][2], row["transform"][5]
    edge = 10.0 * draft.manifest.patch_px
    parts = {}
    for i in range(2 if down else 1):
        for j in range(2 if right else 1):
            id = chips.get((row["items"][0], x + j * edge, y - i * edge))
            if id is None:
                return None
            parts[i, j] = draft.bands(id)
    return {name: _cut(parts, name, right, down, draft.manifest.patch_px) for name in parts[0, 0]}


def _cut(parts: Mapping[tuple[int, int], Bands], name: str, right: int, down: int, patch_px: int) -> Array:
    size = len(parts[0, 0][name])
    factor = patch_px // size
    lines = [np.hstack([parts[i, j][name] for j in (0, 1) if (i, j) in parts]) for i in (0, 1) if (i, 0) in parts]
    full = np.vstack(lines)
    i, j = down // factor, right // factor
    return full[i : i + size, j : j + size].copy()


_PLACES: dict[Path, dict[tuple[str, float, float], str]] = {}


def _chips_by_place(draft: Draft) -> dict[tuple[str, float, float], str]:
    if draft.corpus not in _PLACES:
        _PLACES[draft.corpus] = {
            (row["items"][0], row["transform"][2], row["transform"][5]): row["id"] for row in draft.rows()
        }
    return _PLACES[draft.corpus]
