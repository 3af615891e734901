"""Read a sealed corpus."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from landmark.core.corpus_paths import readable
from landmark.core.errors import InvalidCorpus
from landmark.core.hashing import names_digest
from landmark.core.plural import plural
from landmark.corpus.files import list_files, locate
from landmark.corpus.manifest import Manifest, read_manifest
from landmark.corpus.pixels import band_order, decode, nodata_of, pixel_fields, to_physical
from landmark.corpus.tables import INDEX_FILE, TableFile, check_values, damaged, read_table, reporting_damage
from landmark.domain.schemas import INDEX, PAGES

if TYPE_CHECKING:
    import geopandas
    import xarray

# Metadata key of the index: the manifest's `content_digest` of the shards it was made from.
CONTENT = b"landmark:content"
_MAP_COLUMNS = ("fractions", "subclasses", "agreement")


@dataclass(frozen=True, slots=True)
class Sample:
    """A chip with its labels and captions.

    Attributes:
        s1: Sentinel-1 (2, y, x) float32: gamma0 in dB, VV and VH, NaN for nodata; None for Sentinel-2.
        s2: Sentinel-2 (12, y, x) uint16: reflectance x 10000, 0 for nodata, bands B01 to B08, B8A, B09, B11, B12; None
            for Sentinel-1.
        mask: (y, x) bool, true where every band has data.
        fields: All other columns of the row; also available as attributes (`sample.labels`).
    """

    s1: NDArray[np.float32] | None
    s2: NDArray[np.uint16] | None
    mask: NDArray[np.bool_]
    fields: dict[str, Any]

    def __getattr__(self, name: str) -> Any:
        # `fields` itself is looked up here only while unpickling, before it is set.
        if name != "fields" and name in self.fields:
            return self.fields[name]
        raise AttributeError(f"Sample has no attribute or column {name!r}")

    def caption(self, style: str = "structured", lang: str = "en") -> str:
        """Text of the first caption of a style and language.

        Args:
            style: Caption style of the recipe, such as `structured` or `sentence`.
            lang: Language code.

        Raises:
            KeyError: the sample has no such caption.
        """
        for caption in self.fields["captions"]:
            if (caption["style"], caption["lang"]) == (style, lang):
                return str(caption["text"])
        raise KeyError(f"sample {self.fields['id']} has no caption of style {style!r} in language {lang!r}")


class Corpus:
    """A sealed corpus or a selection of it: a sized, iterable mapping from sample id to `Sample`.

    Pixels are read from the shards on access. Picklable, for the workers of a data loader.

    Attributes:
        root: Folder of the corpus.
        manifest: Its manifest, also of a selection.
    """

    def __init__(self, shards: "_Shards", index: pa.Table, rows: NDArray[np.int64]) -> None:
        self.root, self.manifest = shards.root, shards.manifest
        self._shards, self._index, self._rows = shards, index, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        return f"<Corpus {self.manifest.name}: {plural(len(self), 'sample')} in {self.root}>"

    def __contains__(self, id: object) -> bool:
        return id in self._rows_by_id

    def __iter__(self) -> Iterator[Sample]:
        """Iterate over the samples in the order of shards and rows; each row group is read once.

        Raises:
            GenerationReplaced: a newer generation has replaced the shards; open the corpus again.
            InvalidCorpus: a shard is missing or damaged.
        """
        for row in self._rows.tolist():
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
        return self._index.select(INDEX.names).take(self._rows)

    def select(self, *, split: str | None = None, sensor: str | None = None, label: str | None = None) -> "Corpus":
        """Select samples; no pixels are read.

        Args:
            split: `train`, `val` or `test`.
            sensor: `s1` or `s2`.
            label: Class key that the samples must have.
        """
        keep = np.ones(len(self), dtype=bool)
        for column, value in (("split", split), ("sensor", sensor)):
            if value is not None:
                keep &= pc.equal(self.table[column], value).to_numpy()
        if label is not None:
            keep &= np.array([label in labels for labels in self.table["labels"].to_pylist()], dtype=bool)
        return Corpus(self._shards, self._index, self._rows[keep])

    def files(self, *, split: str | None = None, sensor: str | None = None, format: str = "parquet") -> list[str]:
        """Paths of the files that hold the samples, and perhaps others that were not selected.

        Args:
            split: `train`, `val` or `test`.
            sensor: `s1` or `s2`.
            format: `parquet`, or `webdataset` for the .tar files.

        Raises:
            InputError: the corpus has no such split, sensor or format.
            GenerationReplaced: a newer generation has replaced the files; open the corpus again.
        """
        shards = [self.manifest.shards[number] for number in self._shards.numbers(self._rows)]
        selection = self.manifest.model_copy(update={"shards": shards})
        return [str(path) for path in list_files(self.root, selection, split=split, sensor=sensor, format=format)]

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
        import xarray
        from pyproj import CRS

        stored, record, fields = self._shards.read(self._rows_by_id[id], id)
        sensor, (width, _, left, _, height, top) = record["sensor"], record["transform"]
        rows, cols = stored.shape[1:]
        return xarray.Dataset(
            {sensor: (("band", "y", "x"), to_physical(stored, fields), {"grid_mapping": "spatial_ref"})},
            coords={
                "band": band_order(fields),
                "y": top + height * (np.arange(rows) + 0.5),
                "x": left + width * (np.arange(cols) + 0.5),
                "time": np.datetime64(record["datetime"].replace(tzinfo=None), "ns"),
                "spatial_ref": ((), 0, CRS.from_epsg(record["epsg"]).to_cf()),
            },
            attrs={"id": id, "units": fields[0].metadata[b"unit"].decode()},
        )

    @cached_property
    def _rows_by_id(self) -> dict[str, int]:
        return dict(zip(self.table["id"].to_pylist(), self._rows.tolist(), strict=True))

    def _sample(self, row: int) -> Sample:
        stored, record, fields = self._shards.read(row, self._index["id"][row].as_py())
        mask = (stored != nodata_of(fields)).all(axis=0)
        if record["sensor"] == "s1":
            return Sample(to_physical(stored, fields), None, mask, record)
        return Sample(None, stored, mask, record)


class _Shards:
    """Rows of all shards, numbered consecutively; the last file stays open, and its last row group in memory."""

    def __init__(self, root: Path, manifest: Manifest) -> None:
        self.root, self.manifest = root, manifest
        self._starts = np.cumsum([0, *(shard.rows for shard in manifest.shards)])
        self._file: tuple[int, TableFile] | None = None
        self._group: tuple[int, int, pa.Table] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_file": None, "_group": None}

    def numbers(self, rows: NDArray[np.int64]) -> list[int]:
        """Numbers of the shards that hold some rows."""
        return [int(number) for number in np.unique(np.searchsorted(self._starts, rows, side="right") - 1)]

    def read(self, row: int, id: str) -> tuple[NDArray[Any], dict[str, Any], list[pa.Field]]:
        """Stored pixels (band, y, x), other columns, and pixel fields of a row, which the index gives this id.

        Raises:
            GenerationReplaced: a newer generation has replaced the shard.
            InvalidCorpus: the shard is missing or damaged.
        """
        number = int(np.searchsorted(self._starts, row, side="right")) - 1
        file = self._open(number)
        with reporting_damage(file.path):
            record = self._record(number, file, int(row - self._starts[number]))
            if record["id"] != id:
                raise damaged(file.path, f"is damaged: sample {record['id']} in place of {id}")
            fields = pixel_fields(file.schema)
            names = {field.name for field in fields}
            plain = {
                name: dict(value) if name in _MAP_COLUMNS else value
                for name, value in record.items()
                if name not in names
            }
            return decode(record, fields), plain, fields

    def _open(self, number: int) -> TableFile:
        # Also for an open file: another generation may have replaced it.
        shard = self.manifest.shards[number]
        path = locate(self.root, self.manifest, shard)
        if self._file is None or self._file[0] != number:
            if self._file is not None:
                self._file[1].close()
                self._file = None
            self._file = number, TableFile.open_shard(path, shard.rows)
        return self._file[1]

    def _record(self, number: int, file: TableFile, row: int) -> dict[str, Any]:
        group = 0
        while row >= file.group_rows[group]:
            row -= file.group_rows[group]
            group += 1
        if self._group is None or self._group[:2] != (number, group):
            self._group = number, group, check_values(file.path, file.read_group(group), INDEX)
        return dict(self._group[2].slice(row, 1).to_pylist()[0])


def open_corpus(path: str | os.PathLike[str]) -> Corpus:
    """Open a sealed corpus.

    Args:
        path: Folder of the corpus.

    Raises:
        InvalidCorpus: manifest or index is missing, damaged, or of another corpus.
    """
    root = Path(path)
    manifest = read_manifest(root)
    index = read_index(root, manifest)
    if index is None:
        raise InvalidCorpus(
            "is missing, damaged, or of another corpus",
            file=root / INDEX_FILE,
            remedy="run `landmark build`, which rewrites it",
        )
    return Corpus(_Shards(root, manifest), index, np.arange(index.num_rows))


def read_index(root: Path, manifest: Manifest) -> pa.Table | None:
    """Read the index: all columns but the pixels, and the pages of these, in the order of shards and rows.

    Returns None if the file is missing, unreadable, or was made from other shards than the manifest's.
    """
    path = readable(root, INDEX_FILE)
    try:
        index = read_table(path, pa.schema([*INDEX, *PAGES]), all_columns=True)
    except InvalidCorpus:
        return None
    # Generations have the same ids and differ in content.
    content_digest = (index.schema.metadata or {}).get(CONTENT, b"").decode(errors="replace")
    if content_digest != manifest.content_digest:
        return None
    return index if names_digest(index["id"].to_pylist()) == manifest.ids_digest else None
