"""Outcomes → staging files → shards, index, ledger, manifest, card; shards → their projections."""

from landmark.pack.documents import (
    refresh_index,
    refresh_queries,
    rewrite_documents,
    write_documents,
    write_ledger,
    write_manifest,
)
from landmark.pack.queries import query_files
from landmark.pack.shards import (
    Moments,
    ShardTask,
    canonical,
    note_packed,
    packing_folder,
    read_packed,
    rewrite_shard,
    shard_tasks,
    write_shard,
)
from landmark.pack.staging import Staging, Status, write_staging
from landmark.pack.tars import (
    TarTask,
    note_projected,
    read_projected,
    tar_tasks,
    with_projections,
    write_tar,
)

__all__ = [
    "Moments",
    "ShardTask",
    "Staging",
    "Status",
    "TarTask",
    "canonical",
    "note_packed",
    "note_projected",
    "packing_folder",
    "query_files",
    "read_packed",
    "read_projected",
    "refresh_index",
    "refresh_queries",
    "rewrite_documents",
    "rewrite_shard",
    "shard_tasks",
    "tar_tasks",
    "with_projections",
    "write_documents",
    "write_ledger",
    "write_manifest",
    "write_shard",
    "write_staging",
    "write_tar",
]
