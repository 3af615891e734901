"""A sealed corpus whose classes are colours, so that few steps learn it, and a model small enough to do so.

Samples of a split lie in blocks of 2 x 2 cells; those of equal number in both sensors share a cell.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import shapely
import yaml
from numpy.typing import NDArray

import landmark
from landmark.config.recipe import SPLITS, Recipe
from landmark.core.atomic import write_bytes, write_table
from landmark.core.crs import LONLAT, reproject
from landmark.core.hashing import file_sha256
from landmark.core.yaml_files import load_model
from landmark.corpus.lock import Lock
from landmark.corpus.manifest import SplitProof
from landmark.corpus.reader import Corpus
from landmark.domain.schemas import LEDGER
from landmark.domain.taxonomy import Taxonomy
from landmark.train.retrieval.evaluate import EvaluationSet, load_evaluation_set
from landmark.write.documents import Provenance, write_documents
from tests.parts import recipe_of
from tests.write.rows import PATCH_PX, SENSORS, Row, pack, plan_of, sample_row, stage

CLASSES = ("trees", "water", "built", "crops")
COUNTS = {"train": 24, "val": 8, "test": 12}
BLOCK_CELLS = 2

PROFILE: dict[str, Any] = {
    "title": "For tests",
    "image": {"architecture": "tiny"},
    "text": {"pooling": "mean", "width": 16, "layers": 1, "heads": 2},
    "dimensions": 16,
    "objective": {"targets": "overlap", "overlap_power": 2, "scale": 10, "learn_scale": True},
    "budget": {"epochs": 3, "batch": 8, "learning_rate": 0.01, "max_grad_norm": 1, "augment": "turns"},
}


def build_toy(
    folder: Path,
    counts: dict[str, int] = COUNTS,
    *,
    sensors: tuple[str, ...] = ("s1", "s2"),
    seed: int = 0,
    mislabel: bool = False,
    gaps: bool = False,
    **changes: Any,
) -> Path:
    """Seal `counts` samples of each sensor; their one or two classes determine the mean of the bands.

    With `mislabel`, labels and captions are permuted among the samples; with `gaps`, a corner has no data.
    """
    chance = np.random.default_rng(seed)
    rows = [
        coloured_row(f"{sensor}_{split}_{number:03d}", split, chance, gaps=gaps, **changes)
        for sensor in sensors
        for split, count in counts.items()
        for number in range(count)
    ]
    if mislabel:
        annotations = [{name: row[name] for name in ("labels", "captions")} for row in rows]
        rows = [row | annotations[place] for row, place in zip(rows, chance.permutation(len(rows)), strict=True)]
    return seal(folder, rows)


def seal(folder: Path, rows: list[Row], *, patch_px: int = PATCH_PX) -> Path:
    """Seal some rows as a corpus, with its plan and lock; blocks have 2 x 2 cells."""
    sensors = tuple(sorted({row["sensor"] for row in rows}))
    for sensor in sensors:
        stage(folder, f"{sensor}_unit", [row for row in rows if row["sensor"] == sensor], patch_px=patch_px)
    plan = plan_of(rows)
    packed = pack(folder, plan, patch_px=patch_px)
    write_table(folder / "plan.parquet", plan.sort_by("id"))
    write_table(folder / "ledger.parquet", LEDGER.empty_table())
    splits = {"block_m": BLOCK_CELLS * 10 * patch_px, "buffer_m": 0}
    recipe = recipe_of(patch_px=patch_px, sensors=sensors, splits=splits)
    taxonomy = load_model(Taxonomy, "taxonomies", "landmark")
    lock = _lock(recipe, file_sha256(folder / "plan.parquet"))
    write_bytes(folder / "lock.json", lock.model_dump_json(indent=1).encode())
    provenance = Provenance(
        lock=lock,
        n_planned=len(rows),
        title="",
        taxonomy=taxonomy,
        grammar={},
        attributions=(),
        version=landmark.__version__,
    )
    write_documents(folder, packed, [], recipe, provenance)
    return folder


def open_toy(folder: Path, **options: Any) -> Corpus:
    """Build and open a toy."""
    return landmark.open(build_toy(folder, **options))


def coloured_row(id: str, split: str, chance: np.random.Generator, *, gaps: bool = False, **changes: Any) -> Row:
    """A row whose first and second band groups are as bright as its classes determine.

    With `gaps`, a corner has no data. `changes` are columns, or functions of the id.
    """
    labels = sorted(chance.choice(CLASSES, size=int(chance.integers(1, 3)), replace=False).tolist())
    bright = np.array([2.0 * (name in labels) for name in CLASSES])
    row = sample_row(id, int(chance.integers(1, 50))) | _place(split, int(id.rsplit("_", 1)[1]))
    sensor = SENSORS[row["sensor"]]
    groups = {
        group.column: _paint(group.shape(PATCH_PX), bright, chance, dark=100 if sensor.name == "s2" else -2000)
        for group in sensor.groups
    }
    for pixels in groups.values() if gaps else ():
        pixels[:, : pixels.shape[1] // 2, : 1 + pixels.shape[1] // 3] = sensor.nodata
    text = ". ".join(labels)
    caption = {"style": "structured", "lang": "en", "text": text, "template": "structured@1", "evidence": []}
    return {
        **row,
        "split": split,
        "labels": labels,
        "captions": [caption],
        "sha256": hashlib.sha256(b"".join(pixels.tobytes() for pixels in groups.values())).hexdigest(),
        **{column: pixels.tobytes() for column, pixels in groups.items()},
        **{name: value(id) if callable(value) else value for name, value in changes.items()},
    }


def _place(split: str, number: int) -> Row:
    """Columns of the cell of a sample: blocks of a split in a row, the splits 100 km apart."""
    block, place = divmod(number, BLOCK_CELLS**2)
    row, col = divmod(place, BLOCK_CELLS)
    return cell_columns(4000 + BLOCK_CELLS * block + col, 40_000 + 840 * SPLITS.index(split) + row, patch_px=PATCH_PX)


def cell_columns(col: int, row: int, *, patch_px: int) -> Row:
    """Columns that place a sample in a cell of UTM zone 32 north."""
    edge_m = 10 * patch_px
    left, bottom = edge_m * col, edge_m * row
    outline = reproject(shapely.box(left, bottom, left + edge_m, bottom + edge_m), 32632, LONLAT)
    return {
        "cell": f"32n_{col}_{row}",
        "epsg": 32632,
        "transform": [10.0, 0.0, float(left), 0.0, -10.0, float(bottom + edge_m)],
        "lon": outline.centroid.x,
        "lat": outline.centroid.y,
        "geometry": shapely.to_wkb(outline),
    }


def _paint(shape: tuple[int, int, int], bright: np.ndarray, chance: np.random.Generator, *, dark: int) -> np.ndarray:
    """Band b shows class b in the upper half and class b + 2 in the lower, so that two bands show four classes."""
    bands, rows, _ = shape
    levels = np.stack([bright[np.arange(bands) % 4], bright[(np.arange(bands) + 2) % 4]], axis=1)
    shares = levels.repeat(rows // 2, axis=1)[:, :, None]
    values = dark + 400 * shares + chance.normal(0, 60, shape)
    return np.maximum(values, 1).astype("<u2") if dark > 0 else values.astype("<i2")


def dense_grades(evaluation: EvaluationSet) -> NDArray[np.int8]:
    """Grades (query, sample) of an evaluation set."""
    grades = np.zeros((len(evaluation.queries), len(evaluation.ids)), dtype=np.int8)
    for query, row in enumerate(grades):
        documents, judged = evaluation.judgements.of(query)
        row[documents] = judged
    return grades


def dense_ranking(corpus: Corpus, split: str, sign: int = 1) -> str:
    """A TREC run whose scores are the grades of a split, with a sign."""
    evaluation = load_evaluation_set(corpus, split)
    return "".join(
        f"{query.id} Q0 {id} 1 {sign * grade} x\n"
        for query, row in zip(evaluation.queries, dense_grades(evaluation), strict=True)
        for id, grade in zip(evaluation.ids, row.tolist(), strict=True)
    )


def write_profile(folder: Path, **changes: dict[str, Any]) -> Path:
    """Write PROFILE to disk, parts of it changed by keyword."""
    value = {
        key: {**part, **changes.get(key, {})} if isinstance(part, dict) else changes.get(key, part)
        for key, part in ({name: {} for name in changes} | PROFILE).items()
    }
    path = folder / "toy-model.yaml"
    path.write_text(yaml.safe_dump(value))
    return path


def _lock(recipe: Recipe, plan_sha256: str) -> Lock:
    return Lock(
        recipe=recipe,
        recipe_digest=recipe.digest,
        plan_sha256=plan_sha256,
        label_counts_sha256="counts",
        cloud_stats_sha256="clouds",
        catalog="x",
        acquisitions=[],
        labels=[],
        editions=[],
        files=[],
        inputs_digest="r",
        considered={},
        split_proof=SplitProof(buffer_m=0, closest_m=None, cells={}, shared_blocks=0, shared_acquisitions=0),
        findings=[],
        libraries={},
    )
