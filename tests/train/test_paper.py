"""`closp-paper` trains as the published code of July 2025 does."""

import math
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import OneCycleLR

from landmark.corpus.reader import Corpus
from landmark.train.batches import Batch, Batches
from landmark.train.closp import Closp
from landmark.train.gradients import split_sensors
from landmark.train.loop import TrainingConfig, train
from landmark.train.net import new_net, prepare_net
from landmark.train.preparation import add_statistics, read_train_annotations, torch_seed
from landmark.train.profile import Budget, ModelProfile, load_profile
from landmark.train.text import build_vocabulary
from tests.train.toy import PROFILE


def published_loss(net: Closp, batch: Batch, sensor: str) -> Tensor:
    """Cross-entropy of images against texts and of texts against images, each image with its own text."""
    images = net.encode_image(sensor, batch.inputs[sensor].images)
    texts = net.encode_text(batch.token_ids, batch.attention_mask)[batch.inputs[sensor].text_index]
    own = torch.arange(len(images))
    return (cross_entropy(images @ texts.T, own) + cross_entropy(texts @ images.T, own)) / 2


def train_as_published(net: Closp, batches: Batches, budget: Budget, seed: int) -> None:
    """The published loop: Adam and OneCycleLR of PyTorch, a step of the optimizer for each sensor's batch."""
    names = ("s1_encoder", "s2_encoder", "text_model")
    towers = [parameter for name in names for parameter in getattr(net, name).parameters()]
    optimizer = torch.optim.Adam(net.parameters(), lr=budget.learning_rate)
    n_steps = budget.epochs * math.ceil(24 / budget.batch)
    schedule = OneCycleLR(optimizer, budget.learning_rate, n_steps, pct_start=0.1, div_factor=1e6, final_div_factor=1e6)
    for step, pair in enumerate(islice(batches, n_steps)):
        frozen = budget.freeze == "always" or (budget.freeze == "first-epoch" and step < n_steps // budget.epochs)
        for parameter in towers:
            parameter.requires_grad_(not frozen)
        net.train()
        for number, (sensor, batch) in enumerate(zip(("s2", "s1"), split_sensors(pair), strict=True)):
            optimizer.zero_grad()
            # Of dropout.
            torch.manual_seed(torch_seed(seed, "step", step, number, 0, 0))
            published_loss(net, batch, sensor).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        schedule.step()


@pytest.mark.parametrize("freeze", ["always", "first-epoch", "never"])
def test_a_training_equals_the_published_loop(toy_corpus: Corpus, tmp_path: Path, freeze: str) -> None:
    """With small towers, and a rate and batches that suit them; `select: last` as the loop validates nothing."""
    paper = load_profile("closp-paper").model_dump(mode="json")
    changes = {"freeze": freeze, "learning_rate": 1e-2, "epochs": 3, "batch": 16, "select": "last"}
    image = {**paper["image"], "architecture": "tiny", "head": {"s1": 20, "s2": 20}}
    text = {**PROFILE["text"], "pooling": "cls"}
    value: dict[str, Any] = {**paper, "image": image, "text": text, "dimensions": 16}
    profile = ModelProfile.model_validate({**value, "budget": {**paper["budget"], **changes}})
    config = TrainingConfig(profile, tmp_path / "run", seed=3, device="cpu")
    run = train(toy_corpus, config)
    assert run.step == 6

    annotations = read_train_annotations(toy_corpus, profile)
    captions = [caption for own in annotations.values() for caption in own.captions]
    torch.manual_seed(torch_seed(3, "init"))
    net, tokenize = new_net(profile, ["s1", "s2"], vocabulary=build_vocabulary(captions), text_folder=None)
    data = add_statistics(annotations, run.statistics)
    batches = Batches(toy_corpus.select(split="train"), data, profile, seed=3, tokenize=tokenize)
    start = {name: tensor.clone() for name, tensor in prepare_net(net, torch.device("cpu")).state_dict().items()}
    train_as_published(net, batches, profile.budget, seed=3)
    trained = load_file(config.out / "model.safetensors")
    expected = net.state_dict()
    for part in ("s1_encoder", "s2_encoder", "text_model", "s1_projection", "s2_projection"):
        names = [name for name in start if name.startswith(part) and start[name].is_floating_point()]
        error, change = (
            torch.cat([(first[name] - second[name]).flatten() for name in names]).norm()
            for first, second in ((trained, expected), (expected, start))
        )
        assert error <= 0.01 * change, part
    changed = {name.split(".")[0] for name in start if not torch.equal(start[name], trained[name])}
    projections = {"s1_projection", "s2_projection"}
    # Running statistics of BatchNorm follow the images in frozen towers, too.
    assert changed == {"s1_encoder", "s2_encoder", *projections} | ({"text_model"} if freeze != "always" else set())


def test_closp_paper_has_the_hyperparameters_of_the_published_code() -> None:
    profile = load_profile("closp-paper")
    budget, objective = profile.budget, profile.objective
    assert (budget.epochs, budget.batch, budget.learning_rate, budget.weight_decay) == (30, 64, 1e-6, 0)
    assert (budget.warmup, budget.start_divisor, budget.end_divisor, budget.cycle_beta1) == (0.1, 1e6, 1e6, True)
    assert (budget.freeze, budget.alternate_sensors, budget.select) == ("always", True, "best")
    assert (budget.last_batch, budget.augment, budget.accumulate, budget.max_grad_norm) == ("keep", "flips", 1, None)
    assert (objective.targets, objective.scale, objective.learn_scale) == ("identity", 1, False)
    assert (profile.text.pooling, profile.text.max_tokens, profile.dimensions) == ("cls", 64, 384)
    assert (profile.image.scaling, profile.image.bands) == ("divided", "sentinel-2-l1c")
    assert profile.location is None and len(profile.caveats) == 5
