"""Read a sealed corpus."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from landmark.config.profiles import SensorName
from landmark.config.recipe import SPLITS
from landmark.core.errors import InputError
from landmark.core.plural import plural
from landmark.corpus.assigned import assign_columns
from landmark.corpus.chips import ChipReader
from landmark.corpus.files import select_files
from landmark.corpus.index import Index, IndexRow
from landmark.corpus.manifest import Manifest
from landmark.corpus.pixels import decode, nodata_of, to_physical
from landmark.corpus.sample import Sample, to_xarray
from landmark.corpus.selection import Where, check_columns, check_name, meets

if TYPE_CHECKING:
    import geopandas
    import xarray

    from landmark.loader.captions import CaptionRequest
    from landmark.loader.format import Bands, Fit
    from landmark.loader.loader import Loader

_SENSORS = get_args(SensorName)


class Corpus:
    """A sealed corpus or a selection of it: a sized, iterable mapping from sample id to `Sample`.

    Pixels and columns are read on access. Picklable, for other processes; works in forked ones.

    Attributes:
        root: Folder of the corpus; of a remote one, of the copies of its manifest and index.
        manifest: Its manifest, also of a selection.
        rows: Numbers of the samples in the order of shards and rows, ascending.
        chips: Reads pixels of single samples, by number; the same of all selections.
    """

    def __init__(self, source: "CorpusSource", rows: NDArray[np.int64]) -> None:
        self.root, self.manifest, self.chips = source.root, source.manifest, source.chips
        self.rows, self._source, self._index = rows, source, source.index

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"<Corpus {self.manifest.name}: {plural(len(self), 'sample')} in {self.chips.files.location}>"

    def __contains__(self, id: object) -> bool:
        return id in self._rows_by_id

    def __iter__(self) -> Iterator[Sample]:
        """Iterate over the samples in the order of shards and rows.

        Raises:
            GenerationReplaced: a newer generation has replaced the shards; open the corpus again.
            InvalidCorpus: a shard is missing or damaged.
        """
        for row in self.rows.tolist():
            yield self._sample(row)

    def __getitem__(self, id: str) -> Sample:
        """Read a sample by id.

        Raises:
            KeyError: the selection has no such sample.
            GenerationReplaced: a newer generation has replaced the shards; open the corpus again.
            InvalidCorpus: its shard is missing or damaged.
        """
        return self._sample(self._rows_by_id[id])

    @property
    def ids(self) -> list[str]:
        """Sample ids, in iteration order."""
        return list(self._rows_by_id)

    @cached_property
    def table(self) -> pa.Table:
        """All columns but the pixels, one row per sample, in iteration order."""
        return self.columns(*self._index.names)

    def columns(self, *names: str) -> pa.Table:
        """Some columns but pixels, one row per sample, in iteration order; no others are read.

        Raises:
            InputError: the corpus has no such column.
            InvalidCorpus: the index is damaged.
        """
        check_columns(names, self._index.names, key="columns")
        table = self._index.columns(names, keep=False)
        return table if len(self) == table.num_rows else table.take(self.rows)

    def list_batches(self, name: str, *fields: str) -> Iterator[pa.ListArray]:
        """Yield a column of lists with some fields of its items, a part of the rows at a time, in iteration order.

        Raises:
            InvalidCorpus: the index is damaged.
        """
        return self._index.list_batches(name, fields, self.rows)

    def select(
        self,
        *,
        split: str | None = None,
        sensor: str | None = None,
        label: str | None = None,
        where: Where | None = None,
    ) -> "Corpus":
        """Select samples; no pixels are read.

        Args:
            split: `train`, `val` or `test`.
            sensor: `s1` or `s2`.
            label: Class key that the samples must have.
            where: Condition on columns, as a pyarrow expression, `pc.field("cloud_pct") < 10`, or a list of conditions
                that must all be met, `[("cloud_pct", "<", 10)]`. One that is null is not met.

        Raises:
            InputError: no such split, sensor or class; or `where` has an unknown column, or cannot be evaluated.
        """
        classes = {**self.manifest.taxonomy.classes, **self.manifest.labels}
        for key, name, known in (("split", split, SPLITS), ("sensor", sensor, _SENSORS), ("label", label, classes)):
            if name is not None:
                check_name(name, list(known), key=key)
        keep = np.ones(len(self), dtype=bool)
        for column, value in (("split", split), ("sensor", sensor)):
            if value is not None:
                keep &= pc.equal(self.columns(column)[column], value).to_numpy()
        if label is not None:
            labels = self.columns("labels")["labels"]
            has_label = pc.equal(pc.list_flatten(labels), label).to_numpy()
            keep &= np.isin(np.arange(len(self)), pc.list_parent_indices(labels).to_numpy()[has_label])
        if where is not None:
            keep &= meets(where, self._index.names, self.columns)
        return Corpus(self._source, self.rows[keep])

    def assign(self, **columns: Any) -> "Corpus":
        """Return the same samples with other values in some columns of the index, as `DataFrame.assign`.

        Nothing is written. Pixels, manifest, queries and `files` stay those of the corpus.

        Args:
            columns: Column → values, one for each sample in iteration order: an Arrow array, or what `pyarrow.array`
                takes. Other samples of the corpus keep theirs.

        Raises:
            InputError: no such column, one that says which pixels a sample has, or values that do not fit; `key` is its
                name.
            InvalidCorpus: the index is damaged.
        """
        classes = list(self.manifest.taxonomy.classes)
        index = assign_columns(self._source.index, self.rows, columns, classes)
        return Corpus(replace(self._source, index=index), self.rows)

    @property
    def assigned(self) -> tuple[str, ...]:
        """Columns with assigned values that differ from those of the corpus, by name."""
        return tuple(sorted(self._index.assigned))

    @property
    def content_digest(self) -> str:
        """Digest of ids, pixels and columns of the corpus: that of the manifest, or with assigned values another."""
        return self._index.content_digest

    def loader(  # noqa: PLR0913
        self,
        *,
        batch: int = 64,
        seed: int = 0,
        epoch: int = 0,
        rank: int = 0,
        ranks: int = 1,
        shuffle: bool = True,
        sensors: Literal["together", "paired"] | None = None,
        quotas: Mapping[str, float] | None = None,
        bands: "Bands | None" = None,
        size: int | None = None,
        fit: "Fit" = "resize",
        normalise: str | os.PathLike[str] | None = None,
        captions: "CaptionRequest" = None,
        columns: Sequence[str] = (),
        threads: int | None = None,
        prefetch_bytes: int = 256_000_000,
        cache_bytes: int = 1_000_000_000,
    ) -> "Loader":
        """Iterate over the samples in batches, in an order that depends on the arguments alone and can be resumed.

        Args:
            batch: Samples in a batch of all ranks, a multiple of 8; of each sensor with `sensors`.
            seed: Seed of the order and of random captions.
            epoch: Number of the first epoch.
            rank: Number of this rank.
            ranks: Number of ranks: 1, 2, 4 or 8. One gets the last, shorter batch; several get full ones only.
            shuffle: False for the order of iteration.
            sensors: `together` for as many samples of each sensor in a batch, `paired` for samples with their pair.
            quotas: Class key, event type or event id → its share of the samples.
            bands: Bands of the images; for several sensors, sensor → bands. By default all.
            size: Edge of the images in pixels; by default that of the samples.
            fit: How samples are brought to `size`: `resize`, or `crop`, the centre.
            normalise: `corpus`, `reflectance`, `ssl4eo`, `olmoearth`, or the path of a YAML file; by default images
                are stored integers.
            captions: A style, (style, language), (style, language, `random` or `all`), `random` or `all`; by default
                none are read.
            columns: Columns of the index to read for each batch.
            threads: Threads that read and decode; by default as many as CPUs, at most 4.
            prefetch_bytes: Size of the batches that are filled ahead.
            cache_bytes: Size of the samples that stay decoded in memory, 0 for none.

        Raises:
            InputError: an argument is unknown or does not fit the corpus; `key` is its name.
            InsufficientData: the selection is empty, or too small for these arguments.
        """
        from landmark.loader.loader import Loader, LoaderOptions

        options = {name: value for name, value in locals().items() if name in LoaderOptions.__dataclass_fields__}
        return Loader(self, LoaderOptions(**options))

    def files(self, *, split: str | None = None, sensor: str | None = None, format: str = "parquet") -> list[str]:
        """Paths, or URLs, of the files that hold the samples, and perhaps others that were not selected.

        Args:
            split: `train`, `val` or `test`.
            sensor: `s1` or `s2`.
            format: `parquet`, or `webdataset` for the .tar files.

        Raises:
            InputError: the corpus has no such split, sensor or format, or splits were assigned.
            GenerationReplaced: a newer generation has replaced the files; open the corpus again.
        """
        if split is not None and "split" in self.assigned:
            remedy = "give no split: `select(split=…)` and `columns` know the assigned ones"
            raise InputError(
                "files are of the splits that they were written for", key="split", value=split, remedy=remedy
            )
        numbers = sorted({self.chips.shard_of(row) for row in self.rows.tolist()})
        shards = [self.manifest.shards[number] for number in numbers]
        selection = self.manifest.model_copy(update={"shards": shards})
        files = select_files(selection, split=split, sensor=sensor, format=format)
        return [self.chips.files.locate(file) for file in files]

    def index(self) -> "geopandas.GeoDataFrame":
        """All columns but the pixels as a GeoDataFrame in EPSG:4326, in iteration order. Needs geopandas."""
        import geopandas
        from shapely import from_wkb

        frame = self.table.drop_columns("geometry").to_pandas(maps_as_pydicts="strict")
        return geopandas.GeoDataFrame(frame, geometry=from_wkb(self.table["geometry"].to_pylist()), crs="EPSG:4326")

    def xarray(self, id: str) -> "xarray.Dataset":
        """A sample as a Dataset with pixel centres, band names, time and CRS (CF `spatial_ref`). Needs xarray.

        The variable `s1` or `s2` (band, y, x) is float32 in physical units (dB, reflectance), NaN for nodata.

        Raises:
            KeyError: the selection has no such sample.
        """
        return to_xarray(*self._read(self._rows_by_id[id]))

    @cached_property
    def _rows_by_id(self) -> dict[str, int]:
        return dict(zip(self.columns("id")["id"].to_pylist(), self.rows.tolist(), strict=True))

    def _sample(self, row: int) -> Sample:
        stored, record, fields = self._read(row)
        mask = (stored != nodata_of(fields)).all(axis=0)
        if record["sensor"] == "s1":
            return Sample(to_physical(stored, fields), None, mask, record)
        return Sample(None, stored, mask, record)

    def _read(self, row: int) -> tuple[NDArray[Any], IndexRow, list[pa.Field]]:
        """Stored pixels (band, y, x), other columns, and pixel fields of a row."""
        fields = self.chips.fields[self.manifest.shards[self.chips.shard_of(row)].sensor]
        values = self.chips.read_values(row)
        names = [field.name for field in fields]
        return decode(dict(zip(names, values, strict=True)), fields), IndexRow(self._index, row), fields


@dataclass(frozen=True, slots=True)
class CorpusSource:
    """What the selections of a corpus share."""

    root: Path
    manifest: Manifest
    index: Index
    chips: ChipReader
