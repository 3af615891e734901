"""Outcomes → staging files → shards, index, ledger, manifest, card."""

from landmark.pack.documents import refresh_index, write_documents, write_ledger
from landmark.pack.shards import Moments, ShardTask, note_packed, packing_folder, read_packed, shard_tasks, write_shard
from landmark.pack.staging import Staging, Status, write_staging

__all__ = [
    "Moments",
    "ShardTask",
    "Staging",
    "Status",
    "note_packed",
    "packing_folder",
    "read_packed",
    "refresh_index",
    "shard_tasks",
    "write_documents",
    "write_ledger",
    "write_shard",
    "write_staging",
]
