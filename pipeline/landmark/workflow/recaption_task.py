"""The recaption task: one shard with new labels and captions beside the same pixels. Runs in a worker."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa

from landmark.captions.annotate import Annotator, CellFacts, annotate_sample, image_of
from landmark.core.journal import matches
from landmark.corpus.manifest import Shard
from landmark.corpus.tables import damaged, read_groups, reporting_damage
from landmark.write.shards import rewrite_shard

# Columns that describe the image itself and are kept.
IMAGE_COLUMNS = ("id", "sensor", "datetime", "lon", "lat", "place")


@dataclass(frozen=True, slots=True)
class RecaptionTask:
    """One shard to recaption: its rows of the plan and the label counts of their cells.

    Attributes:
        path: Path of the new shard, relative to the corpus folder.
        keep_places: Keep the nearest places of the rows; otherwise the annotator's gazetteer finds them.
    """

    corpus: Path
    shard: Shard
    path: str
    schema: pa.Schema
    rows: pa.Table
    label_counts: pa.Table
    annotator: Annotator
    keep_places: bool


def run(task: RecaptionTask) -> Shard:
    """Write the new generation of a shard.

    Raises:
        InvalidCorpus: the shard is not the one that the manifest names.
    """
    cell_labels, plan_rows = (
        task.annotator.fold_counts(task.label_counts),
        {row["id"]: row for row in task.rows.to_pylist()},
    )
    path = task.corpus / task.shard.path
    if not matches(task.corpus, task.shard, hashed=True):
        raise damaged(path, "is missing or damaged")
    groups = (_recaption(group, task, cell_labels, plan_rows) for group in read_groups(path, task.shard.rows))
    return rewrite_shard(task.corpus, task.shard, task.path, groups, generation=task.shard.generation + 1)


def _recaption(
    group: pa.Table, task: RecaptionTask, cell_labels: CellFacts, plan_rows: Mapping[str, Mapping[str, Any]]
) -> pa.Table:
    """Annotate a row group again; pixels and all columns that annotation does not write are copied."""
    path, annotations = task.corpus / task.shard.path, []
    with reporting_damage(path):
        rows = group.select(IMAGE_COLUMNS).to_pylist()
    for row in rows:
        if (plan_row := plan_rows.get(row["id"])) is None:
            raise damaged(path, f"is damaged: sample {row['id']} is not planned")
        labels = cell_labels.get(plan_row["cell"], plan_row["period"])
        annotations.append(
            annotate_sample(image_of(row, plan_row, keep_place=task.keep_places), labels, task.annotator)
        )
    columns = [
        pa.array([annotation[field.name] for annotation in annotations], field.type)
        if field.name in annotations[0]
        else group[field.name].combine_chunks().cast(field.type)
        for field in task.schema
    ]
    return pa.table(columns, schema=task.schema)


def next_path(shard: Shard) -> str:
    """Path of a shard's next generation, relative to the corpus folder."""
    return f"shards/g{shard.generation + 1:04d}/{PurePosixPath(shard.path).name}"
