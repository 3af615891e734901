"""Class fractions of cells, predicted from statistics of their pixels by models that have not seen the place.

The targets are square roots of fractions, whose errors are about equally large for rare and common classes (Hellinger).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark.core.hashing import ranks
from landmark.core.progress import Progress, silent
from landmark.core.salts import SUSPECT_IMAGES
from landmark.corpus.image_features import read_features
from landmark.corpus.kernel_ridge import Features, KernelRidge
from landmark.corpus.reader import Corpus
from landmark.grid.cells import cell_blocks

F8 = NDArray[np.float64]
I8 = NDArray[np.int64]

FOLDS = 10
# Samples of a sensor that a model is fitted on, if there are more: a kernel of all would not fit in memory.
MAX_TRAIN = 4_000
_MIN_LABELLED = 0.5
_MIN_VARIANCE = 1e-4


@dataclass(frozen=True, slots=True)
class LabelledSamples:
    """Samples with labels, and statistics of their pixels.

    Attributes:
        ids: Sample ids.
        sensor: (sample,) name of its sensor.
        cell: (sample,) number of its cell.
        edition: (sample,) number of the editions of its label sources: labels of a cell with equal ones are equal.
        fold: (sample,) number of the fold of its place.
        block: (sample,) number of its block: a place of one fold.
        classes: Keys of the classes.
        roots: (sample, class) square root of the class's fraction.
        has_label: (sample, class) whether the class is a label.
        features: Sensor → (sample of the sensor, statistic), in the order of the samples.
    """

    ids: list[str]
    sensor: NDArray[np.str_]
    cell: I8
    edition: I8
    fold: I8
    block: I8
    classes: list[str]
    roots: F8
    has_label: NDArray[np.bool_]
    features: Mapping[str, Features]

    def rows(self, sensor: str) -> NDArray[np.intp]:
        """Numbers of the samples of a sensor."""
        return np.flatnonzero(self.sensor == sensor)


def read_labelled(corpus: Corpus, block_m: float, progress: Progress = silent) -> LabelledSamples:
    """Read labels, and compute the statistics of the pixels of all samples that have labels.

    Args:
        corpus: The corpus.
        block_m: Edge of the squares that are in one fold, in metres.
        progress: Receives the samples done.

    Raises:
        InvalidCorpus: index or shards are damaged, or a sample is of no cell.
    """
    table = corpus.columns("id", "sensor", "cell", "labels", "fractions", "sources")
    fractions: list[Mapping[str, float]] = [dict(row or ()) for row in table["fractions"].to_pylist()]
    labelled = np.array([sum(row.values()) >= _MIN_LABELLED for row in fractions], dtype=bool)
    features = {
        sensor: read_features(corpus.select(sensor=sensor), sensor, progress=progress).handcrafted[
            labelled[table["sensor"].to_numpy() == sensor]
        ]
        for sensor in sorted(set(table["sensor"].filter(labelled).to_pylist()))
    }
    table, fractions = table.filter(labelled), [row for row, keep in zip(fractions, labelled, strict=True) if keep]
    classes = sorted({key for row in fractions for key in row})
    cells, cell = np.unique(np.array(table["cell"].to_pylist(), dtype=np.str_), return_inverse=True)
    manifest = corpus.manifest
    blocks = cell_blocks(cells.tolist(), cell_m=manifest.patch_px * manifest.resolution_m, block_m=block_m)
    block = np.unique(np.array(blocks, dtype=np.str_), return_inverse=True)[1][cell].astype(np.int64)
    shape = len(fractions), len(classes)
    shares = np.array([[row.get(key, 0.0) for key in classes] for row in fractions]).reshape(shape)
    return LabelledSamples(
        ids=table["id"].to_pylist(),
        sensor=np.array(table["sensor"].to_pylist(), dtype=np.str_),
        cell=cell.astype(np.int64),
        edition=_editions(table["sources"].to_pylist()),
        fold=assign_folds(block),
        block=block,
        classes=classes,
        roots=np.sqrt(np.maximum(shares, 0)),
        has_label=np.array([[key in row for key in classes] for row in table["labels"].to_pylist()], bool).reshape(
            shape
        ),
        features=features,
    )


def _editions(sources: Sequence[Sequence[Mapping[str, Any]]]) -> I8:
    names = ["\n".join(f"{source['name']} {source['version']} {source['year']}" for source in row) for row in sources]
    return np.unique(np.array(names, dtype=np.str_), return_inverse=True)[1].astype(np.int64)


def assign_folds(block: I8) -> I8:
    """Fold of each sample: the largest blocks first, each to the fold with the fewest samples."""
    sizes, fold_sizes = np.bincount(block), np.zeros(FOLDS, dtype=np.int64)
    fold_of = np.zeros(len(sizes), dtype=np.int64)
    for number in np.argsort(-sizes, kind="stable").tolist():
        fold_of[number] = fold_sizes.argmin()
        fold_sizes[fold_of[number]] += sizes[number]
    return fold_of[block]


def predict_roots(samples: LabelledSamples, versions: Sequence[F8]) -> list[F8]:
    """Roots (sample, class) that models of the other folds expect of each sample's cell, for versions of the labels.

    Args:
        samples: The samples.
        versions: Roots (sample, class) of the labels: as they are, and with planted mistakes.
    """
    targets = np.concatenate(versions, axis=1)
    predicted = np.zeros_like(targets)
    for sensor, features in samples.features.items():
        rows = samples.rows(sensor)
        order = np.argsort(ranks(0, SUSPECT_IMAGES, (samples.ids[row] for row in rows.tolist())), kind="stable")
        drawn = np.sort(order[:MAX_TRAIN])
        model = KernelRidge(features[drawn], targets[rows[drawn]], samples.fold[rows[drawn]])
        for fold in np.unique(samples.fold[rows]).tolist():
            own = np.flatnonzero(samples.fold[rows] == fold)
            predicted[rows[own]] = model.predict_without(fold, features[own])
    parts = zip(versions, np.split(predicted, len(versions), axis=1), strict=True)
    return [_combine_by_cell(samples, roots, part) for roots, part in parts]


def _combine_by_cell(samples: LabelledSamples, roots: F8, predicted: F8) -> F8:
    """Mean prediction of all samples of a cell, each sensor weighted by its inverse variance per class."""
    size = int(samples.cell.max()) + 1
    total, weights = np.zeros((size, roots.shape[1])), np.zeros((size, roots.shape[1]))
    for sensor in samples.features:
        rows = samples.rows(sensor)
        weight = 1 / (((roots[rows] - predicted[rows]) ** 2).mean(axis=0) + _MIN_VARIANCE)
        count, sums = np.bincount(samples.cell[rows], minlength=size)[:, None], np.zeros_like(total)
        np.add.at(sums, samples.cell[rows], predicted[rows])
        total += weight * sums / np.maximum(count, 1)
        weights += weight * (count > 0)
    combined: F8 = (total / weights)[samples.cell]
    return combined
