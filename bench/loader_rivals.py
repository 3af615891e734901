"""Other loaders of the same samples: torch's DataLoader over row groups, webdataset, `datasets`, litData.

Each opens the corpus and returns a function from an epoch's number to the batches of that epoch: shuffled, as stored,
bands at native resolution. Each has two worker processes, and the settings that its documentation recommends.
"""

import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from landmark.corpus.files import list_files
from landmark.corpus.manifest import read_manifest
from landmark.corpus.pixels import BandGroup, parse_group, pixel_fields

BATCH, WORKERS = 64, 2
WINDOW_GROUPS = 4  # row groups that a worker of the DataLoader shuffles rows of
BUFFER_ROWS = 1000  # of a shuffle buffer, in each worker
CHUNK_BYTES = "64MB"  # of litData
SEED = 0

# Sample ids, and per pixel column an array or tensor (sample, band, y, x).
Batch = tuple[Sequence[str], Mapping[str, Any]]
Epochs = Callable[[int], Iterator[Batch]]
Columns = dict[str, BandGroup]


def files_of(corpus: Path, format: str = "parquet") -> list[str]:
    """Return the paths of the shards, or of their .tar files."""
    return [str(path) for path in list_files(corpus, read_manifest(corpus), format=format)]


def columns_of(corpus: Path) -> Columns:
    """Return the pixel columns of the corpus's shards."""
    return {field.name: parse_group(field) for field in pixel_fields(pq.read_schema(files_of(corpus)[0]))}


def _workers(dataset: Any, **options: Any) -> Any:
    """Return a DataLoader with workers that persist, so that the second epoch does not wait for their start."""
    from torch.utils.data import DataLoader

    return DataLoader(dataset, num_workers=WORKERS, persistent_workers=True, **options)


# -- DataLoader over row groups ----------------------------------------------------------------------------------------


def open_row_groups(corpus: Path) -> Epochs:
    """Shuffle as landmark does: row groups are permuted, and rows in windows of them; workers collate batches."""
    from torch.utils.data import IterableDataset, get_worker_info

    class RowGroups(IterableDataset[Batch]):
        epoch = 0

        def __iter__(self) -> Iterator[Batch]:
            worker: Any = get_worker_info()
            self.epoch += 1  # of this worker's copy, which persists
            return _read_batches(files_of(corpus), columns_of(corpus), self.epoch, worker.id)

    loader = _workers(RowGroups(), batch_size=None)
    return lambda _: iter(loader)


def _read_batches(files: Sequence[str], columns: Columns, epoch: int, worker: int) -> Iterator[Batch]:
    places = [(file, group) for file in map(pq.ParquetFile, files) for group in range(file.num_row_groups)]
    share = [
        places[number] for number in np.random.default_rng((SEED, epoch)).permutation(len(places))[worker::WORKERS]
    ]
    random = np.random.default_rng((SEED, epoch, worker))
    ids: list[str] = []
    views: dict[str, list[NDArray[Any]]] = {name: [] for name in columns}
    for start in range(0, len(share), WINDOW_GROUPS):
        for file, group in share[start : start + WINDOW_GROUPS]:
            table = file.read_row_group(group, columns=["id", *columns])
            ids += table["id"].to_pylist()
            for name, column in columns.items():
                views[name] += _arrays(table[name], column)
        order = random.permutation(len(ids)).tolist()
        stop = len(order) if start + WINDOW_GROUPS >= len(share) else len(order) // BATCH * BATCH
        for first in range(0, stop, BATCH):
            yield _collate(ids, views, order[first : min(first + BATCH, stop)])
        # Rows that fill no batch stay for the next window.
        ids = [ids[row] for row in order[stop:]]
        views = {name: [arrays[row] for row in order[stop:]] for name, arrays in views.items()}


def _arrays(column: pa.ChunkedArray, group: BandGroup) -> Iterator[NDArray[Any]]:
    """Yield the values of a column (band, y, x) without a copy: all have the same size."""
    for chunk in column.chunks:
        yield from np.frombuffer(chunk.buffers()[2], group.dtype).reshape(-1, *group.shape)[: len(chunk)]


def _collate(ids: list[str], views: dict[str, list[NDArray[Any]]], rows: list[int]) -> Batch:
    import torch

    arrays = {name: np.stack([values[row] for row in rows]) for name, values in views.items()}
    return [ids[row] for row in rows], {name: torch.from_numpy(array) for name, array in arrays.items()}


