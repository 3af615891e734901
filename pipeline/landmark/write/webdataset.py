"""Parquet shard → WebDataset: a .tar of the same samples in the same order, a pure function of the shard."""

import datetime as dt
import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from landmark.core.atomic import appearing, write_bytes
from landmark.core.errors import InvalidCorpus
from landmark.core.hashing import file_sha256
from landmark.corpus.manifest import Manifest, Projection, Shard
from landmark.corpus.pixels import pixel_fields


@dataclass(frozen=True, slots=True)
class TarTask:
    """One .tar to write: the shard it is made from."""

    corpus: Path
    shard: Shard

    @property
    def path(self) -> str:
        """Relative to the corpus; beside the shard."""
        return str(PurePosixPath(self.shard.path).with_suffix(".tar"))


def tar_tasks(corpus: Path, manifest: Manifest, *, every: bool) -> list[TarTask]:
    """The shards whose .tar the manifest names, or `every` shard, where none of the recorded size stands."""
    recorded = {one.shard: one for one in manifest.projections}
    tasks = [TarTask(corpus, shard) for shard in manifest.shards if every or shard.path in recorded]
    return [task for task in tasks if not _stands(corpus, recorded.get(task.shard.path))]


def write_tar(task: TarTask) -> Projection:
    """Write the .tar of a shard, whole, a row group in memory at a time.

    Raises:
        InvalidCorpus: the shard is damaged.
    """
    target = task.corpus / task.path
    # ustar has no field that varies with clock, user or platform, and every reader knows it.
    with appearing(target) as partial, tarfile.open(partial, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in _members(task.corpus / task.shard.path):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
    return Projection(
        path=task.path,
        shard=task.shard.path,
        rows=task.shard.rows,
        size_bytes=target.stat().st_size,
        sha256=file_sha256(target),
    )


def note_projected(folder: Path, projection: Projection) -> None:
    """Remember a written .tar, so that an interrupted build goes on where it stopped."""
    write_bytes(folder / f"{Path(projection.path).stem}.json", projection.model_dump_json().encode())


def read_projected(folder: Path, task: TarTask) -> Projection | None:
    """What `note_projected` remembers of a task, None where its .tar is still to be written."""
    note = folder / f"{Path(task.path).stem}.json"
    projection = Projection.model_validate_json(note.read_bytes()) if note.is_file() else None
    return projection if _stands(task.corpus, projection) else None


def with_projections(manifest: Manifest, written: Mapping[str, Projection]) -> Manifest:
    """The manifest with these projections, by their shards, in place of or beside its own."""
    every = {one.shard: one for one in manifest.projections} | dict(written)
    ordered = [every[shard.path] for shard in manifest.shards if shard.path in every]
    return manifest.model_copy(update={"projections": ordered})


def _stands(corpus: Path, projection: Projection | None) -> bool:
    if projection is None or not (corpus / projection.path).is_file():
        return False
    return (corpus / projection.path).stat().st_size == projection.size_bytes


def _members(shard: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of every member; what comes before a name's first dot is the sample's id."""
    for row, fields in _rows(shard):
        id = row["id"]
        for field in fields:
            yield f"{id}.{field.name}.npy", _npy(row.pop(field.name), field)
        yield f"{id}.json", _json(row, fields)
        yield f"{id}.txt", _text(row["captions"]).encode()


def _rows(shard: Path) -> Iterator[tuple[dict[str, Any], list[pa.Field]]]:
    try:
        with pq.ParquetFile(shard, page_checksum_verification=True) as file:
            fields = pixel_fields(file.schema_arrow)
            for group in range(file.num_row_groups):
                for row in file.read_row_group(group).to_pylist(maps_as_pydicts="strict"):
                    yield row, fields
    except (OSError, pa.ArrowInvalid) as error:
        raise InvalidCorpus(f"{shard} is damaged: {error}; delete the corpus's corpus.json and build again") from error


def _npy(stored: bytes, field: pa.Field) -> bytes:
    """The pixels of a column, (band, y, x), as stored, in NumPy's own format."""
    shape, content = json.loads(field.metadata[b"shape"]), io.BytesIO()
    np.save(content, np.frombuffer(stored, field.metadata[b"dtype"].decode()).reshape(shape), allow_pickle=False)
    return content.getvalue()


def _json(row: Mapping[str, Any], fields: list[pa.Field]) -> bytes:
    """Every column but the pixels, and under `pixels` what a reader must know of each of those."""
    from shapely import from_wkb
    from shapely.geometry import mapping

    plain = {
        **row,
        "geometry": mapping(from_wkb(row["geometry"])),
        "pixels": {field.name: _said(field) for field in fields},
    }
    text = json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=dt.datetime.isoformat)
    return text.encode()


def _said(field: pa.Field) -> dict[str, Any]:
    said = {key.decode(): value.decode() for key, value in field.metadata.items()}
    numbers = {"factor": int(said["factor"]), "scale": float(said["scale"]), "nodata": int(said["nodata"])}
    return {"bands": json.loads(said["bands"]), "unit": said["unit"], **numbers}


def _text(captions: list[dict[str, Any]]) -> str:
    """The structured caption in English, which CLOSP trains on; else the first there is; else nothing."""
    preferred = [one for one in captions if (one["style"], one["lang"]) == ("structured", "en")]
    return next((str(one["text"]) for one in [*preferred, *captions]), "")
