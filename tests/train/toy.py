"""A sealed corpus whose classes are colours, so that a few steps learn it, and a model small enough to do so."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import yaml

import landmark
from landmark.core.atomic import write_table
from landmark.core.yaml_files import load_model
from landmark.corpus.manifest import Lock
from landmark.corpus.reader import Corpus
from landmark.domain.schemas import LEDGER
from landmark.domain.taxonomy import Taxonomy
from landmark.write.documents import write_documents
from tests.parts import recipe_of
from tests.write.rows import PATCH_PX, SENSORS, Row, pack, plan_of, sample_row, stage

CLASSES = ("trees", "water", "built", "crops")
COUNTS = {"train": 24, "val": 8, "test": 12}

MODEL: dict[str, Any] = {
    "title": "For tests",
    "image": {"layer": "basic", "stem_width": 8, "widths": [8, 16], "depths": [1, 1]},
    "text": {"pooling": "mean", "width": 16, "layers": 1, "heads": 2},
    "dimensions": 16,
    "objective": {"targets": "overlap", "overlap_power": 2, "scale": 10, "learned": True},
    "budget": {"epochs": 3, "batch": 8, "rate": 0.01, "max_norm": 1, "turns": True},
}


def toy(
    folder: Path,
    counts: dict[str, int] = COUNTS,
    *,
    sensors: tuple[str, ...] = ("s1", "s2"),
    seed: int = 0,
    lie: bool = False,
    **changes: Any,
) -> Path:
    """Seal `counts` samples of each sensor; a class alone, or two, decide the mean of the bands.

    With `lie` each sample carries the words of another.
    """
    chance = np.random.default_rng(seed)
    rows = [
        coloured(f"{sensor}_{split}_{number:03d}", split, chance, **changes)
        for sensor in sensors
        for split, count in counts.items()
        for number in range(count)
    ]
    if lie:
        others = [{name: row[name] for name in ("labels", "captions")} for row in rows]
        rows = [row | others[place] for row, place in zip(rows, chance.permutation(len(rows)), strict=True)]
    for sensor in sensors:
        stage(folder, f"{sensor}_unit", [row for row in rows if row["sensor"] == sensor])
    packed = [each[1:] for each in pack(folder, plan_of(rows))]
    write_table(folder / "ledger.parquet", LEDGER.empty_table())
    asked = recipe_of(patch_px=PATCH_PX, sensors=sensors)
    write_documents(
        folder,
        packed,
        [],
        recipe=asked,
        lock=_lock(asked.digest),
        planned=len(rows),
        taxonomy=load_model(Taxonomy, "taxonomies", "landmark"),
        attributions=[],
        version="0",
    )
    return folder


def coloured(id: str, split: str, chance: np.random.Generator, **changes: Any) -> Row:
    """A row whose first and second band groups are as bright as its classes say."""
    labels = sorted(chance.choice(CLASSES, size=int(chance.integers(1, 3)), replace=False).tolist())
    bright = np.array([2.0 * (name in labels) for name in CLASSES])
    row = sample_row(id, int(chance.integers(1, 50)))
    sensor = SENSORS[row["sensor"]]
    groups = {
        group.column: _painted(group.shape(PATCH_PX), bright, chance, dark=100 if sensor.name == "s2" else -2000)
        for group in sensor.groups
    }
    text = ". ".join(labels)
    caption = {"style": "structured", "lang": "en", "text": text, "template": "structured@1", "evidence": []}
    return {
        **row,
        "split": split,
        "labels": labels,
        "captions": [caption],
        "sha256": hashlib.sha256(b"".join(one.tobytes() for one in groups.values())).hexdigest(),
        **{column: one.tobytes() for column, one in groups.items()},
        **changes,
    }


def _painted(shape: tuple[int, int, int], bright: np.ndarray, chance: np.random.Generator, *, dark: int) -> np.ndarray:
    """Band b tells of class b, and of class b + 2 in its lower half, so that two bands tell of four classes."""
    bands, rows, _ = shape
    levels = np.stack([bright[np.arange(bands) % 4], bright[(np.arange(bands) + 2) % 4]], axis=1)
    shares = levels.repeat(rows // 2, axis=1)[:, :, None]
    values = dark + 400 * shares + chance.normal(0, 60, shape)
    return np.maximum(values, 1).astype("<u2") if dark > 0 else values.astype("<i2")


def model_file(folder: Path, **changes: dict[str, Any]) -> Path:
    """MODEL as a profile on disk, parts of it changed by keyword."""
    value = {
        key: {**part, **changes.get(key, {})} if isinstance(part, dict) else changes.get(key, part)
        for key, part in MODEL.items()
    }
    path = folder / "toy-model.yaml"
    path.write_text(yaml.safe_dump(value))
    return path


def opened(folder: Path, **options: Any) -> Corpus:
    """A toy, opened."""
    return landmark.open(toy(folder, **options))


def _lock(recipe_digest: str) -> Lock:
    said: dict[str, Any] = {"catalog": "x", "acquisitions": [], "labels": [], "files": [], "findings": []}
    rest: dict[str, Any] = {"editions": [], "rules": "r", "considered": {}, "proof": {}, "libraries": {}}
    files = {f"{name}_sha256": name for name in ("plan", "cover", "clear")}
    return Lock(recipe={}, recipe_digest=recipe_digest, **said, **rest, **files)
