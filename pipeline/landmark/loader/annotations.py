"""Annotations of the samples of a batch: captions, labels, fractions, coordinates and columns of the index."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from landmark.core.errors import InputError, InvalidCorpus
from landmark.corpus.reader import Corpus
from landmark.corpus.tables import INDEX_FILE
from landmark.loader.captions import CaptionRequest, CaptionTexts, SelectionCaptions


@dataclass(frozen=True, slots=True)
class BatchAnnotations:
    """Annotations of the samples of a batch, in its order.

    Attributes:
        ids: Sample ids.
        captions: A text per sample, or a tuple of texts where all were requested; None where none were.
        labels: (n, class) bool, true for the sample's labels.
        fractions: (n, class) float32, fraction of each class.
        coordinates: (n, 2) float64, longitude and latitude of the centres in degrees.
        columns: The requested columns of the index.
    """

    ids: tuple[str, ...]
    captions: CaptionTexts | None
    labels: NDArray[np.bool_]
    fractions: NDArray[np.float32]
    coordinates: NDArray[np.float64]
    columns: pa.Table


class Annotations:
    """Annotations of a selection by row, from columns that are read once; thread-safe.

    Attributes:
        classes: Class keys of labels and fractions: the taxonomy's target classes, in its order.
    """

    def __init__(self, corpus: Corpus, *, captions: CaptionRequest = None, columns: Sequence[str] = ()) -> None:
        """Read the columns.

        Args:
            corpus: A corpus or a selection of it.
            captions: A style, (style, language), (style, language, `random` | `all`), `random` or `all`; see
                `parse_captions`. None for no captions.
            columns: Columns of the index to read for each batch.

        Raises:
            InputError: an unknown column, style or language.
            InsufficientData: a sample has no such caption.
            InvalidCorpus: a sample has a class that is not in the taxonomy.
        """
        if isinstance(columns, str) or not isinstance(columns, Sequence):
            raise InputError("must be a list of columns", key="columns", value=columns)
        self.classes = tuple(corpus.manifest.taxonomy.classes)
        # Arrow takes rows from one chunk in time proportional to the rows.
        self._columns = corpus.columns(*columns).combine_chunks()
        table = corpus.columns("id", "lon", "lat", "labels", "fractions").combine_chunks()
        self._ids = table["id"]
        self._coordinates = np.stack([table[name].to_numpy() for name in ("lon", "lat")], axis=1)
        self._labels = np.zeros((len(table), len(self.classes)), dtype=bool)
        self._fractions = np.zeros(self._labels.shape, dtype=np.float32)
        for rows, keys, _ in _entries(table["labels"]):
            self._labels[rows, self._class_numbers(corpus, "labels", keys)] = True
        for rows, keys, values in _entries(table["fractions"]):
            self._fractions[rows, self._class_numbers(corpus, "fractions", keys)] = values
        self._captions = None if captions is None else SelectionCaptions(corpus, captions)

    def __len__(self) -> int:
        return len(self._ids)

    def read(self, rows: NDArray[np.int64], *, seed: int, epoch: int) -> BatchAnnotations:
        """Annotations of rows of the selection.

        Args:
            rows: Row numbers in the selection, in the order of the batch.
            seed: Seed of captions that are picked at random.
            epoch: The same, of this epoch.
        """
        ids = tuple(self._ids.take(rows).to_pylist())
        return BatchAnnotations(
            ids=ids,
            captions=None if self._captions is None else self._captions.read(rows, ids, seed=seed, epoch=epoch),
            labels=self._labels[rows],
            fractions=self._fractions[rows],
            coordinates=self._coordinates[rows],
            columns=self._columns.take(rows),
        )

    def _class_numbers(self, corpus: Corpus, column: str, keys: pa.Array) -> NDArray[np.int64]:
        numbers = pc.index_in(keys, pa.array(self.classes, pa.string()))
        if numbers.null_count:
            unknown = keys.filter(numbers.is_null())[0].as_py()
            problem, remedy = "the taxonomy of the manifest has no such class", "copy the corpus again"
            raise InvalidCorpus(problem, file=corpus.root / INDEX_FILE, key=column, value=unknown, remedy=remedy)
        return np.asarray(numbers, dtype=np.int64)


def _entries(column: pa.ChunkedArray) -> Iterator[tuple[NDArray[np.int64], pa.Array, Any]]:
    """Row, key and value of each entry of a column of lists or maps, chunk by chunk; no value of lists."""
    first = 0
    for chunk in column.chunks:
        offsets = chunk.offsets.to_numpy()
        rows = first + np.repeat(np.arange(len(chunk)), np.diff(offsets))
        entries = slice(offsets[0], offsets[-1])
        if pa.types.is_map(chunk.type):
            yield rows, chunk.keys[entries], chunk.items[entries].to_numpy(zero_copy_only=False)
        else:
            yield rows, chunk.values[entries], None
        first += len(chunk)
