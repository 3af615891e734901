"""The order of a selection of a corpus: sensors, pairs, quotas, and what is refused."""

from collections import Counter
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import landmark
from landmark.core.errors import InputError, InsufficientData
from landmark.corpus.reader import Corpus
from landmark.loader.selection import OrderOptions, open_order
from landmark.loader.state import identify
from tests.parts import raises
from tests.train.toy import seal
from tests.write.rows import Row, sample_row

CELLS = 12
# Cells from here on have no Sentinel-2.
OPTICAL_CELLS = 9


def event(id: str, type_: str, label: str | None) -> dict[str, Any]:
    phase = "during" if label else "unrelated"
    return {"id": id, "type": type_, "phase": phase, "fraction": 0.5, "in_aoi": True, "product": "x", "label": label}


def make_rows() -> list[Row]:
    """A Sentinel-1 sample per cell; two of Sentinel-2 in some, whose nearest is that of Sentinel-1."""
    rows = []
    for cell in range(CELLS):
        pair = f"s2_{cell:02d}_0" if cell < OPTICAL_CELLS else None
        rows.append(sample_row(f"s1_{cell:02d}", cell, pair=pair, labels=["trees"], events=[]))
        for number in range(2 * (cell < OPTICAL_CELLS)):
            flooded = cell % 3 == 0
            events = [event(f"flood-{cell}", "flood", "flooded_area" if flooded else None)]
            labels = ["trees", "water"][: 1 + number] + ["flooded_area"] * flooded
            changes = {"pair": f"s1_{cell:02d}", "labels": labels, "events": events}
            rows.append(sample_row(f"s2_{cell:02d}_{number}", cell, **changes))
    return rows


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return landmark.open(seal(tmp_path_factory.mktemp("selection") / "corpus", make_rows()))


def draw(corpus: Corpus, epochs: int = 1, **options: Any) -> list[list[list[str]]]:
    """Ids of some epochs: batch → part → slot."""
    order, ids = open_order(corpus, OrderOptions(batch=8, **options)), np.array(corpus.ids)
    return [
        [ids[rows].tolist() for rows in epoch.rows(step)]
        for epoch in map(order.epoch, range(epochs))
        for step in range(epoch.steps)
    ]


def test_each_sample_comes_once_an_epoch(corpus: Corpus) -> None:
    selection = corpus.select(where=[("lon", "<", 100)])
    assert 8 < len(selection) < len(corpus)
    batches = draw(selection)
    assert [len(part) for (part,) in batches[:-1]] == [8] * (len(batches) - 1)
    assert sorted(chain(*chain(*batches))) == sorted(selection.ids)


def test_sensors_together(corpus: Corpus) -> None:
    batches = draw(corpus, sensors="together")
    assert [len(part) for parts in batches for part in parts] == [8, 8, 8, 8, 2, 2]
    first, second = (list(chain(*parts)) for parts in zip(*batches, strict=True))
    assert sorted(second) == sorted(corpus.select(sensor="s2").ids)
    # The first pass, and half of the next.
    assert sorted(Counter(first).values()) == [1] * 6 + [2] * 6
    assert set(first) == set(corpus.select(sensor="s1").ids)


def test_pairs(corpus: Corpus) -> None:
    """Of Sentinel-2, which has more samples with a pair, each comes once."""
    pairs = dict(zip(corpus.ids, corpus.columns("pair")["pair"].to_pylist(), strict=True))
    partners, anchors = (list(chain(*parts)) for parts in zip(*draw(corpus, sensors="paired"), strict=True))
    assert sorted(anchors) == sorted(corpus.select(sensor="s2").ids)
    assert partners == [pairs[id] for id in anchors]


def test_pairs_outside_a_selection_do_not_count(corpus: Corpus) -> None:
    selection = corpus.select(where=[("id", "in", ["s1_01", "s1_02", "s2_02_0", "s2_03_1"])])
    assert draw(selection, sensors="paired") == [[["s1_02"], ["s2_02_0"]]]
    nearest = corpus.select(where=[("id", "in", ["s1_02", "s2_02_1"])])
    assert draw(nearest, sensors="paired") == [[["s1_02"], ["s2_02_1"]]]


@pytest.mark.parametrize(
    ("quotas", "counts"),
    [
        # Twelve samples of Sentinel-1 have no other label than trees.
        ({"flooded_area": 0.5}, {True: 15, False: 15}),
        ({"flood": 0.5}, {True: 15, False: 15}),
        ({"flood-0": 0.5, "flood": 0.1}, {True: 18, False: 12}),
        ({"flooded_area": 0.3, "trees": 0.7}, {True: 9, False: 21}),
        (None, {True: 6, False: 24}),
    ],
)
def test_quotas(quotas: Mapping[str, float] | None, counts: dict[bool, int], corpus: Corpus) -> None:
    flooded = {id for id, labels in zip(corpus.ids, corpus.columns("labels")["labels"].to_pylist(), strict=True)
               if "flooded_area" in labels}  # fmt: skip
    drawn = list(chain(*chain(*draw(corpus, quotas=quotas))))
    assert Counter(id in flooded for id in drawn) == counts


def test_quotas_of_each_sensor(corpus: Corpus) -> None:
    """Quotas are of the drawn samples, which are those of Sentinel-2 in pairs."""
    batches = draw(corpus, 4, sensors="paired", quotas={"water": 0.75})
    assert Counter(id[-1] for _, anchors in batches for id in anchors) == {"1": 54, "0": 18}


@pytest.mark.parametrize(
    ("options", "selected", "kind", "key", "value"),
    [
        ({"quotas": {"tree": 0.5}}, {}, InputError, "quotas", "tree"),
        ({"quotas": {"built": 0.5}}, {}, InsufficientData, "quotas", "built"),
        ({"quotas": {"flood-1": 0.5}}, {}, InputError, "quotas", "flood-1"),
        ({"quotas": {"trees": 0.5}}, {}, InsufficientData, "quotas", None),
        ({"quotas": {"water": 0.5}, "sensors": "together"}, {}, InsufficientData, "quotas", "water"),
        ({"sensors": "together"}, {"sensor": "s1"}, InsufficientData, "sensors", "together"),
        ({"sensors": "paired"}, {"where": [("id", "in", ["s1_01", "s2_03_1"])]}, InsufficientData, "sensors", "paired"),
        ({}, {"label": "built"}, InsufficientData, None, None),
    ],
)
def test_orders_without_samples_are_refused(
    options: dict[str, Any], selected: dict[str, Any], kind: type, key: str | None, value: Any, corpus: Corpus
) -> None:
    with raises(kind, key=key, value=value):
        open_order(corpus.select(**selected), OrderOptions(**options))


def test_identity_names_what_an_order_follows_from(corpus: Corpus, tmp_path: Path) -> None:
    identity = identify(corpus, OrderOptions())
    assert identity == identify(landmark.open(corpus.root), OrderOptions(ranks=8, rank=3))
    other_rows = [*make_rows()[1:], sample_row("s1_99", 3)]
    changed = {
        "selection": identify(corpus.select(sensor="s1"), OrderOptions()),
        "mixture": identify(corpus, OrderOptions(quotas={"water": 0.5})),
        "seed": identify(corpus, OrderOptions(seed=1)),
        "batch": identify(corpus, OrderOptions(batch=8)),
        "content": identify(landmark.open(seal(tmp_path / "corpus", other_rows)), OrderOptions()),
    }
    for key, value in changed.items():
        assert [name for name in identity.__slots__ if getattr(identity, name) != getattr(value, name)] == [key]
