"""One shard told anew, in a worker: other words beside the same pixels; and the note that it is."""

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from landmark.captions.annotate import Facts, Image, Wording, words
from landmark.captions.sample_facts import Nearby
from landmark.core.atomic import sweep
from landmark.core.errors import InvalidCorpus
from landmark.core.hashing import file_sha256
from landmark.corpus.manifest import Shard
from landmark.write.shards import rewrite_shard

FOLDER = "recaptioning"
# What is known of an image before anything is told of it.
KNOWN = ("id", "sensor", "datetime", "lon", "lat", "place")


@dataclass(frozen=True, slots=True)
class Rewording:
    """One shard to tell anew: its rows of the plan, and the cover of their cells.

    Attributes:
        keep_places: The nearest places are the ones its rows know; else the wording's gazetteer is asked.
    """

    corpus: Path
    shard: Shard
    path: str
    schema: pa.Schema
    plan: pa.Table
    cover: pa.Table
    wording: Wording
    keep_places: bool


def reword(task: Rewording) -> Shard:
    """Tell a shard's samples anew. Runs where units run.

    Raises:
        InvalidCorpus: the shard is damaged.
    """
    facts, plan = task.wording.facts(task.cover), {row["id"]: row for row in task.plan.to_pylist()}
    try:
        with pq.ParquetFile(task.corpus / task.shard.path, page_checksum_verification=True) as file:
            groups = (_told(file.read_row_group(number), task, facts, plan) for number in range(file.num_row_groups))
            return rewrite_shard(task.corpus, task.shard, task.path, groups, generation=task.shard.generation + 1)
    except (OSError, pa.ArrowInvalid) as error:
        raise InvalidCorpus(f"{task.corpus / task.shard.path} is damaged: {error}") from error


def _told(group: pa.Table, task: Rewording, facts: Facts, plan: Mapping[str, Mapping[str, Any]]) -> pa.Table:
    """A row group with other words; its pixels, and all that is known of the images, are passed on as they are."""
    rows = []
    for row in group.select([name for name in KNOWN if name in group.column_names]).to_pylist():
        where = plan[row["id"]]
        image = image_of(row, where, keep_place=task.keep_places)
        rows.append(words(image, facts.of(where["cell"], where["period"]), task.wording))
    columns = []
    for field in task.schema:
        if field.name in rows[0]:
            columns.append(pa.array([row[field.name] for row in rows], field.type))
        elif field.name in group.column_names:
            columns.append(group[field.name].combine_chunks().cast(field.type))
        else:
            columns.append(pa.nulls(group.num_rows, field.type))
    return pa.table(columns, schema=task.schema)


def image_of(row: Mapping[str, Any], planned: Mapping[str, Any], *, keep_place: bool) -> Image:
    """The image of a row, with what the plan has it taken for."""
    far_from = planned.get("event") if planned.get("role") == "far" else None
    place = _nearby(row.get("place")) if keep_place else None
    return Image(row["id"], row["sensor"], row["datetime"], row["lon"], row["lat"], far_from, place)


def _nearby(said: Mapping[str, Any] | None) -> Nearby | None:
    if said is None:
        return None
    names = {"": said["name"], **{one["lang"]: one["name"] for one in said["names"]}}
    return Nearby(names, said["km"], said["bearing_deg"])


def target(shard: Shard) -> str:
    """Path of a shard's next generation."""
    return f"shards/g{shard.generation + 1:04d}/{PurePosixPath(shard.path).name}"


def notes_folder(corpus: Path, key: str, targets: Iterable[str]) -> Path:
    """The folder where written shards are noted, with that of the shards cleared of what no note of it names."""
    notes, named = corpus / FOLDER / key, {corpus / target for target in targets}
    notes.mkdir(parents=True, exist_ok=True)
    # Another recaptioning writes shards of the same names: its notes would outlive their files.
    for other in set(notes.parent.iterdir()) - {notes}:
        shutil.rmtree(other)
    for folder in {path.parent for path in named}:
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder)
        for path in folder.iterdir():
            if path not in named or not (notes / f"{path.stem}.json").is_file():
                path.unlink()
    return notes


def noted(corpus: Path, folder: Path, path: str) -> Shard | None:
    """The shard as it was noted, None where that is not what stands there."""
    note, written = folder / f"{PurePosixPath(path).stem}.json", corpus / path
    if not note.is_file() or not written.is_file():
        return None
    shard = Shard.model_validate_json(note.read_bytes())
    whole = written.stat().st_size == shard.size_bytes and file_sha256(written) == shard.sha256
    return shard if whole else None
