"""Gradients of chunks against one graph in float64, and what the first pass leaves unchanged."""

import copy

import pytest
import torch
from torch import Tensor

from landmark.train.batches import Batch
from landmark.train.closp import Closp, Embeddings
from landmark.train.gradients import compute_gradients, parallel, split_chunks, split_sensors
from landmark.train.loss import closp_loss
from landmark.train.profile import ModelProfile
from landmark.train.towers.vit import IMAGE_PX
from tests.train.nets import make_batch, make_net, make_profile

GEOCLOSP = {
    "location": {"degrees": 3, "width": 8, "features": 6, "dropout": 0.5},
    "objective": {"pair_weight": 0.5},
}


def seeds(chunk: int) -> int:
    return 100 + chunk


def gradients(net: Closp) -> dict[str, Tensor]:
    return {name: own.grad for name, own in net.named_parameters() if own.grad is not None}


def assert_equal(values: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert values.keys() == expected.keys()
    for name, value in values.items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=1e-10, msg=name)


def single_graph_loss(net: Closp, batches: list[Batch], profile: ModelProfile) -> Tensor:
    """Mean loss of the batches with the graph of all chunks, which are cut here by hand."""
    number, total = 0, torch.zeros((), dtype=torch.float64)
    for batch in batches:
        size = profile.budget.chunk or 8
        parts: dict[str, list[list[Tensor]]] = {sensor: [[], [], []] for sensor in batch.inputs}
        for start in range(0, 8, size):
            torch.manual_seed(seeds(number))
            number += 1
            rows = {sensor: range(start, min(start + size, len(own.images))) for sensor, own in batch.inputs.items()}
            texts = sorted({int(batch.inputs[sensor].text_index[row]) for sensor in rows for row in rows[sensor]})
            text_vectors = net.encode_text(batch.token_ids[texts], batch.attention_mask[texts])
            for sensor, own in batch.inputs.items():
                if not rows[sensor]:
                    continue
                numbers = list(rows[sensor])
                images, vectors, places = parts[sensor]
                images.append(net.encode_image(sensor, own.images[numbers]))
                vectors.append(text_vectors[[texts.index(int(own.text_index[row])) for row in numbers]])
                if own.harmonics is not None:
                    places.append(net.encode_location(own.harmonics[numbers]))
        embeddings = {
            sensor: Embeddings(*(torch.cat(vectors) if vectors else None for vectors in own))  # type: ignore[arg-type]
            for sensor, own in parts.items()
        }
        total = total + closp_loss(embeddings, batch.targets, net.scale, profile.objective) / len(batches)
    return total


@pytest.mark.parametrize("changes", [{}, GEOCLOSP], ids=["closp", "geoclosp"])
@pytest.mark.parametrize(("chunk", "n_batches"), [(None, 1), (3, 1), (4, 1), (None, 2), (3, 2)])
def test_gradients_of_chunks_equal_a_single_graph(
    changes: dict[str, dict[str, object]], chunk: int | None, n_batches: int
) -> None:
    """With dropout and BatchNorm, which also has the running statistics of a single pass afterwards."""
    profile = make_profile(**changes, budget={"chunk": chunk, "accumulate": n_batches})
    net, batches = make_net(profile), [make_batch(profile, n=(8, 6), seed=seed) for seed in range(n_batches)]
    expected = copy.deepcopy(net)
    loss = single_graph_loss(expected, batches, profile)
    loss.backward()  # type: ignore[no-untyped-call]
    value = compute_gradients(parallel(net, None), batches, profile, seeds=seeds)
    assert float(value) == pytest.approx(float(loss.detach()), abs=1e-12)
    assert_equal(gradients(net), gradients(expected))
    assert_equal(dict(net.named_buffers()), dict(expected.named_buffers()))
    assert len(gradients(net)) == len(list(net.parameters()))


def test_without_batchnorm_and_dropout_chunks_change_nothing() -> None:
    results = []
    for chunk in (None, 3):
        profile = make_profile(budget={"chunk": chunk})
        net, batch = make_net(profile, vit=True), make_batch(profile, px=IMAGE_PX)
        compute_gradients(parallel(net, None), [batch], profile, seeds=seeds)
        results.append(gradients(net))
    assert_equal(*results)


def test_a_step_of_a_sensor_gives_other_sensors_no_gradients() -> None:
    profile = make_profile()
    net, batch = make_net(profile), make_batch(profile)
    second, first = split_sensors(batch)
    assert (list(second.inputs), list(first.inputs)) == (["s2"], ["s1"])
    compute_gradients(parallel(net, None), [second], profile, seeds=seeds)
    assert {name.split("_")[0] for name in gradients(net)} == {"s2", "text", "logit"}


def test_chunks_are_about_equally_large() -> None:
    for n, chunk, expected in [((8, 7), 5, [(4, 4), (4, 3)]), ((10, 10), 3, [(3, 3), (2, 2), (3, 3), (2, 2)])]:
        chunks = split_chunks(make_batch(make_profile(), n=n), chunk)
        assert [tuple(len(own.images) for own in part.inputs.values()) for part in chunks] == expected


def test_a_chunk_has_no_texts_but_those_of_images() -> None:
    batch = make_batch(make_profile(), n=(8, 6))
    for number, chunk in enumerate(split_chunks(batch, 1)):
        assert list(chunk.inputs) == (["s1", "s2"] if number < 6 else ["s1"])
        for sensor, own in chunk.inputs.items():
            ids = chunk.token_ids[own.text_index]
            assert torch.equal(ids[0], batch.token_ids[batch.inputs[sensor].text_index[number]])
        assert len(chunk.token_ids) <= len(chunk.inputs)
