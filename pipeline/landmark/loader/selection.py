"""The order of a selection: its row groups, sensors, pairs and quotas."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from landmark.core.errors import InputError, InsufficientData
from landmark.corpus.manifest import Shard
from landmark.corpus.reader import Corpus
from landmark.loader.mixture import UNITS
from landmark.loader.order import Order, Part, group_edges, make_part
from landmark.loader.permutation import Shuffle

# Name of a pool → its share, and whether each row of the selection may be in it.
Quotas = Mapping[str, tuple[float, NDArray[np.bool_]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderOptions:
    """Options of the order.

    Attributes:
        batch: Samples of each part in a batch of all ranks: a multiple of 8, any number without a shuffle.
        seed: Seed of the order.
        rank: Number of this rank.
        ranks: Number of ranks: 1, 2, 4 or 8; any divisor of the batch without a shuffle.
        shuffle: Whether samples come in a shuffled order, or in that of the selection.
        sensors: `together`: a batch has as many samples of each sensor; the longer sensor ends an epoch, and the other
            begins its next one as soon as it has ended. `paired`: a batch has samples with their pair; of the sensor
            with more samples whose pair is in the selection, each comes once an epoch, while a partner may recur. None:
            sensors are not told apart.
        quotas: Class key, event type or event id → its share of the samples, in steps of 0.01 %. What remains of 1 is
            of the samples without any of these. A sample counts for the rarest of its keys in the selection, and for
            events that gave it a label. None: each sample comes once an epoch.
    """

    batch: int = 64
    seed: int = 0
    rank: int = 0
    ranks: int = 1
    shuffle: bool = True
    sensors: Literal["together", "paired"] | None = None
    quotas: Mapping[str, float] | None = None

    @property
    def shuffled(self) -> Shuffle | None:
        """How to shuffle, None for not at all."""
        return Shuffle(self.seed) if self.shuffle else None

    def check(self) -> None:
        """Require a batch that streams share equally, streams that ranks share equally, and shares.

        Raises:
            InputError: an option is another; `key` is its name.
        """
        for key in ("batch", "ranks", "rank", "seed"):
            value = getattr(self, key)
            self._require(key, isinstance(value, int) and not isinstance(value, bool), "an integer")
        self._require("shuffle", isinstance(self.shuffle, bool), "True or False")
        streams = self.shuffled.streams if self.shuffled else 1
        divided = streams if self.shuffle else self.batch
        self._require("batch", self.batch > 0 and self.batch % streams == 0, f"a positive multiple of {streams}")
        self._require("ranks", self.ranks > 0 and divided % self.ranks == 0, f"a divisor of {divided}")
        self._require("rank", 0 <= self.rank < self.ranks, f"from 0 to {self.ranks - 1}")
        self._require("seed", 0 <= self.seed < 2**63, "from 0 to 2**63 - 1")
        self._require("sensors", self.sensors in (None, "together", "paired"), "`together`, `paired` or None")
        self._require("quotas", _are_shares(self.quotas), f"keys with shares from {1 / UNITS} to 1, at most 1 in all")

    def _require(self, key: str, is_valid: bool, expected: str) -> None:
        if not is_valid:
            raise InputError(f"must be {expected}", key=key, value=getattr(self, key))


def _are_shares(quotas: Any) -> bool:
    if quotas is None:
        return True
    if not isinstance(quotas, Mapping) or not all(isinstance(key, str) for key in quotas):
        return False
    if not all(isinstance(share, int | float) and not isinstance(share, bool) for share in quotas.values()):
        return False
    return all(1 / UNITS <= share <= 1 for share in quotas.values()) and sum(quotas.values()) <= 1 + 1e-9


def open_order(corpus: Corpus, options: OrderOptions) -> Order:
    """Return the order of a corpus or a selection of it. Reads columns of the index for pairs and quotas only.

    Raises:
        InputError: an option has another value than it may have, or a quota is of no class and no event of the corpus;
            `key` is the option.
        InsufficientData: no sample is selected, or no sample is of a sensor, pair or quota; `key` is the option.
    """
    options.check()
    shards = corpus.manifest.shards
    sizes = np.array([[shard.rows, shard.group_rows] for shard in shards], dtype=np.int64).reshape(-1, 2)
    edges = group_edges(sizes[:, 0], sizes[:, 1], corpus.rows)
    if not len(corpus):
        raise InsufficientData("no sample is selected", remedy="select other samples")
    quotas = _find_members(corpus, options.quotas) if options.quotas else {}

    def part(name: str, rows: NDArray[np.int64] | None) -> Part:
        return make_part(name, edges, rows, quotas, options.shuffled)

    if options.sensors is None:
        return Order(options.batch, (part("", None),))
    sensors = _sensor_rows(shards, corpus.rows)
    if len(sensors) < 2:
        raise _no_samples("one sensor only is selected", options.sensors)
    if options.sensors == "together":
        return Order(options.batch, tuple(part(name, rows) for name, rows in sensors.items()))
    partners, anchors = _find_pairs(corpus, sensors)
    anchor = max(anchors, key=lambda name: len(anchors[name]))
    if not len(anchors[anchor]):
        raise _no_samples("no pair is selected", options.sensors)
    return Order(options.batch, (part(anchor, anchors[anchor]),), partners, anchor == min(anchors))


def _sensor_rows(shards: Sequence[Shard], rows: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    """Rows of the selection by sensor, sensors by name."""
    sensors = np.repeat([shard.sensor for shard in shards], [shard.rows for shard in shards])[rows]
    return {str(name): np.flatnonzero(sensors == name) for name in np.unique(sensors)}


def _no_samples(problem: str, sensors: str) -> InsufficientData:
    return InsufficientData(problem, key="sensors", value=sensors, remedy="leave `sensors` out, or select more samples")


def _find_pairs(
    corpus: Corpus, sensors: Mapping[str, NDArray[np.int64]]
) -> tuple[NDArray[np.int64], dict[str, NDArray[np.int64]]]:
    """Row of the pair of each row, -1 without; and by sensor the rows whose pair is selected and of another sensor."""
    table = corpus.columns("id", "pair")
    indexes = pc.index_in(table["pair"], value_set=table["id"], skip_nulls=True)
    partners = pc.fill_null(indexes, -1).to_numpy().astype(np.int64)
    number = np.empty(len(table), dtype=np.int64)
    for sensor, rows in enumerate(sensors.values()):
        number[rows] = sensor
    has_pair = (partners >= 0) & (number[partners] != number)
    return partners, {name: rows[has_pair[rows]] for name, rows in sensors.items()}


def _find_members(corpus: Corpus, quotas: Mapping[str, float]) -> dict[str, tuple[float, NDArray[np.bool_]]]:
    """Find the samples that may be in the pool of each quota."""
    table = corpus.columns("labels", "events")
    keys_of_rows = list(_keys_of_rows(table))
    classes = corpus.manifest.taxonomy.classes
    known = set(classes).union(*(pc.unique(keys).to_pylist() for _, keys in keys_of_rows))
    members = {}
    for key, share in quotas.items():
        if key not in known:
            close = difflib.get_close_matches(key, sorted(known), n=1)
            remedy = (
                f"did you mean {close[0]!r}?" if close else f"choose of events, their types, and {', '.join(classes)}"
            )
            raise InputError("no class, event type or event of the corpus", key="quotas", value=key, remedy=remedy)
        is_member = np.zeros(len(table), dtype=bool)
        for rows, keys in keys_of_rows:
            is_member[rows[pc.equal(keys, key).to_numpy(zero_copy_only=False)]] = True
        members[key] = share, is_member
    return members


def _keys_of_rows(table: pa.Table) -> Iterator[tuple[NDArray[np.int64], pa.Array]]:
    """Rows and class keys of all labels; rows and types, and rows and ids of the events that gave a label."""
    for name in ("labels", "events"):
        column = table[name].combine_chunks()
        rows, entries = pc.list_parent_indices(column).to_numpy(), pc.list_flatten(column)
        if name == "labels":
            yield rows, entries
            continue
        has_label = pc.is_valid(pc.struct_field(entries, "label")).to_numpy(zero_copy_only=False)
        for field in ("type", "id"):
            yield rows[has_label], pc.struct_field(entries, field).filter(pa.array(has_label))
