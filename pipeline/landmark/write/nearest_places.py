"""How well labels follow from the place alone: the labels of the nearest cells that models are trained on.

Neighbouring places have similar land cover, in every split. What this reaches on the evaluated samples is known without
an image of them: a model shows that it reads images by what it reaches beyond.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from landmark.corpus.manifest import Leakage
from landmark.corpus.metrics import above_chance, average_precisions, chance_average_precisions
from landmark.corpus.relevance import label_mask

_EARTH_RADIUS_M = 6_371_000
# Cells whose distances differ by less are equally near, however a machine rounds.
_EQUAL_M = 1e-6


def measure_leakage(samples: pa.Table, sensors: Iterable[str], classes: Sequence[str]) -> dict[str, Leakage]:
    """Measure by sensor how well the labels of the five nearest train cells retrieve the test samples.

    Args:
        samples: Columns sensor, split, cell, lon, lat and labels.
        sensors: Names of the sensors.
        classes: Keys of the classes.

    Returns:
        Sensors with train and test samples, and a class that some test samples have and others have not.
    """
    # Filtering copies every column.
    samples = samples.select(["sensor", "split", "cell", "lon", "lat", "labels"])
    measured = {sensor: _measure(samples.filter(pc.equal(samples["sensor"], sensor)), classes) for sensor in sensors}
    return {sensor: leakage for sensor, leakage in measured.items() if leakage is not None}


def _measure(samples: pa.Table, classes: Sequence[str]) -> Leakage | None:
    train, test = (samples.filter(pc.equal(samples["split"], split)) for split in ("train", "test"))
    relevant = label_mask(test["labels"], classes)
    rows = np.flatnonzero(relevant.any(axis=1) & ~relevant.all(axis=1))
    if not len(rows) or not train.num_rows:
        return None
    scores = score_by_nearest_places(train, test, [classes[row] for row in rows.tolist()])
    precision = float(average_precisions(scores, relevant[rows]).mean())
    chance = float(chance_average_precisions(relevant[rows]).mean())
    return Leakage(
        map=round(precision, 4),
        chance_map=round(chance, 4),
        above_chance=round(above_chance(precision, chance), 4),
        classes=len(rows),
    )


def score_by_nearest_places(
    train: pa.Table, samples: pa.Table, classes: Sequence[str], *, k: int = 5
) -> NDArray[np.float64]:
    """Score samples by the mean labels of the k nearest train cells, by great-circle distance of the centres.

    A cell's labels are the means over its train samples; of cells that are equally far, the smaller id is nearer.

    Args:
        train: At least one sample, with columns cell, lon, lat and labels.
        samples: Columns cell, lon and lat.
        classes: Keys of the classes.
        k: Number of cells; all of them where there are fewer.

    Returns:
        (class, sample), in [0, 1].
    """
    places, place_of_row = _places(train)
    labels, sizes = label_mask(train["labels"], classes), np.bincount(place_of_row)
    means = np.stack([np.bincount(place_of_row, weights=mask) / sizes for mask in labels])
    queries, query_of_row = _places(samples)
    nearest = _nearest(places, queries, min(k, len(places)))
    # Rounded: sums in another order would tell equal scores apart.
    scores: NDArray[np.float64] = means[:, nearest].mean(axis=2).round(9)[:, query_of_row]
    return scores


def _places(samples: pa.Table) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Positions (cell, 3) on the unit sphere, in the order of the cells' ids, and the number of each sample's cell."""
    cells = samples["cell"].combine_chunks().dictionary_encode()
    order = np.argsort(np.array(cells.dictionary.to_pylist(), dtype=np.str_))
    cell_of_row = np.argsort(order)[cells.indices.to_numpy()]
    first = np.unique(cell_of_row, return_index=True)[1]
    lon, lat = (np.radians(samples[name].to_numpy()[first]) for name in ("lon", "lat"))
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=1), cell_of_row


def _nearest(places: NDArray[np.float64], queries: NDArray[np.float64], k: int) -> NDArray[np.int64]:
    """Rows (query, k) of the nearest places in the order of these; of equally near places the first rows.

    Chords order places as great-circle distances do.
    """
    from scipy.spatial import KDTree

    tree, equal = KDTree(places), _EQUAL_M / _EARTH_RADIUS_M
    distances, nearest = tree.query(queries, k=k + 1)
    rows = nearest[:, :k].astype(np.int64)
    for query in np.flatnonzero(distances[:, k] - distances[:, k - 1] < equal):
        near = np.array(tree.query_ball_point(queries[query], distances[query, k - 1] + equal))
        certain = near[np.linalg.norm(places[near] - queries[query], axis=1) < distances[query, k - 1] - equal]
        tied = np.sort(np.setdiff1d(near, certain))
        rows[query] = [*certain, *tied[: k - len(certain)]]
    return np.sort(rows, axis=1)
