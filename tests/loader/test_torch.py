"""PyTorch: tensors equal the NumPy path, datasets continue at any batch, and workers are refused or served."""

import pickle
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import landmark
from landmark.core.errors import InputError, StateMismatch
from landmark.corpus.reader import Corpus
from landmark.loader.format import open_format
from landmark.loader.torch import CorpusDataset, CorpusSamples, TensorBatch, to_tensors
from tests.parts import raises
from tests.train.toy import build_toy

BANDS = {"s1": ["vh"], "s2": ["B04", "B03", "B05", "B01"]}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """A toy corpus of both sensors, with missing pixels."""
    return landmark.open(build_toy(tmp_path_factory.mktemp("torch") / "corpus", {"train": 20, "val": 4}, gaps=True))


@pytest.mark.parametrize("normalise", [None, "corpus", "reflectance"])
@pytest.mark.parametrize(
    "options", [{}, {"bands": BANDS}, {"size": 6}, {"size": 9, "bands": BANDS}, {"size": 8, "fit": "crop"}], ids=str
)
def test_images_made_by_torch_equal_those_of_numpy(
    corpus: Corpus, options: dict[str, Any], normalise: str | None
) -> None:
    scalings = {sensor: own.scaling for sensor, own in open_format(corpus, normalise=normalise, **options).items()}
    stored, arrays = corpus.loader(batch=16, **options), corpus.loader(batch=16, normalise=normalise, **options)
    for integers, batch in zip(stored, arrays, strict=True):
        tensors = to_tensors(integers, "cpu", scalings)
        assert tensors.ids == batch.ids and tensors.classes == batch.classes
        for sensor, expected in batch.images.items():
            image = tensors.images[sensor]
            if normalise is None:
                assert not image.is_floating_point() and np.array_equal(image.numpy(), expected)
            else:
                assert image.dtype == torch.float32
                np.testing.assert_allclose(image.numpy(), expected, rtol=1e-6, atol=1e-6)
            assert np.array_equal(tensors.valid[sensor].numpy(), batch.valid[sensor])
            assert not tensors.valid[sensor].all()
            assert [tensors.ids[place][:2] for place in tensors.places[sensor]] == [sensor] * len(image)
        for name in ("labels", "fractions", "coordinates"):
            assert np.array_equal(getattr(tensors, name).numpy(), getattr(batch, name))


def test_tensors_share_the_memory_of_normalised_arrays_and_are_not_overwritten(corpus: Corpus) -> None:
    images, copies = [], []
    dataset = CorpusDataset(corpus, batch=8, normalise="corpus")
    for batch in dataset.loader:
        for sensor, image in to_tensors(batch).images.items():
            assert image.data_ptr() == batch.images[sensor].__array_interface__["data"][0]
            images.append(image)
            copies.append(image.clone())
        del batch
    assert all(map(torch.equal, images, copies))


def test_captions_and_columns_are_those_of_the_batch(corpus: Corpus) -> None:
    batch = next(iter(CorpusDataset(corpus, batch=8, captions="structured", columns=["cell"])))
    assert isinstance(batch, TensorBatch) and batch.captions == tuple(corpus[id].caption() for id in batch.ids)
    assert batch.columns["cell"].to_pylist() == [corpus[id].cell for id in batch.ids]


# -- iterable ----------------------------------------------------------------------------------------------------------


def test_a_dataset_continues_at_the_next_batch(corpus: Corpus) -> None:
    expected = CorpusDataset(corpus, batch=8, seed=1)
    order = [batch.ids for _ in range(2) for batch in expected]
    assert expected.epoch == 2 and len(order) == 2 * len(expected) == 2 * 6
    first = CorpusDataset(corpus, batch=8, seed=1)
    delivered = [batch.ids for batch in islice(first, 4)]
    second = CorpusDataset(corpus, batch=8, seed=1)
    second.load_state_dict(pickle.loads(pickle.dumps(first.state_dict())))
    assert delivered + [batch.ids for _ in range(2) for batch in second] == order
    with raises(StateMismatch, key="seed", value=1):
        CorpusDataset(corpus, batch=8, seed=2).load_state_dict(first.state_dict())


def test_a_data_loader_without_workers_gives_the_same_batches(corpus: Corpus) -> None:
    loaded = DataLoader(CorpusDataset(corpus, batch=8), batch_size=None)
    assert [batch.ids for batch in loaded] == [batch.ids for batch in CorpusDataset(corpus, batch=8)]
    assert len(loaded) == 6


def test_workers_are_refused(corpus: Corpus) -> None:
    dataset = CorpusDataset(corpus, batch=8)
    loaded = DataLoader(dataset, batch_size=None, num_workers=1, multiprocessing_context="fork")
    with pytest.raises(InputError):
        next(iter(loaded))
    # As before a worker is spawned.
    with raises(InputError, key="num_workers"):
        pickle.dumps(dataset)


def test_ranks_default_to_those_of_torch_distributed(corpus: Corpus) -> None:
    from torch.testing._internal.distributed.fake_pg import FakeStore

    expected = [batch.ids for batch in CorpusDataset(corpus, batch=8)]
    torch.distributed.init_process_group("fake", rank=1, world_size=4, store=FakeStore())
    try:
        own = [batch.ids for batch in CorpusDataset(corpus, batch=8)]
        single = [batch.ids for batch in CorpusDataset(corpus, batch=8, rank=0, ranks=1)]
    finally:
        torch.distributed.destroy_process_group()
    assert own == [ids[2:4] for ids in expected] and single == expected


# -- map-style ---------------------------------------------------------------------------------------------------------


def test_samples_by_number_equal_those_of_the_corpus(corpus: Corpus) -> None:
    selection = corpus.select(sensor="s2", split="train")
    samples = pickle.loads(pickle.dumps(CorpusSamples(selection, captions="structured", size=6, bands=["B04", "B01"])))
    assert len(samples) == len(selection) == 20
    for number, id in enumerate(selection.ids):
        item, sample = samples[number], corpus[id]
        assert (item["id"], item["caption"]) == (id, sample.caption())
        assert {samples.classes[place] for place in item["labels"].nonzero()} == set(sample.labels)
    assert samples[-1]["id"] == selection.ids[-1] and item["image"].dtype == torch.int32
    with pytest.raises(IndexError):
        samples[20]
    full = CorpusSamples(selection)[3]
    assert np.array_equal(full["image"].numpy(), corpus[full["id"]].s2)
    assert np.array_equal(full["valid"].numpy(), corpus[full["id"]].mask)


def test_data_loaders_of_others_read_samples_with_workers(corpus: Corpus) -> None:
    lon = dict(zip(corpus.ids, np.arange(len(corpus)) / 4, strict=True))
    samples = CorpusSamples(corpus.assign(lon=[*lon.values()]).select(sensor="s1"), normalise="corpus")
    loaded = DataLoader(samples, batch_size=5, shuffle=True, num_workers=2, multiprocessing_context="fork")
    ids = []
    for batch in loaded:
        ids += batch["id"]
        assert batch["image"].shape == (len(batch["id"]), 2, 12, 12) and batch["labels"].dtype == torch.bool
        assert batch["coordinates"][:, 0].tolist() == [lon[id] for id in batch["id"]]
    assert sorted(ids) == sorted(corpus.select(sensor="s1").ids)
