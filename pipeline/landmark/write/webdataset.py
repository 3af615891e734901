"""Parquet shard → WebDataset: a .tar of the same samples in the same order; depends on the shard alone."""

import datetime as dt
import io
import json
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa

from landmark.core.atomic import atomic_file
from landmark.core.corpus_paths import writable
from landmark.core.errors import InvalidCorpus
from landmark.core.journal import matches
from landmark.corpus.manifest import Export, Manifest, Shard
from landmark.corpus.pixels import pixel_fields
from landmark.corpus.tables import read_groups, reporting_damage

_SAMPLE_ID = re.compile(r"[a-z0-9_-]{1,80}")
_REMEDY = "delete the corpus's corpus.json and build again"


@dataclass(frozen=True, slots=True)
class TarTask:
    """One .tar to write, from a shard."""

    corpus: Path
    shard: Shard

    @property
    def path(self) -> str:
        """Relative to the corpus folder; beside the shard."""
        return tar_path(self.shard)


def tar_path(shard: Shard) -> str:
    """Path of a shard's .tar, relative to the corpus folder."""
    return str(PurePosixPath(shard.path).with_suffix(".tar"))


def tar_tasks(corpus: Path, manifest: Manifest, *, every: bool) -> list[TarTask]:
    """Shards whose .tar is missing or has another size than recorded.

    Args:
        corpus: The corpus folder.
        manifest: Its manifest.
        every: Consider all shards; otherwise all if a superseded generation had .tar files, and else those that the
            manifest names a .tar of.
    """
    recorded = {export.shard: export for export in manifest.exports}
    every = every or any(generation.exports for generation in manifest.superseded)
    tasks = [TarTask(corpus, shard) for shard in manifest.shards if every or shard.path in recorded]
    return [task for task in tasks if not _is_complete(corpus, recorded.get(task.shard.path))]


def write_tar(task: TarTask) -> Export:
    """Write the .tar of a shard atomically, one row group in memory at a time. Runs in a worker.

    Raises:
        InvalidCorpus: the shard is damaged, or not the one that the manifest names.
    """
    # ustar has no field that varies with clock, user or platform, and every reader supports it.
    target, shard = writable(task.corpus, task.path), task.corpus / task.shard.path
    if not matches(task.corpus, task.shard, hashed=True):
        raise InvalidCorpus("differs from the manifest", file=shard, remedy=_REMEDY)
    with atomic_file(target) as file, tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in _members(shard, task.shard.rows):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
    return Export(
        path=task.path,
        shard=task.shard.path,
        rows=task.shard.rows,
        size_bytes=file.size_bytes,
        sha256=file.sha256,
    )


def with_exports(manifest: Manifest, written: Iterable[Export]) -> Manifest:
    """Return the manifest with these exports added, or in place of those of the same shards."""
    exports = {export.shard: export for export in [*manifest.exports, *written]}
    ordered = [exports[shard.path] for shard in manifest.shards if shard.path in exports]
    return manifest.model_copy(update={"exports": ordered})


def _is_complete(corpus: Path, export: Export | None) -> bool:
    return export is not None and matches(corpus, export, hashed=False)


def _members(shard: Path, rows: int) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of every member; readers take the part before the first dot as the sample's key."""
    for group in read_groups(shard, rows):
        with reporting_damage(shard):
            samples = group.to_pylist(maps_as_pydicts="strict")
        for row in samples:
            if not _SAMPLE_ID.fullmatch(row["id"]):
                # Whoever unpacks the .tar would write to that path.
                raise InvalidCorpus("not the id of a sample", file=shard, key="id", value=row["id"], remedy=_REMEDY)
            with reporting_damage(shard):
                members = _sample_members(row, pixel_fields(group.schema))
            yield from members


def _sample_members(row: dict[str, Any], fields: list[pa.Field]) -> list[tuple[str, bytes]]:
    id = row["id"]
    pixels = [(f"{id}.{field.name}.npy", _npy(row.pop(field.name), field)) for field in fields]
    return [*pixels, (f"{id}.json", _json(row, fields)), (f"{id}.txt", _text(row["captions"]).encode())]


def _npy(stored: bytes, field: pa.Field) -> bytes:
    """Serialise a pixel column, (band, y, x) as stored, as .npy."""
    shape, content = json.loads(field.metadata[b"shape"]), io.BytesIO()
    np.save(content, np.frombuffer(stored, field.metadata[b"dtype"].decode()).reshape(shape), allow_pickle=False)
    return content.getvalue()


def _json(row: Mapping[str, Any], fields: list[pa.Field]) -> bytes:
    """Serialise all columns but pixels; `pixels` describes each pixel column."""
    from shapely import from_wkb
    from shapely.geometry import mapping

    plain = {
        **row,
        "geometry": mapping(from_wkb(row["geometry"])),
        "pixels": {field.name: _pixel_metadata(field) for field in fields},
    }
    text = json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=dt.datetime.isoformat)
    return text.encode()


def _pixel_metadata(field: pa.Field) -> dict[str, Any]:
    metadata = {key.decode(): value.decode() for key, value in field.metadata.items()}
    return {
        "bands": json.loads(metadata["bands"]),
        "unit": metadata["unit"],
        "factor": int(metadata["factor"]),
        "scale": float(metadata["scale"]),
        "nodata": int(metadata["nodata"]),
    }


def _text(captions: list[dict[str, Any]]) -> str:
    """Return the structured English caption, which CLOSP trains on, or the first caption, or an empty string."""
    preferred = [caption for caption in captions if (caption["style"], caption["lang"]) == ("structured", "en")]
    return next((str(caption["text"]) for caption in [*preferred, *captions]), "")
