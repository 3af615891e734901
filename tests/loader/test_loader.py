"""The loader on real files and threads: batches, order, states, memory and ends."""

import gc
import json
import os
import signal
import threading
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landmark.config.recipe import SPLITS
from landmark.core.errors import InputError, StateMismatch
from landmark.corpus.pixels import S1_NODATA
from landmark.loader.batch import Batch, SensorPixels
from landmark.loader.loader import Loader
from landmark.loader.selection import OrderOptions, open_order
from tests.loader.conftest import StoredCorpus
from tests.parts import examples, raises


def check_pixels(ids: tuple[str, ...], by_sensor: Mapping[str, SensorPixels], stored: StoredCorpus) -> None:
    """Every sample is in place of its sensor, with the pixels that pyarrow reads."""
    places = {}
    for sensor, pixels in by_sensor.items():
        assert pixels.stored.dtype == {"s1": "<i2", "s2": "<u2"}[sensor]
        for number, place in enumerate(pixels.places.tolist()):
            places[place] = ids[place]
            assert ids[place].startswith(sensor)
            assert np.array_equal(pixels.stored[number], stored.pixels[ids[place]])
    assert [places[place] for place in sorted(places)] == list(ids)


def as_slots(batches: list[tuple[str, ...]], n_parts: int) -> list[list[str]]:
    """A batch of all ranks, in the order of slots, from those of the ranks."""
    parts = [np.array_split(np.array(ids), n_parts) for ids in batches]
    return [[str(id) for rank in parts for id in rank[part]] for part in range(n_parts)]


def alive() -> list[threading.Thread]:
    """Threads of loaders that are left; those that were stopped are given time to end."""
    deadline = time.monotonic() + 30
    while (left := [t for t in threading.enumerate() if t.name.startswith("landmark-loader")]) and (
        time.monotonic() < deadline
    ):
        time.sleep(0.005)
    return left


MIXTURES: list[dict[str, Any]] = [
    {},
    {"shuffle": False},
    {"sensors": "together"},
    {"sensors": "paired"},
    {"quotas": {"water": 0.4}},
]


@given(data=st.data())
@examples(20)
def test_ranks_and_resumed_loaders_share_an_order(stored: StoredCorpus, data: st.DataObject) -> None:
    mixture = data.draw(st.sampled_from(MIXTURES))
    options = {"batch": data.draw(st.sampled_from([8, 16, 24])), "seed": data.draw(st.integers(0, 99)), **mixture}
    corpus = stored.corpus.select(split=data.draw(st.sampled_from([None, "train"])))
    epoch = data.draw(st.integers(0, 3))
    order, ids = open_order(corpus, OrderOptions(**options)), np.array(corpus.ids)
    steps, state, step = order.epoch(epoch, ranks=8).steps, None, 0
    stops = data.draw(st.lists(st.integers(1, steps), max_size=2))
    for stop in sorted({*stops, steps}):
        ranks, threads = data.draw(st.sampled_from([1, 2, 4, 8])), data.draw(st.integers(1, 4))
        cache_bytes = data.draw(st.sampled_from([0, 40_000, 10**9]))
        loaders = [
            corpus.loader(epoch=epoch, rank=rank, ranks=ranks, threads=threads, cache_bytes=cache_bytes, **options)
            for rank in range(ranks)
        ]
        if state is not None:
            for loader in loaders:
                loader.load_state_dict(json.loads(state))
        iterators = [iter(loader) for loader in loaders]
        for number in range(step, stop):
            batches = [next(iterator) for iterator in iterators]
            expected = [ids[rows].tolist() for rows in order.epoch(epoch).rows(number)]
            assert as_slots([batch.ids for batch in batches], len(expected)) == expected
            batch = batches[number % ranks]
            check_pixels(batch.ids, batch.pixels, stored)
        states = {json.dumps(loader.state_dict()) for loader in loaders}
        assert len(states) == 1
        state, step = states.pop(), stop
        assert len(state) <= 256