# -- webdataset --------------------------------------------------------------------------------------------------------


def open_webdataset(corpus: Path) -> Epochs:
    """Shuffle shards, and samples in a buffer before they are decoded; skip captions and other columns."""
    import webdataset

    columns = columns_of(corpus)
    members = [f"{name}.npy" for name in columns]
    dataset = (
        webdataset.WebDataset(
            files_of(corpus, "webdataset"), shardshuffle=100, seed=SEED, select_files=lambda name: name.endswith(".npy")
        )
        .shuffle(BUFFER_ROWS)
        .decode()
        .to_tuple("__key__", *members)
        .batched(BATCH)
    )
    loader = _workers(dataset, batch_size=None)
    return lambda _: ((ids, dict(zip(columns, arrays, strict=True))) for ids, *arrays in loader)


# -- datasets ----------------------------------------------------------------------------------------------------------


def open_datasets(corpus: Path) -> Epochs:
    """Stream the Parquet files with a shuffle buffer."""
    import datasets

    columns = columns_of(corpus)
    types = {"id": datasets.Value("string"), **dict.fromkeys(columns, datasets.Value("binary"))}
    stream = datasets.load_dataset(
        "parquet",
        data_files=files_of(corpus),
        split="train",
        streaming=True,
        columns=list(types),
        features=datasets.Features(types),
    ).shuffle(seed=SEED, buffer_size=BUFFER_ROWS)
    loader = _workers(stream, batch_size=BATCH, collate_fn=partial(_collate_bytes, columns=columns))

    def read_epoch(epoch: int) -> Iterator[Batch]:
        stream.set_epoch(epoch)
        return iter(loader)

    return read_epoch


def _collate_bytes(samples: Sequence[dict[str, Any]], columns: Columns) -> Batch:
    import torch

    def stacked(name: str, column: BandGroup) -> Any:
        return torch.from_numpy(
            np.stack([np.frombuffer(sample[name], column.dtype).reshape(column.shape) for sample in samples])
        )

    return [sample["id"] for sample in samples], {name: stacked(name, column) for name, column in columns.items()}


# -- litData -----------------------------------------------------------------------------------------------------------


def litdata_folder(corpus: Path) -> Path:
    """Return the folder of the samples in litData's format."""
    return corpus.with_name(f"{corpus.name}-litdata")


def convert_to_litdata(corpus: Path) -> None:
    """Write the samples in litData's format, unless they are there."""
    import litdata

    folder = litdata_folder(corpus)
    if folder.is_dir():
        return
    # Renamed once complete; an interrupted conversion begins again.
    partial_folder = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial_folder, ignore_errors=True)
    litdata.optimize(
        partial(_read_samples, columns=columns_of(corpus)),
        files_of(corpus),
        str(partial_folder),
        chunk_bytes=CHUNK_BYTES,
        num_workers=WORKERS,
    )
    partial_folder.rename(folder)


def _read_samples(file: str, columns: Columns) -> Iterator[dict[str, Any]]:
    import torch

    for batch in pq.ParquetFile(file).iter_batches(BATCH, columns=["id", *columns]):
        for row in batch.to_pylist():
            arrays = {name: np.frombuffer(row[name], column.dtype).copy() for name, column in columns.items()}
            tensors = {
                name: torch.from_numpy(array.reshape(columns[name].shape).copy()) for name, array in arrays.items()
            }
            yield {"id": row["id"], **tensors}


def open_litdata(corpus: Path) -> Epochs:
    """Read chunks with litData's shuffle, in its own DataLoader."""
    import litdata

    dataset = litdata.StreamingDataset(str(litdata_folder(corpus)), shuffle=True, seed=SEED)
    loader = litdata.StreamingDataLoader(dataset, batch_size=BATCH, num_workers=WORKERS, persistent_workers=True)
    return lambda _: ((batch.pop("id"), batch) for batch in loader)


RIVALS: dict[str, Callable[[Path], Epochs]] = {
    "dataloader": open_row_groups,
    "webdataset": open_webdataset,
    "datasets": open_datasets,
    "litdata": open_litdata,
}

if __name__ == "__main__":
    convert_to_litdata(Path(sys.argv[1]))
