"""The state of a loader: small, of JSON, and refused by the part that differs."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from landmark.core.errors import StateMismatch
from landmark.loader.order import Order, make_part
from landmark.loader.permutation import Shuffle
from landmark.loader.state import Identity
from tests.parts import raises

IDENTITY = Identity(1, "0123456789ab", "0123456789ab", "0123456789ab", 8, 8, 8, 5)
ORDER = Order(8, (make_part("", np.array([0, 20]), None, {}, Shuffle(5)),))


def test_state_is_small_and_of_json() -> None:
    identity = replace(IDENTITY, batch=2**31, seed=2**63 - 1)
    assert len(json.dumps(identity.state(epoch=2**20, position=2**31))) <= 256


@pytest.mark.parametrize(
    ("position", "ranks", "restored"),
    [(0, 1, (3, 0)), (2, 1, (3, 2)), (3, 1, (4, 0)), (1, 8, (3, 1)), (2, 8, (4, 0))],
)
def test_state_of_any_number_of_ranks(position: int, ranks: int, restored: tuple[int, int]) -> None:
    state = json.loads(json.dumps(IDENTITY.state(epoch=3, position=position)))
    assert IDENTITY.restore(state, ORDER, ranks=ranks) == restored


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *((key, "other") for key in ("content", "selection", "mixture")),
        *((key, 2) for key in ("version", "batch", "streams", "window", "seed")),
        *((key, value) for key in ("epoch", "position") for value in (-1, True, "0", None, 2**63)),
        ("position", 4),
        ("version", True),
        ("seed", [5]),
        ("rank", 1),
    ],
)
def test_state_of_another_order_is_refused(key: str, value: object) -> None:
    with raises(StateMismatch, key=key, value=value):
        IDENTITY.restore(IDENTITY.state(epoch=0, position=0) | {key: value}, ORDER, ranks=1)


def test_incomplete_state_is_refused() -> None:
    with raises(StateMismatch, key="version", value=None):
        IDENTITY.restore({}, ORDER, ranks=1)


@pytest.mark.parametrize("state", [None, [], "epoch", 3])
def test_what_is_no_state_is_refused(state: Any) -> None:
    with raises(StateMismatch, key="state", value=state):
        IDENTITY.restore(state, ORDER, ranks=1)