@pytest.mark.parametrize("size", [None, 6])
def test_epochs_go_on_and_the_cache_changes_nothing(stored: StoredCorpus, size: int | None) -> None:
    loaders = [stored.corpus.loader(batch=40, size=size, cache_bytes=n_bytes) for n_bytes in (0, 10**9)]
    for epoch in range(2):
        assert [loader.epoch for loader in loaders] == [epoch, epoch]
        count = 0
        for uncached, cached in zip(*loaders, strict=True):
            assert uncached.ids == cached.ids
            for sensor, pixels in uncached.pixels.items():
                assert all(
                    np.array_equal(pixels.groups[key], cached.pixels[sensor].groups[key]) for key in pixels.groups
                )
            count += len(cached)
        assert count == len(stored.corpus)
    assert len(loaders[0]) == 8
    assert [loader.stats().cached for loader in loaders] == [0, len(stored.corpus)]
    assert loaders[1].stats().samples == 2 * len(stored.corpus)


@pytest.mark.parametrize(
    "options", [{}, {"size": 6}, {"size": 8, "fit": "crop", "bands": {"s1": ["vh"], "s2": ["B8A", "B02"]}}]
)
def test_images_are_those_of_the_format(stored: StoredCorpus, options: dict[str, Any]) -> None:
    plain = next(iter(stored.corpus.loader(**options)))
    batch = next(iter(stored.corpus.loader(normalise="corpus", **options)))
    for sensor, pixels in batch.pixels.items():
        arrays = tuple(plain.pixels[sensor].groups.values())
        expected = np.empty(pixels.images.shape, np.float32)
        pixels.format.images(arrays, expected)
        assert np.array_equal(batch.images[sensor], expected)
        assert np.array_equal(batch.valid[sensor], (plain.images[sensor] != pixels.format.nodata).all(axis=1))
        assert pixels.images.shape[1:] == pixels.format.shape


def test_pixels_and_annotations_are_those_of_the_corpus(stored: StoredCorpus) -> None:
    corpus = stored.corpus
    for batch in corpus.loader(batch=64, captions="structured", columns=["cloud_pct"]):
        for sensor, pixels in batch.pixels.items():
            for image, valid, place in zip(pixels.images, pixels.valid, pixels.places.tolist(), strict=True):
                sample = corpus[batch.ids[place]]
                assert np.array_equal(valid, sample.mask)
                if sensor == "s2":
                    assert np.array_equal(image, sample.s2)
                else:
                    decibel = np.where(image == S1_NODATA, np.nan, image.astype(np.float32) * np.float32(0.01))
                    assert np.array_equal(decibel, sample.s1, equal_nan=True)
                assert (batch.captions or ())[place] == sample.caption()
                assert [batch.classes[number] for number in np.flatnonzero(batch.labels[place])] == sorted(
                    sample.labels, key=batch.classes.index
                )
                assert batch.columns["cloud_pct"][place].as_py() == sample.cloud_pct
                assert batch.coordinates[place].tolist() == [sample.lon, sample.lat]


def test_assigned_columns_are_in_the_batches(stored: StoredCorpus) -> None:
    """Samples of another division, of shards of both splits, with other places, labels and captions."""
    corpus = stored.corpus
    splits = [SPLITS[int(id[3:]) % 3] for id in corpus.ids]
    texts = {id: f"a view of {id}" for id in corpus.ids}
    captions = [
        [{"style": "view", "lang": "en", "text": text, "template": "v@1", "evidence": []}] for text in texts.values()
    ]
    labels = [["water"] if id.startswith("s1") else ["trees"] for id in corpus.ids]
    lon = np.arange(len(corpus)) / 4
    assigned = corpus.assign(split=splits, captions=captions, labels=labels, lon=lon)
    part = assigned.select(split="test")
    loader = part.loader(batch=16, captions=("view", "en"), columns=["split"], normalise="corpus")
    samples = {row["id"]: row for row in part.columns("id", "lon", "labels").to_pylist()}
    ids = []
    for batch in loader:
        check_pixels(batch.ids, batch.pixels, stored)
        assert batch.captions == tuple(texts[id] for id in batch.ids)
        assert [batch.classes[row.argmax()] for row in batch.labels] == [samples[id]["labels"][0] for id in batch.ids]
        assert batch.coordinates[:, 0].tolist() == [samples[id]["lon"] for id in batch.ids]
        assert batch.columns["split"].to_pylist() == ["test"] * len(batch.ids)
        ids += batch.ids
    assert sorted(ids) == sorted(id for id, split in zip(corpus.ids, splits, strict=True) if split == "test")
    with raises(StateMismatch, key="content"):
        corpus.select(where=pc.field("id").isin(ids)).loader(batch=16).load_state_dict(loader.state_dict())


