"""Places and pairs of a split's samples, for the location tower and the loss."""

from collections.abc import Collection

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from landmark.core.errors import InsufficientData
from landmark.corpus.reader import Corpus
from landmark.train.harmonics import spherical_harmonics
from landmark.train.profile import LocationTower, ModelProfile

# Places whose harmonics are computed at a time.
_BLOCK = 4096


class Locations:
    """Places and pairs of a split's samples; None where the model has no use for them.

    Samples are given by sensor and by their rows among the split's samples of that sensor.
    """

    def __init__(self, split: Corpus, profile: ModelProfile) -> None:
        """Read them from the index.

        Raises:
            InputError: a sample has no place on Earth.
        """
        sensors = np.array(split.columns("sensor")["sensor"].to_pylist(), dtype=np.str_)
        self._rows = {str(sensor): np.flatnonzero(sensors == sensor) for sensor in np.unique(sensors)}
        self._coordinates = self._place = self._harmonics = self._pair = None
        if profile.location is not None:
            table = split.columns("lon", "lat")
            coordinates = np.stack([table[name].to_numpy() for name in ("lon", "lat")], axis=1)
            self._coordinates = torch.from_numpy(coordinates)
            self._harmonics, self._place = _distinct_harmonics(coordinates, profile.location)
        if profile.objective.pair_weight:
            self._pair = torch.from_numpy(number_pairs(split.columns("id", "pair")))

    @property
    def has_pairs(self) -> bool:
        """Whether the loss compares pairs, and the split has some."""
        return self._pair is not None and bool((self._pair >= 0).any())

    def coordinates(self, sensor: str, rows: NDArray[np.int64]) -> Tensor | None:
        """(n, 2) float64 longitude and latitude of the centres in degrees."""
        return None if self._coordinates is None else self._coordinates[self._rows[sensor][rows]]

    def harmonics(self, sensor: str, rows: NDArray[np.int64]) -> Tensor | None:
        """(n, degrees ** 2) float32 spherical harmonics of the centres."""
        if self._harmonics is None or self._place is None:
            return None
        return self._harmonics[self._place[self._rows[sensor][rows]]]

    def pair(self, sensor: str, rows: NDArray[np.int64]) -> Tensor | None:
        """(n,) int64 number that samples linked by pairs share, -1 without one."""
        return None if self._pair is None else self._pair[self._rows[sensor][rows]]


def _distinct_harmonics(coordinates: NDArray[np.float64], tower: LocationTower) -> tuple[Tensor, Tensor]:
    """Harmonics (place, degrees ** 2) of the distinct places, and the place of each sample."""
    places, place_of_sample = np.unique(coordinates, axis=0, return_inverse=True)
    harmonics = np.empty((len(places), tower.degrees**2), dtype=np.float32)
    for start in range(0, len(places), _BLOCK):
        lon, lat = places[start : start + _BLOCK].T
        harmonics[start : start + _BLOCK] = spherical_harmonics(lon, lat, tower.degrees, tower.convention)
    return torch.from_numpy(harmonics), torch.from_numpy(place_of_sample.reshape(-1))


def check_pairs(split: Corpus, profile: ModelProfile, sensors: Collection[str]) -> None:
    """Check that the pairs of a split fill a batch, if the loss compares them.

    Raises:
        InsufficientData: they do not.
    """
    if not profile.objective.pair_weight:
        return
    table = split.columns("id", "sensor", "pair")
    has_pair = pc.is_in(table["pair"], value_set=table["id"], skip_nulls=True)
    counts = pc.value_counts(table["sensor"].filter(has_pair)).field("counts").to_pylist()
    count = max(counts, default=0) if len(sensors) > 1 else 0
    if count < profile.budget.batch:
        raise InsufficientData(
            f"{count} pairs of samples in the split do not fill a batch of {profile.budget.batch}",
            file=split.root,
            key="objective.pair_weight",
            value=profile.objective.pair_weight,
            remedy="set it to 0",
        )


def number_pairs(table: pa.Table) -> NDArray[np.int64]:
    """Number (n,) int64 that samples linked by pairs share, directly or through others; -1 without a link.

    A sample's pair is the nearest in time of the other sensor in its cell, and may itself have a nearer one.

    Args:
        table: Columns id and pair.
    """
    partners = pc.index_in(table["pair"], value_set=table["id"], skip_nulls=True)
    rows = np.flatnonzero(pc.is_valid(partners).to_numpy())
    links = np.ones(len(rows), dtype=np.int8), (rows, partners.drop_null().to_numpy())
    number = connected_components(coo_array(links, shape=(len(table), len(table))), directed=False)[1].astype(np.int64)
    return np.where(np.bincount(number)[number] > 1, number, -1)
