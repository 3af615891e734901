"""The state of a loader: what its order follows from, and the batches that were delivered."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import Any

from landmark.core.errors import StateMismatch
from landmark.core.hashing import digest
from landmark.corpus.reader import Corpus
from landmark.loader.order import ORDER_VERSION, Order
from landmark.loader.selection import OrderOptions

_DIGEST_CHARS = 12
_MAX_EPOCH = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Identity:
    """What an order follows from. Ranks are not part of it.

    Attributes:
        version: `ORDER_VERSION`.
        content: Digest of the corpus.
        selection: Digest of the selected rows.
        mixture: Digest of quotas and of how sensors are mixed.
        batch: Rows of each part in a batch of all ranks.
        streams: Streams of the shuffle, 0 without.
        window: Window of the shuffle, 0 without.
        seed: Seed of the order.
    """

    version: int
    content: str
    selection: str
    mixture: str
    batch: int
    streams: int
    window: int
    seed: int

    def state(self, *, epoch: int, position: int) -> dict[str, Any]:
        """State after some batches of an epoch: JSON-able, at most 256 bytes as JSON."""
        return {**asdict(self), "epoch": epoch, "position": position}

    def restore(self, state: Mapping[str, Any], order: Order, *, ranks: int) -> tuple[int, int]:
        """Epoch, and batches of it that were delivered; the start of the next epoch if all were.

        Args:
            state: State of a loader with any number of ranks.
            order: The order.
            ranks: Number of ranks from now on.

        Raises:
            StateMismatch: the state is of another order; `key` is the part that differs, and `value` that of the state.
        """
        if not isinstance(state, Mapping):
            raise StateMismatch("must be a dictionary", key="state", value=state)
        expected = self.state(epoch=0, position=0)
        # On one rank an epoch has the most batches.
        limits = {"epoch": _MAX_EPOCH, "position": order.epoch(0).steps}
        for key in (*expected, *state):
            value = state.get(key)
            if key in limits:
                is_valid = type(value) is int and 0 <= value <= limits[key]
            else:
                is_valid = key in expected and type(value) is type(expected[key]) and value == expected[key]
            if not is_valid:
                remedy = f"the loader has {expected[key]}" if key in expected else None
                raise StateMismatch("is not of this loader", key=key, value=value, remedy=remedy)
        epoch, position = state["epoch"], state["position"]
        return (epoch, position) if position < order.epoch(epoch, ranks=ranks).steps else (epoch + 1, 0)


def identify(corpus: Corpus, options: OrderOptions) -> Identity:
    """Identity of the order of a selection."""
    shuffle = options.shuffled
    mixture = {"sensors": options.sensors, "quotas": dict(options.quotas or {})}
    rows = corpus.rows.astype("<i8", copy=False)
    return Identity(
        version=ORDER_VERSION,
        content=corpus.content_digest[:_DIGEST_CHARS],
        selection=blake2b(rows.data, digest_size=_DIGEST_CHARS // 2).hexdigest(),
        mixture=digest(mixture)[:_DIGEST_CHARS],
        batch=options.batch,
        streams=shuffle.streams if shuffle else 0,
        window=shuffle.window if shuffle else 0,
        seed=options.seed,
    )