def test_batches_are_not_overwritten_and_return_their_memory(stored: StoredCorpus) -> None:
    loader = stored.corpus.loader(batch=8, normalise="reflectance")
    images = [(batch.ids, batch.pixels, batch.images) for batch in loader]
    again = [(batch.ids, batch.images) for batch in stored.corpus.loader(batch=8, normalise="reflectance")]
    bytes_in_use = loader.stats().buffer_bytes
    assert sum(len(batch) for batch in loader) == len(stored.corpus)
    assert alive() == []
    for (ids, pixels, first), (other_ids, second) in zip(images, again, strict=True):
        assert ids == other_ids
        assert all(np.array_equal(first[sensor], second[sensor]) for sensor in first)
        check_pixels(ids, pixels, stored)
    assert loader.stats().buffer_bytes == bytes_in_use > 0
    del images, again, pixels, first, second
    assert loader.stats().buffer_bytes == 0


@pytest.mark.parametrize("prefetch_bytes", [0, 10**9])
@pytest.mark.parametrize("end", ["break", "error", "interrupt", "deleted", "exhausted"])
def test_no_thread_is_left_and_the_loader_goes_on(stored: StoredCorpus, end: str, prefetch_bytes: int) -> None:
    loader = stored.corpus.loader(batch=8, threads=3, prefetch_bytes=prefetch_bytes)
    expected = [batch.ids for batch in stored.corpus.loader(batch=8)]
    delivered = [batch.ids for batch in leave(loader, end)]
    gc.collect()
    assert alive() == []
    if end == "exhausted":
        assert (loader.epoch, loader.position) == (1, 0)
        assert delivered == expected
    else:
        assert (loader.epoch, loader.position, len(delivered)) == (0, 3, 3)
        assert delivered + [batch.ids for batch in loader] == expected


def leave(loader: Loader, end: str) -> list[Batch]:
    """Leave an iteration after three batches."""
    batches: list[Batch] = []
    try:
        for batch in loader:
            batches.append(batch)
            if len(batches) == 3 and end != "exhausted":
                if end == "break":
                    break
                if end == "deleted":
                    return batches
                if end == "interrupt":
                    signal.raise_signal(signal.SIGINT)
                raise ZeroDivisionError
    except (ZeroDivisionError, KeyboardInterrupt):
        pass
    return batches


def test_a_new_iteration_ends_the_last(stored: StoredCorpus) -> None:
    loader = stored.corpus.loader(batch=8)
    first, second = iter(loader), iter(loader)
    ids = [next(first).ids, next(second).ids]
    with pytest.raises(RuntimeError):
        next(first)
    state = loader.state_dict()
    ids.append(next(second).ids)
    assert ids == [batch.ids for _, batch in zip(range(3), stored.corpus.loader(batch=8), strict=False)]
    loader.load_state_dict(state)
    with pytest.raises(RuntimeError):
        next(second)
    assert next(iter(loader)).ids == ids[2]
    assert alive() == []


def test_a_forked_process_is_refused(stored: StoredCorpus) -> None:
    loader = stored.corpus.loader()
    if (child := os.fork()) == 0:
        try:
            next(iter(loader))
        except InputError as error:
            os._exit(0 if error.key == "num_workers" else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("threads", value) for value in (0, True, 1.5)),
        *((key, -1) for key in ("epoch", "prefetch_bytes", "cache_bytes", "seed")),
        ("batch", 12),
        ("ranks", 3),
    ],
)
def test_options_out_of_range_are_refused(stored: StoredCorpus, key: str, value: Any) -> None:
    with raises(InputError, key=key, value=value):
        stored.corpus.loader(**{key: value})


def test_a_state_of_another_loader_is_refused(stored: StoredCorpus) -> None:
    loader = stored.corpus.loader(batch=8)
    mismatches = {
        "selection": stored.corpus.select(split="train").loader(batch=8),
        "mixture": stored.corpus.loader(batch=8, sensors="together"),
        "batch": stored.corpus.loader(batch=16),
        "seed": stored.corpus.loader(batch=8, seed=1),
        "streams": stored.corpus.loader(batch=8, shuffle=False),
    }
    for key, mismatch in mismatches.items():
        with raises(StateMismatch, key=key):
            loader.load_state_dict(mismatch.state_dict())
    assert loader.state_dict() == stored.corpus.loader(batch=8).state_dict()
