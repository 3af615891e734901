"""Rows of the index, compared with the shards that it was made from."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pyarrow as pa

from landmark.core.errors import InvalidCorpus
from landmark.corpus.manifest import Shard
from landmark.corpus.pixel_columns import PIXELS, parse_columns
from landmark.corpus.pixels import pixel_fields
from landmark.corpus.tables import INDEX_FILE, TableFile
from landmark.domain.schemas import INDEX, PAGES
from landmark.quality.check_input import CorpusContext
from landmark.quality.rows.shard_pages import ShardPages


def read_index_rows(first: int, rows: int, context: CorpusContext) -> pa.Table | None:
    """Rows of the index; None where it is unreadable or has another number of rows than the manifest."""
    path = context.root / INDEX_FILE
    try:
        with TableFile(path) as file:
            if sum(file.group_rows) != sum(shard.rows for shard in context.manifest.shards):
                return None
            parts, start, modified_ns = [], 0, path.stat().st_mtime_ns
            for number, group_rows in enumerate(file.group_rows):
                end = start + group_rows
                if start < first + rows and first < end:
                    parts.append(_read_group(path, number, modified_ns).slice(max(first - start, 0)))
                start = end
    except InvalidCorpus:
        return None
    return pa.concat_tables(parts).slice(0, rows) if parts else None


@lru_cache(maxsize=1)
def _read_group(path: Path, number: int, modified_ns: int) -> pa.Table:
    """A row group of the index. Kept until the next one is read: it has the rows of many shards."""
    with TableFile(path) as file:
        return file.read_group(number)


def differing_columns(index: pa.Table | None, group: pa.Table, start: int) -> Iterator[str]:
    """Columns of a shard's row group, from its row `start`, that the shard's rows of the index have otherwise."""
    if index is None:
        return
    rows = index.slice(start, group.num_rows)
    for name in INDEX.names:
        if name not in rows.column_names or not rows[name].combine_chunks().equals(group[name].combine_chunks()):
            yield name


def differing_descriptions(index: pa.Table | None, shard: Shard, schema: pa.Schema, patch_px: int) -> Iterator[str]:
    """The key of the index's metadata that describes pixel columns, if it describes others than the shard has."""
    if index is None:
        return
    try:
        described = parse_columns(Path(INDEX_FILE), (index.schema.metadata or {}).get(PIXELS), patch_px)
    except InvalidCorpus:
        described = {}
    expected = pa.schema(pixel_fields(schema))
    if not pa.schema(described.get(shard.sensor, ())).equals(expected, check_metadata=True):
        yield f"the metadata {PIXELS.decode()}"


def differing_pages(index: pa.Table | None, pages: ShardPages | None) -> Iterator[str]:
    """Columns of the index that locate other pages than a shard's own footer and page headers."""
    if index is None or pages is None:
        return
    for name, located in zip(PAGES.names, (numbers.tolist() for numbers in pages.pages), strict=True):
        if name not in index.column_names or index[name].to_pylist() != located:
            yield name
